"""Gaussian noise that is not white: correlated between channels and between pixels."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from restoration.degradations.codecs import check_whole, decoded, encoded, whole
from restoration.degradations.degraded import STEPS, Degradation, Degraded, Draw, one_per_image
from restoration.degradations.draws import Key, Keys, Range, check_range, generator, uniform
from restoration.degradations.noise import added
from restoration.degradations.smooth import gaussian

GREY = 128  # the 8-bit step that a file holds for no noise


@dataclass(frozen=True)
class CorrelatedNoise(Degradation):
    """Gaussian noise correlated between channels and, if asked for, between pixels.

    The channels' covariance is BSRGAN's, σ²·|UᵀDU| by elements, D of uniform eigenvalues in [0, 1], U the left singular
    vectors of a matrix of uniform entries (Zhang et al., 2021). ``blur`` is the σ in pixels of a Gaussian that the
    noise then passes, its variance kept, as demosaicing does. With ``quality`` the noise, on mid-grey, also passes a
    JPEG file. ``multiplied`` makes it speckle.
    """

    scale: ClassVar[int] = 1

    sigma: Range = 25.0
    blur: Range = 0.0
    quality: Range | None = None
    multiplied: bool = False
    clip: bool = False

    def __post_init__(self) -> None:
        check_range("sigma", self.sigma)
        check_range("blur", self.blur, 0.0, 10.0)
        if self.quality is not None:
            check_whole("quality", self.quality, 1, 100)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean + noise, and each image's covariance in squared 8-bit steps, blur and quality."""
        one_per_image(clean, keys)
        if clean.shape[1] not in (1, 3):
            raise ValueError(f"clean has {clean.shape[1]} channels; correlated noise needs 1 or 3")
        drawn = [self._draw(key, clean.shape[1:]) for key in keys]
        return added(clean, drawn, self.clip, self.multiplied)

    def _draw(self, key: Key, shape: torch.Size) -> tuple[Tensor, Draw]:
        rng = generator(key, "correlated-noise")
        sigma, blur = uniform(rng, self.sigma), uniform(rng, self.blur)
        quality = None if self.quality is None else whole(rng, self.quality)
        covariance = _covariance(rng, shape[0]) * sigma**2
        radius = math.ceil(3 * blur)
        white = rng.standard_normal((shape[0], *(n + 2 * radius for n in shape[1:])), dtype=np.float32)
        values, axes = np.linalg.eigh(covariance)
        mix = (axes * np.sqrt(values.clip(0)) / STEPS).astype(np.float32)
        noise = (mix @ white.reshape(shape[0], -1)).reshape(white.shape)
        if radius:
            noise = _blurred(noise, blur, radius)
        if quality is not None:
            steps = np.clip(noise * STEPS + (GREY + 0.5), 0, STEPS).astype(np.uint8).transpose(1, 2, 0)
            passed = decoded(encoded(steps, "JPEG", quality=quality), shape[0]).transpose(2, 0, 1)
            noise = (passed - np.float32(GREY)) / STEPS
        draw = {"covariance": covariance.tolist(), "blur": blur} | ({"quality": quality} if quality else {})
        return torch.from_numpy(np.ascontiguousarray(noise)), draw


def _covariance(rng: np.random.Generator, channels: int) -> np.ndarray:
    values = np.diag(rng.random(channels))
    axes = np.linalg.svd(rng.random((channels, channels)))[0]
    return np.abs(axes.T @ values @ axes)


def _blurred(noise: np.ndarray, sigma: float, radius: int) -> np.ndarray:
    """Return noise (C, H + 2 radius, W + 2 radius) as (C, H, W) behind a Gaussian of unit energy."""
    taps = gaussian(sigma, radius)
    taps = (taps / np.sqrt((taps**2).sum())).astype(np.float32)
    for axis in (1, 2):
        noise = sliding_window_view(noise, len(taps), axis) @ taps
    return noise
