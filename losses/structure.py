"""The two factors of SSIM in every window, and their gradient in closed form.

A sum/difference basis needs four blurred maps instead of five: with s = x + y and d = x − y, 2·cov(x, y) =
(var s − var d)/2 and var x + var y = (var s + var d)/2. So the contrast-structure factor is 1 − 2p, with
p = var d / (var s + var d + 2C₂), and the luminance factor 1 − 2q, with q = d̄² / (s̄² + d̄² + 2C₁).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from restoration.losses.windows import Gaussian, sums_and_differences


@dataclass(frozen=True)
class Window:
    """The Gaussian window and the two constants of SSIM, for images in [0, 1]."""

    size: int = 11
    sigma: float = 1.5
    k1: float = 0.01
    k2: float = 0.03

    def __post_init__(self) -> None:
        if self.size < 1 or self.size % 2 == 0:
            raise ValueError(f"window = {self.size}; expected an odd number from 1")
        if not self.sigma > 0:
            raise ValueError(f"sigma = {self.sigma:g}; expected more than 0")
        if not (self.k1 > 0 and self.k2 > 0):
            raise ValueError(
                f"k1 = {self.k1:g}, k2 = {self.k2:g}; expected more than 0, flat areas would divide by 0"
            )


@dataclass(frozen=True)
class Similarity:
    """SSIM in every window, or its contrast-structure factor alone; a measure for ``mean_difference``."""

    window: Window
    luminance: bool = True

    @property
    def size(self) -> int:
        """Return the pixels of a window's side."""
        return self.window.size

    def __call__(
        self, restored: Tensor, clean: Tensor, signs: tuple[int, ...]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the sum of 1 − F of each plane, and a quarter of its slopes; see ``Measure``."""
        gaussian = Gaussian(self.size, self.window.sigma)
        seen = Seen(restored, clean, gaussian, self.window.k2, gaussian.rounded_up(restored.shape[2]))
        if not self.luminance:
            return 2 * seen.inside(seen.p), seen.slopes(seen.u, signs) if signs else []
        light = seen.luminance(self.window.k1)
        sums = 2 * seen.inside(torch.addcmul(seen.p, seen.p, light.q, value=-2).add_(light.q))
        if not signs:
            return sums, []
        light.v.addcmul_(light.v, seen.p, value=-2)
        return sums, seen.slopes(seen.u.addcmul_(seen.u, light.q, value=-2), signs, light)


class Seen:
    """What a Gaussian window sees of (H, P, W) planes: means of s and d less ``shifts``, p, and u = p / var d."""

    def __init__(self, restored: Tensor, clean: Tensor, window: Gaussian, k2: float, width: int) -> None:
        self.window, self.valid = window, restored.shape[2] - window.size + 1
        self.maps, self.shifts = sums_and_differences(restored, clean, width)
        blurred = window.blur(self.maps)
        self.means, variances = blurred[:, :2], blurred[:, 2:]
        variances.addcmul_(self.means, self.means, value=-1)
        var_s, var_d = variances.unbind(1)
        self.u = (var_s + var_d).add_(2 * k2**2).reciprocal_()
        self.p = var_d.mul_(self.u)

    def luminance(self, k1: float) -> "Light":
        """Return the luminance factor's q."""
        means = self.means + self.shifts
        square = means[:, 1].square()
        v = torch.addcmul(square, means[:, 0], means[:, 0]).add_(2 * k1**2).reciprocal_()
        return Light(square.mul_(v), v, means)

    def inside(self, values: Tensor) -> Tensor:
        """Return the sums over the windows that are inside the planes: (P,)."""
        return values.sum(0)[:, : self.valid].sum(1)

    def slopes(self, u: Tensor, signs: tuple[int, ...], light: "Light | None" = None) -> list[Tensor]:
        """Return a quarter of the slopes of the sum of 1 − F, by sign.

        ``u`` is multiplied by ∂F/∂(1 − 2p), and ``light.v``, if F has a luminance factor, by ∂F/∂(1 − 2q). With
        cs = 1 − 2p: ``∂cs/∂var s = 2up``, ``∂cs/∂var d = 2u(p − 1)``, and ``var s = mean s² − s̄²`` has the slopes 2s
        towards its window's samples, by the transposed blur, and −2s̄ towards the mean; the same holds for d.
        """
        height, count, width = u.shape
        stack = u.new_empty(height, 2 + len(signs), count, width)
        (to_s, to_d, *to_means), (mean_s, mean_d) = stack.unbind(1), self.means.unbind(1)
        torch.mul(u, self.p, out=to_s)
        torch.sub(to_s, u, out=to_d)
        for sign, to_mean in zip(signs, to_means, strict=True):
            torch.mul(mean_s, to_s, out=to_mean).addcmul_(mean_d, to_d, value=sign)
        if light:
            qv = light.q * light.v
            for sign, to_mean in zip(signs, to_means, strict=True):
                to_mean.addcmul_(light.means[:, 0], qv, value=-1)
                to_mean.addcmul_(light.means[:, 1], qv - light.v, value=-sign)
        spread = self.window.spread(stack, self.valid)
        spread[:, :2].mul_(self.maps[:, :2])
        by_s, by_d, *slopes = spread.unbind(1)
        return [slope.sub_(by_s).sub_(by_d, alpha=sign) for slope, sign in zip(slopes, signs, strict=True)]


class Light(NamedTuple):
    """The luminance factor's q, v = q / d̄², and the means s̄ and d̄."""

    q: Tensor
    v: Tensor
    means: Tensor
