"""Blur by kernels that are drawn for each image."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from restoration.degradations import kernels
from restoration.degradations.degraded import Degradation, Degraded, Draw, of_each, one_per_image
from restoration.degradations.draws import Keys, Range, check_range, ends, generator, uniform
from restoration.degradations.filtering import Edges, filtered
from restoration.degradations.kernels import WIDEST

Size = int | tuple[int, int]
Drawing = Callable[[np.random.Generator], tuple[np.ndarray, Draw]]


@dataclass(frozen=True)
class Blur(Degradation):
    """Gaussian blur and its relatives, isotropic or not; ``sigma`` in pixels: one per image and axis, drawn uniformly.

    ``shape`` is the Gaussian, the generalised Gaussian or the plateau (see ``kernels``), the latter two of exponent
    ``beta``; a range of β around 1 is drawn below 1 for one half of the images and above 1 for the other (Real-ESRGAN,
    Wang et al., 2021). ``rotation`` in radians turns kernels that are not ``isotropic``. ``uniform_in`` = "variance"
    draws σ² uniformly (BSRGAN, Zhang et al., 2021). ``size`` is the kernel's width, odd, or the least and the greatest
    of odd widths, all alike; 2⌈4σ⌉ + 1 of the largest σ if it is not given.
    """

    scale: ClassVar[int] = 1

    sigma: Range
    shape: Literal["gaussian", "generalised", "plateau"] = "gaussian"
    isotropic: bool = True
    rotation: Range = (-math.pi, math.pi)
    beta: Range = 1.0
    uniform_in: Literal["sigma", "variance"] = "sigma"
    size: Size | None = None
    edges: Edges = "reflect"

    def __post_init__(self) -> None:
        check_range("sigma", self.sigma, most=WIDEST // 8 - 1 if self.size is None else math.inf)
        check_range("rotation", self.rotation, -2 * math.pi, 2 * math.pi)
        check_range("beta", self.beta, 0.01)
        check_size(self._size())

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the blurred image; the draw holds ``size``, ``sigma_x``, ``sigma_y``, ``rotation`` and ``beta``."""
        return blurred(clean, keys, "blur", self._drawn, self.edges)

    def _drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, Draw]:
        size = drawn_size(rng, self._size())
        sigma_x = self._sigma(rng)
        sigma_y, rotation = (
            (sigma_x, 0.0) if self.isotropic else (self._sigma(rng), uniform(rng, self.rotation))
        )
        draw: Draw = {"size": size, "sigma_x": sigma_x, "sigma_y": sigma_y, "rotation": rotation}
        if self.shape == "gaussian":
            kernel = kernels.gaussian(size, sigma_x, sigma_y, rotation)
        else:
            beta = _beta(rng, self.beta)
            draw["beta"] = beta
            family = kernels.plateau if self.shape == "plateau" else kernels.generalised_gaussian
            kernel = family(size, sigma_x, sigma_y, rotation, beta)
        return kernels.padded(kernel[0], ends(self._size())[1]), draw

    def _sigma(self, rng: np.random.Generator) -> float:
        low, high = ends(self.sigma)
        return (
            uniform(rng, self.sigma)
            if self.uniform_in == "sigma"
            else math.sqrt(uniform(rng, (low**2, high**2)))
        )

    def _size(self) -> Size:
        return 2 * math.ceil(4 * ends(self.sigma)[1]) + 1 if self.size is None else self.size


@dataclass(frozen=True)
class Sinc(Degradation):
    """Ideal circular low-pass, which rings and overshoots as over-sharpened and compressed images do (Real-ESRGAN).

    ``cutoff`` in radians per pixel, up to π, drawn uniformly; "real-esrgan" draws it from [π/3, π] for kernels narrower
    than 13 pixels and from [π/5, π] for others. ``size`` is the kernel's odd width, or the least and the greatest of
    them.
    """

    scale: ClassVar[int] = 1

    cutoff: float | tuple[float, float] | Literal["real-esrgan"] = "real-esrgan"
    size: Size = (7, 21)
    edges: Edges = "reflect"

    def __post_init__(self) -> None:
        if not isinstance(self.cutoff, str):
            check_range("cutoff", self.cutoff, 0.01, math.pi)
        check_size(self.size)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the filtered image; the draw holds ``size`` and ``cutoff``."""
        return blurred(clean, keys, "sinc", self._drawn, self.edges)

    def _drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, Draw]:
        size = drawn_size(rng, self.size)
        rule = (math.pi / 3 if size < 13 else math.pi / 5, math.pi)
        cutoff = uniform(rng, rule if isinstance(self.cutoff, str) else self.cutoff)
        kernel = kernels.padded(kernels.low_pass(size, cutoff)[0], ends(self.size)[1])
        return kernel, {"size": size, "cutoff": cutoff}


@dataclass(frozen=True)
class Defocus(Degradation):
    """A lens out of focus: the mean over a disk, ``radius`` in pixels, its edge antialiased exactly."""

    scale: ClassVar[int] = 1

    radius: Range
    edges: Edges = "reflect"

    def __post_init__(self) -> None:
        check_range("radius", self.radius, most=WIDEST // 2 - 1)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the blurred image; the draw holds ``radius``."""
        return blurred(clean, keys, "defocus", self._drawn, self.edges)

    def _drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, Draw]:
        radius = uniform(rng, self.radius)
        return kernels.disk(2 * math.ceil(ends(self.radius)[1]) + 1, radius)[0], {"radius": radius}


@dataclass(frozen=True)
class MotionBlur(Degradation):
    """The camera moves by ``length`` pixels at ``angle`` while it exposes, straight or shaken (Boracchi & Foi, 2012).

    ``angle`` in radians from the x axis towards the y axis, which is downwards: 0 is horizontal. ``shake`` is the
    authors' anxiety: 0 a straight line, 0.001 a bow, 0.005 a tangle.
    """

    scale: ClassVar[int] = 1

    length: Range
    angle: Range = (0.0, 2 * math.pi)
    shake: Range = 0.0
    edges: Edges = "reflect"

    def __post_init__(self) -> None:
        check_range("length", self.length, most=WIDEST - 4)
        check_range("angle", self.angle, -2 * math.pi, 2 * math.pi)
        check_range("shake", self.shake, 0, 1)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the blurred image; the draw holds ``length``, ``angle`` and ``shake``."""
        return blurred(clean, keys, "motion-blur", self._drawn, self.edges)

    def _drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, Draw]:
        length, angle, shake = (uniform(rng, of) for of in (self.length, self.angle, self.shake))
        path = kernels.shaken_path(rng, length, angle, shake)
        size = 2 * math.ceil(ends(self.length)[1] / 2) + 3
        return kernels.rasterised(size, path[None])[0], {"length": length, "angle": angle, "shake": shake}


def blurred(clean: Tensor, keys: Keys, purpose: str, drawn: Drawing, edges: Edges) -> Degraded:
    """Return every image filtered by the kernel that ``drawn`` makes with its generator, all of one size."""
    one_per_image(clean, keys)
    # kernels are made one by one: the last bit of NumPy's powers depends on the place in an array
    made = [drawn(generator(key, purpose)) for key in keys]
    stacked = torch.from_numpy(np.stack([kernel for kernel, _ in made]))
    return Degraded(filtered(clean, stacked, edges), draw=of_each([draw for _, draw in made]))


def drawn_size(rng: np.random.Generator, size: Size) -> int:
    """Return an odd width, one of those from the least to the greatest, all alike."""
    low, high = ends(size)
    return int(low) if low == high else int(low + 2 * rng.integers((high - low) // 2 + 1))


def check_size(size: Size) -> None:
    """Refuse widths of kernels that are even or too large, or whose ends are exchanged."""
    low, high = ends(size)
    if not (1 <= low <= high < WIDEST and low % 2 == high % 2 == 1):
        shown = size if isinstance(size, int) else list(size)
        raise ValueError(
            f"size = {shown}; expected an odd number from 1 to {WIDEST - 1}, or [least, greatest] of such"
        )


def _beta(rng: np.random.Generator, beta: Range) -> float:
    low, high = ends(beta)
    if not low <= 1 <= high or low == high:
        return uniform(rng, beta)
    return uniform(rng, (low, 1.0) if rng.random() < 0.5 else (1.0, high))
