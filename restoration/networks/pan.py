"""PAN: blocks whose attention gives every pixel of every channel a weight of its own."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import Up, conv3, enlargement_steps, receptive_radius
from restoration.networks.network import Network


class Pan(Network):
    """Pixel attention (Zhao et al., 2020): 272,419 parameters at ×4, 261,403 at ×2 and ×3.

    The image is enlarged by nearest neighbour and convolved, once per step; a bilinear enlargement of the input is
    added. ``fine`` is the width after enlargement.
    """

    def __init__(
        self, *, scale: int = 4, channels: int = 3, width: int = 40, fine: int = 24, blocks: int = 16
    ) -> None:
        super().__init__()
        self.steps = enlargement_steps(scale)
        if not 1 <= len(self.steps) <= 2:
            raise ValueError(f"scale = {scale}: expected 2, 3 or 4")
        if width % 2:
            raise ValueError(f"width = {width}: expected an even number")
        self.scale = scale
        self.channels = channels
        tail = [step for factor in self.steps for step in (Up(factor), 2)]
        self.receptive_field = receptive_radius(2 + 2 * blocks, *tail, 1)
        self.head = conv3(channels, width)
        self.body = nn.Sequential(*[AttentiveBlock(width) for _ in range(blocks)])
        self.fuse = conv3(width, width)
        widths = [width, *[fine] * len(self.steps)]
        self.enlarge = nn.ModuleList(Enlargement(before, fine) for before in widths[:-1])
        self.tail = conv3(fine, channels)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the bilinear enlargement plus the learnt residual."""
        features = self.head(degraded)
        features = features + self.fuse(self.body(features))
        for factor, enlarge in zip(self.steps, self.enlarge, strict=True):
            features = enlarge(functional.interpolate(features, scale_factor=factor, mode="nearest"))
        return self.tail(features) + functional.interpolate(
            degraded, scale_factor=self.scale, mode="bilinear", align_corners=False
        )


class AttentiveBlock(nn.Module):
    """Two halves, one plain and one with pixel attention, joined and added to the input (fig. 3 of the paper)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.plain = nn.Conv2d(width, half, 1, bias=False)
        self.attended = nn.Conv2d(width, half, 1, bias=False)
        self.plain2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.weight = nn.Conv2d(half, half, 1)
        self.attended2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.attended3 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.merge = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus their residual."""
        plain = _leaky(self.plain2(_leaky(self.plain(features))))
        half = _leaky(self.attended(features))
        attended = _leaky(self.attended3(self.attended2(half) * self.weight(half).sigmoid()))
        return features + self.merge(torch.cat((plain, attended), 1))


class Enlargement(nn.Module):
    """Convolution, pixel attention, convolution, on the enlarged grid."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = conv3(inputs, outputs)
        self.weight = nn.Conv2d(outputs, outputs, 1)
        self.conv2 = conv3(outputs, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features of the finer grid."""
        features = self.conv1(features)
        return _leaky(self.conv2(_leaky(features * self.weight(features).sigmoid())))


def _leaky(features: Tensor) -> Tensor:
    return functional.leaky_relu(features, 0.2)
