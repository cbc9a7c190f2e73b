"""Results as Markdown: the table of one run, and conventions side by side."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.pairing import images_in_words, seedless, unit_of
from restoration.benchmarks.result import Comparison, Result, Row
from restoration.benchmarks.seeds import with_pooled
from restoration.printing import listed

T = TypeVar("T")


def number(value: float | None, metric: str) -> str:
    """Return a value with the places that its metric is written with; a dash where there is none."""
    return "–" if value is None else f"{value:.{METRICS[metric].places}f}"


def ends(low: float | None, high: float | None, metric: str, sign: str = "") -> str:
    """Return an interval such as ``26.21 to 30.65``, or nothing where there is none."""
    if low is None or high is None:
        return ""
    return " to ".join(f"{end:{sign}.{METRICS[metric].rough}f}".replace("-", "−") for end in (low, high))


def signed(value: float, metric: str) -> str:
    """Return a difference with its sign."""
    return f"{value:+.{METRICS[metric].rough}f}".replace("-", "−")


def run_table(result: Result) -> str:
    """Return one Markdown table per protocol: means with intervals, differences, time and memory."""
    sections = [_protocol_section(result, name) for name in unique(row.protocol for row in result.rows)]
    sure = f"In brackets 95 % intervals of means over n images. {sureness(result.rows)}\n"
    return "\n".join([*sections, *_problems(result), sure])


def conventions_table(result: Result, images: bool = False) -> str:
    """Return one Markdown table per protocol and measure of a result by conventions; ``images`` adds a row for each.

    A column is one convention: "(ours)" where the library is not here and our own code computes what it would.
    """
    records = result.provenance["conventions"]
    protocols = unique(row.protocol for row in result.rows)
    sections = [
        _side_by_side(
            [r for r in result.rows if r.protocol == name and r.metric.startswith(measure)], records, images
        )
        for name in protocols
        for measure in unique(r.metric.partition("-")[0] for r in result.rows if r.protocol == name)
    ]
    return "\n".join([*sections, *_problems(result)])


def _protocol_section(result: Result, protocol: str) -> str:
    measured = [row for row in result.rows if row.protocol == protocol]
    rows = with_pooled(measured)
    columns = unique((row.metric, row.convention) for row in rows)
    titles = _titles(columns)
    conventions = [f"{title}: {convention}" for title, (_, convention) in zip(titles, columns, strict=True)]
    run = any(row.seconds or row.peak_mib for row in rows)  # else the images were made elsewhere
    head = ["restorer", "n", *titles, *(["seconds", "peak MiB"] if run else [])]
    lines = [f"### {protocol}", "", line(head), line(["---", *["---:"] * (len(head) - 1)])]
    for name in unique(row.restorer for row in rows):
        own = {(row.metric, row.convention): row for row in rows if row.restorer == name}
        first = next(iter(own.values()))
        n = max(row.n for row in own.values())
        cells = [cell(own[column], n) if column in own else "–" for column in columns]
        cost = [f"{first.seconds:.2f}", f"{first.peak_mib:.0f}"] if run else []
        lines.append(line([name, str(n), *cells, *cost]))
    compared = [_sentence(c, rows) for c in result.comparisons if c.protocol == protocol]
    compared += _over_seeds(measured, rows)
    said = [*compared, *_lacking(rows), *conventions]
    return "\n".join([*lines, "", *(f"- {sentence}" for sentence in said), ""])


def _side_by_side(rows: Sequence[Row], records: Mapping[str, Mapping[str, str]], images: bool) -> str:
    """Return the table of one protocol and measure, and in a line each what the columns are."""
    columns = unique(row.convention for row in rows)
    titles = [convention_title(records[column]) for column in columns]
    measure = rows[0].metric.partition("-")[0]
    lines = [f"**{rows[0].protocol}, {measure}**", "", line(["restorer", "n", *titles])]
    lines.append(line(["---", *["---:"] * (len(columns) + 1)]))
    for name in unique(row.restorer for row in rows):
        own = {row.convention: row for row in rows if row.restorer == name}
        n = max(row.n for row in own.values())
        cells = [cell(own[column], n) if column in own else "–" for column in columns]
        lines.append(line([name, str(n), *cells]))
        scored = unique(image for row in own.values() for image in (*row.per_image, *row.missing))
        for image in scored if images else ():
            values = [
                (own[c].per_image.get(image), own[c].metric) if c in own else (None, "") for c in columns
            ]
            lines.append(line([f"{name}: {image}", "1", *(number(*value) for value in values)]))
    notes = [
        f"- {title}: {_note(column, records[column])}" for title, column in zip(titles, columns, strict=True)
    ]
    lacking = [f"- {sentence}" for sentence in _lacking(rows)]
    return "\n".join([*lines, "", *notes, *lacking, ""])


def convention_title(record: Mapping[str, str]) -> str:
    """Return what a column of one convention is headed: "(ours)" where our own code stands in for a library."""
    return record["name"] + (" (ours)" if record["by"] == "ours" and record["library"] else "")


def _note(convention: str, record: Mapping[str, str]) -> str:
    """Return in one line what a convention is and who computed it, as ``piq 0.8.0: psnr …; rgb,border=0,…``."""
    what = convention.partition(": ")[2].rpartition("; ")[0]
    remark = f"; {record['remark']}" if record["remark"] and record["library"] else ""
    by = f"{record['by']}: " if record["by"] != "ours" else ""
    return f"{by}{record['words']} [{what}]{remark}"


def _titles(columns: Sequence[tuple[str, str]]) -> list[str]:
    """Return a heading for each metric and convention; a metric of several conventions is numbered."""
    metrics = [metric for metric, _ in columns]
    return [
        metric if metrics.count(metric) == 1 else f"{metric} ({metrics[: i + 1].count(metric)})"
        for i, metric in enumerate(metrics)
    ]


def cell(row: Row, n: int, *further: str) -> str:
    """Return a mean with its interval, over how many images where that is not ``n``, and what it lacks."""
    interval = ends(row.low, row.high, row.metric)
    notes = [*([interval] if interval else []), *further]
    if row.n not in (0, n):
        notes.append(f"n = {row.n}")
    if row.missing and not (row.mean is None and METRICS[row.metric].kind == "set"):
        notes.append(f"{_lost(row)} missing")
    return number(row.mean, row.metric) + (f" ({'; '.join(notes)})" if notes else "")


def gaps(rows: Sequence[Row]) -> Iterator[tuple[str, str, str, str]]:
    """Yield protocol, restorer, what of it has no value, and why: metrics, or images by name, each reason once."""
    found: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
    labels = _labels(rows)
    for row in rows:
        reasons: dict[str, list[str]] = {}
        for name, why in row.missing.items():
            reasons.setdefault(why, []).append(name)
        for why, names in reasons.items():
            of_set = METRICS[row.metric].kind == "set" and row.mean is None
            whole = of_set or (not row.per_image and len(reasons) == 1 and len(names) > 1)
            key = row.protocol, row.restorer, why, () if whole else tuple(names)
            found.setdefault(key, []).append(labels[row.key])
    for (protocol, restorer, why, names), metrics in found.items():
        own = [labels[row.key] for row in rows if (row.protocol, row.restorer) == (protocol, restorer)]
        images = listed(names)
        what = "" if metrics == own and names else ", ".join(metrics)
        yield protocol, restorer, " of ".join(part for part in (what, images) if part), why


def _labels(rows: Sequence[Row]) -> dict[tuple[str, str, str, str], str]:
    """Return what a line calls a row's metric: with its convention where there are several of it."""
    conventions: dict[str, set[str]] = {}
    for row in rows:
        conventions.setdefault(row.metric, set()).add(row.convention)
    several = {metric for metric, own in conventions.items() if len(own) > 1}
    return {
        row.key: f"{row.metric} [{row.convention}]" if row.metric in several else row.metric for row in rows
    }


def _sentence(c: Comparison, rows: Sequence[Row]) -> str:
    interval = ends(c.low, c.high, c.metric, "+")
    difference = signed(c.difference, c.metric) + (f" ({interval})" if interval else "")
    said = f"{c.restorer} against {c.baseline}, {c.metric}: {difference}, {c.verdict}"
    if c.verdict == "significant" or c.needed is None:
        return said
    unit = unit_of(row for row in rows if (row.metric, row.convention) == (c.metric, c.convention))
    return f"{said}; {images_in_words(c.needed, c.n, unit)} would tell them apart, in 80 of 100 studies"


def _over_seeds(own: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    """Return a line for each restorer that was measured with several seeds."""
    names = unique(row.restorer for row in rows if row not in own)
    seeds = {name: unique(r.restorer for r in own if seedless(r.restorer) == name) for name in names}
    return [
        f"{name}: mean over {len(measured)} seeds; its interval and its differences are over images and seeds"
        for name, measured in seeds.items()
    ]


def sureness(rows: Sequence[Row]) -> str:
    """Return in sentences by which laws the intervals of rows were found."""
    seeded = len({seedless(row.restorer) for row in rows}) < len({row.restorer for row in rows})
    said = []
    if any(METRICS[row.metric].kind != "set" for row in rows):
        over = "images, and over seeds where there are several" if seeded else "images"
        said.append(f"Intervals: bootstrap over {over}, symmetric percentile-t; Student's t below 8 images.")
    if any(METRICS[row.metric].kind == "set" for row in rows):
        said.append(
            "Those of numbers of whole sets: jackknife over 8 groups of images, each left out of all sets at once; "
            "none below 8 images."
        )
    if any(row.clusters for row in rows):
        said.append("Images that share a clip or a clean image count as one in them.")
    if len({seedless(row.restorer) for row in rows}) > 2:
        said.append(
            "Each interval is that of one pair; what is called significant is so for all pairs of restorers of a "
            "column at once (Holm)."
        )
    return " ".join([*said, "Below 8 images no difference is called significant."])


def _lacking(rows: Sequence[Row]) -> list[str]:
    """Return in a sentence each why values are missing."""
    return [f"no value of {restorer}: {what}: {why}" for _, restorer, what, why in gaps(rows)]


def _lost(row: Row) -> str:
    """Return how many images have no value; a row of a set says so itself."""
    return ", ".join(row.missing) if METRICS[row.metric].kind == "set" else str(len(row.missing))


def _problems(result: Result) -> list[str]:
    """Return what could not be scored at all, as Markdown."""
    return (
        ["Not scored:", "", *(f"- {problem}" for problem in result.problems), ""] if result.problems else []
    )


def has_conventions(result: Result) -> bool:
    """Return whether a result compares conventions, whose columns have a table of their own."""
    return "conventions" in result.provenance


def line(cells: Iterable[str]) -> str:
    """Return one line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def unique(names: Iterable[T]) -> list[T]:
    """Return each once, in order."""
    return list(dict.fromkeys(names))
