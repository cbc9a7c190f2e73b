"""Results as Markdown: the table of one run, conventions side by side, the README's tables of committed results."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.result import Comparison, Result, Row, read_result
from restoration.errors import RequestError

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
TASKS = {
    "super-resolution": "Super-resolution",
    "denoising": "Denoising",
    "deblurring": "Deblurring",
    "deraining": "Deraining",
    "jpeg": "JPEG",
    "low-light": "Low light",
    "inpainting": "Inpainting",
    "reflection-removal": "Reflection removal",
    "video-super-resolution": "Video super-resolution",
    "faces": "Faces",
    "colourisation": "Colourisation",
    "reconstruction": "Reconstruction",
    "restoration": "Restoration",
}
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
    sections = [_protocol_section(result, name) for name in _unique(row.protocol for row in result.rows)]
    problems = [f"- {line}" for line in result.problems]
    return "\n".join([*sections, *(["Not scored:", "", *problems, ""] if problems else []), _sure(result)])


def conventions_table(result: Result, images: bool = False) -> str:
    """Return one Markdown table per protocol and measure of a result by conventions; ``images`` adds a row for each.

    A column is one convention: "(ours)" where the library is not here and our own code computes what it would.
    """
    records = result.provenance["conventions"]
    protocols = _unique(row.protocol for row in result.rows)
    sections = [
        _side_by_side(
            [r for r in result.rows if r.protocol == name and r.metric.startswith(measure)], records, images
        )
        for name in protocols
        for measure in _unique(r.metric.partition("-")[0] for r in result.rows if r.protocol == name)
    ]
    problems = [f"- {line}" for line in result.problems]
    return "\n".join([*sections, *(["Not scored:", "", *problems, ""] if problems else [])])


def readme_tables(results: Path) -> str:
    """Return the README's tables from every result in a folder, one table per task and scale.

    A column is one protocol under one convention, so that numbers made in different ways never stand together.
    """
    tables = [_summary(title, entries) for title, entries in _by_task(_committed(results)).items()]
    side_by_side = [conventions_table(r) for r in _results(results).values() if _has_conventions(r)]
    if side_by_side:
        tables += [
            "**One set of images by the conventions of several libraries**",
            *map(str.rstrip, side_by_side),
        ]
    return "\n\n".join(tables)


def fill_markers(text: str, tables: str) -> str:
    """Return a README with everything between the two result markers replaced."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise RequestError(f"README: expected one '{BEGIN}' and after it one '{END}'")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def _protocol_section(result: Result, protocol: str) -> str:
    rows = [row for row in result.rows if row.protocol == protocol]
    columns = _unique((row.metric, row.convention) for row in rows)
    titles = _titles(columns)
    conventions = [f"{title}: {convention}" for title, (_, convention) in zip(titles, columns, strict=True)]
    head = ["restorer", *titles, "seconds", "peak MiB"]
    lines = [f"### {protocol}", "", _line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for name in _unique(row.restorer for row in rows):
        own = {(row.metric, row.convention): row for row in rows if row.restorer == name}
        first = next(iter(own.values()))
        cells = [_cell(own[column]) if column in own else "–" for column in columns]
        lines.append(_line([name, *cells, f"{first.seconds:.2f}", f"{first.peak_mib:.0f}"]))
    compared = [_sentence(c) for c in result.comparisons if c.protocol == protocol]
    return "\n".join([*lines, "", *(f"- {c}" for c in compared), *(f"- {c}" for c in conventions), ""])


def _side_by_side(rows: Sequence[Row], records: Mapping[str, Mapping[str, str]], images: bool) -> str:
    """Return the table of one protocol and measure, and in a line each what the columns are."""
    columns = _unique(row.convention for row in rows)
    titles = [_column(records[column]) for column in columns]
    measure = rows[0].metric.partition("-")[0]
    lines = [f"**{rows[0].protocol}, {measure}**", "", _line(["restorer", "n", *titles])]
    lines.append(_line(["---", *["---:"] * (len(columns) + 1)]))
    for name in _unique(row.restorer for row in rows):
        own = {row.convention: row for row in rows if row.restorer == name}
        cells = [_mean(own[column]) if column in own else "–" for column in columns]
        lines.append(_line([name, str(max(row.n for row in own.values())), *cells]))
        scored = _unique(image for row in own.values() for image in (*row.per_image, *row.missing))
        for image in scored if images else ():
            values = [
                (own[c].per_image.get(image), own[c].metric) if c in own else (None, "") for c in columns
            ]
            lines.append(_line([f"{name}: {image}", "1", *(number(*value) for value in values)]))
    notes = [
        f"- {title}: {_note(column, records[column])}" for title, column in zip(titles, columns, strict=True)
    ]
    return "\n".join([*lines, "", *notes, ""])


def _column(record: Mapping[str, str]) -> str:
    return record["name"] + (" (ours)" if record["by"] == "ours" and record["library"] else "")


def _mean(row: Row) -> str:
    return number(row.mean, row.metric) + (f" ({len(row.missing)} missing)" if row.missing else "")


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
    for path, result in _results(results).items():
        for row in () if _has_conventions(result) else result.rows:
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


def _results(folder: Path) -> dict[Path, Result]:
    """Return the results in a folder; files that hold something else, such as timings, are passed over."""
    found = {path: read_result(path) for path in sorted(folder.rglob("*.json"))}
    return {path: result for path, result in found.items() if result is not None}


def _has_conventions(result: Result) -> bool:
    """Return whether a result compares conventions, whose columns have a table of their own."""
    return "conventions" in result.provenance


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


def _unique(names: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(names))
