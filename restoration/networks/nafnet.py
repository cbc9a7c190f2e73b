"""NAFNet: a U-Net without nonlinear activation functions."""

from typing import Literal

import torch
from torch import Tensor, nn

from restoration.networks.layers import Down, LayerNorm2d, Up, conv3, receptive_radius
from restoration.networks.network import Network

Attention = Literal["global", "none"]


class NafNet(Network):
    """Gates for activations, channel attention by the image mean (Chen et al., 2022); authors' names.

    ``attention = "none"`` leaves it out: the receptive field is finite and tiles are exact.
    The paper's denoiser: width 32 or 64, encoders (2, 2, 4, 8), middle 12, decoders (2, 2, 2, 2).
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 16,
        encoders: tuple[int, ...] = (1, 1, 2),
        middle: int = 2,
        decoders: tuple[int, ...] = (1, 1, 1),
        attention: Attention = "global",
    ) -> None:
        super().__init__()
        if len(encoders) != len(decoders):
            raise ValueError(
                f"encoders has {len(encoders)} levels but decoders {len(decoders)}; expected as many"
            )
        self.channels = channels
        self.multiple = 2 ** len(encoders)
        self.receptive_field = _radius(encoders, middle, decoders) if attention == "none" else None
        widths = [width * 2**i for i in range(len(encoders) + 1)]
        self.intro = conv3(channels, width)
        self.encoders = nn.ModuleList(_level(w, n, attention) for w, n in zip(widths, encoders, strict=False))
        self.downs = nn.ModuleList(nn.Conv2d(w, 2 * w, 2, stride=2) for w in widths[:-1])
        self.middle_blks = _level(widths[-1], middle, attention)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(w, 2 * w, 1, bias=False), nn.PixelShuffle(2))
            for w in reversed(widths[1:])
        )
        self.decoders = nn.ModuleList(
            _level(w, n, attention) for w, n in zip(reversed(widths[:-1]), decoders, strict=True)
        )
        self.ending = conv3(width, channels)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the degraded image plus the learnt correction."""
        features = self.intro(degraded)
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            features = encoder(features)
            skips.append(features)
            features = down(features)
        features = self.middle_blks(features)
        for decoder, up in zip(self.decoders, self.ups, strict=True):
            features = decoder(up(features) + skips.pop())
        return degraded + self.ending(features)


class NafBlock(nn.Module):
    """A gated depthwise convolution, then a gated 1×1 pair, each on normalised features and added (fig. 3c).

    ``beta`` and ``gamma`` start at zero, so a new block is the identity.
    """

    reach = 1

    def __init__(self, width: int, attention: Attention) -> None:
        super().__init__()
        self.norm1 = LayerNorm2d(width)
        self.conv1 = nn.Conv2d(width, 2 * width, 1)
        self.conv2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.sca = (
            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1))
            if attention == "global"
            else None
        )
        self.conv3 = nn.Conv2d(width, width, 1)
        self.norm2 = LayerNorm2d(width)
        self.conv4 = nn.Conv2d(width, 2 * width, 1)
        self.conv5 = nn.Conv2d(width, width, 1)
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return the features after both residual steps."""
        mixed = _gate(self.conv2(self.conv1(self.norm1(features))))
        if self.sca is not None:
            mixed = mixed * self.sca(mixed)
        features = features + self.beta * self.conv3(mixed)
        return features + self.gamma * self.conv5(_gate(self.conv4(self.norm2(features))))


def _gate(features: Tensor) -> Tensor:
    first, second = features.chunk(2, dim=1)
    return first * second


def _level(width: int, blocks: int, attention: Attention) -> nn.Sequential:
    return nn.Sequential(*[NafBlock(width, attention) for _ in range(blocks)])


def _radius(encoders: tuple[int, ...], middle: int, decoders: tuple[int, ...]) -> int:
    path: list[int | Up | Down] = [NafBlock.reach * middle]
    for before, after in zip(reversed(encoders), decoders, strict=True):
        path = [NafBlock.reach * before, Down(2), *path, Up(2), NafBlock.reach * after]
    return receptive_radius(1, *path, 1)
