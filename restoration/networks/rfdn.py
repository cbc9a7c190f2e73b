"""RFDN: distillation by 1×1 convolutions, shallow residuals, spatial attention from a coarse grid."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import conv3, enlarged_to
from restoration.networks.network import Network

# below this side the pooling of the attention has nothing to pool
MINIMUM = 15


class Rfdn(Network):
    """Residual feature distillation (Liu et al., 2020): 433,448 parameters with the defaults, at ×4.

    ``span`` is how wide the images are that the weights know: 255 for the authors' file of the AIM 2020 challenge.
    The attention's coarse grid is stretched over the whole image, so every tile differs: no receptive field.
    """

    def __init__(
        self, *, scale: int = 4, channels: int = 3, width: int = 50, blocks: int = 4, span: float = 1.0
    ) -> None:
        super().__init__()
        if width < 4:
            raise ValueError(f"width = {width}: expected at least 4")
        self.scale = scale
        self.channels = channels
        self.span = span
        self.head = conv3(channels, width)
        self.body = nn.ModuleList(DistillationBlock(width) for _ in range(blocks))
        self.merge = nn.Conv2d(width * blocks, width, 1)
        self.fuse = conv3(width, width)
        self.tail = nn.Sequential(conv3(width, channels * scale**2), nn.PixelShuffle(scale))

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        height, width = degraded.shape[-2:]
        degraded = enlarged_to(degraded, MINIMUM)
        first = features = self.head(degraded * self.span)
        results = []
        for block in self.body:
            features = block(features)
            results.append(features)
        features = first + self.fuse(_leaky(self.merge(torch.cat(results, 1))))
        restored = self.tail(features) / self.span
        return restored[..., : height * self.scale, : width * self.scale]


class DistillationBlock(nn.Module):
    """Three times: a distillate is set aside and a shallow residual goes on; all are merged and attended."""

    stages = 3

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.distil = nn.ModuleList(nn.Conv2d(width, half, 1) for _ in range(self.stages))
        self.residual = nn.ModuleList(conv3(width, width) for _ in range(self.stages))
        self.last = conv3(width, half)
        self.merge = nn.Conv2d(half * (self.stages + 1), width, 1)
        self.attention = SpatialAttention(width)

    def forward(self, features: Tensor) -> Tensor:
        """Return the attended merger of the distillates."""
        kept = []
        for distil, residual in zip(self.distil, self.residual, strict=True):
            kept.append(_leaky(distil(features)))
            features = _leaky(residual(features) + features)
        kept.append(_leaky(self.last(features)))
        return self.attention(self.merge(torch.cat(kept, 1)))


class SpatialAttention(nn.Module):
    """Weights per pixel and channel that are computed at a sixth of the size and stretched back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = width // 4
        self.narrow = nn.Conv2d(width, inner, 1)
        self.skip = nn.Conv2d(inner, inner, 1)
        self.stride = nn.Conv2d(inner, inner, 3, stride=2)
        self.conv1 = conv3(inner, inner)
        self.conv2 = conv3(inner, inner)
        self.conv3 = conv3(inner, inner)
        self.widen = nn.Conv2d(inner, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features times their weights."""
        narrow = self.narrow(features)
        coarse = functional.max_pool2d(self.stride(narrow), 7, 3)
        coarse = self.conv3(self.conv2(self.conv1(coarse).relu()).relu())
        stretched = functional.interpolate(
            coarse, size=features.shape[-2:], mode="bilinear", align_corners=False
        )
        return features * self.widen(stretched + self.skip(narrow)).sigmoid()


def _leaky(features: Tensor) -> Tensor:
    return functional.leaky_relu(features, 0.05)
