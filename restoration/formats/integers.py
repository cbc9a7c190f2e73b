"""Integers with a sign or of 32 bits, as TIFF holds them: to samples of 8 or 16 bits or floats, and back."""

from dataclasses import dataclass

import numpy as np

from restoration.formats.bands import Releasing, empty_samples

KINDS = ("i1", "i2", "i4", "u4")  # numpy's names
ROWS = 256
SHORT, LONG = 65535, 4294967295  # the largest unsigned integers of 16 and 32 bits


@dataclass(frozen=True)
class Integers:
    """How integers lie in samples: ``lowest`` is 0, and ``lowest + peak`` is white.

    Those of 8 and 16 bits have the range of their type. Of those of 32 bits, values that 16 bits hold, unsigned or
    signed, are samples of 16; any others are floats, which keep 24 bits of them.
    """

    kind: str
    lowest: int
    peak: int

    @property
    def dtype(self) -> np.dtype:
        """Return the type of the integers."""
        return np.dtype(self.kind)

    @property
    def samples(self) -> np.dtype:
        """Return the type of the samples."""
        return np.dtype({255: "u1", SHORT: "u2", LONG: "f4"}[self.peak])

    @property
    def rounded(self) -> bool:
        """Return whether samples hold less than the integers did."""
        return self.peak == LONG

    def to_samples(self, integers: np.ndarray) -> np.ndarray:
        """Return samples."""
        if self.rounded:
            return ((integers.astype(np.float64) - self.lowest) / self.peak).astype(np.float32)
        return (integers.astype(np.int64) - self.lowest).astype(self.samples)

    def from_samples(self, samples: np.ndarray) -> np.ndarray:
        """Return integers; what lies outside their range is clipped to it."""
        if self.rounded:
            levels = np.rint(samples.astype(np.float64).clip(0, 1) * self.peak)
            return (levels + self.lowest).astype(np.int64).astype(self.dtype)
        return (samples.astype(np.int64) + self.lowest).astype(self.dtype)


def stored_as(kind: str, least: int, most: int) -> Integers:
    """Return how integers of a kind that hold values from ``least`` to ``most`` become samples."""
    if kind in ("i1", "i2"):
        half = 1 << (8 * int(kind[1]) - 1)
        return Integers(kind, -half, 2 * half - 1)
    if least >= 0 and most <= SHORT:
        return Integers(kind, 0, SHORT)
    if least >= -32768 and most <= 32767:
        return Integers(kind, -32768, SHORT)
    return Integers(kind, 0 if kind == "u4" else -(1 << 31), LONG)


def as_samples(
    integers: np.ndarray, alpha: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None, Integers]:
    """Return the samples of a page's integers and of its alpha, and how they were stored."""
    parts = [part for part in (integers, alpha) if part is not None]
    kind = integers.dtype.str[1:]
    ends = (0, 0) if kind in ("i1", "i2") else (min(map(_least, parts)), max(map(_most, parts)))
    stored = stored_as(kind, *ends)
    made = [_by_bands(part, stored) for part in parts]
    return made[0], made[1] if alpha is not None else None, stored


def _least(integers: np.ndarray) -> int:
    return min(int(integers[top : top + ROWS].min()) for top in range(0, len(integers), ROWS))


def _most(integers: np.ndarray) -> int:
    return max(int(integers[top : top + ROWS].max()) for top in range(0, len(integers), ROWS))


def _by_bands(integers: np.ndarray, stored: Integers) -> np.ndarray:
    samples = empty_samples(integers.shape, stored.samples)
    releasing = Releasing(samples, integers)
    for top in range(0, len(integers), ROWS):
        part = integers[top : top + ROWS]
        samples[top : top + ROWS] = stored.to_samples(part)
        releasing.used(part.nbytes)
    return samples
