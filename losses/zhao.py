"""The mix of structural similarity at five widths and weighted L1 of Zhao, Gallo, Frosio & Kautz (2017)."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from restoration.losses.checks import positive
from restoration.losses.loss import Loss, large_enough, same_shape
from restoration.losses.separable import gaussian
from restoration.losses.structure import Seen
from restoration.losses.windows import Gaussian, mean_difference

# A Gaussian is below 1e-16 of its peak beyond so many deviations: no sum in double precision sees it there.
TAIL = 8.58


@dataclass(frozen=True)
class ZhaoMix(Loss):
    """``α · (1 − l_σM · Π_j cs_σj) + (1 − α) · G_σM ∗ |restored − clean|``, the mean over channels and windows.

    Zhao, Gallo, Frosio & Kautz, "Loss functions for image restoration with neural networks", 2017, eq. 11 to 14, with
    its α = 0.84 (the published layer's default is 0.025). l and cs are the luminance and the contrast-structure factor
    of SSIM; all widths see the full resolution, through windows of one size, 2⌈2σ_M⌉ + 1 = 33, inside the image;
    exponents are 1, and no power is taken, so that a negative cs is no trouble. The published layer sees one window,
    in the middle of its patch; ports that multiply the factors of all three channels are another loss.
    """

    minimum_size: ClassVar = 33

    alpha: float = 0.84
    sigmas: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    k1: float = 0.01
    k2: float = 0.03

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha = {self.alpha:g}; expected 0 to 1")
        if not self.sigmas or sorted(self.sigmas) != list(self.sigmas):
            raise ValueError(f"sigmas = {self.sigmas}; expected one or more, the largest last")
        for name, values in (("sigmas", self.sigmas), ("k1", [self.k1]), ("k2", [self.k2])):
            for value in values:
                positive(name, value)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        factors = Factors(self.sigmas, self.k1, self.k2)
        large_enough(same_shape(restored, clean), factors.size, "zhao-mix")
        structure = mean_difference(restored, clean, factors).mean(1)
        return self.alpha * structure + (1 - self.alpha) * self._weighted(restored, clean, factors.size)

    def _weighted(self, restored: Tensor, clean: Tensor, size: int) -> Tensor:
        difference = (restored - clean).abs()
        difference = difference.to(torch.promote_types(difference.dtype, torch.float32))
        down, across = (
            _coverage(n, size, self.sigmas[-1], difference.dtype, difference.device)
            for n in difference.shape[-2:]
        )
        return (difference * (down[:, None] * across)).sum((2, 3)).mean(1)


@dataclass(frozen=True)
class Factors:
    """``l_σM · Π_j cs_σj`` in every window; a measure for ``mean_difference``."""

    sigmas: tuple[float, ...]
    k1: float
    k2: float

    @property
    def size(self) -> int:
        """Return the pixels of a window's side."""
        return 2 * math.ceil(2 * self.sigmas[-1]) + 1

    def __call__(
        self, restored: Tensor, clean: Tensor, signs: tuple[int, ...]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the sum of 1 − F of each plane, and a quarter of its slopes; see ``Measure``."""
        width = Gaussian(self.size, self.sigmas[-1]).rounded_up(restored.shape[2])
        windows = [self._window(sigma) for sigma in self.sigmas]
        views = [
            Seen(*(self._inner(planes, w) for planes in (restored, clean)), w, self.k2, width)
            for w in windows
        ]
        light = views[-1].luminance(self.k1)
        structures = [1 - 2 * seen.p for seen in views]
        products = [1 - 2 * light.q]  # of the luminance and of the structures before each one
        for structure in structures:
            products.append(products[-1] * structure)
        sums = views[-1].inside(1 - products.pop())
        if not signs:
            return sums, []
        light.v.mul_(torch.stack(structures).prod(0))
        total = [restored.new_zeros(restored.shape) for _ in signs]
        after = torch.ones_like(light.q)
        for seen, window, before, structure in reversed(
            list(zip(views, windows, products, structures, strict=True))
        ):
            seen.u.mul_(before).mul_(after)
            slopes = seen.slopes(seen.u, signs, light if seen is views[-1] else None)
            for whole, slope in zip(total, slopes, strict=True):
                inner = self._inner(whole, window)
                inner += slope[..., : inner.shape[2]]
            after *= structure
        return sums, total

    def _window(self, sigma: float) -> Gaussian:
        """Return the window less the taps that no sum sees."""
        return Gaussian(min(self.size, 2 * math.floor(TAIL * sigma) + 1), sigma)

    def _inner(self, planes: Tensor, window: Gaussian) -> Tensor:
        """Return what a smaller window in the middle of each window sees."""
        margin = (self.size - window.size) // 2
        height, _, width = planes.shape
        return planes[margin : height - margin, :, margin : width - margin]


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # what is made here once may be needed by a gradient later
def _coverage(length: int, size: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the weight of each sample in the mean over all windows inside a line."""
    windows = torch.ones(1, 1, length - size + 1, dtype=torch.float64)
    taps = torch.tensor(gaussian(size, sigma), dtype=torch.float64)
    weights = torch.nn.functional.conv1d(windows, taps[None, None], padding=size - 1)
    return (weights[0, 0] / windows.numel()).to(device, dtype)
