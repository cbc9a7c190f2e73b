"""Results as Markdown: the table of one run, and the README's tables from committed results."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.result import Comparison, Result, Row, read_result
from restoration.errors import RequestError

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
TASKS = {"super-resolution": "Super-resolution", "denoising": "Denoising", "restoration": "Restoration"}


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
    sections = [_protocol_section(result, name) for name in _unique(row.protocol for row in result.rows)]
    problems = [f"- {line}" for line in result.problems]
    return "\n".join([*sections, *(["Not scored:", "", *problems, ""] if problems else []), _sure(result)])


def readme_tables(results: Path) -> str:
    """Return the README's tables from every result in a folder, one table per task and scale.

    A column is one protocol under one convention, so that numbers made in different ways never stand together.
    """
    found = _committed(results)
    return "\n\n".join(_summary(title, entries) for title, entries in _by_task(found).items())


def fill_markers(text: str, tables: str) -> str:
    """Return a README with everything between the two result markers replaced."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise RequestError(f"README: expected one '{BEGIN}' and after it one '{END}'")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def _protocol_section(result: Result, protocol: str) -> str:
    rows = [row for row in result.rows if row.protocol == protocol]
    metrics = _unique(row.metric for row in rows)
    conventions = _unique(f"{row.metric}: {row.convention}" for row in rows)
    head = ["restorer", *metrics, "seconds", "peak MiB"]
    lines = [f"### {protocol}", "", _line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for name in _unique(row.restorer for row in rows):
        own = {row.metric: row for row in rows if row.restorer == name}
        first = next(iter(own.values()))
        cells = [_cell(own[metric]) if metric in own else "–" for metric in metrics]
        lines.append(_line([name, *cells, f"{first.seconds:.2f}", f"{first.peak_mib:.0f}"]))
    compared = [_sentence(c) for c in result.comparisons if c.protocol == protocol]
    return "\n".join([*lines, "", *(f"- {c}" for c in compared), *(f"- {c}" for c in conventions), ""])


def _cell(row: Row) -> str:
    interval = ends(row.low, row.high, row.metric)
    lacking = f" ({len(row.missing)} missing)" if row.missing else ""
    return number(row.mean, row.metric) + (f" ({interval})" if interval else "") + lacking


def _sentence(c: Comparison) -> str:
    interval = ends(c.low, c.high, c.metric, "+")
    difference = signed(c.difference, c.metric) + (f" ({interval})" if interval else "")
    return f"{c.restorer} against {c.baseline}, {c.metric}: {difference}, {c.verdict}"


def _sure(result: Result) -> str:
    sizes = sorted({row.n for row in result.rows})
    over = ", ".join(map(str, sizes))
    return (
        f"Means over n = {over} images, in brackets 95 % intervals: bootstrap over images, symmetric percentile-t; "
        "Student's t below 8 images. "
        "Below 8 images no difference is called significant.\n"
    )


def _committed(results: Path) -> list[tuple[Row, Mapping[str, Any], Mapping[str, Any]]]:
    """Return each row with its protocol's and its restorer's record; two files may not disagree about a row."""
    found: dict[tuple[str, str, str, str], tuple[Row, Mapping[str, Any], Mapping[str, Any]]] = {}
    origin: dict[tuple[str, str, str, str], Path] = {}
    for path in sorted(results.rglob("*.json")):
        result = read_result(path)
        for row in result.rows if result else ():
            records = result.provenance
            if row.key in found and found[row.key][0].per_image != row.per_image:
                raise RequestError(
                    f"{path} and {origin[row.key]}: different values for {row.restorer} on {row.protocol} "
                    f"({row.metric}, {row.convention}); delete one"
                )
            origin[row.key] = path
            protocol = records.get("protocols", {}).get(row.protocol, {})
            found[row.key] = (
                row,
                protocol.get("settings", {}),
                records.get("restorers", {}).get(row.restorer, {}),
            )
    return list(found.values())


def _by_task(
    found: Sequence[tuple[Row, Mapping[str, Any], Mapping[str, Any]]],
) -> dict[str, list[tuple[Row, Mapping[str, Any]]]]:
    """Return title → rows with their restorers' records: one table per task, scale and kind of image."""
    tables: dict[tuple[int, int, str], list[tuple[Row, Mapping[str, Any]]]] = {}
    for row, protocol, restorer in found:
        task, scale = protocol.get("task", "restoration"), protocol.get("scale", 1)
        title = TASKS[task] + (f" ×{scale}" if scale > 1 else "")
        title += ", grey" if protocol.get("colour") == "grey" else ""
        tables.setdefault((list(TASKS).index(task), scale, title), []).append((row, restorer))
    return {key[2]: tables[key] for key in sorted(tables)}


def _summary(title: str, entries: Sequence[tuple[Row, Mapping[str, Any]]]) -> str:
    columns = sorted({(row.protocol, row.convention) for row, _ in entries})
    marks = {convention: i + 1 for i, convention in enumerate(_unique(c for _, c in columns))}
    metrics = {c: _unique(r.metric for r, _ in entries if (r.protocol, r.convention) == c) for c in columns}
    head = [f"{p} {' / '.join(metrics[p, c])} ({marks[c]})" for p, c in columns]
    lines = [f"**{title}**", "", _line(["restorer", "parameters", *head])]
    lines.append(_line(["---", *["---:"] * (len(columns) + 1)]))
    for name in sorted(_unique(row.restorer for row, _ in entries), key=lambda n: _size(entries, n)):
        own = {(row.protocol, row.convention, row.metric): row for row, _ in entries if row.restorer == name}
        cells = [
            " / ".join(number(own[p, c, m].mean, m) if (p, c, m) in own else "–" for m in metrics[p, c])
            if any(key[:2] == (p, c) for key in own) else ""
            for p, c in columns
        ]  # fmt: skip
        lines.append(_line([name, f"{_size(entries, name)[0]:,}", *cells]))
    notes = "; ".join(f"({i}) {convention}" for convention, i in marks.items())
    return "\n".join([*lines, "", f"Conventions: {notes}."])


def _size(entries: Iterable[tuple[Row, Mapping[str, Any]]], name: str) -> tuple[int, str]:
    return next(restorer.get("parameters", 0) for row, restorer in entries if row.restorer == name), name


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
