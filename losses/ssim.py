"""SSIM and MS-SSIM: the published values, fast, with gradients.

Value and gradient are found together, some planes at a time, while everything about them is in the cache, and nothing
but the gradient is kept for the backward pass (`structure` has the formulas, `windows` the blur and its transpose). So
there are no second derivatives: asking for them is an error.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from restoration.losses.checks import one_of
from restoration.losses.loss import Loss, same_shape
from restoration.losses.structure import Similarity, Window
from restoration.losses.windows import in_full, mean_difference

# Wang, Simoncelli & Bovik, "Multi-scale structural similarity", 2003, section 3.2: finest scale first
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

Weights = Literal["wang2003", "ones"]
Small = Literal["error", "fewer-scales"]


@dataclass(frozen=True)
class Ssim(Loss):
    """``1 − mean (2μₓμᵧ + C₁)(2σₓᵧ + C₂) / ((μₓ² + μᵧ² + C₁)(σₓ² + σᵧ² + C₂))`` (Wang et al., 2004, eq. 13).

    Means, variances and covariance are those within a Gaussian ``window`` of deviation ``sigma`` around every pixel
    that has one inside the image; Cᵢ = kᵢ², as images are in [0, 1]; the mean is over pixels and channels.
    """

    minimum_size: ClassVar = 11
    value_range: ClassVar = "0 to 2"
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
    """``1 − SSIM₅^w₅ · Π cs_j^w_j`` over the scales j = 1 to 5, each half of the last (Wang et al., 2003, eq. 7).

    cs is the second factor of SSIM, (2σₓᵧ + C₂)/(σₓ² + σᵧ² + C₂). ``weights`` = "wang2003" are 0.0448, 0.2856,
    0.3001, 0.2363, 0.1333; "ones" takes the plain product (Snell et al., 2017). Five scales of an 11-pixel window need
    161 pixels a side. ``small`` = "error" refuses smaller images; "fewer-scales" takes as many scales as hold a
    window, the weights of 2003 then rescaled to their sum. A channel whose similarity at a scale is below 0 counts as
    0 there and has no gradient: where training begins far from the clean image, let the term ``start`` after some
    steps of another.
    """

    minimum_size: ClassVar = 161
    value_range: ClassVar = "0 to 1"
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
    has no real power in general, is taken as 0 under either, with no gradient.

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
            f"five scales of {article} {window}-pixel window need {_smallest(scales, window)} pixels a side, "
            'or small = "fewer-scales"'
        )
        raise ValueError(f"ms-ssim: images are {size}; {need}")
    restored, clean = in_full(restored, clean)
    powers = []
    for scale, exponent in enumerate(_exponents(weights, scales), 1):
        if scale > 1:
            restored, clean = _halved(restored), _halved(clean)
        measure = Similarity(settings, luminance=scale == scales)
        powers.append(_power(1 - mean_difference(restored, clean, measure), exponent))
    return torch.stack(powers).prod(0).mean(1)


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
    if odd := max(length % 2 for length in image.shape[-2:]):
        image = pad(image, [odd, 0, odd, 0], mode="replicate")
        height, width = (length // 2 * 2 for length in image.shape[-2:])
        image = image[..., :height, :width]
    return _Means.apply(image)


class _Means(torch.autograd.Function):
    """The 2×2 means of images of even sides: average pooling, several times faster than PyTorch's on a CPU."""

    @staticmethod
    def forward(ctx: object, image: Tensor) -> Tensor:
        pairs = image[..., ::2, :] + image[..., 1::2, :]
        return (pairs[..., ::2] + pairs[..., 1::2]).mul_(0.25)

    @staticmethod
    def backward(ctx: object, slope: Tensor) -> Tensor:
        pairs = (slope * 0.25).unsqueeze(-1).expand(*slope.shape, 2).flatten(-2)
        return pairs.unsqueeze(-2).expand(*slope.shape[:-1], 2, pairs.shape[-1]).flatten(-3, -2)


def _power(values: Tensor, exponent: float) -> Tensor:
    # 0 ** w has an infinite slope for w < 1, and clamping before the power would make it 0 · ∞
    positive = values > 0
    return torch.where(positive, values, 1).pow(exponent) * positive
