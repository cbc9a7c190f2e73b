"""A result as one HTML page that opens from disk: table, plots, pictures, provenance."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from restoration.benchmarks.gallery import Gallery, Scene
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.plot import MARKS, Plot, dot_plot
from restoration.benchmarks.result import Comparison, Result, Row
from restoration.benchmarks.table import ends, number, run_table, signed
from restoration.files import atomic
from restoration.toml import dumps

BUDGET = 7 * 2**20  # bytes of pictures per page, before base64 adds a third
MISSING_LISTED = 8


@dataclass(frozen=True)
class _Cell:
    value: float | None
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
    metrics: Sequence[str]
    conventions: Mapping[str, str]
    cells: Mapping[tuple[str, str], _Cell]  # (restorer, metric)
    costs: Mapping[str, Mapping[str, float | None]]
    plots: Sequence[Plot]
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
    scenes = _affordable({name: list(gallery.of(name)) if gallery else [] for name in protocols})
    sections = [_section(result, name, scenes[name]) for name in protocols]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = files("restoration.benchmarks").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        sections=sections,
        headlines=[line for section in sections for line in _headline(section)],
        command=result.command,
        problems=result.problems,
        facts=_facts(result.provenance),
        provenance=json.dumps(result.provenance, indent=1, ensure_ascii=False),
        restorer_index={name: i for i, name in enumerate(dict.fromkeys(row.restorer for row in result.rows))},
        marks=MARKS,
    )


def _section(result: Result, protocol: str, scenes: Sequence[Scene]) -> _Section:
    rows = [row for row in result.rows if row.protocol == protocol]
    compared = {(c.restorer, c.metric): c for c in result.comparisons if c.protocol == protocol}
    by_metric = {row.metric: [r for r in rows if r.metric == row.metric] for row in rows}
    record = result.provenance.get("protocols", {}).get(protocol, {})
    costs = {
        row.restorer: _cost(row, result.provenance.get("restorers", {}).get(row.restorer, {})) for row in rows
    }
    plots = [dot_plot(group, METRICS[metric].unit) for metric, group in by_metric.items()]
    return _Section(
        name=protocol,
        restorers=list(costs),
        metrics=list(by_metric),
        conventions={row.metric: row.convention for row in rows},
        cells={
            (row.restorer, row.metric): _cell(row, compared.get((row.restorer, row.metric))) for row in rows
        },
        costs=costs,
        plots=[plot for plot in plots if plot is not None],
        scenes=[_scene(scene, rows) for scene in scenes],
        images=record.get("images", ""),
        settings=dumps(record["settings"]) if record else "",
        baseline=next((c.baseline for c in compared.values()), None),
        n=max(row.n for row in rows),
        values=_values(rows),
    )


def _cell(row: Row, comparison: Comparison | None) -> _Cell:
    difference = span = verdict = direction = ""
    if comparison is not None:
        difference, verdict = signed(comparison.difference, row.metric), comparison.verdict
        span = ends(comparison.low, comparison.high, row.metric, "+")
        value = row.mean or 0.0
        better = METRICS[row.metric].improves(value, value - comparison.difference)
        direction = "better" if better else "worse"
    reasons = [f"{name}: {reason}" for name, reason in list(row.missing.items())[:MISSING_LISTED]]
    return _Cell(
        row.mean, number(row.mean, row.metric), ends(row.low, row.high, row.metric),
        difference, span, verdict, direction, "; ".join(reasons),
    )  # fmt: skip


def _cost(row: Row, record: Mapping[str, Any]) -> dict[str, float | None]:
    return {
        "seconds": row.seconds,
        "peak_mib": row.peak_mib,
        "parameters": record.get("parameters"),
        "multiply_adds": record.get("multiply_adds_per_input_megapixel"),
    }


def _values(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """Return image → its value by every row, for the table below the plots."""
    names = dict.fromkeys(name for row in rows for name in [*row.per_image, *row.missing])
    return [(name, [number(row.per_image.get(name), row.metric) for row in rows]) for name in names]


def _scene(scene: Scene, rows: Sequence[Row]) -> dict[str, Any]:
    metric = rows[0].metric
    scores = {row.restorer: row.per_image.get(scene.name) for row in rows if row.metric == metric}
    versions = [
        {
            "label": version.label,
            "view": _data_uri(version.view),
            "detail": _data_uri(version.detail),
            "score": f"{number(scores[version.label], metric)} {METRICS[metric].unit}".strip()
            if version.label in scores else "",
        }
        for version in scene.versions
    ]  # fmt: skip
    return {"name": scene.name, "width": scene.view.width, "height": scene.view.height, "versions": versions}


def _data_uri(data: bytes) -> str:
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def _affordable(scenes: Mapping[str, Sequence[Scene]]) -> dict[str, list[Scene]]:
    """Return as many scenes as the page may hold, by turns from every protocol; at least one from each."""
    kept: dict[str, list[Scene]] = {name: [] for name in scenes}
    spent = 0
    for turn in zip_longest(*scenes.values()):
        for scene in filter(None, turn):
            size = sum(len(version.view) + len(version.detail) for version in scene.versions)
            if not kept[scene.protocol] or spent + size <= BUDGET:
                kept[scene.protocol].append(scene)
                spent += size
    return kept


def _headline(section: _Section) -> list[str]:
    """Return in one sentence who is ahead by the first metric, and whether that means anything."""
    metric = section.metrics[0]
    scored = [name for name in section.restorers if section.cells[name, metric].value is not None]
    if not scored:
        return []
    rank = METRICS[metric].rank
    best = max(scored, key=lambda name: rank(section.cells[name, metric].value or 0.0))
    cell, unit = section.cells[best, metric], METRICS[metric].unit
    sentence = (
        f"{section.name}: {best} reaches {cell.text} {unit}".rstrip() + f" {metric} over {section.n} images"
    )
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
