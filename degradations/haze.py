"""Haze: light that the air scatters away, and into the picture."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.degraded import Degradation, Degraded, of_each, on_device_of, one_per_image
from restoration.degradations.draws import Keys, Range, check_range, generator, uniform
from restoration.degradations.smooth import random_field

HILLS = 3  # of a random depth along the longer side


@dataclass(frozen=True)
class Haze(Degradation):
    """Haze by the law of scattering (Koschmieder), on the stored values as in RESIDE (Li et al., 2019).

    ``I = J t + A (1 − t)`` with transmittance ``t = exp(−β d)``: ``beta`` is β, ``light`` is A, the brightness of the
    air. The depth d goes from 0 to 1: ``depth`` = "gradient" from the lowest row to the uppermost, "field" is a smooth
    random one, "both" is the mean of the two. Layers: "transmittance" (N, 1, H, W).
    """

    scale: ClassVar[int] = 1

    beta: Range = (0.6, 1.8)
    light: Range = (0.7, 1.0)
    depth: Literal["gradient", "field", "both"] = "both"

    def __post_init__(self) -> None:
        check_range("beta", self.beta)
        check_range("light", self.light, most=1)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image in haze, the layer, and each image's β and A."""
        one_per_image(clean, keys)
        size = tuple(clean.shape[-2:])
        generators = [generator(key, "haze") for key in keys]
        draws = [{"beta": uniform(rng, self.beta), "light": uniform(rng, self.light)} for rng in generators]
        light = on_device_of(clean, [torch.tensor(draw["light"]) for draw in draws])
        depths = [self._depth(rng, size) for rng in generators]
        # one by one: torch's exp may round otherwise in other places of a batch
        seen = [torch.exp(-draw["beta"] * depth) for draw, depth in zip(draws, depths, strict=True)]
        transmittance = on_device_of(clean, seen)
        return Degraded(
            hazed(clean, transmittance, light), None, {"transmittance": transmittance}, of_each(draws)
        )

    def untouched(self, image: Tensor) -> Degraded:
        """Return images in clear air."""
        return Degraded(image, layers={"transmittance": torch.ones_like(image[:, :1])})

    def _depth(self, rng: np.random.Generator, size: tuple[int, int]) -> Tensor:
        gradient = torch.linspace(1, 0, size[0]).view(1, -1, 1).expand(1, *size)
        if self.depth == "gradient":
            return gradient
        field = random_field(rng, size, HILLS)
        return field if self.depth == "field" else (gradient + field) / 2


def hazed(clean: Tensor, transmittance: Tensor, light: Tensor) -> Tensor:
    """Return the image in haze of a transmittance (N, 1, H, W), exp(−β d) where the depth is known, and A (N,)."""
    light = light.view(-1, 1, 1, 1)
    return light + (clean - light) * transmittance
