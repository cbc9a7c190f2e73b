"""A result as one HTML page that opens from disk: table, plots, pictures, provenance."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from restoration.benchmarks.gallery import Gallery, Scene, Version
from restoration.benchmarks.matrix import Matrix, advice, matrices
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.pictures import scale_colours
from restoration.benchmarks.plane import notes
from restoration.benchmarks.plane_picture import page_planes
from restoration.benchmarks.plot import MARKS, Plot, dot_plot, scatter
from restoration.benchmarks.result import Comparison, Result, Row
from restoration.benchmarks.table import ends, number, run_table, signed
from restoration.files import atomic
from restoration.toml import dumps

BUDGET = 16 * 2**20  # bytes of pictures per page, before base64 adds a third
MISSING_LISTED = 8
WORDS = {"higher": "higher is better", "lower": "lower is better", "one": "best at 1"}

Column = tuple[str, str]  # metric and convention: values of two conventions never share one


@dataclass(frozen=True)
class _Cell:
    value: float | None
    order: float | None  # by which the column is sorted
    text: str
    interval: str
    difference: str
    span: str
    verdict: str
    direction: str  # "better" or "worse" than the baseline
    missing: str


@dataclass(frozen=True)
class _Section:
    """What the page says about one protocol."""

    name: str
    restorers: Sequence[str]
    columns: Sequence[Column]
    repeated: bool  # whether a metric stands there by more than one convention
    cells: Mapping[tuple[str, Column], _Cell]
    costs: Mapping[str, Mapping[str, float | None]]
    plots: Sequence[Plot]
    scatter: Mapping[str, Any] | None
    planes: Sequence[tuple[Markup, Sequence[str]]]
    matrices: Sequence[Matrix]
    series: Sequence[tuple[str, str]]  # restorer and metric of each column of values
    scenes: Sequence[Mapping[str, Any]]
    images: str
    settings: str
    baseline: str | None
    n: int
    values: Sequence[tuple[str, Sequence[str]]]


def write_result(folder: Path, result: Result, gallery: Gallery | None = None) -> list[Path]:
    """Write ``result.json``, ``table.md`` and ``report.html`` into a folder, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "result.json": result.to_json(),
        "table.md": run_table(result),
        "report.html": page(result, gallery),
    }
    for name, text in texts.items():
        with atomic(folder / name) as stream:
            stream.write(text.encode())
    return [folder / name for name in texts]


def page(result: Result, gallery: Gallery | None = None) -> str:
    """Return the page; without a gallery it has no pictures."""
    protocols = list(dict.fromkeys(row.protocol for row in result.rows))
    planes = page_planes(result)
    matrix = matrices(result)
    marks = {name: i for i, name in enumerate(dict.fromkeys(row.restorer for row in result.rows))}
    scenes = _affordable({name: list(gallery.of(name)) if gallery else [] for name in protocols})
    sections = [
        _section(
            result, name, scenes[name], marks, [m for m in matrix if m.protocol == name],
            [(Markup(svg), notes(plane)) for plane, svg in planes if plane.protocol == name],
        )
        for name in protocols
    ]  # fmt: skip
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = _shipped("report.js")
    return environment.from_string(_shipped("report.html.jinja")).render(
        sections=sections,
        headlines=[line for section in sections for line in _headline(section)],
        command=result.command,
        problems=result.problems,
        facts=_facts(result.provenance),
        provenance=json.dumps(result.provenance, indent=1, ensure_ascii=False),
        restorer_index=marks,
        marks=MARKS,
        metrics=METRICS,
        words=WORDS,
        advice=advice,
        signed=signed,
        ends=ends,
        budget=BUDGET // 2**20,
        colours=scale_colours(),
        style=Markup(_shipped("report.css")),
        script=Markup(script),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )


def _shipped(name: str) -> str:
    return files("restoration.benchmarks").joinpath(name).read_text(encoding="utf-8")


def _section(
    result: Result, protocol: str, scenes: Sequence[Scene], marks: Mapping[str, int],
    matrices: Sequence[Matrix], planes: Sequence[tuple[Markup, Sequence[str]]],
) -> _Section:  # fmt: skip
    rows = [row for row in result.rows if row.protocol == protocol]
    compared = {(c.restorer, c.metric, c.convention): c for c in result.comparisons if c.protocol == protocol}
    by_column: dict[Column, list[Row]] = {}
    for row in rows:
        by_column.setdefault((row.metric, row.convention), []).append(row)
    record = result.provenance.get("protocols", {}).get(protocol, {})
    records = result.provenance.get("restorers", {})
    restorers = list(dict.fromkeys(row.restorer for row in rows))
    plots = [dot_plot(group, METRICS[metric].unit) for (metric, _), group in by_column.items()]
    first = [row for row in rows if row.per_image] or rows
    return _Section(
        name=protocol,
        restorers=restorers,
        columns=list(by_column),
        repeated=len({metric for metric, _ in by_column}) < len(by_column),
        cells={
            (row.restorer, column): _cell(row, compared.get((row.restorer, *column)))
            for column, group in by_column.items() for row in group
        },
        costs={
            name: _cost([r for r in rows if r.restorer == name], records.get(name, {})) for name in restorers
        },
        plots=[plot for plot in plots if plot is not None],
        scatter=scatter(rows, marks, {scene.name: i for i, scene in enumerate(scenes)}),
        planes=planes,
        matrices=matrices,
        series=[(row.restorer, row.metric) for row in rows],
        scenes=[_scene(scene, [r for r in rows if r.metric == first[0].metric]) for scene in scenes],
        images=record.get("images", ""),
        settings=dumps(record["settings"]) if record else "",
        baseline=next((c.baseline for c in compared.values()), None),
        n=max(row.n for row in rows),
        values=_values(rows),
    )  # fmt: skip


def _cell(row: Row, comparison: Comparison | None) -> _Cell:
    metric = METRICS[row.metric]
    difference = span = verdict = direction = ""
    if comparison is not None:
        difference, verdict = signed(comparison.difference, row.metric), comparison.verdict
        span = ends(comparison.low, comparison.high, row.metric, "+")
        value = row.mean or 0.0
        direction = "better" if metric.improves(value, value - comparison.difference) else "worse"
    reasons = [f"{name}: {reason}" for name, reason in list(row.missing.items())[:MISSING_LISTED]]
    order = abs(row.mean - 1) if row.mean is not None and metric.better == "one" else row.mean
    return _Cell(
        row.mean, order, number(row.mean, row.metric), ends(row.low, row.high, row.metric),
        difference, span, verdict, direction, "; ".join(reasons),
    )  # fmt: skip


def _cost(rows: Sequence[Row], record: Mapping[str, Any]) -> dict[str, float | None]:
    images = max(row.n for row in rows)
    return {
        "seconds": rows[0].seconds / images if images and rows[0].seconds else None,
        "peak_mib": rows[0].peak_mib or None,
        "parameters": record.get("parameters"),
        "multiply_adds": record.get("multiply_adds_per_input_megapixel"),
    }


def _values(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """Return image → its value by every row, for the table below the plots."""
    names = dict.fromkeys(name for row in rows for name in [*row.per_image, *row.missing])
    return [(name, [number(row.per_image.get(name), row.metric) for row in rows]) for name in names]


def _scene(scene: Scene, rows: Sequence[Row]) -> dict[str, Any]:
    """Return a scene for the page's script; ``rows`` are those of the metric whose values stand by the pictures."""
    scores = {row.restorer: row.per_image.get(scene.name) for row in rows}
    metric, view = rows[0].metric, scene.view

    def version(v: Version) -> dict[str, Any]:
        score = f"{number(scores[v.label], metric)} {METRICS[metric].unit}" if v.label in scores else ""
        return {
            "label": v.label,
            "view": _data_uri(v.view),
            "crops": [_data_uri(crop) for crop in v.crops],
            "errors": _data_uri(v.errors) if v.errors else None,
            "score": score.strip(),
        }

    crops = [
        {
            "top": crop.top, "left": crop.left, "height": crop.height, "width": crop.width,
            "y": (crop.top - view.top) / view.height, "x": (crop.left - view.left) / view.width,
            "high": crop.height / view.height, "wide": crop.width / view.width,
        }
        for crop in scene.crops
    ]  # fmt: skip
    return {
        "name": scene.name, "width": view.width, "height": view.height, "metric": metric, "peak": scene.peak,
        "crops": crops, "versions": [version(v) for v in scene.versions],
    }  # fmt: skip


def _data_uri(data: bytes) -> str:
    kinds = {b"RIFF": "webp", b"\x89PNG": "png"}
    return f"data:image/{kinds.get(data[:4], 'jpeg')};base64,{b64encode(data).decode()}"


def _affordable(scenes: Mapping[str, Sequence[Scene]]) -> dict[str, Sequence[Scene]]:
    """Return every scene, or every second, third … of each protocol: the most that the page may hold; one at least."""
    stride = 1
    while True:
        kept = {name: own[::stride] for name, own in scenes.items()}
        size = sum(scene.size for own in kept.values() for scene in own)
        if size <= BUDGET or all(len(own) <= 1 for own in kept.values()):
            return kept
        stride += 1


def _headline(section: _Section) -> list[str]:
    """Return in one sentence who is ahead by the first metric, and whether that means anything."""
    column = section.columns[0]
    metric = METRICS[column[0]]
    cells = {name: cell for (name, of), cell in section.cells.items() if of == column}
    scored = {name: cell.value for name, cell in cells.items() if cell.value is not None}
    if not scored:
        return []
    best = max(scored, key=lambda name: metric.rank(scored[name]))
    cell, unit = cells[best], metric.unit
    images = f"{section.n} image" + ("s" if section.n != 1 else "")
    sentence = f"{section.name}: {best} reaches {cell.text} {unit}".rstrip() + f" {column[0]} over {images}"
    if not cell.difference:
        return [f"{sentence}."]
    words = {"too few images": "too few images to call it significant"}.get(cell.verdict, cell.verdict)
    return [f"{sentence}, {cell.difference} {unit}".rstrip() + f" against {section.baseline} ({words})."]


def _facts(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    hardware, versions = provenance.get("hardware", {}), provenance.get("versions", {})
    facts = {
        "date": provenance.get("date", ""),
        "commit": provenance.get("git_commit") or "not from a checkout",
        "hardware": ", ".join(f"{key} {value}" for key, value in hardware.items()),
        "versions": ", ".join(f"{key} {value}" for key, value in versions.items()),
    }
    for name, record in provenance.get("restorers", {}).items():
        facts[f"weights of {name}"] = record.get("weights_sha256") or "none"
    for name, record in provenance.get("protocols", {}).items():
        facts[f"protocol {name}"] = record.get("sha256", "")
    return [(key, value) for key, value in facts.items() if value]
