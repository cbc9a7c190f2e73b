"""Luma as papers measure it, and losses on colour: blurred differences, CIE ΔE."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from restoration.losses.checks import one_of, positive
from restoration.losses.loss import Loss, large_enough, per_image, same_shape
from restoration.losses.separable import filtered, gaussian

# ITU-R BT.601, studio swing as MATLAB's rgb2ycbcr: Y = 16 + 65.481 R + 128.553 G + 24.966 B for R, G, B in [0, 1]
WEIGHTS = (65.481, 128.553, 24.966)
OFFSET = 16.0
PEAK = 255.0

MEASURES = ("blurred-l1", "delta-e-76", "delta-e-2000")
SMALLEST_CHROMA = 1e-6  # below it a colour is grey and has no hue


@dataclass(frozen=True)
class Colour(Loss):
    """Colour without texture: ``mean |G_σ ∗ (restored − clean)|``, or the mean CIE ΔE of every pixel.

    ``measure`` = "blurred-l1" blurs with a Gaussian of ``sigma`` pixels, cut at 3 σ, borders mirrored, as Ignatov et
    al. (2017) do before a squared difference. "delta-e-76" is the distance in CIE L*a*b* (white D65), "delta-e-2000"
    CIEDE2000 (Sharma, Wu & Dalal, 2005): of RGB only, in units of which 1 to 2 are just visible, some 100 times as
    large as the first. The curve of sRGB goes on below 0 as its straight part, above 1 as its power.
    """

    minimum_size: ClassVar = 10

    measure: Literal["blurred-l1", "delta-e-76", "delta-e-2000"] = "blurred-l1"
    sigma: float = 3.0

    def __post_init__(self) -> None:
        one_of("measure", self.measure, MEASURES)
        positive("sigma", self.sigma)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        same_shape(restored, clean)
        if self.measure == "blurred-l1":
            reach = math.ceil(3 * self.sigma)
            large_enough(restored, reach + 1, f"colour: a blur of sigma {self.sigma:g}")
            blurred = filtered(restored - clean, gaussian(2 * reach + 1, self.sigma), mirrored=True)
            return per_image(blurred.abs())
        first, second = (lab(image, self.measure) for image in (restored, clean))
        return per_image(
            delta_e_76(first, second) if self.measure == "delta-e-76" else delta_e_2000(first, second)
        )


def luma(image: Tensor) -> Tensor:
    """Return Y / 255 of RGB in [0, 1], not rounded: (N, 1, H, W) in [16/255, 235/255]. Grey passes through."""
    if image.shape[1] == 1:
        return image
    if image.shape[1] != 3:
        raise ValueError(f"luma: the image has {image.shape[1]} channels; expected 1 or 3")
    red, green, blue = image.split(1, dim=1)
    return (WEIGHTS[0] * red + WEIGHTS[1] * green + WEIGHTS[2] * blue + OFFSET) / PEAK


def lab(image: Tensor, name: str = "lab") -> Tensor:
    """Return CIE L*a*b* of sRGB in [0, 1], white D65, 2° observer: L* in [0, 100]."""
    if image.shape[1] != 3:
        raise ValueError(f"{name}: the image has {image.shape[1]} channels; expected 3")
    from kornia.color import rgb_to_lab

    return rgb_to_lab(image)


def delta_e_76(first: Tensor, second: Tensor) -> Tensor:
    """Return the distance of two L*a*b* images (CIE, 1976): (N, H, W); at equality its slope is taken as 0."""
    return _root((first - second).square().sum(1))


def delta_e_2000(first: Tensor, second: Tensor) -> Tensor:
    """Return CIEDE2000 of two L*a*b* images, weights 1 (Sharma, Wu & Dalal, 2005, eqs. 2 to 22): (N, H, W).

    The formula itself jumps where hues are opposite. At equality, and of chroma at grey, the slope is taken as 0.
    """
    (l1, a1, b1), (l2, a2, b2) = first.unbind(1), second.unbind(1)
    stretch = 1.5 - _saturation((_length(a1, b1) + _length(a2, b2)) / 2) / 2
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = _length(a1, b1), _length(a2, b2)
    hued = (c1 > SMALLEST_CHROMA) & (c2 > SMALLEST_CHROMA)
    h1, h2 = _hue(a1, b1, c1), _hue(a2, b2, c2)
    turn = _shorter(h2 - h1) * hued
    chroma, hue = (c1 + c2) / 2, torch.where(hued, h1 + turn / 2, h1 + h2)
    lightness = ((l1 + l2) / 2 - 50).square()
    wave = 1 - 0.17 * (hue - math.radians(30)).cos() + 0.24 * (2 * hue).cos()
    wave = wave + 0.32 * (3 * hue + math.radians(6)).cos() - 0.2 * (4 * hue - math.radians(63)).cos()
    in_l = (l2 - l1) / (1 + 0.015 * lightness / (20 + lightness).sqrt())
    in_c = (c2 - c1) / (1 + 0.045 * chroma)
    in_h = 2 * _root(c1 * c2) * (turn / 2).sin() / (1 + 0.015 * chroma * wave)
    blueness = (hue.remainder(2 * math.pi) - math.radians(275)) / math.radians(25)
    rotation = -2 * _saturation(chroma) * (math.radians(60) * (-blueness.square()).exp()).sin()
    return _root(in_l.square() + in_c.square() + in_h.square() + rotation * in_c * in_h)


def _saturation(chroma: Tensor) -> Tensor:
    """Return √(C⁷ / (C⁷ + 25⁷)), written so that its slope at 0 is 0; 1 to the last digit far above 25."""
    ratio = (chroma / 25).clamp(max=1e3)
    return ratio.pow(3.5) * (ratio.pow(7) + 1).rsqrt()


def _hue(a: Tensor, b: Tensor, chroma: Tensor) -> Tensor:
    """Return the angle of a colour in [0, 2π), 0 of grey."""
    hued = chroma > SMALLEST_CHROMA
    return torch.atan2(b * hued, torch.where(hued, a, 1)).remainder(2 * math.pi)


def _shorter(turn: Tensor) -> Tensor:
    """Return a difference of two angles in [0, 2π) the shorter way round; half a turn keeps its sign."""
    turn = torch.where(turn > math.pi, turn - 2 * math.pi, turn)
    return torch.where(turn < -math.pi, turn + 2 * math.pi, turn)


def _length(a: Tensor, b: Tensor) -> Tensor:
    return _root(a.square() + b.square())


def _root(square: Tensor) -> Tensor:
    """Return the square root, with slope 0 where it has none: at 0, and below the squares of rounding errors."""
    there = square > SMALLEST_CHROMA**2
    return torch.where(there, square, 1).sqrt() * there
