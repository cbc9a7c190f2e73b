"""GMSD, VIF, HaarPSI and MDSI: the similarities of the library piq, with finite gradients and without range checks.

A similarity (2ab + c) / (a² + b² + c) enters everywhere as what it lacks of 1, (a − b)² / (a² + b² + c): of equal
images that is exactly 0 with slope 0, where 1 minus the quotient is rounding noise that roots and powers blow up.
Magnitudes are √(∂ₕ² + ∂_w² + ε²), which has a slope on flat areas. Neither moves a value by 1e-5. Images are scaled to
[0, 255], for which the constants were published; luma is 0.299 R + 0.587 G + 0.114 B, not the studio swing of `luma`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from restoration.losses.loss import Loss, large_enough, per_image, same_shape
from restoration.losses.separable import filtered, gaussian
from restoration.losses.windows import Gaussian

Rows = tuple[tuple[float, float, float], ...]

LUMA = (0.299, 0.587, 0.114)
YIQ = (LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
LHM = ((0.2989, 0.587, 0.114), (0.3, 0.04, -0.35), (0.34, -0.6, 0.17))
PREWITT = (1 / 3, 1 / 3, 1 / 3)
SMOOTHING = 1e-5  # of magnitudes, in steps of 8 bits
FLAT = 1e-8  # variances below it are rounding
BAND = 64  # rows of VIF that are worked on at a time, as measured fastest


@dataclass(frozen=True)
class Gmsd(Loss):
    """Gradient magnitude similarity deviation: its standard deviation over the image (Xue et al., 2014, eqs. 4 and 6).

    Of luma at half size; Prewitt magnitudes with zeros around the image, c = 170. 0 at equality, usually below 0.35.
    """

    minimum_size: ClassVar = 6
    as_metric: ClassVar = ("gmsd",)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the deviation of each image: (N,)."""
        large_enough(same_shape(restored, clean), self.minimum_size, "gmsd")
        x, y = (magnitude(halved(planes(image, (LUMA,), "gmsd")[0]), PREWITT) for image in (restored, clean))
        variance = shortfall(x, y, 170).flatten(1).var(1, unbiased=False)
        return (variance + 1e-14).sqrt() - 1e-7  # the root alone has no slope at 0


@dataclass(frozen=True)
class Haarpsi(Loss):
    """``1 − HaarPSI``, the Haar wavelet-based perceptual similarity index (Reisenhofer et al., 2018).

    Similarities of the Haar coefficients of two scales, through a sigmoid, weighted by those of a third, of YIQ at half
    size (luma alone of grey images); c = 30, α = 4.2. 0 at equality, at most 1.
    """

    value_range: ClassVar[str] = "0 to 1"
    minimum_size: ClassVar = 16
    better: ClassVar = "higher"
    as_metric: ClassVar = ("haarpsi",)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        large_enough(same_shape(restored, clean), self.minimum_size, "haarpsi")
        x, y = ([halved(plane) for plane in planes(image, YIQ, "haarpsi")] for image in (restored, clean))
        (fine_x, middle_x, coarse_x), (fine_y, middle_y, coarse_y) = _haar_sizes(x[0]), _haar_sizes(y[0])
        lacks = (shortfall(fine_x, fine_y, 30) + shortfall(middle_x, middle_y, 30)) / 2
        weights = torch.maximum(coarse_x, coarse_y)
        if len(x) == 3:
            first, second = (_around(torch.cat(chroma, 1)).abs() for chroma in (x[1:], y[1:]))
            lacks = torch.cat([lacks, shortfall(first, second, 30).mean(1, keepdim=True)], 1)
            weights = torch.cat([weights, weights.mean(1, keepdim=True)], 1)
        return _unsigmoid(lacks, weights)

    def metric(self, value: Tensor) -> Tensor:
        """Return the index."""
        return 1 - value


@dataclass(frozen=True)
class Mdsi(Loss):
    """Mean deviation similarity index, α = 0.6, summed (Nafchi et al., 2016); 0 at equality.

    Gradient and chromaticity similarity of the channels L, H and M, their fourth root's mean deviation, to the power ¼:
    that power makes the slope grow without bound as images become equal. Larger images are shrunk to about 256 pixels.
    """

    minimum_size: ClassVar = 3
    as_metric: ClassVar = ("mdsi",)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the index of each image: (N,)."""
        large_enough(same_shape(restored, clean), self.minimum_size, "mdsi")
        (x, h, m), (y, k, n) = (planes(_shrunk(_coloured(image)), LHM, "mdsi") for image in (restored, clean))
        near, far, between = (magnitude(plane, PREWITT) for plane in (x, y, (x + y) / 2))
        gradients = shortfall(near, far, 140) + shortfall(near, between, 55) - shortfall(far, between, 55)
        energy = h.square() + k.square() + m.square() + n.square() + 550
        chroma = ((h - k).square() + (m - n).square()) / energy
        real, imaginary = _fourth_root(0.6 * gradients + 0.4 * chroma)
        real, imaginary = (part - part.mean((2, 3), keepdim=True) for part in (real, imaginary))
        deviation = per_image(torch.complex(real, imaginary).abs())
        return (deviation + 1e-24).pow(0.25) - 1e-6  # the power alone has no slope at 0


@dataclass(frozen=True)
class Vif(Loss):
    """``1 − VIF``, visual information fidelity of pixels (Sheikh & Bovik, 2006), of luma on four scales, noise 2.

    Not least at equality: VIF exceeds 1, and the loss falls below 0, where the restored image has more contrast than
    the clean one. It is no loss to train with alone.
    """

    value_range: ClassVar[str] = "up to 1, below 0 where the restored image has more contrast"
    minimum_size: ClassVar = 41
    better: ClassVar = "higher"
    as_metric: ClassVar = ("vif",)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        large_enough(same_shape(restored, clean), self.minimum_size, "vif")
        # variances as mean x² − mean² x: of flat areas they are rounding in float32, which is all that mps has
        exact = torch.float32 if restored.device.type == "mps" else torch.float64
        # they do not see the constant, and lose fewer digits without it
        pair = torch.cat([planes(i.to(exact), (LUMA,), "vif")[0] - 127.5 for i in (restored, clean)], 1)
        kept, whole = 0.0, 0.0
        for size in (17, 9, 5, 3):
            if size < 17:
                pair = filtered(pair, gaussian(size, size / 5), stride=2)
            found, there = _information(pair, size)
            kept, whole = kept + found, whole + there
        return (1 - (kept + FLAT) / (whole + FLAT)).to(restored.dtype)

    def metric(self, value: Tensor) -> Tensor:
        """Return the fidelity."""
        return 1 - value


def planes(image: Tensor, weights: Rows, name: str = "similarity") -> tuple[Tensor, ...]:
    """Return weighted sums of red, green and blue in [0, 255], (N, 1, H, W) each; of grey, only itself."""
    if image.shape[1] == 1:
        return (image * 255,)
    if image.shape[1] != 3:
        raise ValueError(f"{name}: the images have {image.shape[1]} channels; expected 1 or 3")
    red, green, blue = image.split(1, 1)
    return tuple((255 * r) * red + (255 * g) * green + (255 * b) * blue for r, g, b in weights)


def shortfall(x: Tensor, y: Tensor, constant: float) -> Tensor:
    """Return what the similarity of two maps lacks of 1: ``(x − y)² / (x² + y² + constant)``."""
    return (x - y).square() / (x.square() + y.square() + constant)


def magnitude(plane: Tensor, smoothing: tuple[float, float, float]) -> Tensor:
    """Return the length of the gradient of a plane that zeros surround: central differences, smoothed across."""
    first, middle, last = smoothing
    plane = pad(plane, [1, 1, 1, 1])
    beside, below = plane[..., 2:] - plane[..., :-2], plane[..., 2:, :] - plane[..., :-2, :]
    across = first * beside[..., :-2, :] + middle * beside[..., 1:-1, :] + last * beside[..., 2:, :]
    down = first * below[..., :-2] + middle * below[..., 1:-1] + last * below[..., 2:]
    return (across.square() + down.square() + SMOOTHING**2).sqrt()


def halved(plane: Tensor) -> Tensor:
    """Return the means of 2×2 pixels, zeros beyond the border."""
    height, width = plane.shape[-2:]
    return avg_pool2d(pad(plane, [0, width % 2, 0, height % 2]), 2)


def _haar_sizes(plane: Tensor) -> list[Tensor]:
    """Return |rows| and |columns| of the Haar windows of 2, 4 and 8 pixels around every pixel: (N, 2, H, W) each."""
    height, width = plane.shape[-2:]
    sums, sizes = pad(plane, [3, 4, 3, 4]), []
    for half in (1, 2, 4):
        left, right = sums[..., :-half], sums[..., half:]
        both, tilt = left + right, left - right
        ways = torch.cat(
            [both[..., :-half, :] - both[..., half:, :], tilt[..., :-half, :] + tilt[..., half:, :]], 1
        )
        first = 4 - half
        sizes.append(ways[..., first : first + height, first : first + width].abs() / (2 * half))
        sums = both[..., :-half, :] + both[..., half:, :]
    return sizes


def _around(plane: Tensor) -> Tensor:
    return avg_pool2d(pad(plane, [0, 1, 0, 1]), 2, stride=1)


def _unsigmoid(lacks: Tensor, weights: Tensor) -> Tensor:
    """Return ``1 − (σ⁻¹(Σ w σ(α (1 − d)) / Σ w) / α)²`` of similarities 1 − d, exact near d = 0: (N,)."""
    alpha = 4.2
    top = 1 / (1 + math.exp(-alpha))
    # σ(α) − σ(α − αd), and σ⁻¹(σ(α) − u) − α, without cancelling
    drop = top * math.exp(-alpha) * torch.sigmoid(alpha - alpha * lacks) * torch.expm1(alpha * lacks)
    mean = (weights * drop).sum((1, 2, 3)) / weights.sum((1, 2, 3)).clamp(min=1e-12)
    below = (torch.log1p(-mean / top) - torch.log1p(mean / (1 - top))) / alpha
    return -below * (2 + below)


def _coloured(image: Tensor) -> Tensor:
    return image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image


def _shrunk(image: Tensor) -> Tensor:
    side = max(1, round(min(image.shape[-2:]) / 256))
    before, after = (side - 1) // 2, side // 2
    return avg_pool2d(pad(image, [before, after, before, after]), side) if side > 1 else image


def _fourth_root(lacks: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 − (1 − d)^¼ as its real and imaginary parts, exact near d = 0; beyond d = 1 the root is complex."""
    inside, beyond = lacks < 1, lacks > 1
    near = -torch.expm1(torch.log1p(-torch.where(inside, lacks, 0)) / 4)
    part = torch.where(beyond, lacks - 1, 1).pow(0.25) * beyond * math.sqrt(0.5)
    return torch.where(inside, near, 1 - part), part


def _spread(variance: Tensor) -> Tensor:
    return torch.where(variance >= FLAT, variance, 0)


def _information(pair: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return what of the clean image's information the restored one keeps, and all of it, in one scale: (N,) each."""
    if pair.requires_grad:
        x, y = pair.unbind(1)
        moments = filtered(torch.stack([x, y, x * x, y * y, x * y], 1), gaussian(size, size / 5))
        kept, whole = _transmitted(*moments.unbind(1))
        return kept.sum((1, 2)), whole.sum((1, 2))
    found = pair.new_zeros(2, len(pair))
    for moments in _moments(pair, size):
        found += torch.stack([part.sum((0, 2)) for part in _transmitted(*moments.unbind(1))])
    return found[0], found[1]


def _moments(pair: Tensor, size: int) -> Iterator[Tensor]:
    """Yield the windows' means of x, y, x², y² and xy, (rows, 5, N, W), some rows at a time, all in the cache."""
    window, width = Gaussian(size, size / 5), pair.shape[-1]
    planes = pair.permute(2, 1, 0, 3)
    valid = len(planes) - size + 1
    rows = BAND if pair.device.type == "cpu" else valid
    for top in range(0, valid, rows):
        seen = planes[top : top + rows + size - 1]
        maps = seen.new_empty(len(seen), 5, len(pair), window.rounded_up(width))
        maps[:, :2, :, width:] = 0
        maps[:, :2, :, :width] = seen
        x, y = maps[:, 0], maps[:, 1]
        for place, (first, second) in enumerate(((x, x), (y, y), (x, y)), 2):
            torch.mul(first, second, out=maps[:, place])
        yield window.blur(maps)[..., : width - size + 1]


def _transmitted(mean_x: Tensor, mean_y: Tensor, xx: Tensor, yy: Tensor, xy: Tensor) -> tuple[Tensor, Tensor]:
    """Return the information of every window that the restored image keeps, and that of the clean one."""
    var_x, var_y = _spread(xx - mean_x.square()), _spread(yy - mean_y.square())
    covariance = (xy - mean_x * mean_y).relu()
    gain = torch.where(var_x > 0, covariance / (var_y + FLAT), 0) * (var_y > 0)
    noise = (var_x - gain * covariance).clamp(min=FLAT)
    return torch.log1p(gain.square() * var_y / (noise + 2)), torch.log1p(var_y / 2)
