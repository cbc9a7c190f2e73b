"""How far apart two restorers are by one metric: paired by image, over all seeds, with what is sure about it.

Values of images are compared by the bootstrap over images and seeds (`intervals.studied`), numbers of whole sets
by the jackknife over groups of images, each left out of all sets at once (`intervals.set_interval`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from restoration.benchmarks.clips import CLIPS, unit_means
from restoration.benchmarks.dialled import split_name, with_settings
from restoration.benchmarks.intervals import (
    ENOUGH,
    LEVEL,
    RESAMPLES,
    Groups,
    Interval,
    by_cluster,
    holm,
    images_needed,
    set_images_needed,
    set_interval,
    set_p_value,
    studied,
)
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.metrics.distributions import SetMetric

if TYPE_CHECKING:
    from restoration.benchmarks.result import Row

MANY = 100_000  # images that nobody will gather
IMAGE, GROUP = "image", "independent group of images"  # a group has a clip or a clean image in common
UNITS = {IMAGE: "images", "clip": "clips", GROUP: "independent groups of images"}
FINE = 40  # resamples per comparison, so that Holm's correction can reach 5 %
Seeds = Mapping[
    str, "Row"
]  # seed → the row of one restorer; a restorer without seeds has one row, of the seed ""


@dataclass(frozen=True)
class Difference:
    """What one restorer's mean, or number of a set, is above another's; of distances to 1 where 1 is best."""

    mean: float
    interval: Interval
    n: int  # images; those that share a clip or a clean image count as one
    seeds: int
    p: float | None  # None where there are too few images
    needed: int | None  # images that would tell them apart, if the difference is what it is here


@dataclass(frozen=True)
class Pairing:
    """Two restorers by one metric: the mean of ``restorer − other``, of the distances to 1 where 1 is best."""

    restorer: str
    other: str
    difference: float
    low: float | None
    high: float | None
    n: int
    seeds: int
    p: float | None  # None where there are too few images
    corrected: float | None
    verdict: str  # "better", "worse", "not significant", "too few images"; of ``restorer``
    needed: int | None  # images that would tell them apart, if the difference is what it is here

    @property
    def turned(self) -> "Pairing":
        """Return the same pair from the other's side."""
        other = {"better": "worse", "worse": "better"}.get(self.verdict, self.verdict)
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return replace(
            self, restorer=self.other, other=self.restorer, difference=-self.difference, low=low, high=high,
            verdict=other,
        )  # fmt: skip


def pairings(restorers: Mapping[str, Seeds], metric: str) -> list[Pairing]:
    """Return every pair of restorers that share images, with verdicts that hold for all of them at once (Holm)."""
    pairs = list(combinations(restorers, 2))
    resamples = max(RESAMPLES, FINE * len(pairs))
    apart = {pair: difference(*(restorers[name] for name in pair), metric, resamples) for pair in pairs}
    found = {pair: d for pair, d in apart.items() if d is not None}
    studied = {pair: d.p for pair, d in found.items() if d.p is not None}
    corrected = dict(zip(studied, holm([*studied.values()]), strict=True))
    return [
        Pairing(
            *pair, d.mean, *d.interval, d.n, d.seeds, d.p, corrected.get(pair),
            _judged(d.mean, corrected.get(pair), metric), d.needed,
        )
        for pair, d in found.items()
    ]  # fmt: skip


def better(difference: float, metric: str) -> bool:
    """Return whether who is above by a difference, of distances to 1 where 1 is best, is better."""
    return (difference > 0) == (METRICS[metric].better == "higher")


def _judged(difference: float, corrected: float | None, metric: str) -> str:
    if corrected is None:
        return "too few images"
    if corrected > 1 - LEVEL:
        return "not significant"
    return "better" if better(difference, metric) else "worse"


def seedless(restorer: str) -> str:
    """Return a restorer's name without ``seed`` among its settings."""
    base, settings = split_name(restorer)
    return with_settings(base, {key: value for key, value in settings.items() if key != "seed"})


def by_restorer(rows: Sequence["Row"]) -> dict[str, dict[str, "Row"]]:
    """Return restorer → seed → row; those that differ in ``[seed=…]`` alone are one, measured several times."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        found.setdefault(seedless(row.restorer), {})[split_name(row.restorer)[1].get("seed", "")] = row
    return {
        next(iter(seeds.values())).restorer if len(seeds) == 1 else name: seeds
        for name, seeds in found.items()
    }


def comparable(row: "Row") -> bool:
    """Return whether a row has values of images, or a number of a set."""
    return bool(row.per_image) or (METRICS[row.metric].kind == "set" and row.mean is not None)


def difference(ours: Seeds, theirs: Seeds, metric: str, resamples: int = RESAMPLES) -> Difference | None:
    """Return ``ours − theirs``; None where they share no images, or sets are not of the same ones."""
    pairs = _pairs(ours, theirs)
    kind = METRICS[metric]
    if issubclass(kind, SetMetric):
        return _of_sets(pairs, kind.share, resamples)
    x = _of_images(pairs, kind.better == "one")
    if not x.size:
        return None
    interval, p = studied(x, resamples)
    return Difference(float(x.mean()), interval, x.shape[1], len(x), p, images_needed(x.mean(0)))


def unit_of(rows: Iterable["Row"]) -> str:
    """Return what counts as one where rows of one metric are compared: an image, a clip, a group of images."""
    for row in rows:
        if METRICS[row.metric].kind == "set":
            return IMAGE
        if CLIPS in row.convention.split(","):
            return "clip"
        if len({row.clusters.get(name, name) for name in row.per_image}) < len(row.per_image):
            return GROUP
    return IMAGE


def in_words(n: int, unit: str = IMAGE) -> str:
    """Return a number of units, of those of ``UNITS``, such as ``4 clips``."""
    return f"{n:,} {unit if n == 1 else UNITS[unit]}"


def images_in_words(needed: int, n: int, unit: str = IMAGE) -> str:
    """Return how many images, or other units, it takes to tell two restorers apart that ``n`` do not."""
    if needed > MANY:
        return f"more than {in_words(MANY, unit)}"
    return f"about {in_words(max(needed, n + 1), unit)}"


def shared_images(images: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the images that all have, in the order of the first."""
    return [name for name in images[0] if all(name in others for others in images)]


def _pairs(ours: Seeds, theirs: Seeds) -> list[tuple["Row", "Row"]]:
    """Return which rows are compared; where one restorer has no seeds, all of the other's with it.

    Seeds of the same name are paired, since they may mean the same draw; others, independent ones, in their order.
    """
    seeds = [seed for seed in ours if seed in theirs]
    if len(ours) == 1 or len(theirs) == 1:
        return [(a, b) for a in ours.values() for b in theirs.values()]
    if len(seeds) > 1:
        return [(ours[seed], theirs[seed]) for seed in seeds]
    return list(zip(ours.values(), theirs.values(), strict=False))


def _of_images(pairs: Sequence[tuple["Row", "Row"]], errors: bool) -> NDArray[np.float64]:
    """Return the differences by (seed, image), or by (seed, clip) or (seed, cluster) of images."""
    names = shared_images([row.per_image for pair in pairs for row in pair])
    first = pairs[0][0]

    def value(row: "Row", image: str) -> float:
        return abs(row.per_image[image] - 1) if errors else row.per_image[image]

    found = [
        unit_means({name: value(a, name) - value(b, name) for name in names}, first.convention)
        for a, b in pairs
    ]
    x = np.array(found, dtype=np.float64).reshape(len(pairs), -1)
    return independent(x, names, first) if names else x


def independent(x: NDArray[np.float64], names: Sequence[str], row: "Row") -> NDArray[np.float64]:
    """Return values, (…, images), with one for each cluster of images; means of clips as they are."""
    if CLIPS in row.convention.split(","):
        return x
    return by_cluster(x, [row.clusters.get(name, name) for name in names])


def _of_sets(pairs: Sequence[tuple["Row", "Row"]], share: bool, resamples: int) -> Difference | None:
    if any(row.mean is None for pair in pairs for row in pair):
        return None
    n = min(row.n for pair in pairs for row in pair)
    values = [float(a.mean or 0) - float(b.mean or 0) for a, b in pairs]
    sizes = {tuple(size for size, _ in row.left_out) for pair in pairs for row in pair}
    if n >= ENOUGH and (len(sizes) > 1 or sizes == {()}):  # the sets are not of the same images
        return None
    left_out: list[Groups] = [
        [(size, left - other) for (size, left), (_, other) in zip(a.left_out, b.left_out, strict=True)]
        for a, b in pairs
    ]
    return Difference(
        sum(values) / len(values), set_interval(values, left_out, share=share), n, len(pairs),
        set_p_value(values, left_out, resamples, share), set_images_needed(values, left_out, n),
    )  # fmt: skip
