"""The perception-distortion plane as a picture: the better corner is at the lower left, whatever the metrics."""

import hashlib
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.plane import Place, Plane, Point, asked, plane_table, planes
from restoration.benchmarks.result import Result
from restoration.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = "os^DvP"  # the shapes of the page's other plots
COLOURS = ("#0b57c2", "#b34700", "#157347", "#8227a5", "#a3123f", "#5c5200")
INK, SOFT, RULE, GROUND = "#16191d", "#565e69", "#d9dde3", "#ffffff"
VARIABLES = {  # of the page, so that the picture follows its light and dark
    INK: "--ink", SOFT: "--soft", RULE: "--line", GROUND: "--card",
    **{colour: f"--r{i}" for i, colour in enumerate(COLOURS)},
}  # fmt: skip
SIZE, DPI = (7.2, 5.4), 160
LABELLED = 12  # points of a curve that have their setting written beside them


def write_planes(folder: Path, result: Result, axes: Sequence[tuple[str, str]]) -> list[Path]:
    """Write every plane of a result as SVG, PNG, JSON and Markdown table, each file whole or not at all."""
    written = []
    for plane in (plane for pair in axes for plane in planes(result, *pair)):
        stem = re.sub(r"[^\w.=+-]+", "_", f"plane-{plane.protocol}-{plane.distortion}-{plane.perception}")
        stem = stem if folder / f"{stem}.svg" not in written else f"{stem}-{_digest(plane)}"
        contents = {
            ".svg": svg(plane).encode(), ".png": png(plane), ".json": plane.to_json().encode(),
            ".md": plane_table(plane).encode(),
        }  # fmt: skip
        for suffix, content in contents.items():
            with atomic(folder / f"{stem}{suffix}") as stream:
                stream.write(content)
            written.append(folder / f"{stem}{suffix}")
    return written


def page_planes(result: Result) -> list[tuple[Plane, str]]:
    """Return what a page shows of a result: its planes, each with its picture as an element; often none."""
    return [(plane, page_svg(plane)) for pair in asked(result) for plane in planes(result, *pair)]


def page_svg(plane: Plane) -> str:
    """Return the picture as an element for an HTML page: its colours, no name twice, nothing from elsewhere."""
    text = svg(plane)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"|\s(width|height)="[\d.]+pt"|\sversion="[^"]*"', "", text)
    name = f"plane-{_digest(plane)}-"
    text = re.sub(r'\bid="', f'id="{name}', text)
    text = re.sub(r'(url\(|href=")#', rf"\g<1>#{name}", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable}, {colour})")
    said = html.escape(_spoken(plane), quote=True)
    return text.replace(
        "<svg", f'<svg role="img" aria-label="{said}" style="width: 100%; max-width: 46rem; height: auto"', 1
    )


def svg(plane: Plane) -> str:
    """Return the picture as an SVG document, the same one for the same plane."""
    return _drawn(plane, "svg").decode()


def png(plane: Plane) -> bytes:
    """Return the picture as a PNG file."""
    return _drawn(plane, "png")


def _drawn(plane: Plane, kind: str) -> bytes:
    import matplotlib as mpl  # here: it takes as long to import as a small benchmark to run

    settings = {"svg.fonttype": "none", "svg.hashsalt": "plane", "font.size": 10, "text.parse_math": False}
    stream = io.BytesIO()
    with mpl.rc_context(settings):
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        _figure(plane).savefig(stream, format=kind, dpi=DPI, metadata=metadata, bbox_inches="tight")
    return stream.getvalue()


def _figure(plane: Plane) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(SIZE, facecolor=GROUND)
    axes = figure.add_subplot()
    axes.set_facecolor(GROUND)
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=SOFT)
    for spine in axes.spines.values():
        spine.set_color(RULE)
    _draw_front(axes, plane)
    for curve in plane.curves:
        points = [plane.point(name) for name in curve.restorers]
        places = np.array([_at(plane, point) for point in points])
        axes.plot(*places.T, color=COLOURS[points[0].index % len(COLOURS)], linewidth=1.2)
    labelled: set[str] = set()
    for point in plane.points:
        _draw_point(axes, plane, point, point.family not in labelled)
        labelled.add(point.family)
    _draw_bound(axes, plane)
    if METRICS[plane.distortion].better == "higher":
        axes.invert_xaxis()
    if METRICS[plane.perception].better == "higher":
        axes.invert_yaxis()
    axes.set_xlabel(f"distortion: {_axis(plane.distortion)}, better to the left", color=INK)
    axes.set_ylabel(f"perception: {_axis(plane.perception)}, better below", color=INK)
    axes.set_title(plane.protocol, color=INK, fontsize=11, loc="left")
    if plane.points:
        axes.legend(
            loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2, frameon=False, labelcolor=INK, fontsize=9,
            borderaxespad=0,
        )  # fmt: skip
    return figure


def _draw_point(axes: "Axes", plane: Plane, point: Point, named: bool) -> None:
    """Draw one restorer, filled where it is on the front, with its intervals."""
    colour = COLOURS[point.index % len(COLOURS)]
    x, y = _at(plane, point)
    (x_low, x_high), (y_low, y_high) = (
        _reach(point.distortion, plane.distortion), _reach(point.perception, plane.perception),
    )  # fmt: skip
    axes.errorbar(
        [x], [y], xerr=[[x - x_low], [x_high - x]], yerr=[[y - y_low], [y_high - y]],
        fmt=MARKS[point.index % len(MARKS)], color=colour, markersize=7, elinewidth=0.8, alpha=0.9,
        markerfacecolor=colour if point.front else GROUND, label=point.family if named else None,
    )  # fmt: skip
    curve = next((c for c in plane.curves if point.restorer in c.restorers), None)
    if curve is not None and len(curve.restorers) <= LABELLED:
        axes.annotate(
            f"{point.dial:g}", (x, y), (5, 5), textcoords="offset points", color=SOFT, fontsize=8
        )  # fmt: skip


def _draw_front(axes: "Axes", plane: Plane) -> None:
    places = np.array([_at(plane, plane.point(name)) for name in plane.front]).reshape(-1, 2)
    if len(places) > 1:
        axes.plot(*places.T, color=SOFT, linewidth=0.8, linestyle=":", label="Pareto front")


def _draw_bound(axes: "Axes", plane: Plane) -> None:
    """Draw the bound, and shade what no estimator reaches, within the limits that the points ask for."""
    if plane.bound is None:
        return
    top = max([plane.bound.gap, *(point.perception.mean for point in plane.points)]) * 1.1
    perception = np.linspace(0, top, 200)
    distortion = np.array([plane.bound.distortion(p) for p in perception])
    axes.plot(distortion, perception, color=INK, linewidth=1.2, linestyle="--", label="bound D(P)")
    left = min(axes.get_xlim()[0], float(distortion.min()) * 0.95)
    axes.fill_betweenx(perception, left, distortion, color=RULE, alpha=0.45, linewidth=0)
    axes.set_xlim(left=left)
    axes.set_ylim(0, top)


def _at(plane: Plane, point: Point) -> tuple[float, float]:
    return _shown(point.distortion.mean, plane.distortion), _shown(point.perception.mean, plane.perception)


def _shown(value: float, metric: str) -> float:
    return abs(value - 1) if METRICS[metric].better == "one" else value


def _reach(place: Place, metric: str) -> tuple[float, float]:
    """Return the ends of the interval on the axis; the mean itself where there is none."""
    ends = [place.mean if end is None else end for end in (place.low, place.high)]
    if METRICS[metric].better != "one":
        return min(ends[0], place.mean), max(ends[1], place.mean)
    away = sorted(abs(end - 1) for end in ends)
    return 0.0 if ends[0] <= 1 <= ends[1] else min(away[0], abs(place.mean - 1)), away[1]


def _axis(metric: str) -> str:
    name = f"|{metric} − 1|" if METRICS[metric].better == "one" else metric
    unit = METRICS[metric].unit
    return f"{name} ({unit})" if unit else name


def _spoken(plane: Plane) -> str:
    front = f"; Pareto front: {', '.join(plane.front)}" if plane.points else ""
    return (
        f"{plane.protocol}: {plane.distortion} against {plane.perception} of {len(plane.points)} restorers{front}; "
        "the same values stand in the table of scores"
    )


def _digest(plane: Plane) -> str:
    return hashlib.sha256(plane.to_json().encode()).hexdigest()[:8]
