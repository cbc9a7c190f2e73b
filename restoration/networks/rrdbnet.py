"""RRDBNet: the generator of ESRGAN."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import Down, Up, conv3, enlargement_steps, receptive_radius, scaled_he_
from restoration.networks.network import Network

PACKING = {1: 4, 2: 2, 4: 1}
RESIDUAL_SCALE = 0.2


class RrdbNet(Network):
    """Residual blocks in residual dense blocks (Wang et al., 2018): 16,697,987 parameters; BasicSR names.

    ``packed`` networks enlarge by 4; at ×2 and ×1 the image is packed first (pixel unshuffle), as Real-ESRGAN does.
    The others enlarge by ``scale`` in steps of 2 or 3, as KAIR and BSRGAN do.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 3,
        width: int = 64,
        blocks: int = 23,
        growth: int = 32,
        packed: bool = True,
    ) -> None:
        super().__init__()
        if packed and scale not in PACKING:
            raise ValueError(f"scale = {scale}: expected 1, 2 or 4")
        self.scale = scale
        self.channels = channels
        self.multiple = PACKING[scale] if packed else 1
        self.steps = (2, 2) if packed else enlargement_steps(scale)
        pack = () if self.multiple == 1 else (Down(self.multiple),)
        enlarge = [step for factor in self.steps for step in (Up(factor), 1)]
        self.receptive_field = receptive_radius(*pack, 1, 15 * blocks, 1, *enlarge, 2)
        self.conv_first = conv3(channels * self.multiple**2, width)
        self.body = nn.Sequential(*[ResidualInResidual(width, growth) for _ in range(blocks)])
        self.conv_body = conv3(width, width)
        for i in range(len(self.steps)):
            self.add_module(f"conv_up{i + 1}", conv3(width, width))
        self.conv_hr = conv3(width, width)
        self.conv_last = conv3(width, channels)
        scaled_he_(self.body, 0.1)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        packed = functional.pixel_unshuffle(degraded, self.multiple) if self.multiple > 1 else degraded
        features = self.conv_first(packed)
        features = features + self.conv_body(self.body(features))
        for i, factor in enumerate(self.steps):
            enlarged = functional.interpolate(features, scale_factor=factor, mode="nearest")
            features = _leaky(self.get_submodule(f"conv_up{i + 1}")(enlarged))
        return self.conv_last(_leaky(self.conv_hr(features)))


class ResidualInResidual(nn.Module):
    """Three dense blocks in a row, their result scaled and added to the input."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(width, growth)
        self.rdb2 = DenseBlock(width, growth)
        self.rdb3 = DenseBlock(width, growth)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus the scaled residual."""
        return features + RESIDUAL_SCALE * self.rdb3(self.rdb2(self.rdb1(features)))


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees the input and all results before it."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.conv1 = conv3(width, growth)
        self.conv2 = conv3(width + growth, growth)
        self.conv3 = conv3(width + 2 * growth, growth)
        self.conv4 = conv3(width + 3 * growth, growth)
        self.conv5 = conv3(width + 4 * growth, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus the scaled residual."""
        seen = features
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat((seen, _leaky(conv(seen))), 1)
        return features + RESIDUAL_SCALE * self.conv5(seen)


def _leaky(features: Tensor) -> Tensor:
    return functional.leaky_relu(features, 0.2)
