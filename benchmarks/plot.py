"""Values per image as dots: where every mark of the page's plots stands, in percent of the width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from restoration.benchmarks.result import Row
from restoration.benchmarks.table import number

LINE = 24  # pixels per image
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
    """One value: position in percent, which restorer, and what to say about it."""

    x: float
    restorer: int
    text: str


@dataclass(frozen=True)
class Line:
    """All restorers' values of one image, or one restorer's mean with the ends of its interval."""

    name: str
    y: int
    dots: Sequence[Dot]
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class Plot:
    """One metric on one protocol."""

    metric: str
    unit: str
    lines: Sequence[Line]
    ticks: Sequence[tuple[float, str]]
    height: int


def dot_plot(rows: Sequence[Row], unit: str) -> Plot | None:
    """Return the plot of one metric, a row per restorer; images are ordered by the first restorer's value."""
    values = [value for row in rows for value in row.per_image.values()]
    values += [end for row in rows for end in (row.low, row.high) if end is not None]
    values = [value for value in values if math.isfinite(value)]
    if not values:
        return None
    ticks = _ticks(min(values), max(values))
    first, last = ticks[0], ticks[-1]

    def place(value: float) -> float:
        return round(100 * (value - first) / (last - first), 2)

    metric = rows[0].metric
    named = [(r.restorer, [(i, r.mean)], (r.low, r.high)) for i, r in enumerate(rows)]
    order = sorted(rows[0].per_image, key=lambda name: -rows[0].per_image[name])
    named += [
        (name, [(i, r.per_image.get(name)) for i, r in enumerate(rows)], (None, None)) for name in order
    ]
    lines = []
    for j, (name, found, (low, high)) in enumerate(named):
        what = f"mean of {rows[j].n}" if j < len(rows) else name
        dots = [
            Dot(place(value), i, f"{rows[i].restorer}, {what}: {number(value, metric)}")
            for i, value in found if value is not None
        ]  # fmt: skip
        span = None if low is None or high is None else (place(low), place(high))
        lines.append(Line(name, j * LINE + LINE // 2, dots, span))
    labels = [(place(tick), f"{tick:g}") for tick in ticks]
    return Plot(metric, unit, lines, labels, len(lines) * LINE)


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers that enclose the range, about ``count`` steps apart."""
    span = high - low or abs(high) or 1.0
    raw = span / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    start, stop = math.floor(low / step), math.ceil(high / step)
    return [round(i * step, 10) for i in range(start, max(stop, start + 1) + 1)]
