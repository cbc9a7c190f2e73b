"""What a page's tables of one protocol hold: scores with what is sure about them, what they mean, what they cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restoration.benchmarks.metric_page import best_words, range_words
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.pairing import images_in_words, unit_of
from restoration.benchmarks.result import Comparison, Result, Row
from restoration.benchmarks.seeds import with_pooled
from restoration.benchmarks.table import ends, number, signed, sureness
from restoration.printing import listed

Column = tuple[str, str]  # metric and convention: values of two conventions never share one


@dataclass(frozen=True)
class Cell:
    """One restorer's value, and how it compares with the baseline's."""

    value: float | None
    order: float | None  # by which the column is sorted
    text: str
    interval: str
    difference: str
    span: str
    verdict: str
    direction: str  # "better" or "worse" than the baseline
    needed: str  # how many images would tell both apart, where these do not
    missing: str
    best: bool  # of its column


@dataclass(frozen=True)
class Meaning:
    """What a column's numbers mean."""

    metric: str
    best: str
    reach: str
    what: str
    convention: str


@dataclass(frozen=True)
class Scores:
    """The tables of one protocol."""

    restorers: Sequence[str]
    columns: Sequence[Column]
    repeated: bool  # whether a metric stands there by more than one convention
    cells: Mapping[tuple[str, Column], Cell]
    meanings: Sequence[Meaning]
    baseline: str | None
    sure: str  # by which laws intervals were found
    costs: Mapping[str, Mapping[str, float | None]]  # none where nothing was run
    reused: str


def scores(result: Result, protocol: str) -> Scores:
    """Return the tables of one protocol; a column per metric and convention, in the order of the result.

    A restorer that was measured with several seeds has a line for each, and one for all of them.
    """
    rows = with_pooled([row for row in result.rows if row.protocol == protocol])
    compared = {(c.restorer, c.metric, c.convention): c for c in result.comparisons if c.protocol == protocol}
    columns = by_column(rows)
    records = result.provenance.get("restorers", {})
    restorers = list(dict.fromkeys(row.restorer for row in rows))
    costs = {n: _cost([r for r in rows if r.restorer == n], records.get(n, {})) for n in restorers}
    return Scores(
        restorers=restorers,
        columns=list(columns),
        repeated=len({metric for metric, _ in columns}) < len(columns),
        cells={
            (row.restorer, column): _cell(row, compared.get((row.restorer, *column)), row is best)
            for column, group in columns.items() for best in [_best(group)] for row in group
        },
        meanings=[_meaning(*column) for column in columns],
        baseline=next((c.baseline for c in compared.values()), None),
        costs=costs if any(v is not None for cost in costs.values() for v in cost.values()) else {},
        sure=sureness(rows),
        reused=_reused(result.provenance.get("cached", {}).get(protocol, {})),
    )  # fmt: skip


def by_column(rows: Sequence[Row]) -> dict[Column, list[Row]]:
    """Return the rows of each metric and convention."""
    found: dict[Column, list[Row]] = {}
    for row in rows:
        found.setdefault((row.metric, row.convention), []).append(row)
    return found


def headline(found: Scores, name: str, images: str) -> list[str]:
    """Return in one sentence who is ahead by the first metric that has values, and whether that means anything.

    ``name`` is that of the protocol, ``images`` how many it has, in words.
    """
    column = next((of for (_, of), cell in found.cells.items() if cell.value is not None), None)
    if column is None:
        return []
    metric = METRICS[column[0]]
    cells = {restorer: cell for (restorer, of), cell in found.cells.items() if of == column}
    scored = {restorer: cell.value for restorer, cell in cells.items() if cell.value is not None}
    best = max(scored, key=lambda restorer: metric.rank(scored[restorer]))
    cell, unit = cells[best], f" {metric.unit}" if metric.unit else ""
    value = f"{scored[best]:.{metric.rough}f}{unit}"
    if len(scored) == 1:
        return [f"{name}: {best} has {_mean(column)} of {value} over {images}."]
    sentence = f"{name}: {best} has the best {_mean(column, '')}, {value} over {images}"
    if not cell.difference:
        return [f"{sentence}."]
    words = {"too few images": "too few images to call it significant"}.get(cell.verdict, cell.verdict)
    return [f"{sentence}, {cell.difference}{unit} against {found.baseline} ({words})."]


def _mean(column: Column, article: str = "a ") -> str:
    """Return what the number of a column is: a mean over images, or the value of a set."""
    return column[0] if METRICS[column[0]].kind == "set" else f"{article}mean {column[0]}"


def _best(rows: Sequence[Row]) -> Row | None:
    """Return the best row of a column; none where there is but one."""
    scored = [row for row in rows if row.mean is not None and math.isfinite(row.mean)]
    return (
        max(scored, key=lambda r: METRICS[r.metric].rank(r.mean or 0.0)) if len(rows) > 1 and scored else None
    )


def _cell(row: Row, comparison: Comparison | None, best: bool) -> Cell:
    metric = METRICS[row.metric]
    difference = span = verdict = direction = needed = ""
    if comparison is not None:
        difference, verdict = signed(comparison.difference, row.metric), comparison.verdict
        span = ends(comparison.low, comparison.high, row.metric, "+")
        direction = "better" if comparison.better else "worse"
        needed = _needed(comparison, row)
    order = abs(row.mean - 1) if row.mean is not None and metric.better == "one" else row.mean
    return Cell(
        row.mean, order, number(row.mean, row.metric), ends(row.low, row.high, row.metric),
        difference, span, verdict, direction, needed, _missing(row), best,
    )  # fmt: skip


def _missing(row: Row) -> str:
    """Return why values are missing, each reason once, and of which images where others have one."""
    reasons: dict[str, list[str]] = {}
    for name, why in row.missing.items():
        reasons.setdefault(why, []).append(name)
    if len(reasons) == 1 and not row.per_image:
        return next(iter(reasons))
    return "; ".join(f"{listed(names)}: {why}" for why, names in reasons.items())


def _needed(comparison: Comparison, row: Row) -> str:
    if comparison.verdict == "significant" or comparison.needed is None:
        return ""
    return images_in_words(comparison.needed, comparison.n, unit_of([row]))


def _meaning(name: str, convention: str) -> Meaning:
    metric = METRICS[name]
    what = " ".join((metric.__doc__ or "").split())
    return Meaning(name, best_words(metric), range_words(metric), what, convention)


def _reused(cached: Mapping[str, int]) -> str:
    """Return which images were not restored in this run, so that their seconds are those of an earlier one."""
    return ", ".join(f"{count:,} of {name}" for name, count in cached.items())


def _cost(rows: Sequence[Row], record: Mapping[str, Any]) -> dict[str, float | None]:
    images = max(row.n for row in rows)
    return {
        "seconds": rows[0].seconds / images if images and rows[0].seconds else None,
        "peak_mib": rows[0].peak_mib or None,
        "parameters": record.get("parameters"),
        "multiply_adds": record.get("multiply_adds_per_input_megapixel"),
    }
