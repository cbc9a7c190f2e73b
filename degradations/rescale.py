"""Changes of size: by a fixed scale, by a random factor within a chain, and back to the size that a chain needs."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from restoration.degradations.degraded import (
    Degradation,
    Degraded,
    check_scale,
    joined,
    one_per_image,
    reduced,
)
from restoration.degradations.draws import Keys, check_range, generator, uniform
from restoration.degradations.resize import check_levels, resize
from restoration.degradations.taps import Edges

Kernel = Literal["area", "bicubic", "bilinear", "nearest"]


@dataclass(frozen=True)
class Resize(Degradation):
    """Reduced by a whole ``scale``, antialiased save for "nearest"; "bicubic" is MATLAB's, "area" the mean of a block.

    ``levels`` rounds to the steps of a file, 255 for 8 bits, and clips; 0 neither rounds nor clips. ``edges`` = "cut"
    is PyTorch's antialiased interpolate, which weighs only what lies within the image.
    """

    scale: int
    kernel: Kernel = "bicubic"
    edges: Edges = "reflect"
    levels: int | None = 0

    def __post_init__(self) -> None:
        check_scale(self.scale)
        check_levels(self.levels)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean reduced by ``scale``; height and width must be multiples of it."""
        one_per_image(clean, keys)
        reduced(_size(clean), self.scale)
        scale = Fraction(1, self.scale)
        return Degraded(resize(clean, scale=scale, kernel=self.kernel, edges=self.edges, levels=self.levels))


@dataclass(frozen=True)
class Rescale(Degradation):
    """Resized by a random ``factor`` (lowest, highest): images get sizes of their own, so a "fit" has to follow.

    ``up``, ``keep`` and ``down`` are the shares of images that grow, by U[1, highest], stay, and shrink, by
    U[lowest, 1] (Real-ESRGAN, Wang et al., 2021); if all are 0, all are drawn from the whole range. ``uniform_in`` =
    "divisor" draws 1/factor uniformly. ``against`` = s > 0 takes the factor of 1/s of the size that the chain began
    with, whatever came in between. ``kernels`` are drawn alike. ``antialias`` = false is PyTorch's interpolate; with
    it "area" is OpenCV's, in which parts of pixels count as parts.
    """

    varies: ClassVar[bool] = True

    factor: tuple[float, float]
    up: float = 0.0
    keep: float = 0.0
    down: float = 0.0
    uniform_in: Literal["factor", "divisor"] = "factor"
    against: int = 0
    kernels: tuple[Kernel, ...] = ("area", "bilinear", "bicubic")
    antialias: bool = True

    def __post_init__(self) -> None:
        check_range("factor", self.factor, 1e-3)
        shares = (self.up, self.keep, self.down)
        if min(shares) < 0 or not (sum(shares) == 0 or math.isclose(sum(shares), 1)):
            raise ValueError(f"up, keep, down = {list(shares)}; expected shares of sum 1, or all 0")
        if (self.up and self.factor[1] < 1) or (self.down and self.factor[0] > 1):
            raise ValueError(f"factor = {list(self.factor)}; expected a range around 1 for up, keep and down")
        if self.against < 0:
            raise ValueError(f"against = {self.against}; expected a whole number from 0")
        _check_kernels(self.kernels)

    @property
    def scale(self) -> int:
        """The size of clean over that of the degraded image if the factor is 1."""
        return self.against or 1

    @property
    def absolute(self) -> bool:
        """Whether the factor is against the image that the chain was given."""
        return self.against > 0

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the resized images, which must happen to be of one size; the draw holds ``factor`` and ``kernel``."""
        one_per_image(clean, keys)
        return self.within(clean, keys, _size(clean))

    def within(self, image: Tensor, keys: Keys, size: tuple[int, int]) -> Degraded:
        """Return the resized images, ``against`` the (height, width) that the chain began with if so configured."""
        alone = [self._resized(image[i : i + 1], key, size) for i, key in enumerate(keys)]
        return joined(image, [([i], resized) for i, resized in enumerate(alone)])

    def _resized(self, image: Tensor, key: tuple[int, int], size: tuple[int, int]) -> Degraded:
        rng = generator(key, "rescale")
        factor = self._factor(rng)
        kernel = _one_of(self.kernels, rng)
        height, width = (n / self.against for n in size) if self.against else _size(image)
        target = max(1, int(height * factor)), max(1, int(width * factor))
        if self.antialias or self.against or min(target) == 1:
            resized = _to_size(image, target, kernel, self.antialias)
        else:
            resized = functional.interpolate(image, scale_factor=factor, mode=kernel)
        return Degraded(resized, draw={"factor": [factor], "kernel": [kernel]})

    def _factor(self, rng: np.random.Generator) -> float:
        low, high = self.factor
        if self.up + self.keep + self.down:
            share = rng.random()
            if share >= self.up + self.down:
                return 1.0
            low, high = (1.0, high) if share < self.up else (low, 1.0)
        if self.uniform_in == "divisor":
            return 1 / uniform(rng, (1 / high, 1 / low))
        return uniform(rng, (low, high))


@dataclass(frozen=True)
class Fit(Degradation):
    """Resized to 1/``scale`` of the size that the chain began with, whatever came in between; ``kernels`` drawn alike.

    ``antialias`` = false is PyTorch's interpolate, as published chains use it.
    """

    absolute: ClassVar[bool] = True

    scale: int
    kernels: tuple[Kernel, ...] = ("area", "bilinear", "bicubic")
    antialias: bool = True

    def __post_init__(self) -> None:
        check_scale(self.scale)
        _check_kernels(self.kernels)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean reduced by ``scale``; the draw holds ``kernel``."""
        one_per_image(clean, keys)
        return self.within(clean, keys, _size(clean))

    def within(self, image: Tensor, keys: Keys, size: tuple[int, int]) -> Degraded:
        """Return the image at 1/scale of ``size``, the (height, width) that the chain began with."""
        target = reduced(size, self.scale)
        drawn = [_one_of(self.kernels, generator(key, "fit")) for key in keys]
        resized = [
            _to_size(image[i : i + 1], target, kernel, self.antialias) for i, kernel in enumerate(drawn)
        ]
        return Degraded(torch.cat(resized), draw={"kernel": drawn})


def _one_of(kernels: tuple[str, ...], rng: np.random.Generator) -> str:
    return kernels[int(rng.integers(len(kernels)))]


def _to_size(image: Tensor, size: tuple[int, int], kernel: str, antialias: bool) -> Tensor:
    if antialias:
        return resize(image, size=size, kernel=kernel)
    return functional.interpolate(image, size=size, mode=kernel)


def _size(image: Tensor) -> tuple[int, int]:
    height, width = image.shape[-2:]
    return height, width


def _check_kernels(kernels: tuple[str, ...]) -> None:
    if not kernels:
        raise ValueError("kernels = []; expected at least one")
