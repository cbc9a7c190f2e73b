"""The restoration network of Noise-DA: a U-Net without normalisation that predicts a residual."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import conv3
from restoration.networks.network import Network

SLOPE = 0.2


class NoiseDa(Network):
    """The restoration U-Net of Noise-DA (Liao et al., 2025): 8,559,171 parameters.

    Halving is a mean, doubling is bilinear from corner to corner. ``span`` is what the weights were trained on,
    which no file says: "unit" for [0, 1] (denoising), "symmetric" for [−1, 1] (deraining, deblurring). Doubling
    from corner to corner depends on the size of the whole image, so tiles never equal the whole exactly.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 64,
        levels: int = 4,
        span: Literal["unit", "symmetric"] = "unit",
    ) -> None:
        super().__init__()
        self.channels, self.span = channels, span
        self.multiple = 2 ** (levels - 1)
        widths = [width * 2**level for level in range(levels)]
        self.encoders = nn.ModuleList(_pair(a, b) for a, b in pairwise([channels, *widths]))
        self.ups = nn.ModuleList(conv3(b, a) for a, b in reversed(list(pairwise(widths))))
        self.decoders = nn.ModuleList(_pair(2 * a, a) for a in reversed(widths[:-1]))
        self.tail = conv3(width, channels)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the image plus its residual."""
        if self.span == "unit":
            return degraded + self.residual(degraded)
        return degraded + self.residual(2 * degraded - 1) / 2

    def residual(self, seen: Tensor) -> Tensor:
        """Return the residual of an image in the range that ``span`` says, in that range."""
        skips, features = [], seen
        for encoder in self.encoders:
            features = encoder(functional.avg_pool2d(features, 2) if skips else features)
            skips.append(features)
        skips.pop()
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            skip = skips.pop()
            large = functional.interpolate(features, skip.shape[-2:], mode="bilinear", align_corners=True)
            features = decoder(torch.cat((up(large), skip), 1))
        return self.tail(features)


def _pair(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        conv3(inputs, outputs), nn.LeakyReLU(SLOPE), conv3(outputs, outputs), nn.LeakyReLU(SLOPE)
    )
