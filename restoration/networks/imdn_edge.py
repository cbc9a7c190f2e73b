"""IMDN_RTE: distillation at half size, without biases."""

import torch
from torch import Tensor, nn

from restoration.networks.layers import Strided, Up, conv3, receptive_radius
from restoration.networks.network import Network

DISTILLED = 4  # one channel in so many is set aside at every stage


class ImdnEdge(Network):
    """The network of Hui et al. for the real-time edge challenge: 89,748 parameters at ×2 with the defaults."""

    multiple = 2

    def __init__(self, *, scale: int = 2, channels: int = 3, width: int = 20, blocks: int = 6) -> None:
        super().__init__()
        if width % DISTILLED:
            raise ValueError(f"width = {width}: expected a multiple of {DISTILLED}")
        self.scale = scale
        self.channels = channels
        factor = 2 * scale
        coarse = blocks * EdgeBlock.reach + 1
        self.receptive_field = receptive_radius(1, Strided(3, 2, 1), coarse, Up(factor))
        self.head = conv3(channels, width)
        self.stride = nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False)
        self.body = nn.Sequential(*[EdgeBlock(width) for _ in range(blocks)])
        self.fuse = nn.Conv2d(width, width, 1, bias=False)
        self.tail = nn.Sequential(conv3(width, channels * factor**2), nn.PixelShuffle(factor))

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        features = self.stride(self.head(degraded).relu())
        return self.tail(features + self.fuse(self.body(features)))


class EdgeBlock(nn.Module):
    """Six convolutions; after each but the last, a quarter of the channels is set aside. All are merged."""

    reach = 6

    def __init__(self, width: int) -> None:
        super().__init__()
        distilled = width // DISTILLED
        rest = width - distilled
        self.distilled = distilled
        shapes = [(width, width), (rest, width), (rest, width), (rest, rest)]
        shapes += [(rest - distilled, rest - distilled), (distilled, distilled)]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1, bias=False) for i, o in shapes)
        self.merge = nn.Conv2d(6 * distilled, width, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus the merged distillates."""
        kept, rest = [], features
        for conv in self.convs:
            made = conv(rest).relu()
            kept.append(made[:, : self.distilled])
            rest = made[:, self.distilled :]
        return features + self.merge(torch.cat(kept, 1))
