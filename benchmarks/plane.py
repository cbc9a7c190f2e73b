"""The perception-distortion plane: any distortion of a result against any perception metric, with what bounds both."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from restoration.benchmarks.dialled import split_name, with_settings
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.result import Result, Row
from restoration.benchmarks.seeds import over_seeds
from restoration.benchmarks.table import ends, line, number
from restoration.config import nearest
from restoration.errors import RequestError

BOUNDED = ("patch-mse", "patch-w2")  # the pair whose bound is known: both of one feature space
SPACES = {"vectors": "the vectors themselves, as Gaussians, batch by batch"}  # by how a convention begins
SPACE = "5×5 patches of luma, as Gaussians, image by image"
PERCEPTUAL = (
    "dists", "gradient-histogram", "high-frequency-ratio", "lpips", "patch-w2", "spectrum-error",
    "sliced-wasserstein",
)  # fmt: skip
_AXES = re.compile(r"(?P<distortion>(?:pyiqa:)?[^:]+):(?P<perception>(?:pyiqa:)?[^:]+)")


@dataclass(frozen=True)
class Place:
    """A mean on one axis, and its interval where there is one."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Point:
    """One restorer. ``family`` is its name without the dial it stands at; ``dial`` is None off every curve."""

    restorer: str
    family: str
    dial: float | None
    distortion: Place
    perception: Place
    n: int
    front: bool  # no other is at least as good on both axes and better on one
    index: int  # of the family, in the order of the result


@dataclass(frozen=True)
class Curve:
    """The points of one restorer along one dial, in its order."""

    family: str
    key: str
    restorers: tuple[str, ...]


@dataclass(frozen=True)
class Bound:
    """D(P) = D* + ((W₂(p*, p) − P)₊)²: no estimator has less distortion at P (Freirich et al., 2021).

    ``least`` is D* and ``gap`` W₂(p*, p), those of ``restorer``, which stands for the posterior mean.
    """

    restorer: str
    least: float
    gap: float
    space: str

    def distortion(self, perception: float) -> float:
        """Return D(P)."""
        return self.least + max(self.gap - perception, 0.0) ** 2


@dataclass(frozen=True)
class Plane:
    """One protocol's restorers by two metrics of a result, each under one convention."""

    protocol: str
    distortion: str
    perception: str
    conventions: tuple[str, str]
    points: tuple[Point, ...]
    curves: tuple[Curve, ...]
    bound: Bound | None = None

    @property
    def front(self) -> list[str]:
        """Return the restorers of the Pareto front, from the least distortion on."""
        rank = METRICS[self.distortion].rank
        found = sorted((p for p in self.points if p.front), key=lambda p: -rank(p.distortion.mean))
        return [point.restorer for point in found]

    def point(self, restorer: str) -> Point:
        """Return the point of one restorer."""
        return next(point for point in self.points if point.restorer == restorer)

    def to_json(self) -> str:
        """Return points, curves, front and bound as a document."""
        document: dict[str, Any] = {**asdict(self), "front": self.front}
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def axes(text: str) -> tuple[str, str]:
    """Return the two metrics that ``DISTORTION:PERCEPTION`` names."""
    found = _AXES.fullmatch(text.strip())
    if found is None:
        raise RequestError(
            f"--plane {text}: expected DISTORTION:PERCEPTION, two metrics such as psnr-y:sliced-wasserstein"
        )
    pair = found["distortion"].strip(), found["perception"].strip()
    for name in pair:
        if name not in METRICS:
            raise RequestError(f"--plane {text}: unknown metric '{name}'{nearest(name, METRICS)}")
    if pair[0] == pair[1]:
        raise RequestError(f"--plane {text}: expected two metrics, got one twice")
    return pair


def asked(result: Result) -> list[tuple[str, str]]:
    """Return the pairs of metrics that a run was asked to show; else one that its restorers make a plane of, if any."""
    pairs = [(first, second) for first, second in result.provenance.get("planes", [])]
    metrics = list(dict.fromkeys(row.metric for row in result.rows if row.mean is not None))
    if pairs or len({row.restorer for row in result.rows}) < 2:
        return pairs
    if set(BOUNDED) <= set(metrics):
        return [BOUNDED]
    perceptions = [name for name in metrics if _of_perception(name)]
    distortions = [name for name in metrics if name not in perceptions]
    return [(distortions[0], perceptions[0])] if distortions and perceptions else []


def planes(result: Result, distortion: str, perception: str) -> list[Plane]:
    """Return one plane for each protocol, and pair of conventions, that has both metrics."""
    ours = dict.fromkeys((r.protocol, r.convention) for r in result.rows if r.metric == distortion)
    theirs = dict.fromkeys((r.protocol, r.convention) for r in result.rows if r.metric == perception)
    keys = [(name, first, second) for name, first in ours for other, second in theirs if name == other]
    return [_plane(result, *key, distortion, perception) for key in keys]


def plane_table(plane: Plane) -> str:
    """Return the points as Markdown, with the front, the bound and who lies below it."""
    head = [
        "restorer",
        plane.distortion,
        plane.perception,
        "n",
        "front",
        *(["D − D(P)"] if plane.bound else []),
    ]
    lines = [f"### {plane.protocol}: {plane.distortion} against {plane.perception}", ""]
    lines += [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    for point in plane.points:
        cells = [point.restorer, _said(point.distortion, plane.distortion)]
        cells += [_said(point.perception, plane.perception), str(point.n), "yes" if point.front else ""]
        cells += [f"{_excess(plane.bound, point):+.2g}".replace("-", "−")] if plane.bound else []
        lines.append(line(cells))
    return "\n".join([*lines, "", *(f"- {note}" for note in notes(plane)), ""])


def notes(plane: Plane) -> list[str]:
    """Return in sentences what the plane shows beside its points."""
    found = [
        f"Conventions: {plane.distortion} {plane.conventions[0]}; {plane.perception} {plane.conventions[1]}."
    ]
    found += (
        [f"Pareto front, from the least distortion on: {', '.join(plane.front)}."] if plane.points else []
    )
    found += [f"Along {c.key}: {', '.join(c.restorers)}." for c in plane.curves]
    if len({point.n for point in plane.points}) > 1:
        found.append("The restorers were not scored on the same number of images.")
    if plane.bound is None:
        return found
    bound = plane.bound
    found.append(
        f"D(P) = D* + ((W₂(p*, p) − P)₊)², with D* = {bound.least:.4g} and W₂(p*, p) = {bound.gap:.4g} of "
        f"{bound.restorer}, of the least distortion here, in the place of the posterior mean; space: {bound.space}."
    )
    below = [p.restorer for p in plane.points if _excess(bound, p) < -1e-9]
    if below:
        found.append(
            f"Below the bound, so that {bound.restorer} is not the posterior mean: {', '.join(below)}."
        )
    return found


def _plane(result: Result, protocol: str, first: str, second: str, distortion: str, perception: str) -> Plane:
    here = over_seeds([row for row in result.rows if row.protocol == protocol and row.mean is not None])
    ours = {r.restorer: r for r in here if (r.metric, r.convention) == (distortion, first)}
    theirs = {r.restorer: r for r in here if (r.metric, r.convention) == (perception, second)}
    names = [name for name in ours if name in theirs]
    curves = _curves(names)
    on_curve = {name: curve for curve in curves for name in curve.restorers}
    families = {name: on_curve[name].family if name in on_curve else name for name in names}
    order = list(dict.fromkeys(families.values()))
    places = {name: (_place(ours[name]), _place(theirs[name])) for name in names}
    front = _front({n: _ranks(places[n], distortion, perception) for n in names})
    points = [
        Point(
            name, families[name],
            float(split_name(name)[1][on_curve[name].key]) if name in on_curve else None,
            *places[name], min(ours[name].n, theirs[name].n), name in front, order.index(families[name]),
        )
        for name in names
    ]  # fmt: skip
    bound = _bound(places, first) if (distortion, perception) == BOUNDED and names else None
    return Plane(protocol, distortion, perception, (first, second), tuple(points), tuple(curves), bound)


def _of_perception(metric: str) -> bool:
    """Return whether a metric tells how images look rather than how far they are from what they should be."""
    return METRICS[metric].kind in ("alone", "set") or metric.startswith(PERCEPTUAL)


def _bound(places: dict[str, tuple[Place, Place]], convention: str) -> Bound:
    """Return the bound by the restorer of least distortion.

    It holds in expectation: for means over many images, since (·)₊² is convex, while a single image may fall below.
    """
    best = min(places, key=lambda name: places[name][0].mean)
    space = SPACES.get(convention.partition(",")[0], SPACE)
    return Bound(best, places[best][0].mean, places[best][1].mean, space)


def _curves(names: Sequence[str]) -> list[Curve]:
    """Return the restorers that differ in one number of their settings; each lies on its longest curve alone."""
    members: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for name in names:
        base, settings = split_name(name)
        for key, value in settings.items():
            rest = {k: v for k, v in settings.items() if k != key}
            if (dial := _float(value)) is not None:
                members.setdefault((with_settings(base, rest), key), []).append((dial, name))
    found: list[Curve] = []
    taken: set[str] = set()
    for (family, key), along in sorted(members.items(), key=lambda item: -len(item[1])):
        free = sorted(entry for entry in along if entry[1] not in taken)
        if len(free) > 1:
            found.append(Curve(family, key, tuple(name for _, name in free)))
            taken.update(name for _, name in free)
    return found


def _front(ranks: dict[str, tuple[float, float]]) -> set[str]:
    def dominated(name: str) -> bool:
        x, y = ranks[name]
        return any(a >= x and b >= y and (a > x or b > y) for a, b in ranks.values())

    return {name for name in ranks if not dominated(name)}


def _ranks(place: tuple[Place, Place], distortion: str, perception: str) -> tuple[float, float]:
    return METRICS[distortion].rank(place[0].mean), METRICS[perception].rank(place[1].mean)


def _place(row: Row) -> Place:
    assert row.mean is not None, "rows without a mean are left out"
    return Place(row.mean, row.low, row.high)


def _excess(bound: Bound, point: Point) -> float:
    return point.distortion.mean - bound.distortion(point.perception.mean)


def _said(place: Place, metric: str) -> str:
    interval = ends(place.low, place.high, metric)
    return number(place.mean, metric) + (f" ({interval})" if interval else "")


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
