"""Values per image as dots: where every mark of the page's plots stands, in percent of the width."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.result import Row
from restoration.benchmarks.table import number

LINE = 24  # pixels per image
LISTED = 30  # images up to which each has a line of its own
STRIP = 200  # dots of a restorer's line that has all images, at most
MARKS = (  # one shape per restorer, so that colour is not the only difference
    "M0-5.5a5.5 5.5 0 1 0 .01 0z",
    "M-5-5h10v10h-10z",
    "M0-6.5 6.2 5H-6.2z",
    "M0-7 7 0 0 7-7 0z",
    "M0 6.5-6.2-5H6.2z",
    "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
)


@dataclass(frozen=True)
class Dot:
    """One value: position in percent, whose it is, and what to say about it."""

    x: float
    restorer: str
    text: str


@dataclass(frozen=True)
class Line:
    """All restorers' values of one image, or one restorer's mean with the ends of its interval.

    ``strip`` has the positions of a restorer's images where these have no lines of their own.
    """

    name: str
    y: int
    dots: Sequence[Dot]
    mean: bool
    span: tuple[float, float] | None = None
    strip: Sequence[float] = ()


@dataclass(frozen=True)
class Plot:
    """One metric on one protocol."""

    metric: str
    unit: str
    lines: Sequence[Line]
    ticks: Sequence[tuple[float, str]]
    height: int


def dot_plot(rows: Sequence[Row], unit: str, most: int = LISTED) -> Plot | None:
    """Return the plot of one metric, a row per restorer: a line for each restorer's mean, then one for each image.

    Images are ordered by the first restorer's value. More than ``most`` have no lines, but stand on their restorers';
    of more than 200 it is as many, spread evenly over the order of their values.
    """
    values = [value for row in rows for value in row.per_image.values()]
    values += [end for row in rows for end in (row.mean, row.low, row.high) if end is not None]
    values = [value for value in values if math.isfinite(value)]
    if not values:
        return None
    ticks = _ticks(min(values), max(values))
    first, last = ticks[0], ticks[-1]

    def place(value: float) -> float:
        return round(100 * (value - first) / (last - first), 2)

    metric = rows[0].metric
    order = rows[0].per_image
    images = dict.fromkeys(name for row in rows for name in row.per_image)
    images = sorted(images, key=lambda name: -order.get(name, -math.inf))
    lines: list[Line] = []

    def line(
        name: str, what: str, found: Sequence[tuple[int, float | None]],
        mean: bool = False, span: tuple[float, float] | None = None, strip: Sequence[float] = (),
    ) -> None:  # fmt: skip
        dots = [
            Dot(place(value), rows[i].restorer, f"{rows[i].restorer}, {what}: {number(value, metric)}")
            for i, value in found if value is not None and math.isfinite(value)
        ]  # fmt: skip
        lines.append(Line(name, len(lines) * LINE + LINE // 2, dots, mean, span, strip))

    listed = len(images) <= most
    for i, row in enumerate(rows):
        span = None if row.low is None or row.high is None else (place(row.low), place(row.high))
        strip = [] if listed else [place(value) for value in _thinned(row)]
        line(row.restorer, f"mean of {row.n}", [(i, row.mean)], True, span, strip)
    for name in images if listed else ():
        line(name, name, [(i, row.per_image.get(name)) for i, row in enumerate(rows)])
    labels = [(place(tick), f"{tick:g}") for tick in ticks]
    return Plot(metric, unit, lines, labels, len(lines) * LINE)


def convention_plot(rows: Sequence[Row], titles: Mapping[str, str]) -> Plot | None:
    """Return one line per convention with a dot for each restorer's mean: how far apart the conventions lie."""
    means = [row.mean for row in rows if row.mean is not None and math.isfinite(row.mean)]
    if not means:
        return None
    ticks = _ticks(min(means), max(means))
    first, last = ticks[0], ticks[-1]
    lines = []
    for i, (convention, title) in enumerate(titles.items()):
        dots = [
            Dot(
                round(100 * (row.mean - first) / (last - first), 2), row.restorer,
                f"{row.restorer} by {title}: {number(row.mean, row.metric)}",
            )
            for row in rows
            if row.convention == convention and row.mean is not None and math.isfinite(row.mean)
        ]  # fmt: skip
        lines.append(Line(title, i * LINE + LINE // 2, dots, False))
    labels = [(round(100 * (tick - first) / (last - first), 2), f"{tick:g}") for tick in ticks]
    metric = rows[0].metric
    return Plot(metric.partition("-")[0].upper(), METRICS[metric].unit, lines, labels, len(lines) * LINE)


@dataclass(frozen=True)
class Course:
    """One metric along the frames of one clip: ``paths`` are polylines in percent of the field, by restorer."""

    clip: str
    metric: str
    unit: str
    frames: int
    paths: Mapping[str, Sequence[str]]  # more than one where frames lack a value
    ticks: Sequence[tuple[float, str]]  # up the side
    ends: tuple[str, str]  # the first and the last frame
    spoken: str


def courses(rows: Sequence[Row], images: Iterable[str]) -> list[Course]:
    """Return one plot for each clip of a metric; ``images`` are called CLIP/FRAME, in the order of time."""
    clips: dict[str, list[str]] = {}
    for name in images:
        clips.setdefault(str(PurePath(name).parent), []).append(name)
    found = [_course(clip, names, rows) for clip, names in clips.items() if len(names) > 1]
    return [course for course in found if course is not None]


def _course(clip: str, names: Sequence[str], rows: Sequence[Row]) -> Course | None:
    values = {row.restorer: [_finite(row.per_image.get(name)) for name in names] for row in rows}
    known = [value for own in values.values() for value in own if value is not None]
    if not known:
        return None
    ticks = _ticks(min(known), max(known), 4)
    low, high = ticks[0], ticks[-1]

    def path(own: Sequence[float | None]) -> list[str]:
        parts: list[list[str]] = [[]]
        for i, value in enumerate(own):
            if value is None:
                parts.append([])
            else:
                x, y = 100 * i / (len(names) - 1), 100 * (high - value) / (high - low)
                parts[-1].append(f"{x:.5g},{y:.5g}")
        return [" ".join(part if len(part) > 1 else part * 2) for part in parts if part]

    metric, last = rows[0].metric, len(names) - 1
    means = "; ".join(f"{row.restorer} {number(_mean(values[row.restorer]), metric)}" for row in rows)
    stems = PurePath(names[0]).stem, PurePath(names[last]).stem
    labels = [(100 * (high - tick) / (high - low), f"{tick:g}") for tick in ticks]
    paths = {restorer: path(own) for restorer, own in values.items()}
    spoken = f"{metric} over {len(names)} frames; means: {means}"
    return Course(clip, metric, METRICS[metric].unit, len(names), paths, labels, stems, spoken)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _thinned(row: Row) -> list[float]:
    values = sorted(value for value in row.per_image.values() if math.isfinite(value))
    if len(values) <= STRIP:
        return values
    return [values[round(i * (len(values) - 1) / (STRIP - 1))] for i in range(STRIP)]


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers that enclose the range, about ``count`` steps apart."""
    span = high - low or abs(high) or 1.0
    raw = span / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    start, stop = math.floor(low / step), math.ceil(high / step)
    return [round(i * step, 10) for i in range(start, max(stop, start + 1) + 1)]


def scatter(
    rows: Sequence[Row], marks: Mapping[str, int], scenes: Mapping[str, int]
) -> dict[str, Any] | None:
    """Return what the page draws one dot per image from, or None where there are not two series of values.

    ``marks`` maps restorers to their marks, ``scenes`` images to their pictures.
    """
    rows = [row for row in rows if any(map(math.isfinite, row.per_image.values()))]
    images = list(dict.fromkeys(name for row in rows for name in row.per_image))
    if len(rows) < 2:
        return None
    series = [
        {
            "restorer": row.restorer,
            "mark": marks[row.restorer],
            "metric": row.metric,
            "values": [_written(row.per_image.get(name), METRICS[row.metric].places) for name in images],
        }
        for row in rows
    ]
    metrics = {
        row.metric: {
            "unit": METRICS[row.metric].unit,
            "better": METRICS[row.metric].better,
            "places": METRICS[row.metric].places,
        }
        for row in rows
    }
    return {"images": images, "series": series, "metrics": metrics, "scenes": dict(scenes)}


def _written(value: float | None, places: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, places)
