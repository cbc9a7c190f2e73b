"""Tables of committed results: the README's by task and scale; the ledger's of published values and of conventions."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restoration.benchmarks.result import Result, Row, read_result
from restoration.benchmarks.table import (
    cell,
    conventions_table,
    has_conventions,
    line,
    number,
    sureness,
    unique,
)
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
PUBLISHED = (
    "**Published tables, measured again**\n\nBeside every mean and its interval stands that of independent "
    "measurements of the same images, from which no image here is further than {}."
)


@dataclass(frozen=True)
class Entry:
    """A row with what its result records of the protocol and the restorer, and the published value."""

    row: Row
    protocol: Mapping[str, Any]
    restorer: Mapping[str, Any]
    published: float | None = None


def readme_tables(results: Path) -> str:
    """Return the README's tables from every result in a folder, one table per task and scale.

    A column is one metric of one protocol under one convention, so that numbers made in different ways never stand
    together.
    """
    found = _results(results)
    own = _committed({path: r for path, r in found.items() if not (has_conventions(r) or has_published(r))})
    tables = [_summary(title, entries) for title, entries in _by_task(own).items()]
    if own:
        tables.append(f"In brackets 95 % intervals. {sureness([entry.row for entry in own])}")
    return "\n\n".join(tables)


def ledger_tables(results: Path) -> str:
    """Return the ledger's tables: published values beside what is measured, then conventions side by side."""
    found, tables = _results(results), []
    for result in filter(has_published, found.values()):
        tables.append(PUBLISHED.format(farthest(result)))
        tables += [_summary(title, entries) for title, entries in _by_task(_entries(result)).items()]
    side_by_side = [conventions_table(r) for r in found.values() if has_conventions(r)]
    if side_by_side:
        tables += [
            "**One set of images by the conventions of several libraries**",
            *map(str.rstrip, side_by_side),
        ]
    return "\n\n".join(tables)


def has_published(result: Result) -> bool:
    """Return whether a result was made to be held against published values, which it records."""
    return "published" in result.provenance


def farthest(result: Result) -> str:
    """Return in words how far a result is from published values at most, on any image."""
    apart = result.provenance["published"]["farthest"]
    return f"{_up(apart['psnr'], 5)} dB of PSNR and {_up(apart['ssim'], 6)} of SSIM"


def _up(value: float, places: int) -> str:
    """Return a number with so many places, rounded up."""
    return f"{math.ceil(value * 10**places) / 10**places:.{places}f}"


def fill_markers(text: str, tables: str, page: str = "README.md") -> str:
    """Return a page with everything between the two result markers replaced."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise RequestError(f"{page}: expected one '{BEGIN}' and after it one '{END}'")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def _results(folder: Path) -> dict[Path, Result]:
    """Return the results in a folder; files that hold something else, such as timings, are passed over."""
    found = {path: read_result(path) for path in sorted(folder.rglob("*.json"))}
    return {path: result for path, result in found.items() if result is not None}


def _committed(results: Mapping[Path, Result]) -> list[Entry]:
    """Return every row once; two files may not disagree about one."""
    found: dict[tuple[str, str, str, str], Entry] = {}
    origin: dict[tuple[str, str, str, str], Path] = {}
    for path, result in results.items():
        for entry in _entries(result):
            row = entry.row
            if row.key in found and _values(found[row.key].row) != _values(row):
                raise RequestError(
                    f"{path} and {origin[row.key]}: different values for {row.restorer} on {row.protocol} "
                    f"({row.metric}, {row.convention}); delete one"
                )
            origin[row.key], found[row.key] = path, entry
    return list(found.values())


def _entries(result: Result) -> list[Entry]:
    """Return the rows of a result with what it records of each."""
    records = result.provenance
    protocols, restorers = records.get("protocols", {}), records.get("restorers", {})
    known = {
        (value["protocol"], value["restorer"], value["metric"], value["convention"]): value["mean"]
        for value in records.get("published", {}).get("values", ())
    }
    return [
        Entry(
            row, protocols.get(row.protocol, {}).get("settings", {}), restorers.get(row.restorer, {}),
            known.get(row.key),
        )
        for row in result.rows
    ]  # fmt: skip


def _values(row: Row) -> tuple[Mapping[str, float], float | None]:
    return row.per_image, row.mean


def _by_task(found: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return title → rows: one table per task, scale and kind of image, and per group of restorers compared."""
    tables: dict[tuple[int, int, str], list[Entry]] = {}
    for entry in found:
        task, scale = entry.protocol.get("task", "restoration"), entry.protocol.get("scale", 1)
        title = TASKS[task] + (f" ×{scale}" if scale > 1 else "")
        title += ", grey" if entry.protocol.get("colour") == "grey" else ""
        tables.setdefault((list(TASKS).index(task), scale, title), []).append(entry)
    whole: dict[str, list[Entry]] = {}
    for key in sorted(tables):
        groups = _apart(tables[key])
        for group in groups:
            protocols = ", ".join(unique(entry.row.protocol for entry in group))
            whole[key[2] if len(groups) == 1 else f"{key[2]}: {protocols}"] = group
    return whole


def _apart(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Return the rows in groups of protocols that no restorer with parameters is in more than one of."""
    groups: list[tuple[set[str], set[str]]] = []  # protocols, restorers
    for entry in entries:
        own = ({entry.row.protocol}, {entry.row.restorer} if entry.restorer.get("parameters") else set())
        joined = [group for group in groups if group[0] & own[0] or group[1] & own[1]]
        groups = [group for group in groups if group not in joined]
        groups.append((own[0].union(*(g[0] for g in joined)), own[1].union(*(g[1] for g in joined))))
    order = list(unique(entry.row.protocol for entry in entries))
    groups.sort(key=lambda group: min(order.index(protocol) for protocol in group[0]))
    return [[entry for entry in entries if entry.row.protocol in group[0]] for group in groups]


def _summary(title: str, entries: Sequence[Entry]) -> str:
    """Return one table: a column per metric, protocol and convention, whose images its heading counts."""
    rows = [entry.row for entry in entries]
    by = {(row.protocol, row.convention, row.metric): row.n for row in sorted(rows, key=lambda row: row.n)}
    columns = sorted(by, key=lambda column: column[:2])
    marks = {convention: i + 1 for i, convention in enumerate(unique(c for _, c, _ in columns))}
    head = [f"{p} {m}, n = {by[p, c, m]} ({marks[c]})" for p, c, m in columns]
    lines = [f"**{title}**", "", line(["restorer", "parameters", *head])]
    lines.append(line(["---", *["---:"] * (len(columns) + 1)]))
    for name in sorted(unique(row.restorer for row in rows), key=lambda n: _size(entries, n)):
        own = {(e.row.protocol, e.row.convention, e.row.metric): e for e in entries if e.row.restorer == name}
        cells = [_cell(own[column], by[column]) if column in own else "" for column in columns]
        lines.append(line([name, f"{_size(entries, name)[0]:,}", *cells]))
    notes = "; ".join(f"({i}) {convention}" for convention, i in marks.items())
    return "\n".join([*lines, "", f"Conventions: {notes}."])


def _cell(entry: Entry, n: int) -> str:
    """Return a mean with its interval, and with the value that is known, where there is one."""
    known = [] if entry.published is None else [f"known {number(entry.published, entry.row.metric)}"]
    return cell(entry.row, n, *known)


def _size(entries: Iterable[Entry], name: str) -> tuple[int, str]:
    return next(e.restorer.get("parameters", 0) for e in entries if e.row.restorer == name), name
