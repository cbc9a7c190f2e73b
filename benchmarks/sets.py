"""Distances between sets of restored and of clean images: their features, one image at a time, and what follows.

Of each image one feature is kept, as long as a metric needs them; where moments are all that is asked for, nothing
grows with the number of images. Clean features are computed once for all restorers, and the parts that ranks have
gathered add up to what one process would have: features exactly, moments to within rounding.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from restoration.benchmarks.distances import ENOUGH, Features, Moments
from restoration.benchmarks.extractors import Feature, extractor
from restoration.benchmarks.intervals import ENOUGH as FEWEST
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.metrics.distributions import Found, SetMetric
from restoration.benchmarks.metrics.features import single
from restoration.benchmarks.protocol import Protocol
from restoration.benchmarks.result import Row
from restoration.benchmarks.scores import NOT_FINITE, Planes
from restoration.errors import WeightsError

CLEAN = ""  # the name under which the clean set stands among the restorers'
WHOLE = "the set"  # what a reason for no value is filed under
FOLDED = 64  # features that are folded into the moments at once


@dataclass
class Gathering:
    """The features of one set by one network: each by its place in the protocol, or their moments."""

    streams: bool  # whether moments are all that is wanted
    features: dict[int, Feature] = field(default_factory=dict)
    moments: Moments | None = None

    def add(self, place: int, feature: Feature) -> None:
        """Take in the feature of one image."""
        self.features[place] = feature
        if self.streams and len(self.features) >= FOLDED:
            self._fold()

    def __add__(self, other: "Gathering") -> "Gathering":
        """Return both parts of a set."""
        parts = [part.moments for part in (self, other) if part.moments is not None]
        moments = parts[0] + parts[1] if len(parts) == 2 else parts[0] if parts else None
        return Gathering(self.streams, self.features | other.features, moments)

    def __len__(self) -> int:
        return len(self.features) + (self.moments.count if self.moments else 0)

    def rows(self) -> Features:
        """Return the features in the order of the protocol: (N, D), float64."""
        return np.stack([self.features[place] for place in sorted(self.features)]).astype(np.float64)

    def all_moments(self) -> Moments:
        """Return the moments of all features; there must be one."""
        if not self.features:
            assert self.moments is not None, "an empty set has no moments"
            return self.moments
        rest = Moments.of(self.rows())
        return rest if self.moments is None else self.moments + rest

    def _fold(self) -> None:
        self.moments, self.features = self.all_moments(), {}


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

    def add(self, restorer: str, place: int, seen: Planes | None) -> None:
        """Take in one image, given by its planes: of a restorer, or a clean one for the name ``CLEAN``."""
        if not self.metrics or seen is None:
            return
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
                self.reasons[network] = " ".join(str(error).split())
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
        return whole

    def row(self, restorer: str, metric: str, seconds: float, peak_mib: float) -> Row:
        """Return the row of one set metric: its value with its interval, or the reason why there is none."""
        kind = METRICS[metric]
        assert issubclass(kind, SetMetric), f"{metric} is no metric of sets"
        found = self._value(restorer, kind)
        count = len(self.found.get((restorer, kind.features), ()))
        convention = self.protocol.convention(metric)
        head, cost = (
            (self.protocol.name, restorer, metric, convention),
            (round(seconds, 3), round(peak_mib, 1)),
        )
        if isinstance(found, str):
            return Row(*head, None, None, None, count, {}, *cost, {WHOLE: found})
        low, high = found.interval
        return Row(*head, found.value, low, high, count, {}, *cost, self._gaps(restorer))

    def _value(self, restorer: str, metric: type[SetMetric]) -> Found | str:
        """Return the value of a metric, or the reason why there is none."""
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
        if ours is None or min(len(ours), len(truth)) < metric.fewest:
            few = f"{len(ours or ())} images: expected at least {metric.fewest}"
            return self._why(restorer) or few
        if metric.instead and min(len(ours), len(truth)) < ENOUGH and not self.forced:
            return f"{len(ours)} images could be restored: expected at least {ENOUGH:,}"
        if metric.streams:
            return metric().of_moments(ours.all_moments(), truth.all_moments())
        found = metric().between(ours.rows(), truth.rows())
        # the jackknife's normal interval is too narrow for a handful of images
        return found if min(len(ours), len(truth)) >= FEWEST else Found(found.value)

    def _gaps(self, restorer: str) -> Mapping[str, str]:
        """Return why some images of a set are not in it."""
        reasons = self.skipped.get(restorer, [])
        return {f"{len(reasons)} images": self._why(restorer)} if reasons else {}

    def _why(self, restorer: str) -> str:
        return "; ".join(dict.fromkeys(self.skipped.get(restorer, [])))

    def _unfit(self, image: torch.Tensor, which: str) -> str:
        side, smallest = min(image.shape[-2:]), max(METRICS[name].smallest for name in self.metrics)
        if not torch.isfinite(image).all():
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
