"""White noise: Gaussian, Poisson, speckle, salt and pepper, and Gaussian whose σ varies over the image."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.degraded import (
    STEPS,
    Degradation,
    Degraded,
    Draw,
    of_each,
    on_device_of,
    one_per_image,
)
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
from restoration.degradations.plain import rgb2gray


@dataclass(frozen=True)
class Noise(Degradation):
    """White Gaussian noise; ``sigma`` in 8-bit steps (0 to 255), or a range: one σ per image, drawn uniformly.

    ``clip`` limits the noisy image to [0, 1]; denoising papers do not (Zhang et al., DnCNN, 2017). ``grey`` is the
    probability that all channels get the same noise.
    """

    scale: ClassVar[int] = 1

    sigma: Range
    clip: bool = False
    grey: float = 0.0

    def __post_init__(self) -> None:
        check_range("sigma", self.sigma)
        check_probability("grey", self.grey)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean + noise, and each image's σ."""
        one_per_image(clean, keys)
        return added(clean, [self._draw(key, clean.shape[1:]) for key in keys], self.clip)

    def _draw(self, key: Key, shape: torch.Size) -> tuple[Tensor, Draw]:
        rng = generator(key, "noise")
        sigma = float(rng.uniform(*ends(self.sigma)))
        grey, of_grey = _grey(rng, self.grey)
        return _white(rng, shape, grey) * (sigma / STEPS), {"sigma": sigma} | of_grey


@dataclass(frozen=True)
class Poisson(Degradation):
    """Photon (shot) noise: strength · (Poisson(x·P)/P − x), with P photons at white.

    Without ``photons``, P is the number of distinct levels of the image in 8 bits, raised to a power of two, as in
    Real-ESRGAN (Wang et al., 2021, whose strengths are 0.05 to 3). A range of photons is drawn log-uniformly; BSRGAN
    (Zhang et al., 2021) has 1e2 to 1e4. x is the image in 8 bits; its noise is added to the image as it came.
    ``grey`` is the probability that all channels get the noise of the grey image.
    """

    scale: ClassVar[int] = 1

    strength: Range = 1.0
    photons: Range | None = None
    grey: float = 0.0
    clip: bool = False

    def __post_init__(self) -> None:
        check_range("strength", self.strength)
        check_probability("grey", self.grey)
        if self.photons is not None:
            check_range("photons", self.photons, 1.0, 1e9)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean + noise, each image's strength and its photons at white."""
        one_per_image(clean, keys)
        drawn = [self._draw(key, image[None].detach()) for key, image in zip(keys, clean, strict=True)]
        return added(clean, drawn, self.clip)

    def _draw(self, key: Key, image: Tensor) -> tuple[Tensor, Draw]:
        rng = generator(key, "poisson")
        strength = uniform(rng, self.strength)
        photons = None if self.photons is None else _log_uniform(rng, self.photons)
        grey, of_grey = _grey(rng, self.grey)
        steps = (
            (rgb2gray(image) if grey else image)[0].clamp(0, 1).mul(STEPS).add_(0.5).floor_().cpu().numpy()
        )
        if photons is None:
            levels = int(np.count_nonzero(np.bincount(steps.astype(np.uint8).ravel(), minlength=STEPS + 1)))
            photons = float(1 << (levels - 1).bit_length())
        expected = steps * np.float32(photons / STEPS)
        noise = (rng.poisson(expected) - expected) * (strength / photons)
        return torch.from_numpy(noise).expand(image.shape[1:]), {
            "strength": strength,
            "photons": photons,
        } | of_grey


@dataclass(frozen=True)
class Speckle(Degradation):
    """Multiplicative Gaussian noise, x + x·n; ``sigma`` of n in 8-bit steps, the noise of a white pixel."""

    scale: ClassVar[int] = 1

    sigma: Range = (2.0, 25.0)
    grey: float = 0.0
    clip: bool = False

    def __post_init__(self) -> None:
        check_range("sigma", self.sigma)
        check_probability("grey", self.grey)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean · (1 + noise), and each image's σ."""
        one_per_image(clean, keys)
        return added(clean, [self._draw(key, clean.shape[1:]) for key in keys], self.clip, multiplied=True)

    def _draw(self, key: Key, shape: torch.Size) -> tuple[Tensor, Draw]:
        rng = generator(key, "speckle")
        sigma = uniform(rng, self.sigma)
        grey, of_grey = _grey(rng, self.grey)
        return _white(rng, shape, grey) * (sigma / STEPS), {"sigma": sigma} | of_grey


@dataclass(frozen=True)
class SaltPepper(Degradation):
    """Samples replaced by white (a share ``salt`` of them) or black; ``amount`` is the share that is replaced.

    ``grey`` is the probability that the channels of a pixel are replaced together.
    """

    scale: ClassVar[int] = 1

    amount: Range = 0.05
    salt: float = 0.5
    grey: float = 0.0

    def __post_init__(self) -> None:
        check_range("amount", self.amount, 0.0, 1.0)
        check_probability("salt", self.salt)
        check_probability("grey", self.grey)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean with samples replaced, and each image's share of them."""
        one_per_image(clean, keys)
        drawn = [self._draw(key, clean.shape[1:]) for key in keys]
        value = on_device_of(clean, [value for value, _ in drawn])
        return Degraded(torch.where(value < 0, clean, value), draw=of_each([draw for _, draw in drawn]))

    def _draw(self, key: Key, shape: torch.Size) -> tuple[Tensor, Draw]:
        """Return what replaces each sample, 0 or 1, and -1 where it stays."""
        rng = generator(key, "salt-pepper")
        amount = uniform(rng, self.amount)
        grey, of_grey = _grey(rng, self.grey)
        u = rng.random((1, *shape[1:]) if grey else shape)
        value = np.where(u < amount * self.salt, 1, np.where(u < amount, 0, -1)).astype(np.int8)
        return torch.from_numpy(value).expand(shape), {"amount": amount} | of_grey


@dataclass(frozen=True)
class VaryingNoise(Degradation):
    """Gaussian noise whose σ varies smoothly over the image between the ends of ``sigma``, in 8-bit steps.

    σ is drawn uniformly at ``knots`` x ``knots`` points from corner to corner, and runs between them by Hermite's
    3t² − 2t³. The draw holds the points' σ; ``sigma_map`` makes the map of them, as non-blind denoisers take it
    (Zhang et al., FFDNet, 2018).
    """

    scale: ClassVar[int] = 1

    sigma: tuple[float, float] = (0.0, 50.0)
    knots: int = 4
    clip: bool = False

    def __post_init__(self) -> None:
        check_range("sigma", self.sigma)
        if self.knots < 2:
            raise ValueError(f"knots = {self.knots}; expected a whole number from 2")

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean + noise, and σ at each image's knots."""
        one_per_image(clean, keys)
        return added(clean, [self._draw(key, clean.shape[1:]) for key in keys], self.clip)

    def _draw(self, key: Key, shape: torch.Size) -> tuple[Tensor, Draw]:
        rng = generator(key, "varying-noise")
        knots = rng.uniform(*self.sigma, (self.knots, self.knots))
        sigma = sigma_map(knots, *shape[1:]).astype(np.float32)
        return _white(rng, shape) * torch.from_numpy(sigma / STEPS), {"sigma": knots.tolist()}


def sigma_map(knots: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the σ of every pixel, (H, W), from its values at knots from corner to corner, (K, K)."""

    def weights(length: int) -> np.ndarray:
        place = np.linspace(0, len(knots) - 1, length)[:, None]
        near = np.clip(1 - np.abs(place - np.arange(len(knots))), 0, 1)
        return near * near * (3 - 2 * near)

    return weights(height) @ np.asarray(knots) @ weights(width).T


def protocol_noise(shape_hwc: tuple[int, int, int], sigma: float, seed: int = 0) -> np.ndarray:
    """Return the noise of the denoising papers' tables, (H, W, C) float64, ``sigma`` in 8-bit steps.

    ``numpy.random.seed(seed)`` before every image, then ``normal(0, σ/255, (H, W, C))``; to be added in place to the
    float32 image, which rounds once.
    """
    return np.random.RandomState(seed).normal(0, sigma / STEPS, shape_hwc)


def added(clean: Tensor, drawn: list[tuple[Tensor, Draw]], clip: bool, multiplied: bool = False) -> Degraded:
    noise = on_device_of(clean, [noise for noise, _ in drawn])
    noisy = clean + (clean * noise if multiplied else noise)
    return Degraded(noisy.clamp(0, 1) if clip else noisy, draw=of_each([draw for _, draw in drawn]))


def _white(rng: np.random.Generator, shape: torch.Size, grey: bool = False) -> Tensor:
    """Return standard normal samples, (C, H, W); grey ones are the same in every channel."""
    drawn = rng.standard_normal((1, *shape[1:]) if grey else shape, dtype=np.float32)
    return torch.from_numpy(drawn).expand(shape)


def _grey(rng: np.random.Generator, probability: float) -> tuple[bool, Draw]:
    """Return whether channels share their noise, and what the draw says of it: nothing where that has no chance."""
    if not probability:
        return False, {}
    grey = bool(rng.random() < probability)
    return grey, {"grey": grey}


def _log_uniform(rng: np.random.Generator, value: Range) -> float:
    low, high = ends(value)
    return math.exp(uniform(rng, (math.log(low), math.log(high))))
