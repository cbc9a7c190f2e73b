"""Gaussian blur and subsampling in one step."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from restoration.degradations.degraded import Degradation, Degraded, one_per_image
from restoration.degradations.draws import Keys, Range, check_range, ends, generator, uniform
from restoration.degradations.smooth import mirrored


@dataclass(frozen=True)
class BlurDown(Degradation):
    """Gaussian blur of ``sigma`` pixels, then every ``scale``-th pixel: the BD degradation of video super-resolution.

    ``centred`` samples at the centres of scale×scale blocks, as reductions that keep images aligned do (BSRGAN, Zhang
    et al., 2021); otherwise at their first pixels (Jo et al., 2018, with σ = 1.6 and scale 4). Borders are mirrored.
    """

    absolute: ClassVar[bool] = False

    scale: int
    sigma: Range = 1.6
    centred: bool = True

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise ValueError(f"scale = {self.scale}; expected a whole number from 1")
        check_range("sigma", self.sigma, 1e-3, 1e3)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean reduced by ``scale``; height and width must be multiples of it. The draw holds ``sigma``."""
        one_per_image(clean, keys)
        height, width = clean.shape[-2:]
        if height % self.scale or width % self.scale:
            raise ValueError(f"clean is {height}x{width}; expected multiples of the scale {self.scale}")
        drawn = [uniform(generator(key, "blur-down"), self.sigma) for key in keys]
        reach = math.ceil(4 * ends(self.sigma)[1]) + self.scale
        weights = torch.from_numpy(np.stack([self._weights(sigma, reach) for sigma in drawn])).to(clean)
        reduced = _reduced(clean, weights, self.scale, reach)
        return Degraded(
            _reduced(reduced.mT, weights, self.scale, reach).mT.contiguous(), draw={"sigma": drawn}
        )

    def _weights(self, sigma: float, reach: int) -> np.ndarray:
        centre = (self.scale - 1) / 2 if self.centred else 0.0
        taps = np.exp(-0.5 * ((np.arange(-reach, reach + 1) - centre) / sigma) ** 2)
        return taps / taps.sum()


def _reduced(image: Tensor, weights: Tensor, scale: int, reach: int) -> Tensor:
    """Return the weighted sums around every ``scale``-th row, one set of weights (taps,) per image."""
    images, _, height, _ = image.shape
    rows = mirrored(torch.arange(-reach, height + reach), height).to(image.device)
    extended = image.index_select(2, rows).transpose(0, 1)  # channels as the batch: images are the groups
    return conv2d(extended, weights[:, None, :, None], stride=(scale, 1), groups=images)[
        ..., : height // scale, :
    ].transpose(0, 1)
