"""Additive white Gaussian noise."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.degraded import Degradation, Degraded, on_device_of, one_per_image
from restoration.degradations.draws import Keys, generator

# the field writes σ in steps of an 8-bit image: σ = 25 is 25/255 here
STEPS = 255


@dataclass(frozen=True)
class Noise(Degradation):
    """White Gaussian noise; ``sigma`` in 8-bit steps (0 to 255), or a range: one σ per image, drawn uniformly.

    ``clip`` limits the noisy image to [0, 1]; denoising papers do not (Zhang et al., DnCNN, 2017).
    """

    scale: ClassVar[int] = 1

    sigma: float | tuple[float, float]
    clip: bool = False

    def __post_init__(self) -> None:
        low, high = self._range()
        if not 0 <= low <= high:
            raise ValueError(f"sigma = {self.sigma}; expected a number from 0, or [lowest, highest]")

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean + noise, and each image's σ."""
        one_per_image(clean, keys)
        drawn = [self._draw(key, clean.shape[1:]) for key in keys]
        noisy = clean + on_device_of(clean, [noise for _, noise in drawn])
        return Degraded(
            noisy.clamp(0, 1) if self.clip else noisy, draw={"sigma": [sigma for sigma, _ in drawn]}
        )

    def _draw(self, key: tuple[int, int], shape: torch.Size) -> tuple[float, Tensor]:
        rng = generator(key, "noise")
        sigma = float(rng.uniform(*self._range()))
        return sigma, torch.from_numpy(
            rng.standard_normal(shape, dtype=np.float32) * np.float32(sigma / STEPS)
        )

    def _range(self) -> tuple[float, float]:
        return self.sigma if isinstance(self.sigma, tuple) else (self.sigma, self.sigma)


def protocol_noise(shape_hwc: tuple[int, int, int], sigma: float, seed: int = 0) -> np.ndarray:
    """Return the noise of the denoising papers' tables, (H, W, C) float64, ``sigma`` in 8-bit steps.

    ``numpy.random.seed(seed)`` before every image, then ``normal(0, σ/255, (H, W, C))``; to be added in place to the
    float32 image, which rounds once.
    """
    return np.random.RandomState(seed).normal(0, sigma / STEPS, shape_hwc)
