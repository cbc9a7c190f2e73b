"""Blur kernels: Gaussian and its relatives, circular low-pass, defocused disk, motion.

Each function returns float64 kernels (N, k, k) of sum 1, one per entry of its parameters, which are numbers or arrays
(N,). Lengths are in pixels of the image that a kernel acts on. ``rotation`` and ``angle`` are in radians from the x
axis (columns, rightwards) towards the y axis (rows, downwards).
"""

import math

import numpy as np
import torch

Values = float | np.ndarray

LEAST_SIGMA = 1e-6  # what is narrower is a point
WIDEST = 4096  # pixels of a kernel: wider ones, mostly slips of a unit, would take gigabytes
# A path is followed in 256 steps, which stand for the 2000 of Boracchi & Foi: a random walk of fewer, wider steps.
STEPS, THEIR_STEPS = 256, 2000


def gaussian(size: int, sigma_x: Values, sigma_y: Values | None = None, rotation: Values = 0.0) -> np.ndarray:
    """Return Gaussians, exp(−d²/2); standard deviations along the rotated axes, ``sigma_y`` that of x if not given."""
    return _normalised(np.exp(-0.5 * _squared_distance(size, sigma_x, sigma_y, rotation)))


def generalised_gaussian(
    size: int, sigma_x: Values, sigma_y: Values | None = None, rotation: Values = 0.0, beta: Values = 1.0
) -> np.ndarray:
    """Return exp(−(d²)^β/2) (Pascal et al., 2013): β = 1 is the Gaussian, more a flatter top, less a sharper peak."""
    squared = _squared_distance(size, sigma_x, sigma_y, rotation)
    return _normalised(np.exp(-0.5 * squared ** _column(beta)))


def plateau(
    size: int, sigma_x: Values, sigma_y: Values | None = None, rotation: Values = 0.0, beta: Values = 1.0
) -> np.ndarray:
    """Return 1 / (1 + (d²)^β), the plateau of Real-ESRGAN (Wang et al., 2021): flat on top, with long tails."""
    squared = _squared_distance(size, sigma_x, sigma_y, rotation)
    return _normalised(1 / (1 + squared ** _column(beta)))


def low_pass(size: int, cutoff: Values) -> np.ndarray:
    """Return the ideal low-pass of circular support, ω J₁(ωr) / 2πr, which overshoots and rings at edges.

    ``cutoff`` ω in radians per pixel, up to π; cut off at ``size``, so the more ideal the larger.
    """
    y, x = _grid(size)
    radius, cutoff = np.hypot(x, y), _column(cutoff)
    away = np.where(radius > 0, radius, 1)
    j1 = torch.special.bessel_j1(torch.from_numpy(cutoff * away)).numpy()
    return _normalised(np.where(radius > 0, cutoff * j1 / (2 * np.pi * away), cutoff**2 / (4 * np.pi)))


def disk(size: int, radius: Values) -> np.ndarray:
    """Return the point spread of a lens out of focus: every pixel holds the share of it that the disk covers."""
    corner = np.arange(size + 1) - size / 2
    area = _covered(corner[None, :], corner[:, None], np.maximum(_column(radius), LEAST_SIGMA))
    return _normalised(area[:, 1:, 1:] - area[:, 1:, :-1] - area[:, :-1, 1:] + area[:, :-1, :-1])


def rasterised(size: int, path: np.ndarray) -> np.ndarray:
    """Return the kernels of paths (N, T, 2), equally long stays at T places (x, y) from the kernel's centre.

    Each stay is shared out among the four pixels around it, bilinearly; what lies outside of the kernel is left out.
    """
    kernels = np.zeros((len(path), size, size))
    image = np.arange(len(path))[:, None]
    place = path + size // 2
    corner = np.floor(place)
    part = place - corner
    for i in (0, 1):
        for j in (0, 1):
            x, y = (corner[..., 0] + i).astype(int), (corner[..., 1] + j).astype(int)
            inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
            share = abs(1 - i - part[..., 0]) * abs(1 - j - part[..., 1]) * inside
            np.add.at(kernels, (image, y.clip(0, size - 1), x.clip(0, size - 1)), share)
    return _normalised(kernels)


def shaken_path(rng: np.random.Generator, length: float, angle: float, shake: float) -> np.ndarray:
    """Return the path (T, 2) of a hand-held camera during an exposure, ``length`` pixels long and centred on its mean.

    The model of Boracchi & Foi (2012): at constant speed the direction is disturbed by tremor, by a pull back to where
    the path began, and now and then by a jerk that reverses it; ``shake`` is their anxiety, 0 (a straight line, at
    ``angle``) to about 0.005. No place is further than length/2 from the centre.
    """
    tremor, pull, jerk = 10 * rng.random(), 0.7 * rng.random(), 0.2 * rng.random()
    coarser = THEIR_STEPS / STEPS
    noise = rng.standard_normal((STEPS, 2)) @ np.array([1, 1j]) * (tremor * shake * math.sqrt(coarser))
    jerked = rng.random(STEPS) < jerk * shake * coarser
    turn = np.where(jerked, 2 * np.exp(1j * (np.pi + rng.random(STEPS) - 0.5)), 0)
    pull *= shake * coarser
    step = length / STEPS
    velocity, place, places = complex(math.cos(angle), math.sin(angle)), 0j, []
    for disturbed, turned in zip(noise.tolist(), turn.tolist(), strict=True):
        velocity += velocity * turned + disturbed - pull * place
        velocity /= abs(velocity) or 1.0
        places.append(place + velocity * (step / 2))
        place += velocity * step
    path = np.array(places)
    path -= path.mean()
    return np.stack([path.real, path.imag], axis=-1)


def padded(kernel: np.ndarray, size: int) -> np.ndarray:
    """Return a kernel (…, k, k) with zeros around it, ``size`` wide; both odd."""
    edge = (size - kernel.shape[-1]) // 2
    return np.pad(kernel, [(0, 0)] * (kernel.ndim - 2) + [(edge, edge)] * 2)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of a kernel's pixels from its centre, rows (k, 1) and columns (1, k)."""
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size = {size}; expected an odd number")
    axis = np.arange(size) - size // 2.0
    return axis[:, None], axis[None, :]


def _column(values: Values) -> np.ndarray:
    return np.reshape(np.asarray(values, dtype=np.float64), (-1, 1, 1))


def _squared_distance(size: int, sigma_x: Values, sigma_y: Values | None, rotation: Values) -> np.ndarray:
    """Return each pixel's squared distance from the centre in standard deviations (N, k, k)."""
    y, x = _grid(size)
    cos, sin = np.cos(_column(rotation)), np.sin(_column(rotation))
    along = np.maximum(_column(sigma_x), LEAST_SIGMA)
    across = along if sigma_y is None else np.maximum(_column(sigma_y), LEAST_SIGMA)
    return ((x * cos + y * sin) / along) ** 2 + ((y * cos - x * sin) / across) ** 2


def _covered(x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Return the area of a disk within the rectangle from its centre to (x, y), negative where x·y is.

    ∫₀ˣ min(y, √(r² − t²)) dt, where the circle is below y from t₀ = √(r² − y²) on.
    """
    wide, high = np.minimum(abs(x), radius), np.minimum(abs(y), radius)
    start = np.minimum(wide, np.sqrt(radius**2 - high**2))

    def primitive(t: np.ndarray) -> np.ndarray:
        return (t * np.sqrt(radius**2 - t**2) + radius**2 * np.arcsin(t / radius)) / 2

    return np.sign(x) * np.sign(y) * (high * start + primitive(wide) - primitive(start))


def _normalised(kernels: np.ndarray) -> np.ndarray:
    return kernels / kernels.sum((-2, -1), keepdims=True)
