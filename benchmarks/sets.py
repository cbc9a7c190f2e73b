"""Distances between sets of restored and of clean images: their features, one image at a time, and what follows.

Of each image one feature is kept, as long as a metric needs them; where moments are all that is asked for, nothing
grows with the number of images. Clean features are computed once for all restorers, and the parts that ranks have
gathered add up to what one process would have: features exactly, moments to within rounding.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from restoration.benchmarks.datasets import reference_images
from restoration.benchmarks.distances import ENOUGH, Features, Moments
from restoration.benchmarks.extractors import Feature, extractor
from restoration.benchmarks.intervals import ENOUGH as FEWEST
from restoration.benchmarks.intervals import Groups, set_interval
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.metrics.distributions import Frechet, SetMetric
from restoration.benchmarks.metrics.features import single
from restoration.benchmarks.protocol import Protocol
from restoration.benchmarks.result import Row
from restoration.benchmarks.samples import in_colour
from restoration.benchmarks.scores import NOT_FINITE, Planes, finite, in_a_line, planes
from restoration.errors import ImageError, WeightsError
from restoration.image import read_samples

CLEAN = ""  # the name under which the clean set stands among the restorers'
WHOLE = "the set"  # what a reason for no value is filed under
FOLDED = 512  # features that are folded into the moments at once
GROUPS = FEWEST  # of images, which are left out in turn to find out how sure a value is


@dataclass
class Gathering:
    """The features of one set by one network: each by its place in the protocol, or their moments by group."""

    streams: bool  # whether moments are all that is wanted
    features: dict[int, Feature] = field(default_factory=dict)
    moments: dict[int, Moments] = field(default_factory=dict)

    def add(self, place: int, feature: Feature) -> None:
        """Take in the feature of one image."""
        self.features[place] = feature
        if self.streams and len(self.features) >= FOLDED:
            self.moments, self.features = self.by_group(), {}

    def __add__(self, other: "Gathering") -> "Gathering":
        """Return both parts of a set."""
        return Gathering(
            self.streams, self.features | other.features, _summed(self.moments, other.moments)
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.features) + sum(part.count for part in self.moments.values())

    def beside(self, other: "Gathering") -> "Gathering":
        """Return the features of the images that another set has too; there must be no moments."""
        return Gathering(self.streams, {p: f for p, f in self.features.items() if p in other.features})

    def sizes(self) -> dict[int, int]:
        """Return how many images each group has; place p is of group p modulo 8."""
        found = Counter({group: part.count for group, part in self.moments.items()})
        found.update(place % GROUPS for place in self.features)
        return dict(sorted(found.items()))

    def rows(self) -> Features:
        """Return the features in the order of the protocol: (N, D), float64."""
        return np.stack([self.features[place] for place in sorted(self.features)]).astype(np.float64)

    def labels(self) -> NDArray[np.int64]:
        """Return the group of each of the features: (N,)."""
        return np.array(sorted(self.features), np.int64) % GROUPS

    def by_group(self) -> dict[int, Moments]:
        """Return the moments of each group's features."""
        if not self.features:
            return self.moments
        rows, labels = self.rows(), self.labels()
        return _summed(self.moments, {int(g): Moments.of(rows[labels == g]) for g in np.unique(labels)})

    def all_moments(self) -> Moments:
        """Return the moments of all features; there must be one."""
        return reduce(add, self.by_group().values())


class Sets:
    """What the set metrics of one protocol need, gathered image by image, of the clean set and of every restorer's.

    ``total`` is how many images the protocol has in all: with fewer than 2,048 a Fréchet distance is not given unless
    ``forced``, and the kernel distance over the same features is given beside the reason.
    """

    def __init__(self, protocol: Protocol, total: int, forced: bool = False) -> None:
        self.protocol, self.total, self.forced = protocol, total, forced
        self.metrics = [*dict.fromkeys(self._wanted(protocol.metrics))]
        self.found: dict[tuple[str, str], Gathering] = {}  # (restorer, network)
        self.reasons: dict[str, str] = {}  # network → why it gives no features
        self.skipped: dict[str, list[str]] = {}  # restorer → why images of it are not in its set
        self.clusters: dict[int, str] = {}  # place → what an image shares with others, such as its clip

    def _wanted(self, metrics: Iterable[str]) -> Iterable[str]:
        """Yield the set metrics to report: those asked for, and what stands in for those that few images forbid."""
        for name in metrics:
            kind = METRICS[name]
            if issubclass(kind, SetMetric):
                yield name
                if kind.instead and self.refused(kind):
                    yield kind.instead

    def refused(self, metric: type[SetMetric]) -> bool:
        """Return whether there are too few images for a metric that is biased in few."""
        return bool(metric.instead) and self.total < ENOUGH and not self.forced

    def refer(self, root: Path, rank: int = 0, world: int = 1) -> None:
        """Take in this rank's share of the protocol's ``reference`` for clean images, where it has one."""
        if not self.protocol.reference:
            return
        paths = reference_images(self.protocol, root)
        for place in range(rank, len(paths), world):
            try:
                image = in_colour(read_samples(paths[place]), self.protocol.colour)
            except ImageError as error:
                self.skipped.setdefault(CLEAN, []).append(str(error))
                continue
            self._take(CLEAN, place, planes(image, self.protocol, self.metrics))

    def add(self, restorer: str, place: int, seen: Planes | None) -> None:
        """Take in one image, given by its planes: of a restorer, or a clean one for the name ``CLEAN``."""
        if self.metrics and seen is not None and not (restorer == CLEAN and self.protocol.reference):
            self._take(restorer, place, seen)

    def _take(self, restorer: str, place: int, seen: Planes) -> None:
        image = seen["rgb"]
        if reason := self._unfit(image, "clean" if restorer == CLEAN else "restored"):
            self.skipped.setdefault(restorer, []).append(reason)
            return
        for network in self._networks():
            if network in self.reasons:
                continue
            try:
                with torch.no_grad():
                    feature = extractor(network)(single(image))
            except WeightsError as error:
                self.reasons[network] = in_a_line(error)
                continue
            self._of(restorer, network).add(place, feature)

    def rows(self, restorer: str, metric: str, seconds: float, peak_mib: float) -> list[Row]:
        """Return the row of a set metric, and that of what stands in for it, where that was not asked for itself."""
        kind = METRICS[metric]
        assert issubclass(kind, SetMetric), f"{metric} is no metric of sets"
        names = [metric]
        if kind.instead and self.refused(kind) and kind.instead not in self.protocol.metrics:
            names.append(kind.instead)
        return [self.row(restorer, name, seconds, peak_mib) for name in names]

    def join(self, others: Sequence["Sets"]) -> "Sets":
        """Return what this rank and others have gathered together."""
        whole = Sets(self.protocol, self.total, self.forced)
        for part in (self, *others):
            for key, gathered in part.found.items():
                whole.found[key] = whole.found[key] + gathered if key in whole.found else gathered
            for restorer, reasons in part.skipped.items():
                whole.skipped.setdefault(restorer, []).extend(reasons)
            whole.reasons |= part.reasons
            whole.clusters |= part.clusters
        return whole

    def row(self, restorer: str, metric: str, seconds: float, peak_mib: float) -> Row:
        """Return the row of one set metric: its value with its interval, or the reason why there is none."""
        kind = METRICS[metric]
        assert issubclass(kind, SetMetric), f"{metric} is no metric of sets"
        found = self._value(restorer, kind)
        head = self.protocol.name, restorer, metric, self.protocol.convention(metric)
        count = len(self.found.get((restorer, kind.features), ()))
        cost = round(seconds, 3), round(peak_mib, 1)
        if isinstance(found, str):
            return Row(*head, None, None, None, count, {}, *cost, {WHOLE: found})
        value, left_out = found
        if len({*self.clusters.values()}) < len(
            self.clusters
        ):  # images that share a clip are no groups apart
            left_out = []
        low, high = set_interval([value], [left_out], kind.floor, kind.ceiling, kind.share)
        # who lacks an image is not compared with those who have it
        sizes = self._sizes(restorer, kind)
        whole = self.total if self.protocol.reference else len(self.found[CLEAN, kind.features])
        complete = sum(sizes.values()) == whole
        return Row(
            *head, value, low, high, count, {}, *cost, self._gaps(restorer), tuple(left_out) if complete else ()
        )  # fmt: skip

    def _value(self, restorer: str, metric: type[SetMetric]) -> tuple[float, Groups] | str:
        """Return the value of a metric, also without each group of images, or the reason why there is none."""
        if self.refused(metric):
            return (
                f"{self.total} images: below {ENOUGH:,} a Fréchet distance tells how many there are; "
                f"see {metric.instead}, or force it with --force-fid"
            )
        if metric.features in self.reasons:
            return self.reasons[metric.features]
        ours, truth = (self.found.get((name, metric.features)) for name in (restorer, CLEAN))
        if truth is None:
            return self._why(CLEAN) or "there are no clean images, with which this metric compares"
        paired = self.protocol.paired and not metric.streams
        if paired and ours is not None:
            ours, truth = ours.beside(truth), truth.beside(ours)
        if ours is None or min(len(ours), len(truth)) < metric.fewest:
            few = f"{len(ours or ())} images: expected at least {metric.fewest}"
            return self._why(restorer) or few
        if metric.instead and min(len(ours), len(truth)) < ENOUGH and not self.forced:
            return f"{len(ours)} images could be restored: expected at least {ENOUGH:,}"
        if metric.streams and max(len(ours), len(truth)) >= FOLDED:
            return _of_moments(metric, ours, truth)
        rows, sizes = (ours.rows(), truth.rows()), ours.sizes()
        if len(sizes) < GROUPS or sizes.keys() != truth.sizes().keys():
            return metric().between(*rows, paired), []
        left_out = metric().without(*rows, (ours.labels(), truth.labels()), paired)
        return metric().between(*rows, paired), list(zip(sizes.values(), left_out, strict=True))

    def _sizes(self, restorer: str, metric: type[SetMetric]) -> Mapping[int, int]:
        return self.found[restorer, metric.features].sizes()

    def _gaps(self, restorer: str) -> Mapping[str, str]:
        """Return why some images of a set are not in it."""
        reasons = self.skipped.get(restorer, [])
        return {f"{len(reasons)} images": self._why(restorer)} if reasons else {}

    def _why(self, restorer: str) -> str:
        return "; ".join(dict.fromkeys(self.skipped.get(restorer, [])))

    def _unfit(self, image: torch.Tensor, which: str) -> str:
        side, smallest = min(image.shape[-2:]), max(METRICS[name].smallest for name in self.metrics)
        if not finite(image):
            return NOT_FINITE.format(which)
        return f"the shorter side has {side} pixels; expected at least {smallest}" if side < smallest else ""

    def _networks(self) -> list[str]:
        return [*dict.fromkeys(kind.features for kind in self._kinds())]

    def _kinds(self) -> list[type[SetMetric]]:
        return [kind for kind in map(METRICS.__getitem__, self.metrics) if issubclass(kind, SetMetric)]

    def _of(self, restorer: str, network: str) -> Gathering:
        key = (restorer, network)
        if key not in self.found:
            streams = all(kind.streams for kind in self._kinds() if kind.features == network)
            self.found[key] = Gathering(streams)
        return self.found[key]


def _of_moments(metric: type[SetMetric], ours: Gathering, truth: Gathering) -> tuple[float, Groups]:
    """Return the value of a metric of moments, and without each group of images."""
    assert issubclass(metric, Frechet), f"{metric.__name__} needs the features themselves"
    parts = ours.by_group(), truth.by_group()
    value = metric().of_moments(*(reduce(add, part.values()) for part in parts))
    if parts[0].keys() != parts[1].keys() or len(parts[0]) < GROUPS:
        return value, []
    left_out = []
    for group, part in parts[0].items():
        others = (reduce(add, (m for g, m in whole.items() if g != group)) for whole in parts)
        left_out.append((part.count, metric().of_moments(*others)))
    return value, left_out


def _summed(first: Mapping[int, Moments], second: Mapping[int, Moments]) -> dict[int, Moments]:
    """Return the moments of each group of both parts of a set."""
    groups = sorted({*first, *second})
    return {g: reduce(add, (part[g] for part in (first, second) if g in part)) for g in groups}
