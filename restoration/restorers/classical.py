"""Baselines without parameters, to compare with."""

import torch
from torch import Tensor

from restoration.degradations.resize import resize
from restoration.image import PEAKS, quantise
from restoration.networks.network import Network


class Bicubic(Network):
    """Bicubic enlargement as MATLAB's imresize (Keys, 1981; a = -1/2).

    MATLAB rounds 8-bit images after each of the two passes and others never. Published tables depend on it (by
    0.0015 dB), so an image whose values all are 8-bit samples is treated as one.
    """

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.receptive_field = 2
        self.channels = None

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the enlarged image."""
        return torch.cat([self._enlarged(image) for image in degraded.split(1)])

    def _enlarged(self, image: Tensor) -> Tensor:
        levels = PEAKS[8] if torch.equal(quantise(image), image) else None
        return resize(image, scale=self.scale, levels=levels)


class Nearest(Network):
    """Every pixel enlarged to a square."""

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.receptive_field = 0
        self.channels = None

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the enlarged image."""
        return degraded.repeat_interleave(self.scale, dim=-2).repeat_interleave(self.scale, dim=-1)


class Identity(Network):
    """The degraded image itself."""

    def __init__(self) -> None:
        super().__init__()
        self.receptive_field = 0
        self.channels = None

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the degraded image."""
        return degraded
