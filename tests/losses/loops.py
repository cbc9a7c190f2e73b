"""What the loops share: pixels, windows, borders and transforms, one number at a time, as formulas are written.

Images are (C, H, W), planes (H, W), in float64; nothing here or in the loops asks a filter or a tensor library.
"""

import cmath
import math
from collections.abc import Iterable, Iterator

import numpy as np

Image = np.ndarray
Plane = np.ndarray


def mean(values: Iterable[float]) -> float:
    """Return the mean, summed without rounding."""
    found = list(values)
    return math.fsum(found) / len(found)


def pairs(one: np.ndarray, other: np.ndarray) -> Iterator[tuple[float, float]]:
    """Yield the numbers of two arrays that stand at the same place."""
    assert one.shape == other.shape
    yield from zip(one.ravel().tolist(), other.ravel().tolist(), strict=True)


def places(plane: Plane) -> Iterator[tuple[int, int]]:
    """Yield row and column of every pixel."""
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            yield y, x


def at(plane: Plane, y: int, x: int) -> float:
    """Return a pixel, 0 beyond the border."""
    inside = 0 <= y < plane.shape[0] and 0 <= x < plane.shape[1]
    return float(plane[y, x]) if inside else 0.0


def repeated(plane: Plane, y: int, x: int) -> float:
    """Return a pixel, beyond the border the nearest one inside."""
    return float(plane[min(max(y, 0), plane.shape[0] - 1), min(max(x, 0), plane.shape[1] - 1)])


def mirrored(plane: Plane, y: int, x: int) -> float:
    """Return a pixel, beyond the border its mirror image about the last pixel."""
    return float(plane[_mirror(y, plane.shape[0]), _mirror(x, plane.shape[1])])


def _mirror(place: int, length: int) -> int:
    while not 0 <= place < length:
        place = -place if place < 0 else 2 * (length - 1) - place
    return place


def gaussian(size: int, sigma: float) -> np.ndarray:
    """Return a Gaussian window of so many pixels a side, of sum 1: (size, size)."""
    middle, weights = (size - 1) / 2, np.zeros((size, size))
    for y, x in places(weights):
        weights[y, x] = math.exp(-((y - middle) ** 2 + (x - middle) ** 2) / (2 * sigma**2))
    return weights / weights.sum()


def views(plane: Plane, size: int, stride: int = 1) -> Iterator[Plane]:
    """Yield what every window inside a plane sees, row by row."""
    for y in range(0, plane.shape[0] - size + 1, stride):
        for x in range(0, plane.shape[1] - size + 1, stride):
            yield plane[y : y + size, x : x + size]


def weighted(image: Image, weights: tuple[float, ...]) -> Plane:
    """Return the weighted sum of the colours; of grey images, the image."""
    if len(image) == 1:
        return image[0]
    plane = np.zeros(image.shape[1:])
    for y, x in places(plane):
        plane[y, x] = sum(w * image[c, y, x] for c, w in enumerate(weights))
    return plane


def halved(plane: Plane) -> Plane:
    """Return the means of blocks of 2×2, zeros beyond the border."""
    found = np.zeros((-(-plane.shape[0] // 2), -(-plane.shape[1] // 2)))
    for y, x in places(found):
        found[y, x] = sum(at(plane, 2 * y + j, 2 * x + i) for j in (0, 1) for i in (0, 1)) / 4
    return found


def gradient(plane: Plane, smoothing: tuple[float, float, float]) -> Plane:
    """Return |∇|: differences over two pixels, smoothed across; zeros beyond the border."""
    found = np.zeros_like(plane)
    for y, x in places(plane):
        across = down = 0.0
        for step, weight in zip((-1, 0, 1), smoothing, strict=True):
            across += weight * (at(plane, y + step, x + 1) - at(plane, y + step, x - 1))
            down += weight * (at(plane, y + 1, x + step) - at(plane, y - 1, x + step))
        found[y, x] = math.hypot(across, down)
    return found


def similar(a: float, b: float, c: float) -> float:
    """Return ``(2ab + c)/(a² + b² + c)``, the similarity of two numbers (after Wang et al., 2004)."""
    return (2 * a * b + c) / (a * a + b * b + c)


def spectrum(plane: Plane, sign: int = -1) -> Plane:
    """Return ``Σ_yx plane_yx e^(±2πi (uy/H + vx/W))`` of every frequency (u, v): the transform, or with + its inverse.

    Both without a factor.
    """
    height, width = plane.shape
    waves = [[cmath.exp(sign * 2j * math.pi * k * n / size) for n in range(size)] for size in (height, width) for k in range(size)]  # fmt: skip
    rows, columns = np.array(waves[:height]), np.array(waves[height:])
    found = np.zeros((height, width), complex)
    for u, v in places(found):
        found[u, v] = (plane * np.outer(rows[u], columns[v])).sum()
    return found


def haar(plane: Plane) -> tuple[Plane, Plane, Plane, Plane]:
    """Return LL, LH, HL and HH of the blocks a b / c d (Haar, 1910); an odd side is mirrored on by a pixel."""
    bands = [np.zeros((-(-plane.shape[0] // 2), -(-plane.shape[1] // 2))) for _ in range(4)]
    for y, x in places(bands[0]):
        a, b, c, d = (mirrored(plane, 2 * y + j, 2 * x + i) for j in (0, 1) for i in (0, 1))
        for band, signs in zip(bands, ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)), strict=True):
            band[y, x] = (a + signs[0] * b + signs[1] * c + signs[2] * d) / 2
    return tuple(bands)
