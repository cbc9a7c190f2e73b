"""Sharpening by an unsharp mask."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from restoration.degradations.degraded import STEPS, Degradation, Degraded, one_per_image
from restoration.degradations.draws import Keys
from restoration.degradations.filtering import Edges, filtered
from restoration.degradations.kernels import WIDEST, gaussian


@dataclass(frozen=True)
class Sharpen(Degradation):
    """Unsharp mask where detail exceeds ``threshold`` 8-bit steps, blended softly, as Real-ESRGAN makes its targets.

    x + ``weight`` · (x − blur(x)), limited to [0, 1], where |x − blur(x)| > threshold, by a mask that is blurred alike.
    The Gaussian is ``radius`` pixels wide (the next odd number) and has OpenCV's σ for that, 8 for 51. With ``target``
    the sharpened image also is what restorers shall reach; the part then stands first in a chain, or alone.
    """

    scale: ClassVar[int] = 1

    weight: float = 0.5
    radius: int = 50
    threshold: float = 10.0
    target: bool = False
    edges: Edges = "reflect"

    def __post_init__(self) -> None:
        if not 1 <= self.radius < WIDEST:
            raise ValueError(f"radius = {self.radius}; expected a whole number from 1 to {WIDEST - 1}")
        for name, value in (("weight", self.weight), ("threshold", self.threshold)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} = {value:g}; expected a number from 0")

    @property
    def aims(self) -> bool:
        """Whether the sharpened image is what restorers shall reach."""
        return self.target

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the sharpened image."""
        one_per_image(clean, keys)
        sharp = unsharp(clean, self.weight, self.radius, self.threshold, self.edges)
        return Degraded(sharp, clean=sharp if self.target else None)


def unsharp(
    image: Tensor, weight: float = 0.5, radius: int = 50, threshold: float = 10.0, edges: Edges = "reflect"
) -> Tensor:
    """Return ``image`` sharpened by an unsharp mask (see ``Sharpen``)."""
    size = radius | 1
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8  # getGaussianKernel of OpenCV
    kernel = torch.from_numpy(gaussian(size, sigma))
    detail = image - filtered(image, kernel, edges)
    mask = filtered((detail.abs() * STEPS > threshold).to(image.dtype), kernel, edges)
    return torch.lerp(image, (image + weight * detail).clamp(0, 1), mask)
