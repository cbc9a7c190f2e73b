"""SSIM and MS-SSIM: the published values, fast, with gradients.

A sum/difference basis needs four blurred maps instead of five: with s = x + y and d = x − y, 2·cov(x, y) =
(var s − var d)/2 and var x + var y = (var s + var d)/2. Value and gradient are found together, some planes at a time,
while everything about them is in the cache: the derivatives with respect to the four blurred maps have closed forms,
and the transposed blur takes them back to the pixels. Nothing is kept for the backward pass but the gradient, so there
are no second derivatives: asking for them is an error.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from restoration.losses.checks import one_of
from restoration.losses.loss import Loss, same_shape
from restoration.losses.windows import Gaussian, mean_difference, sums_and_differences

# Wang, Simoncelli & Bovik, "Multi-scale structural similarity", 2003, section 3.2: finest scale first
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

Weights = Literal["wang2003", "ones"]
Small = Literal["error", "fewer-scales"]


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
class Ssim(Loss):
    """``1 − SSIM`` (Wang et al., 2004); see ``ssim``."""

    minimum_size: ClassVar = 11
    better: ClassVar = "higher"
    as_metric: ClassVar = ("ssim-y", "ssim-rgb")

    window: int = 11
    sigma: float = 1.5
    k1: float = 0.01
    k2: float = 0.03

    def __post_init__(self) -> None:
        Window(self.window, self.sigma, self.k1, self.k2)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        return 1 - ssim(restored, clean, window=self.window, sigma=self.sigma, k1=self.k1, k2=self.k2)

    def metric(self, value: Tensor) -> Tensor:
        """Return the similarity."""
        return 1 - value


@dataclass(frozen=True)
class MsSsim(Loss):
    """``1 − MS-SSIM`` (Wang et al., 2003; Snell et al., 2017); see ``ms_ssim``."""

    minimum_size: ClassVar = 161
    better: ClassVar = "higher"
    as_metric: ClassVar = ("ms-ssim",)

    window: int = 11
    sigma: float = 1.5
    k1: float = 0.01
    k2: float = 0.03
    weights: Weights = "wang2003"
    small: Small = "error"

    def __post_init__(self) -> None:
        Window(self.window, self.sigma, self.k1, self.k2)
        one_of("weights", self.weights, ("wang2003", "ones"))
        one_of("small", self.small, ("error", "fewer-scales"))

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        options = {"window": self.window, "sigma": self.sigma, "k1": self.k1, "k2": self.k2}
        return 1 - ms_ssim(restored, clean, **options, weights=self.weights, small=self.small)

    def metric(self, value: Tensor) -> Tensor:
        """Return the similarity."""
        return 1 - value


def ssim(
    restored: Tensor,
    clean: Tensor,
    *,
    window: int = 11,
    sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Tensor:
    """Return the structural similarity of each image, the mean over channels and the valid region: (N,).

    ``(2μₓμᵧ + C₁)(2σₓᵧ + C₂) / ((μₓ² + μᵧ² + C₁)(σₓ² + σᵧ² + C₂))`` with Cᵢ = kᵢ² (Wang, Bovik, Sheikh & Simoncelli,
    2004, eq. 13), Gaussian window, population covariance, no padding, no down-sampling. Peak 1.
    """
    settings = Window(window, sigma, k1, k2)
    _one_window(same_shape(restored, clean), window, "ssim")
    return 1 - mean_difference(restored, clean, Similarity(settings)).mean(1)


def ms_ssim(
    restored: Tensor,
    clean: Tensor,
    *,
    window: int = 11,
    sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    weights: Weights = "wang2003",
    small: Small = "error",
) -> Tensor:
    """Return the multi-scale structural similarity of each image, the mean over channels: (N,).

    ``SSIM_M^w_M · Π cs_j^w_j`` (Wang, Simoncelli & Bovik, 2003, eq. 7) over M = 5 scales, each the 2×2 means of the
    last; when either side is odd, the first row and column are repeated before, as in piq. ``weights`` are those of
    2003, or "ones", whose plain product is not normalised (Snell et al., 2017). A scale's similarity below 0, which
    has no real power, is taken as 0, with no gradient.

    Images that are too small for five scales are an error, or get "fewer-scales": the most of which the coarsest still
    holds a window, ``(window − 1) · 2^(M−1) + 1`` pixels a side at the finest. The leading weights of 2003 are then
    multiplied by what makes their sum that of all five; ones stay ones. Values of different M are not comparable.
    """
    settings = Window(window, sigma, k1, k2)
    side = min(same_shape(restored, clean).shape[-2:])
    scales = len(SCALE_WEIGHTS)
    if small == "fewer-scales":
        _one_window(clean, window, "ms-ssim")
        while side < _smallest(scales, window):
            scales -= 1
    elif side < _smallest(scales, window):
        article, size = "an" if window == 11 else "a", f"{clean.shape[-2]}x{clean.shape[-1]}"
        need = (
            f"five scales of {article} {window}-pixel window need {_smallest(scales, window)} pixels a side"
        )
        raise ValueError(f"ms-ssim: images are {size}; {need}")
    powers = []
    for scale, exponent in enumerate(_exponents(weights, scales), 1):
        if scale > 1:
            restored, clean = _halved(restored), _halved(clean)
        measure = Similarity(settings, luminance=scale == scales)
        powers.append(_power(1 - mean_difference(restored, clean, measure), exponent))
    return torch.stack(powers).prod(0).mean(1)


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
        """Return the sum of 1 − F of each plane, and the slopes of the sum of F, over 4; see ``Measure``."""
        gaussian = Gaussian(self.size, self.window.sigma)
        seen = Seen(restored, clean, gaussian, self.window.k2, gaussian.rounded_up(restored.shape[2]))
        if not self.luminance:
            return 2 * seen.inside(seen.p), seen.slopes(seen.u, signs) if signs else []
        q, v = seen.luminance(self.window.k1)
        sums = 2 * seen.inside(torch.addcmul(seen.p, seen.p, q, value=-2).add_(q))
        if not signs:
            return sums, []
        v.addcmul_(v, seen.p, value=-2)
        return sums, seen.slopes(seen.u.addcmul_(seen.u, q, value=-2), signs, (q, v))


class Seen:
    """What a Gaussian window sees of (H, P, W) planes: means, and p = var d / (var s + var d + 2C₂) = u · var d.

    ``1 − 2p`` is the contrast-structure factor of SSIM.
    """

    def __init__(self, restored: Tensor, clean: Tensor, window: Gaussian, k2: float, width: int) -> None:
        self.window, self.valid = window, restored.shape[2] - window.size + 1
        self.maps = sums_and_differences(restored, clean, width)
        blurred = window.blur(self.maps)
        self.means, variances = blurred[:, :2], blurred[:, 2:]
        variances.addcmul_(self.means, self.means, value=-1)
        var_s, var_d = variances.unbind(1)
        self.u = (var_s + var_d).add_(2 * k2**2).reciprocal_()
        self.p = var_d.mul_(self.u)

    def luminance(self, k1: float) -> tuple[Tensor, Tensor]:
        """Return q = d̄² / (s̄² + d̄² + 2C₁) = v · d̄², and v; ``1 − 2q`` is the luminance factor of SSIM."""
        mean_s, square_d = self.means[:, 0] + 1, self.means[:, 1].square()
        v = torch.addcmul(square_d, mean_s, mean_s).add_(2 * k1**2).reciprocal_()
        return square_d.mul_(v), v

    def inside(self, values: Tensor) -> Tensor:
        """Return the sums over the windows that are inside the planes: (P,)."""
        return values.sum(0)[:, : self.valid].sum(1)

    def slopes(
        self, u: Tensor, signs: tuple[int, ...], light: tuple[Tensor, Tensor] | None = None
    ) -> list[Tensor]:
        """Return the slopes of the sum of F, over 4, by sign, given u · ∂F/∂(1 − 2p) and (q, v · ∂F/∂(1 − 2q)).

        With cs = 1 − 2p: ``∂cs/∂var s = 2up``, ``∂cs/∂var d = 2u(p − 1)``, and ``var s = mean s² − s̄²`` has the slopes
        2s towards its window's samples, by the transposed blur, and −2s̄ towards the mean; the same holds for d.
        """
        height, count, width = u.shape
        stack = u.new_empty(height, 2 + len(signs), count, width)
        to_squares, to_means = stack[:, :2], stack[:, 2:].unbind(1)
        torch.mul(u, self.p, out=stack[:, 0])
        torch.sub(stack[:, 0], u, out=stack[:, 1])
        to_s, to_d = (self.means * to_squares).neg_().unbind(1)
        if light:
            q, v = light
            qv = q * v
            to_s.add_(qv).addcmul_(self.means[:, 0], qv)
            to_d.addcmul_(self.means[:, 1], qv.sub_(v))
        for sign, to_mean in zip(signs, to_means, strict=True):
            torch.add(to_s, to_d, alpha=sign, out=to_mean)
        spread = self.window.spread(stack, self.valid)
        by_s, by_d = spread[:, :2].mul_(self.maps[:, :2]).unbind(1)
        means = spread[:, 2:].unbind(1)
        return [mean.add_(by_s).add_(by_d, alpha=sign) for mean, sign in zip(means, signs, strict=True)]


def _one_window(images: Tensor, window: int, name: str) -> None:
    height, width = images.shape[-2:]
    if min(height, width) < window:
        raise ValueError(f"{name}: images are {height}x{width}; a window needs {window} pixels a side")


def _smallest(scales: int, window: int) -> int:
    return (window - 1) * 2 ** (scales - 1) + 1


def _exponents(weights: Weights, scales: int) -> tuple[float, ...]:
    if weights == "ones":
        return (1.0,) * scales
    leading = SCALE_WEIGHTS[:scales]
    return tuple(weight * (sum(SCALE_WEIGHTS) / sum(leading)) for weight in leading)


def _halved(image: Tensor) -> Tensor:
    odd = max(length % 2 for length in image.shape[-2:])
    return avg_pool2d(pad(image, [odd, 0, odd, 0], mode="replicate"), 2)


def _power(values: Tensor, exponent: float) -> Tensor:
    # 0 ** w has an infinite slope for w < 1, and clamping before the power would make it 0 · ∞
    positive = values > 0
    return torch.where(positive, values, 1).pow(exponent) * positive
