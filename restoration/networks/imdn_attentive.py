"""IMDN as its authors released it: distillation blocks with contrast-aware channel attention."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import conv3
from restoration.networks.network import Network

DISTILLED = 4  # one channel in so many is set aside at every stage


class ImdnAttentive(Network):
    """Information multi-distillation (Hui et al., 2019): 715,176 parameters at ×4, 752,104 with a strided entry.

    The results of all blocks are merged. ``entry`` "strided" works at a quarter of the size (IMDN_AS: any scale, on
    an input that is enlarged already, hence ``scale`` 1). Attention looks at the whole image: no receptive field.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 3,
        width: int = 64,
        blocks: int = 6,
        entry: Literal["plain", "strided"] = "plain",
    ) -> None:
        super().__init__()
        if width < 16:
            raise ValueError(f"width = {width}: expected at least 16")
        self.scale = scale
        self.channels = channels
        self.multiple = 4 if entry == "strided" else 1
        factor = scale * self.multiple
        self.head = conv3(channels, width) if entry == "plain" else _strided(channels, width)
        self.body = nn.ModuleList(MultiDistillation(width, attentive=True) for _ in range(blocks))
        self.merge = nn.Conv2d(width * blocks, width, 1)
        self.fuse = conv3(width, width)
        self.tail = nn.Sequential(conv3(width, channels * factor**2), nn.PixelShuffle(factor))

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        first = features = self.head(degraded)
        results = []
        for block in self.body:
            features = block(features)
            results.append(features)
        merged = leaky(self.merge(torch.cat(results, 1)))
        return self.tail(first + self.fuse(merged))


class MultiDistillation(nn.Module):
    """Four convolutions; after each but the last, a quarter of the channels is set aside. All are merged."""

    reach = 4

    def __init__(self, width: int, attentive: bool) -> None:
        super().__init__()
        distilled = width // DISTILLED
        self.split = [distilled, width - distilled]
        rest = width - distilled
        self.conv1 = conv3(width, width)
        self.conv2 = conv3(rest, width)
        self.conv3 = conv3(rest, width)
        self.conv4 = conv3(rest, distilled)
        kept = 4 * distilled
        self.attention = ContrastAttention(kept) if attentive else nn.Identity()
        self.merge = nn.Conv2d(kept, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus the merged distillates."""
        kept, rest = [], features
        for conv in (self.conv1, self.conv2, self.conv3):
            distilled, rest = leaky(conv(rest)).split(self.split, 1)
            kept.append(distilled)
        kept.append(self.conv4(rest))
        return features + self.merge(self.attention(torch.cat(kept, 1)))


class ContrastAttention(nn.Module):
    """Weights per channel from the sum of its mean and its standard deviation over the image (eq. 5)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(width, width // 16, 1)
        self.widen = nn.Conv2d(width // 16, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features times their weights."""
        variance, mean = torch.var_mean(features, (2, 3), correction=0, keepdim=True)
        contrast = variance.clamp_min(
            1e-20
        ).sqrt()  # flat channels have no gradient, rather than an infinite one
        return features * self.widen(self.narrow(contrast + mean).relu()).sigmoid()


def leaky(features: Tensor) -> Tensor:
    """Return the features with a twentieth of what is negative."""
    return functional.leaky_relu(features, 0.05)


def _strided(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride=2, padding=1),
        nn.LeakyReLU(0.05),
        nn.Conv2d(width, width, 3, stride=2, padding=1),
    )
