"""Low light: a short exposure, with the noise of few photons."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.dct import straight_through
from restoration.degradations.degraded import (
    Degradation,
    Degraded,
    Draw,
    of_each,
    on_device_of,
    one_per_image,
)
from restoration.degradations.draws import Key, Keys, Range, check_range, generator, uniform
from restoration.degradations.light import power

GAMMA = 2.2


@dataclass(frozen=True)
class LowLight(Degradation):
    """A picture exposed too short: darkened in linear light, x^2.2, counted photon by photon, and back in gamma.

    ``exposure`` is the share of the light that is left, ``gamma`` above 1 darkens the shadows further: L becomes
    exposure · L^gamma. White is ``photons`` of the full exposure; each sample is a Poisson count plus Gaussian
    ``read`` noise, in photons, over photons; 0 of ``photons`` has no noise of either kind. ``balance`` is the largest
    part by which red and blue are multiplied too much or too little, as by a wrong white balance.
    """

    scale: ClassVar[int] = 1

    exposure: Range = (0.05, 0.3)
    gamma: Range = 1.0
    photons: Range = (500.0, 5000.0)
    read: Range = (1.0, 6.0)
    balance: float = 0.0

    def __post_init__(self) -> None:
        check_range("exposure", self.exposure, most=1)
        check_range("gamma", self.gamma, least=0.1)
        check_range("photons", self.photons, most=1e9)
        check_range("read", self.read)
        check_range("balance", self.balance, most=0.9)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the dark image in [0, 1], and each image's exposure."""
        one_per_image(clean, keys)
        made = [self._expose(power(image.cpu(), GAMMA), key) for image, key in zip(clean, keys, strict=True)]
        dark = [power(light.clamp(max=1), 1 / GAMMA) for light, _ in made]
        return Degraded(on_device_of(clean, dark), None, {}, of_each([draw for _, draw in made]))

    def _expose(self, light: Tensor, key: Key) -> tuple[Tensor, Draw]:
        """Return linear light (C, H, W) as the sensor counts it, and the exposure; gradients pass the counting."""
        rng = generator(key, "low-light")
        draw = {name: uniform(rng, getattr(self, name)) for name in ("exposure", "gamma", "photons", "read")}
        red, blue = 1 + self.balance * rng.uniform(-1, 1, 2)
        gains = np.array([red, 1, blue] if len(light) == 3 else [1.0], np.float32)
        dark = power(light, draw["gamma"]) * draw["exposure"] * torch.from_numpy(gains).view(-1, 1, 1)
        if draw["photons"] > 0:
            counts = rng.poisson(dark.detach().numpy() * draw["photons"])
            counts = counts + rng.standard_normal(dark.shape, dtype=np.float32) * np.float32(draw["read"])
            dark = straight_through(dark, torch.from_numpy(counts / draw["photons"]).to(dark.dtype))
        return dark, draw | {"gains": gains.tolist()}
