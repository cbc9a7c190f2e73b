"""What a page says of a result that has the same images by the conventions of several libraries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.plot import Plot, convention_plot
from restoration.benchmarks.result import Result, Row
from restoration.benchmarks.table import convention_title, ends, number

Record = Mapping[str, str]


@dataclass(frozen=True)
class Column:
    """One convention: its name, who computed it, in words and exactly what it is."""

    name: str
    by: str
    words: str
    exactly: str
    remark: str


@dataclass(frozen=True)
class Value:
    """What a cell holds; ``order`` sorts the column."""

    order: float | None
    text: str
    interval: str
    missing: str
    best: bool


@dataclass(frozen=True)
class Measure:
    """One measure on one protocol: a column per convention, a line per restorer."""

    name: str
    unit: str
    better: str
    columns: Sequence[Column]
    restorers: Sequence[str]
    cells: Mapping[tuple[str, int], Value]  # by restorer and number of the column
    plot: Plot | None
    spread: str
    ranking: str
    images: Sequence[tuple[str, Sequence[str]]]


def measures(result: Result, protocol: str) -> list[Measure]:
    """Return the measures of one protocol, PSNR before SSIM as the result has them."""
    rows = [row for row in result.rows if row.protocol == protocol]
    names = dict.fromkeys(row.metric.partition("-")[0] for row in rows)
    records = result.provenance["conventions"]
    return [
        _measure(name, [r for r in rows if r.metric.partition("-")[0] == name], records) for name in names
    ]


def headlines(result: Result) -> list[str]:
    """Return a sentence per protocol and measure: how far apart the conventions are."""
    found = []
    for protocol in dict.fromkeys(row.protocol for row in result.rows):
        found += [f"{protocol}: {m.spread}" for m in measures(result, protocol) if m.spread]
    return found


def _measure(name: str, rows: Sequence[Row], records: Mapping[str, Record]) -> Measure:
    conventions = list(dict.fromkeys(row.convention for row in rows))
    restorers = list(dict.fromkeys(row.restorer for row in rows))
    metric = METRICS[rows[0].metric]
    best = {c: _best([r for r in rows if r.convention == c]) for c in conventions}
    titles = {c: convention_title(records[c]) for c in conventions}
    return Measure(
        name=name.upper(),
        unit=metric.unit,
        better=metric.better,
        columns=[_column(c, records[c]) for c in conventions],
        restorers=restorers,
        cells={
            (row.restorer, conventions.index(row.convention)): _value(row, row.restorer == best[row.convention])
            for row in rows
        },
        plot=convention_plot(rows, titles),
        spread=_spread(name.upper(), rows, titles),
        ranking=_ranking(rows, titles),
        images=_images(rows, restorers, conventions),
    )  # fmt: skip


def _column(convention: str, record: Record) -> Column:
    own = record["by"] == "ours"
    exactly = convention.partition(": ")[2].rpartition("; ")[0]
    by = f"our own code{' in its stead' if record['library'] else ''}" if own else record["by"]
    return Column(
        record["name"], by, record["words"], exactly, record["remark"] if own and record["library"] else ""
    )


def _value(row: Row, best: bool) -> Value:
    reasons = "; ".join(dict.fromkeys(row.missing.values()))
    lacking = f"{len(row.missing)} missing: {reasons}" if row.missing else ""
    interval = ends(row.low, row.high, row.metric)
    return Value(row.mean, number(row.mean, row.metric), interval, lacking, best)


def _best(rows: Sequence[Row]) -> str | None:
    """Return the restorer of the best mean of a column; none where there is but one."""
    if len(rows) < 2:
        return None
    scored = [row for row in rows if row.mean is not None]
    return max(scored, key=lambda r: METRICS[r.metric].rank(r.mean or 0.0)).restorer if scored else None


def _spread(name: str, rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """Return in a sentence how far apart the conventions put the restorer that they disagree on most."""
    widest: tuple[float, list[Row]] = (0.0, [])
    for restorer in dict.fromkeys(row.restorer for row in rows):
        own = [row for row in rows if row.restorer == restorer and row.mean is not None]
        own.sort(key=lambda row: row.mean or 0.0)
        if len(own) > 1:
            widest = max(
                widest, ((own[-1].mean or 0.0) - (own[0].mean or 0.0), own), key=lambda item: item[0]
            )
    apart, own = widest
    if not own:
        return ""
    metric = METRICS[own[0].metric]
    low, high = (f"{row.mean:.{metric.rough}f}" for row in (own[0], own[-1]))
    unit = f" {metric.unit}" if metric.unit else ""
    return (
        f"{name} of the same images of {own[0].restorer} is {low}{unit} by {titles[own[0].convention]} and "
        f"{high}{unit} by {titles[own[-1].convention]}, {apart:.{metric.rough}f}{unit} apart."
    )


def _ranking(rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """Return whether all conventions put the restorers in one order."""
    orders: dict[tuple[str, ...], list[str]] = {}
    for convention, title in titles.items():
        own = [row for row in rows if row.convention == convention and row.mean is not None]
        own.sort(key=lambda row: METRICS[row.metric].rank(row.mean or 0.0), reverse=True)
        orders.setdefault(tuple(row.restorer for row in own), []).append(title)
    orders = {order: names for order, names in orders.items() if len(order) > 1}
    if not orders:
        return ""
    if len(orders) == 1:
        return f"All put the restorers in one order: {', '.join(next(iter(orders)))}."
    said = "; ".join(f"{', '.join(order)} by {', '.join(names)}" for order, names in orders.items())
    return f"The order of the restorers depends on the convention: {said}."


def _images(
    rows: Sequence[Row], restorers: Sequence[str], conventions: Sequence[str]
) -> list[tuple[str, list[str]]]:
    """Return a line for each restorer's image, with its value by every convention."""
    by = {(row.restorer, row.convention): row for row in rows}
    found = []
    for restorer in restorers:
        own = [by.get((restorer, c)) for c in conventions]
        names = dict.fromkeys(n for row in own if row for n in (*row.per_image, *row.missing))
        for name in names:
            cells = [number(row.per_image.get(name), row.metric) if row else "–" for row in own]
            found.append((f"{restorer}: {name}", cells))
    return found
