"""A small U-Net that knows the time: the velocity of a flow, not a restorer by itself."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import Down, Step, Up, conv3, near_zero_, receptive_radius, scaled_he_

BLOCKS = (1, 1, 2)  # per level, the finest first
FREQUENCIES = 16
EMBEDDING = 64


class VelocityUnet(nn.Module):
    """Residual blocks in a U-Net on 2×2-packed pixels, each block scaled and shifted by the time (Perez et al., 2018).

    Levels have ``width`` times 1, 2 and 3 channels and are joined by addition, as in `ResUnet`. ``seen`` counts the
    channels of images that are given beside z_t. No layer normalises: images of a batch do not influence each other,
    and the reach of a pixel is finite.
    """

    multiple = 8

    def __init__(self, *, channels: int = 3, seen: int = 0, width: int = 32) -> None:
        super().__init__()
        widths = (width, 2 * width, 3 * width)
        self.path = _path()
        self.receptive_field = receptive_radius(*self.path)
        self.time = TimeEmbedding()
        self.head = conv3(4 * (channels + seen), width)
        self.encoders = nn.ModuleList(Level(w, b) for w, b in zip(widths[:-1], BLOCKS[:-1], strict=True))
        self.downs = nn.ModuleList(nn.Conv2d(w, v, 2, stride=2) for w, v in pairwise(widths))
        self.middle = Level(widths[-1], BLOCKS[-1])
        self.ups = nn.ModuleList(nn.Conv2d(v, 4 * w, 1) for w, v in pairwise(widths))
        self.decoders = nn.ModuleList(Level(w, b) for w, b in zip(widths[:-1], BLOCKS[:-1], strict=True))
        self.tail = conv3(width, 4 * channels)
        near_zero_(self.tail)

    def forward(self, between: Tensor, t: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return the velocity at z_t, given one time per image (N,), and the images that it sees beside z_t."""
        time = self.time(t)
        inputs = between if seen is None else torch.cat((between, seen), 1)
        features = self.head(functional.pixel_unshuffle(inputs, 2))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            features = encoder(features, time)
            skips.append(features)
            features = down(features)
        features = self.middle(features, time)
        for decoder, up in zip(reversed(self.decoders), reversed(self.ups), strict=True):
            features = decoder(functional.pixel_shuffle(up(features), 2) + skips.pop(), time)
        return functional.pixel_shuffle(self.tail(features), 2)


class TimeBlock(nn.Module):
    """Convolution, scale and shift by the time, SiLU, convolution, added to the input."""

    reach = 2

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv3(width, width)
        self.modulation = nn.Linear(EMBEDDING, 2 * width)
        self.conv2 = conv3(width, width)
        scaled_he_(self.conv1, 1.0)
        near_zero_(self.conv2)

    def forward(self, features: Tensor, time: Tensor) -> Tensor:
        """Return the features plus their residual at the embedded time: (N, embedding)."""
        scale, shift = self.modulation(time)[..., None, None].chunk(2, 1)
        inner = functional.silu(self.conv1(features) * (1 + scale) + shift)
        return features + self.conv2(inner)


class Level(nn.Module):
    """The blocks of one grid."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TimeBlock(width) for _ in range(blocks))

    def forward(self, features: Tensor, time: Tensor) -> Tensor:
        """Return the features after every block at the embedded time."""
        for block in self.blocks:
            features = block(features, time)
        return features


class TimeEmbedding(nn.Module):
    """Cosines and sines of a time in [0, 1], from a quarter period to eight periods, through two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING), nn.SiLU()
        )

    def forward(self, t: Tensor) -> Tensor:
        """Return the embedding of each time: (N, embedding)."""
        exponents = torch.linspace(-2, 3, FREQUENCIES, dtype=t.dtype, device=t.device)
        phases = 2 * math.pi * t[:, None] * 2**exponents
        return self.layers(torch.cat((phases.cos(), phases.sin()), 1))


def _path() -> tuple[Step, ...]:
    """Return the widest way through the network, for `receptive_radius`."""
    path: list[Step] = [TimeBlock.reach * BLOCKS[-1]]
    for count in reversed(BLOCKS[:-1]):
        path = [TimeBlock.reach * count, Down(2), *path, Up(2), TimeBlock.reach * count]
    return (Down(2), 1, *path, 1, Up(2))
