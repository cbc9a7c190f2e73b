"""What an interval rests on: the errors that a mean is made of, the laws they follow, and resamples that show these."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

RESAMPLES = 5000
LEVEL = 0.95
HELD = 1_000_000  # shares of resamples that are held at once
KEPT = 8_000_000  # and those that are kept, as counts, for the next study: 16 MB
HALVINGS = 30  # of the range that a p value is looked for in


@dataclass(frozen=True)
class Part:
    """One part of a mean's error, and the laws that its |t| may follow: the widest counts."""

    error: float
    draws: Sequence[NDArray[np.float64]] = ()  # |t| of resamples
    freedom: float | None = None  # of Student's t

    def half(self, level: float) -> float:
        """Return half the width of an interval where this part is all there is."""
        found = [float(np.quantile(draws, level)) for draws in self.draws]
        return self.error * max([*found, student(self.freedom, level) if self.freedom else 0.0])

    def p(self, distance: float) -> float:
        """Return how much of the law lies at least so far out."""
        t = distance / self.error
        found = [(1 + int((draws >= t).sum())) / (len(draws) + 1) for draws in self.draws]
        return max([*found, student_tail(t, self.freedom) if self.freedom else 0.0])


@dataclass(frozen=True)
class Study:
    """A mean, the independent parts of its error, and the law of all at once where that can be resampled.

    Half widths of parts are added in squares, each with the quantile of its own law (Graybill & Wang, 1980): so a part
    of which little is known, as the spread of two seeds, counts for what it may be. A share that no image changed may
    still be off by −ln(1 − level) of ``grain``, 1 / images: at 95 % the rule of three (Hanley & Lippman-Hand, 1983).
    """

    mean: float
    parts: Sequence[Part]
    whole: Part | None = None
    grain: float = 0.0

    @property
    def error(self) -> float:
        """Return the standard error."""
        return math.hypot(*(part.error for part in self.parts))

    def half(self, level: float = LEVEL) -> float:
        """Return half the width of the interval."""
        apart = math.hypot(*(part.half(level) for part in self.parts))
        return max(apart, self.whole.half(level) if self.whole else 0.0, -math.log1p(-level) * self.grain)

    def p(self, resamples: int = RESAMPLES) -> float:
        """Return how much of the law lies as far from the mean as 0 does, at least 1 / (resamples + 1)."""
        least = 1 / (resamples + 1)
        if self.mean == 0 or self.error == self.grain == 0:
            return 1.0 if self.mean == 0 else least
        if len(self.parts) == 1 and self.whole is None and not self.grain:
            return max(least, self.parts[0].p(abs(self.mean)))
        low, high = least, 1.0  # the interval of the level 1 − p ends at 0
        if self.half(1 - low) <= abs(self.mean):
            return low
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.half(1 - middle) <= abs(self.mean) else (middle, high)
        return high


def shares(n: int, resamples: int = RESAMPLES, stream: int = 0) -> Iterator[NDArray[np.float64]]:
    """Yield how large a share each of ``n`` images or seeds has in each resample, (some resamples, n), of a fixed seed.

    So many at a time that memory does not grow with n.
    """
    rng, some = np.random.default_rng(stream), max(1, HELD // n)
    kept = _kept(n, resamples, stream) if n * resamples <= KEPT else None
    for start in range(0, resamples, some):
        stop = min(start + some, resamples)
        yield (_drawn(rng, n, stop - start) if kept is None else kept[start:stop]) / n


@lru_cache(maxsize=4)
def _kept(n: int, resamples: int, stream: int) -> NDArray[np.integer]:
    return _drawn(np.random.default_rng(stream), n, resamples).astype(np.uint16)


def _drawn(rng: np.random.Generator, n: int, resamples: int) -> NDArray[np.integer]:
    return rng.multinomial(n, np.full(n, 1 / n), resamples)


@lru_cache(maxsize=256)
def student(freedom: float, level: float = LEVEL) -> float:
    """Return the quantile of Student's |t| to three places; ``freedom``, from 1 on, may be a fraction."""
    return round(float(stdtrit(freedom, (1 + level) / 2)), 3)


def student_tail(t: float, freedom: float) -> float:
    """Return how much of Student's law has a larger |t|."""
    return float(2 * stdtr(freedom, -abs(t)))
