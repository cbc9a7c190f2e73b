"""How sure a mean over images is, and whether two restorers differ: symmetric studentised bootstrap intervals."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

RESAMPLES = 5000
LEVEL = 0.95
ENOUGH = 8  # images from which resampling says something, and a difference may be called significant
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447}  # images → 97.5 % quantile of t


class Interval(NamedTuple):
    """A 95 % confidence interval; both ends are None where there are too few images."""

    low: float | None
    high: float | None


def mean_interval(values: Sequence[float], ceiling: float = float("inf")) -> Interval:
    """Return the interval for the mean of ``values``: mean ± t · standard error.

    From 8 values on, t is the 95 % quantile of |mean* − mean| / standard error* over resamples of the images (Hall,
    1988, the symmetric percentile-t bootstrap); below, where there are too few different resamples, it is Student's.
    Unlike the percentile bootstrap, which covers 85 % at n = 5 and 90 % at n = 14, this covers 93 to 97 % from n = 14
    on for normal, skewed and heavy-tailed values, and seldom less than 92 % below. Draws come from a fixed seed.
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n < min(STUDENT):
        return Interval(None, None)
    t = STUDENT[n] if n in STUDENT else _resampled_t(x - x.mean())
    half = t * float(x.std(ddof=1)) / n**0.5
    return Interval(float(x.mean() - half), min(float(x.mean() + half), ceiling))


def verdict(interval: Interval, n: int) -> str:
    """Return in words what the interval of a mean difference over ``n`` images says."""
    if n < ENOUGH or interval.low is None or interval.high is None:
        return "too few images"
    return "not significant" if interval.low <= 0 <= interval.high else "significant"


def _resampled_t(centred: np.ndarray) -> float:
    shares, n = _shares(len(centred)), len(centred)
    means = shares @ centred
    variances = shares @ centred**2 - means**2
    varied = variances > 1e-9 * (centred**2).mean()  # a resample of equal values has no t
    if not varied.any():
        return 0.0
    t = np.abs(means[varied]) / np.sqrt(variances[varied] / (n - 1))
    return float(np.quantile(t, LEVEL))


@lru_cache(maxsize=4)
def _shares(n: int) -> np.ndarray:
    """Return how large a share each of ``n`` images has in each resample: (resamples, n)."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
