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


class Sets:
    """What the set metrics of one protocol need, gathered image by image, of the clean set and of every restorer's.

    ``total`` is how many images the protocol has in all: with fewer than 2,048, or as few reference images, a Fréchet
    distance is not given unless ``forced``, and the kernel distance over the same features is given beside the reason.
    """

    def __init__(self, protocol: Protocol, total: int, forced: bool = False) -> None:
        self.protocol, self.total, self.forced = protocol, total, forced
        self.references: int | None = None  # how many images the reference of the protocol has
        self.metrics = [*dict.fromkeys(self._wanted(protocol.metrics))]
        self.found: dict[tuple[str, str], Gathering] = {}  # (restorer, network)
        self.reasons: dict[str, str] = {}  # network → why it gives no features
        self.skipped: dict[str, dict[int, str]] = {}  # restorer → place → why that image is not in its set
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
        """Return whether one of both sets has too few images for a metric that is biased in few."""
        return bool(metric.instead) and self._smaller()[0] < ENOUGH and not self.forced

    def refer(self, root: Path, rank: int = 0, world: int = 1) -> None:
        """Take in this rank's share of the protocol's ``reference`` for clean images, where it has one."""
        if not self.protocol.reference:
            return
        paths = reference_images(self.protocol, root)
        self.references = len(paths)
        self.metrics = [*dict.fromkeys(self._wanted(self.protocol.metrics))]  # more, where it is small
        for place in range(rank, len(paths), world):
            try:
                image = in_colour(read_samples(paths[place]), self.protocol.colour)
            except ImageError as error:
                self.skip(CLEAN, place, in_a_line(error))
                continue
            self._take(CLEAN, place, planes(image, self.protocol, self.metrics))

    def add(self, restorer: str, place: int, seen: Planes | None) -> None:
        """Take in one image, given by its planes: of a restorer, or a clean one for the name ``CLEAN``."""
        if self.metrics and seen is not None and not (restorer == CLEAN and self.protocol.reference):
            self._take(restorer, place, seen)

    def skip(self, restorer: str, place: int, reason: str) -> None:
        """Note why an image is not in the set of a restorer, or in that of clean ones for the name ``CLEAN``."""
        if self.metrics:
            self.skipped.setdefault(restorer, {})[place] = reason

    def _take(self, restorer: str, place: int, seen: Planes) -> None:
        image = seen["rgb"]
        if reason := self._unfit(image, "clean" if restorer == CLEAN else "restored"):
            self.skip(restorer, place, reason)
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
        whole.references, whole.metrics = self.references, self.metrics
        for part in (self, *others):
            for key, gathered in part.found.items():
                whole.found[key] = whole.found[key] + gathered if key in whole.found else gathered
            for restorer, reasons in part.skipped.items():
                whole.skipped.setdefault(restorer, {}).update(reasons)
            whole.reasons |= part.reasons
            whole.clusters |= part.clusters
        return whole

    def row(self, restorer: str, metric: str, seconds: float, peak_mib: float) -> Row:
        """Return the row of one set metric: its value with its interval, or the reason why there is none."""
        kind = METRICS[metric]
        assert issubclass(kind, SetMetric), f"{metric} is no metric of sets"
        found = self._value(restorer, kind)
        head = self.protocol.name, restorer, metric, self.protocol.convention(metric)
        count = len(self._both(restorer, kind)[0] or ())
        cost = round(seconds, 3), round(peak_mib, 1)
        if isinstance(found, str):
            return Row(*head, None, None, None, count, {}, *cost, {WHOLE: found})
        # images that share a clip are no groups apart
        shared = len({*self.clusters.values()}) < len(self.clusters)
        value, left_out = found[0], [] if shared else found[1]
        low, high = set_interval([value], [left_out], kind.floor, kind.ceiling, kind.share)
        # who lacks an image is not compared with those who have it
        complete = count == (self.total if self.protocol.reference else len(self.found[CLEAN, kind.features]))
        return Row(
            *head, value, low, high, count, {}, *cost, self._gaps(restorer), tuple(left_out) if complete else ()
        )  # fmt: skip

    def _value(self, restorer: str, metric: type[SetMetric]) -> tuple[float, Groups] | str:
        """Return the value of a metric, also without each group of images, or the reason why there is none."""
        if self.refused(metric):
            count, which = self._smaller()
            return (
                f"{count} {which}: below {ENOUGH:,} a Fréchet distance tells how many there are; "
                f"see {metric.instead}, or force it with --force-fid"
            )
        if metric.features in self.reasons:
            return self.reasons[metric.features]
        ours, truth = self._both(restorer, metric)
        if truth is None:
            return self._why(CLEAN) or "there are no clean images, with which this metric compares"
        paired = self._pairs(metric)
        short = min(len(ours or ()), len(truth))
        if ours is None or short < metric.fewest:
            return self._too_few(restorer, metric, short, len(ours or ()) > short)
        if metric.instead and short < ENOUGH and not self.forced:
            few = f"{self._clean()} could be read" if len(ours) > short else "images could be restored"
            return f"{short} {few}: expected at least {ENOUGH:,}"
        if metric.streams and max(len(ours), len(truth)) >= FOLDED:
            return _of_moments(metric, ours, truth)
        rows, sizes = (ours.rows(), truth.rows()), ours.sizes()
        if len(sizes) < GROUPS or sizes.keys() != truth.sizes().keys():
            return metric().between(*rows, paired), []
        left_out = metric().without(*rows, (ours.labels(), truth.labels()), paired)
        return metric().between(*rows, paired), list(zip(sizes.values(), left_out, strict=True))

    def _both(self, restorer: str, metric: type[SetMetric]) -> tuple[Gathering | None, Gathering | None]:
        """Return the features of a restorer and the clean ones: where these are pairs, of images that both have."""
        ours, truth = (self.found.get((name, metric.features)) for name in (restorer, CLEAN))
        if ours is None or truth is None or not self._pairs(metric):
            return ours, truth
        return ours.beside(truth), truth.beside(ours)

    def _pairs(self, metric: type[SetMetric]) -> bool:
        """Return whether a metric looks at restored images beside their own clean ones."""
        return self.protocol.paired and not metric.streams

    def _smaller(self) -> tuple[int, str]:
        """Return how many images there are of the set that has fewer, and what they are."""
        sets = [(self.total, "images")]
        if self.references is not None:
            sets.append((self.references, self._clean()))
        return min(sets)

    def _clean(self) -> str:
        return "reference images" if self.protocol.reference else "clean images"

    def _too_few(self, restorer: str, metric: type[SetMetric], count: int, clean: bool) -> str:
        """Return why the smaller set, that of clean images or a restorer's, has too few."""
        names = [restorer, CLEAN] if self._pairs(metric) else [CLEAN] if clean else [restorer]
        which = self._clean() if clean else "images"
        return self._why(*names) or f"{count} {which}: expected at least {metric.fewest}"

    def _gaps(self, restorer: str) -> Mapping[str, str]:
        """Return why some images of a set are not in it, and of the others why some clean ones are not."""
        ours, clean = (self.skipped.get(name, {}) for name in (restorer, CLEAN))
        if not self.protocol.reference:
            clean = {place: reason for place, reason in clean.items() if place not in ours}
        kinds = {"images": ours, self._clean(): clean}
        return {f"{len(own)} {which}": _told(own) for which, own in kinds.items() if own}

    def _why(self, *restorers: str) -> str:
        return _told(*(self.skipped.get(name, {}) for name in restorers))

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


def _told(*skipped: Mapping[int, str]) -> str:
    """Return the reasons of several images, each once, in the order of the images."""
    return "; ".join(dict.fromkeys(reasons[place] for reasons in skipped for place in sorted(reasons)))


def _summed(first: Mapping[int, Moments], second: Mapping[int, Moments]) -> dict[int, Moments]:
    """Return the moments of each group of both parts of a set."""
    groups = sorted({*first, *second})
    return {g: reduce(add, (part[g] for part in (first, second) if g in part)) for g in groups}
