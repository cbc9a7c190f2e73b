"""Restorers that were measured with several seeds as one: the mean over images and seeds, and how sure it is."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from restoration.benchmarks.clips import unit_means
from restoration.benchmarks.intervals import mean_interval, set_interval
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.metrics.distributions import SetMetric
from restoration.benchmarks.pairing import independent, seedless, shared_images
from restoration.benchmarks.result import Row


def over_seeds(rows: Sequence[Row]) -> list[Row]:
    """Return rows in which restorers that differ in ``[seed=…]`` alone are one: means over images and seeds.

    Intervals are those of images and seeds; only images that all of a restorer's seeds have count. Seconds are a mean
    over seeds, memory is the largest.
    """
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.protocol, seedless(row.restorer), row.metric, row.convention), []).append(row)
    return [group[0] if len(group) == 1 else _pooled(key[1], group) for key, group in groups.items()]


def with_pooled(rows: Sequence[Row]) -> list[Row]:
    """Return rows, and after those of a restorer's seeds the one over all of them, by its name without seed."""
    found = list(rows)
    names = {row.restorer for row in rows}
    for pooled in (row for row in over_seeds(rows) if row.restorer not in names):
        own = [i for i, row in enumerate(found) if row.protocol == pooled.protocol]
        last = max(i for i in own if seedless(found[i].restorer) == pooled.restorer)
        found.insert(last + 1, pooled)
    return found


def _pooled(name: str, rows: Sequence[Row]) -> Row:
    first, kind = rows[0], METRICS[rows[0].metric]
    names = shared_images([row.per_image for row in rows])
    values = np.array([[row.per_image[image] for image in names] for row in rows])
    if names:
        counted = np.array([unit_means({n: row.per_image[n] for n in names}, row.convention) for row in rows])
        mean: float | None = float(counted.mean())
        interval = mean_interval(independent(counted, names, first), kind.ceiling, floor=kind.floor)
    else:  # of sets: one value per seed, and no images to pair
        means = [row.mean for row in rows if row.mean is not None]
        left_out = [row.left_out for row in rows if row.mean is not None]
        same = len({tuple(size for size, _ in groups) for groups in left_out}) == 1
        share = issubclass(kind, SetMetric) and kind.share
        interval = set_interval(means, left_out if same else [], kind.floor, kind.ceiling, share)
        mean = float(np.mean(means)) if means else None
    per_image = dict(zip(names, values.mean(0).tolist(), strict=True)) if names else {}
    return replace(
        first, restorer=name, mean=mean, low=interval.low, high=interval.high, n=len(names) or first.n,
        per_image=per_image, seconds=sum(row.seconds for row in rows) / len(rows),
        peak_mib=max(r.peak_mib for r in rows), left_out=(),
        missing={image: why for row in rows for image, why in row.missing.items()},
    )  # fmt: skip
