"""Gaussian blur and subsampling in one step."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from restoration.degradations.degraded import Degradation, Degraded, check_scale, one_per_image, reduced
from restoration.degradations.draws import Keys, Range, check_range, ends, generator, uniform
from restoration.degradations.kernels import WIDEST
from restoration.degradations.smooth import gaussian, mirrored


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
        check_scale(self.scale)
        check_range("sigma", self.sigma, 1e-3, WIDEST // 8)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean reduced by ``scale``; height and width must be multiples of it. The draw holds ``sigma``."""
        one_per_image(clean, keys)
        reduced(clean.shape[-2:], self.scale)
        drawn = [uniform(generator(key, "blur-down"), self.sigma) for key in keys]
        reach = math.ceil(4 * ends(self.sigma)[1]) + self.scale
        centre = (self.scale - 1) / 2 if self.centred else 0.0
        made = []
        # one by one: what a convolution of many images rounds to could depend on how many there are
        for image, sigma in zip(clean, drawn, strict=True):
            taps = torch.from_numpy(gaussian(sigma, reach, centre)).to(clean)
            down = _filtered_rows(image, taps, self.scale)
            made.append(_filtered_rows(down.mT, taps, self.scale).mT)
        return Degraded(torch.stack(made), draw={"sigma": drawn})


def _filtered_rows(image: Tensor, taps: Tensor, scale: int) -> Tensor:
    """Return the weighted sums around every ``scale``-th row of an image (C, H, W); an odd number of ``taps``."""
    height, reach = image.shape[1], len(taps) // 2
    rows = mirrored(torch.arange(-reach, height + reach), height).to(image.device)
    extended = image.index_select(1, rows)[:, None].contiguous()
    with torch.autocast(image.device.type, enabled=False):
        return conv2d(extended, taps.view(1, 1, -1, 1), stride=(scale, 1))[:, 0, : height // scale]
