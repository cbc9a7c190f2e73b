"""Reflections in glass, synthesised as the papers on their removal do."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.degraded import Degradation, Degraded, Draw, of_each, one_per_image
from restoration.degradations.draws import (
    Key,
    Keys,
    Range,
    check_probability,
    check_range,
    ends,
    generator,
    uniform,
)
from restoration.degradations.glass import ghost_decay, ghost_shift, ghosted
from restoration.degradations.kernels import WIDEST
from restoration.degradations.light import power
from restoration.degradations.pictures import pictures_in
from restoration.degradations.reflected import draw_scene
from restoration.degradations.smooth import Rows, blur_into, gaussian

BAND = 2**20  # samples that are worked on at a time
WIDTH = 512  # pixels: the width of image that the recipes' lengths are for
SIGMAS = 80  # values that σ takes
BINS, MARGIN = 560, 10  # of the published vignette, and how far from its end a crop of it stays


@dataclass(frozen=True)
class Recipe:
    """The numbers of a paper; ``radius`` is that of its kernel, None for ⌈2σ⌉, and ``vignette`` 0 where it has none."""

    gamma: float
    sigma: Range
    radius: int | None
    attenuation: Range
    per_channel: bool
    alpha: Range
    vignette: Range


RECIPES = {
    "uhd": Recipe(2.2, (1.0, 5.0), None, (1.08, 1.18), True, (0.8, 1.0), (1.2, 2.2)),
    "ceilnet": Recipe(1.0, (2.0, 5.0), 5, 1.3, False, 1.0, 0.0),
}


@dataclass(frozen=True)
class Reflection(Degradation):
    """A blurred second scene, reflected in the glass that the image was taken through.

    ``recipe`` = "uhd": Zhang et al. (2018) as ERRNet and IBCLN have it. Both scenes become linear light, x^2.2; the
    reflected one is blurred (``sigma`` in pixels); where both together exceed 1, a channel of it loses ``attenuation``
    times the mean excess; it darkens away from a random centre (``vignette``: the longer side of the Gaussian mask over
    that of the image; 0 for none); the image is r + ``alpha`` · t, back in gamma. "ceilnet": Fan et al. (2017), on the
    stored values, the excess that of all channels, r + t. What is None is the recipe's own.
    ``images`` is a folder of photographs to reflect, or "self": the image itself, mirrored and enlarged. ``strength``
    multiplies the reflected light. ``ghost`` is the probability that a pane, ``thickness`` pixels through and seen
    under ``angle`` degrees, reflects the scene twice (Shih et al., 2015). ``scaled``: sigma and thickness are for
    images 512 pixels wide and grow with the width.
    Layers: "transmission" (clean), "reflection" (what was added, in gamma), "residual" (image − transmission). No
    gradient passes.
    """

    scale: ClassVar[int] = 1

    images: str = "self"
    recipe: Literal["uhd", "ceilnet"] = "uhd"
    sigma: Range | None = None
    attenuation: Range | None = None
    alpha: Range | None = None
    vignette: Range | None = None
    strength: Range = 1.0
    ghost: float = 0.0
    angle: Range = (10.0, 60.0)
    thickness: Range = (5.0, 20.0)
    scaled: bool = False

    def __post_init__(self) -> None:
        if self.images != "self":
            try:
                pictures_in(self.images)
            except ValueError as error:
                raise ValueError(f"images = {error}") from None
        for name, most in (
            ("sigma", WIDEST // 4 - 1),
            ("attenuation", math.inf),
            ("strength", math.inf),
            ("thickness", WIDEST),
        ):
            check_range(name, self._value(name), most=most)
        check_range("alpha", self._value("alpha"), most=1)
        check_range("angle", self.angle, most=90)
        check_probability("ghost", self.ghost)
        if self._value("vignette") != 0:
            check_range("vignette", self._value("vignette"), least=1.02)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image with its reflection, its layers, and what each was made with."""
        one_per_image(clean, keys)
        image, reflection, residual = (torch.empty_like(clean.detach()) for _ in range(3))
        draws = [
            self._reflect(clean[i].detach(), key, (image[i], reflection[i], residual[i]))
            for i, key in enumerate(keys)
        ]
        layers = {"transmission": clean, "reflection": reflection, "residual": residual}
        return Degraded(image, None, layers, of_each(draws))

    def untouched(self, image: Tensor) -> Degraded:
        """Return images in which nothing is reflected."""
        nothing = torch.zeros_like(image)
        return Degraded(image, layers={"transmission": image, "reflection": nothing, "residual": nothing})

    def _reflect(self, clean: Tensor, key: Key, made: tuple[Tensor, Tensor, Tensor]) -> Draw:
        """Fill the image, reflection and residual of one image (C, H, W), band by band."""
        image, reflection, residual = made
        recipe, rng = RECIPES[self.recipe], generator(key, "reflection")
        larger = clean.shape[2] / WIDTH if self.scaled else 1.0
        low, high = ends(self._value("sigma"))
        sigma = (low + (high - low) * int(rng.integers(SIGMAS)) / (SIGMAS - 1)) * larger
        attenuation, alpha, strength = (
            uniform(rng, self._value(n)) for n in ("attenuation", "alpha", "strength")
        )
        mask = vignette(tuple(clean.shape[1:]), uniform(rng, self._value("vignette")), rng)
        scene, rejected = draw_scene(clean, key, None if self.images == "self" else Path(self.images))
        rows, ghost = self._ghost(lambda index: power(scene.rows(index), recipe.gamma), clean, key, larger)
        radius = math.ceil(2 * sigma) if recipe.radius is None else round(recipe.radius * larger)
        blur_into(reflection, rows, gaussian(sigma, radius))
        excess = attenuation * _excess(clean, reflection, recipe)
        down, across = (torch.from_numpy(n).to(clean) for n in mask)
        for band in _bands(clean):
            light = (reflection[:, band] - excess).clamp_(0, 1)
            light.mul_(strength * down[band, None] * across).clamp_(max=1)
            transmitted = power(clean[:, band], recipe.gamma)
            image[:, band] = power(torch.add(light, transmitted, alpha=alpha), 1 / recipe.gamma).clamp_(0, 1)
            reflection[:, band] = power(light, 1 / recipe.gamma)
            torch.sub(image[:, band], clean[:, band], out=residual[:, band])
        drawn = {"sigma": sigma, "attenuation": attenuation, "alpha": alpha, "strength": strength}
        return drawn | ghost | {"file": scene.file or "self", "rejected": rejected}

    def _ghost(self, rows: Rows, clean: Tensor, key: Key, larger: float) -> tuple[Rows, Draw]:
        """Return the rows, seen twice or not, and the (down, right) shift and the decay of the second copy."""
        rng = generator(key, "reflection.ghost")
        if rng.random() >= self.ghost:
            return rows, {"ghost": None, "decay": None}
        angle, thickness = uniform(rng, self.angle), uniform(rng, self.thickness) * larger
        length, direction = ghost_shift(angle, thickness), rng.uniform(0, 2 * math.pi)
        shift = (length * math.sin(direction), length * math.cos(direction))
        decay = ghost_decay(angle)
        return ghosted(rows, tuple(clean.shape[1:]), shift, decay), {"ghost": list(shift), "decay": decay}

    def _value(self, name: str) -> Range:
        value = getattr(self, name)
        return getattr(RECIPES[self.recipe], name) if value is None else value


def vignette(size: tuple[int, int], larger: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a random window of a Gaussian mask as the factors (H,) and (W,) whose outer product it is, at most 1.

    The mask is ``√(k ⊗ k)``, k the masses of a standard normal in bins from −3 to 3, one per pixel, ``larger`` times
    the image's longer side of them (560 for crops of 256 in the published code).
    """
    if larger == 0:
        return np.ones(size[0]), np.ones(size[1])
    bins = larger * max(size)
    peak = math.erf(3 / bins / math.sqrt(2))  # the mass of a bin in the middle
    factors = []
    for length in size:
        first = rng.uniform(0, bins * (1 - MARGIN / BINS) - length)
        edges = (first + np.arange(length + 1)) * 6 / bins - 3
        mass = torch.from_numpy(edges / math.sqrt(2)).erf().diff().numpy() / 2
        factors.append(np.sqrt(np.maximum(mass, 0) / peak))
    return factors[0], factors[1]


def _excess(clean: Tensor, reflection: Tensor, recipe: Recipe) -> Tensor:
    """Return mean(t + r where that is > 1) − 1, or 0: of each channel (C, 1, 1), or of all as one (1, 1, 1)."""
    total, count = 0, 0
    for band in _bands(clean):
        both = reflection[:, band] + power(clean[:, band], recipe.gamma)
        over = both > 1
        total = total + (both * over).flatten(1).sum(1, dtype=torch.float64)
        count = count + over.flatten(1).sum(1)
    if not recipe.per_channel:
        total, count = total.sum(0, keepdim=True), count.sum(0, keepdim=True)
    return (total / count.clamp(min=1) - 1).clamp(min=0).to(clean.dtype)[:, None, None]


def _bands(image: Tensor) -> Iterator[slice]:
    """Yield slices of rows of an image (C, H, W)."""
    rows = max(1, BAND // (image.shape[0] * image.shape[2]))
    for top in range(0, image.shape[1], rows):
        yield slice(top, min(top + rows, image.shape[1]))
