"""A result as one HTML page that opens from disk: tables, plots, pictures, provenance."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from restoration.benchmarks import report_conventions, report_pictures, report_scores
from restoration.benchmarks.gallery import Gallery, Scene
from restoration.benchmarks.matrix import Matrix, advice, matrices
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.palette import shape
from restoration.benchmarks.pictures import scale_colours
from restoration.benchmarks.plane import notes
from restoration.benchmarks.plane_picture import page_planes
from restoration.benchmarks.plot import MARKS, Course, Plot, courses, dot_plot, scatter
from restoration.benchmarks.report_conventions import Measure
from restoration.benchmarks.report_pictures import Pictures
from restoration.benchmarks.report_scores import Scores
from restoration.benchmarks.result import Result, Row
from restoration.benchmarks.seeds import with_pooled
from restoration.benchmarks.table import conventions_table, ends, has_conventions, number, run_table, signed
from restoration.files import atomic
from restoration.toml import dumps

WORDS = {"higher": "higher is better", "lower": "lower is better", "one": "best at 1"}


@dataclass(frozen=True)
class _Section:
    """What the page says about one protocol: its scores, or its measures where it compares conventions."""

    name: str
    restorers: Sequence[str]
    scores: Scores
    measures: Sequence[Measure]
    plots: Sequence[Plot]
    courses: Sequence[Course]
    scatter: Mapping[str, Any] | None
    planes: Sequence[tuple[Markup, Sequence[str]]]
    matrices: Sequence[Matrix]
    series: Sequence[tuple[str, str]]  # restorer and metric of each column of values
    pictures: Pictures
    images: str
    settings: str
    n: int
    total: int  # images, those without a value too
    unit: str  # "image" or "frame"
    values: Sequence[tuple[str, Sequence[str]]]

    @property
    def count(self) -> str:
        """Return how many images were scored, in words."""
        return f"{self.n:,} {self.unit}{'s' if self.n != 1 else ''}"


def write_result(folder: Path, result: Result, gallery: Gallery | None = None) -> list[Path]:
    """Write ``result.json``, ``table.md`` and ``report.html`` into a folder, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "result.json": result.to_json(),
        "table.md": conventions_table(result, images=True) if has_conventions(result) else run_table(result),
        "report.html": page(result, gallery),
    }
    for name, text in texts.items():
        with atomic(folder / name) as stream:
            stream.write(text.encode())
    return [folder / name for name in texts]


def page(result: Result, gallery: Gallery | None = None) -> str:
    """Return the page; without a gallery it has no pictures."""
    sections = _sections(result, gallery)
    if has_conventions(result):
        headlines = report_conventions.headlines(result)
    else:
        headlines = [line for s in sections for line in report_scores.headline(s.scores, s.name, s.count)]
    script = _shipped("report.js")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        loader=FunctionLoader(_shipped),
    )  # fmt: skip
    return environment.get_template("report.html.jinja").render(
        sections=sections,
        headlines=headlines,
        command=result.command,
        problems=result.problems,
        facts=_facts(result.provenance),
        hardware=_hardware(result.provenance),
        provenance=json.dumps(result.provenance, indent=1, ensure_ascii=False),
        restorer_index=_marks(result),
        marks=MARKS,
        shape=shape,
        metrics=METRICS,
        words=WORDS,
        advice=advice,
        signed=signed,
        ends=ends,
        budget=report_pictures.BUDGET // 2**20,
        colours=scale_colours(),
        style=Markup(_shipped("report.css")),
        script=Markup(script),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )


def _shipped(name: str) -> str:
    return files("restoration.benchmarks").joinpath(name).read_text(encoding="utf-8")


def _marks(result: Result) -> dict[str, int]:
    """Return which mark each restorer has; one over all seeds has its own."""
    names = dict.fromkeys(row.restorer for row in (*result.rows, *with_pooled(result.rows)))
    return {name: i for i, name in enumerate(names)}


def _sections(result: Result, gallery: Gallery | None) -> list[_Section]:
    """Return what the page says about each protocol; planes and matrices are of scores, not of conventions."""
    protocols = list(dict.fromkeys(row.protocol for row in result.rows))
    by_conventions = has_conventions(result)
    planes = [] if by_conventions else page_planes(result)
    matrix = [] if by_conventions else matrices(result)
    scenes = report_pictures.affordable({n: list(gallery.of(n)) if gallery else [] for n in protocols})
    return [
        _section(
            result, name, scenes[name], gallery, [m for m in matrix if m.protocol == name],
            [(Markup(svg), notes(plane)) for plane, svg in planes if plane.protocol == name],
        )
        for name in protocols
    ]  # fmt: skip


def _section(
    result: Result, protocol: str, scenes: Sequence[Scene], gallery: Gallery | None,
    matrices: Sequence[Matrix], planes: Sequence[tuple[Markup, Sequence[str]]],
) -> _Section:  # fmt: skip
    rows = [row for row in result.rows if row.protocol == protocol]
    by_conventions = has_conventions(result)
    plain = [] if by_conventions else rows
    columns = report_scores.by_column(plain)
    record = result.provenance.get("protocols", {}).get(protocol, {})
    images = list(dict.fromkeys(name for row in rows for name in row.per_image))
    frames = record.get("settings", {}).get("degraded", {}).get("name") == "frames"
    frames |= bool(result.provenance.get("folders", {}).get("clips"))
    listed = [0] if frames else []
    plots = [dot_plot(group, METRICS[metric].unit, *listed) for (metric, _), group in columns.items()]
    return _Section(
        name=protocol,
        restorers=list(dict.fromkeys(row.restorer for row in rows)),
        scores=report_scores.scores(result, protocol),
        measures=report_conventions.measures(result, protocol) if by_conventions else [],
        plots=[plot for plot in plots if plot is not None],
        courses=[course for group in columns.values() for course in courses(group, images)] if frames else [],
        scatter=scatter(plain, _marks(result), {scene.name: i for i, scene in enumerate(scenes)}),
        planes=planes,
        matrices=matrices,
        series=[(row.restorer, row.metric) for row in plain],
        pictures=_pictures(rows, protocol, scenes, gallery),
        images=record.get("images", ""),
        settings=dumps(record["settings"]) if record else "",
        n=max(row.n for row in rows),
        total=len({name for row in rows for name in (*row.per_image, *row.missing)}),
        unit="frame" if frames else "image",
        values=_values(plain),
    )


def _pictures(
    rows: Sequence[Row], protocol: str, scenes: Sequence[Scene], gallery: Gallery | None
) -> Pictures:
    """Return the pictures of a protocol, with the values of the first metric that has one for each image."""
    first = next((row for row in rows if row.per_image), rows[0])
    own = [row for row in rows if (row.metric, row.convention) == (first.metric, first.convention)]
    return report_pictures.pictures(protocol, scenes, gallery, own)


def _values(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """Return image → its value by every row, for the table below the plots."""
    names = dict.fromkeys(name for row in rows for name in [*row.per_image, *row.missing])
    return [(name, [number(row.per_image.get(name), row.metric) for row in rows]) for name in names]


def _facts(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    versions = provenance.get("versions", {})
    facts = {
        "date": provenance.get("date", ""),
        "commit": provenance.get("git_commit") or "not from a checkout",
        "hardware": _hardware(provenance),
        "versions": ", ".join(f"{key} {value}" for key, value in versions.items()),
    }
    folders = provenance.get("folders", {})
    facts |= {f"folder of {name}": folder for name, folder in folders.get("restored", {}).items()}
    facts |= {f"{key} folder": folders.get(key, "") for key in ("clean", "degraded")}
    facts["masks"] = folders.get("mask", "")
    for name, record in provenance.get("restorers", {}).items():
        facts[f"weights of {name}"] = record.get("weights_sha256") or "none"
    for name, record in provenance.get("protocols", {}).items():
        facts[f"protocol {name}"] = record.get("sha256", "")
    return [(key, value) for key, value in facts.items() if value]


def _hardware(provenance: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in provenance.get("hardware", {}).items())
