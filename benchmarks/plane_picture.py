"""The perception-distortion plane as a picture: the better corner is at the lower left, whatever the metrics."""

import hashlib
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from restoration.benchmarks.labels import Array, Box, placed
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.palette import DARK, LIGHT, VARIABLES, Palette, shape
from restoration.benchmarks.plane import Curve, Place, Plane, Point, asked, plane_table, planes
from restoration.benchmarks.result import Result
from restoration.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = "os^DvP"  # the shapes of the page's other plots
SIZE, NARROW, DPI = (7.2, 5.4), (4.1, 4.6), 160  # inches; the narrow one is for phones
LABELLED = 12  # points of a curve that have their setting written beside them
LONGEST = 26  # letters of a name beside its point; the legend has all of it


def write_planes(folder: Path, result: Result, axes: Sequence[tuple[str, str]]) -> list[Path]:
    """Write every plane of a result: SVG and PNG, light and dark, JSON, Markdown; each file whole or not at all."""
    written = []
    for plane in (plane for pair in axes for plane in planes(result, *pair)):
        stem = re.sub(r"[^\w.=+-]+", "_", f"plane-{plane.protocol}-{plane.distortion}-{plane.perception}")
        stem = stem if folder / f"{stem}.svg" not in written else f"{stem}-{_digest(plane)}"
        contents = {
            ".svg": svg(plane).encode(), ".png": png(plane),
            "-dark.svg": svg(plane, DARK).encode(), "-dark.png": png(plane, DARK),
            ".json": plane.to_json().encode(), ".md": plane_table(plane).encode(),
        }  # fmt: skip
        for suffix, content in contents.items():
            with atomic(folder / f"{stem}{suffix}") as stream:
                stream.write(content)
            written.append(folder / f"{stem}{suffix}")
    return written


def page_planes(result: Result) -> list[tuple[Plane, str]]:
    """Return what a page shows of a result: its planes, each with its pictures as elements; often none."""
    return [
        (plane, "".join(page_svg(plane, size) for size in (SIZE, NARROW)))
        for pair in asked(result) for plane in planes(result, *pair)
    ]  # fmt: skip


def page_svg(plane: Plane, size: tuple[float, float] = SIZE) -> str:
    """Return the picture as an element for an HTML page: its colours, no name twice, nothing from elsewhere.

    It is of class "wide" or "narrow", of which a page shows the one that there is room for.
    """
    text, kind = svg(plane, size=size), "narrow" if size == NARROW else "wide"
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"|\s(width|height)="[\d.]+pt"|\sversion="[^"]*"', "", text)
    name = f"plane-{_digest(plane)}-{kind}-"
    text = re.sub(r'\bid="', f'id="{name}', text)
    text = re.sub(r'(url\(|href=")#', rf"\g<1>#{name}", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable}, {colour})")
    said = html.escape(_spoken(plane), quote=True)
    return text.replace("<svg", f'<svg role="img" class="{kind}" aria-label="{said}"', 1)


def svg(plane: Plane, palette: Palette = LIGHT, size: tuple[float, float] = SIZE) -> str:
    """Return the picture as an SVG document, the same one for the same plane."""
    return _drawn(plane, palette, size, "svg").decode()


def png(plane: Plane, palette: Palette = LIGHT) -> bytes:
    """Return the picture as a PNG file."""
    return _drawn(plane, palette, SIZE, "png")


def _drawn(plane: Plane, palette: Palette, size: tuple[float, float], kind: str) -> bytes:
    import matplotlib as mpl  # here: it takes as long to import as a small benchmark to run

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "plane",
        "font.size": 10,
        "text.parse_math": False,
    }
    stream = io.BytesIO()
    with mpl.rc_context(settings):
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure = _figure(plane, palette, size)
        figure.savefig(stream, format=kind, dpi=DPI, metadata=metadata, bbox_inches="tight")
    return stream.getvalue()


def _figure(plane: Plane, palette: Palette, size: tuple[float, float]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(
        size, dpi=72, facecolor=palette.ground
    )  # so that a pixel is a point while labels are placed
    axes = figure.add_axes((52 / (72 * size[0]), 0.1, 1 - 60 / (72 * size[0]), 0.84))
    axes.set_facecolor(palette.ground)
    axes.grid(color=palette.rule, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=palette.soft)
    for spine in axes.spines.values():
        spine.set_color(palette.rule)
    front = _front(plane)
    if len(front) > 1:
        axes.plot(*front.T, color=palette.soft, linewidth=0.8, linestyle=":", label="Pareto front")
    for curve in plane.curves:
        axes.plot(
            *_along(plane, curve).T, color=_colour(palette, plane.point(curve.restorers[0])), linewidth=1.2
        )
    named: set[str] = set()
    for point in plane.points:
        _draw_point(axes, plane, point, palette, point.family not in named)
        named.add(point.family)
    _draw_bound(axes, plane, palette)
    if METRICS[plane.distortion].better == "higher":
        axes.invert_xaxis()
    if METRICS[plane.perception].better == "higher":
        axes.invert_yaxis()
    axes.set_xlabel(f"distortion: {_axis(plane.distortion)}, better to the left", color=palette.ink)
    axes.set_ylabel(f"perception: {_axis(plane.perception)}, better below", color=palette.ink)
    axes.set_title(plane.protocol, color=palette.ink, fontsize=11, loc="left")
    _draw_legend(axes, plane, palette, _draw_labels(figure, axes, plane, palette), size != NARROW)
    return figure


def _draw_legend(axes: "Axes", plane: Plane, palette: Palette, told: set[str], wide: bool) -> None:
    """Explain lines, curves and those marks that have no label, or not their whole name, beside them."""
    handles, labels = axes.get_legend_handles_labels()
    keys = {curve.family: f"{curve.family}, along {curve.key}" for curve in plane.curves}
    shown = [(h, keys.get(text, text)) for h, text in zip(handles, labels, strict=True) if text not in told]
    if shown:
        short = max(len(text) for _, text in shown) <= 34
        axes.legend(
            *zip(*shown, strict=True), loc="upper left", bbox_to_anchor=(0, -0.14), frameon=False, fontsize=9,
            ncols=2 if wide and short else 1, labelcolor=palette.ink, borderaxespad=0,
        )  # fmt: skip


def _draw_point(axes: "Axes", plane: Plane, point: Point, palette: Palette, named: bool) -> None:
    """Draw one restorer, filled where it is on the front, with its intervals."""
    colour = _colour(palette, point)
    x, y = _at(plane, point)
    (x_low, x_high), (y_low, y_high) = _reaches(plane, point)
    axes.errorbar(
        [x], [y], xerr=[[x - x_low], [x_high - x]], yerr=[[y - y_low], [y_high - y]],
        fmt=MARKS[shape(point.index)], color=colour, markersize=7, elinewidth=0.8, alpha=0.9,
        markerfacecolor=colour if point.front else palette.ground, label=point.family if named else None,
    )  # fmt: skip


def _draw_labels(figure: "Figure", axes: "Axes", plane: Plane, palette: Palette) -> set[str]:
    """Write beside each point whose it is, or where its dial stands; return the families whose names stand there whole.

    Where there is room farther off only, a line leads to the label.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    dials = {name for curve in plane.curves for name in curve.restorers}
    few = {name for curve in plane.curves if len(curve.restorers) <= LABELLED for name in curve.restorers}
    points = sorted(plane.points, key=lambda point: point.restorer in dials and point.restorer not in few)
    texts = [f"{p.dial:g}".replace("-", "−") if p.dial is not None else _short(p.family) for p in points]
    texts = [t for t, p in zip(texts, points, strict=True) if p.restorer not in dials or p.restorer in few]
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    anchors = [tuple(map(float, axes.transData.transform(_at(plane, point)))) for point in points]
    written = [axes.text(0, 0, text, fontsize=8) for text in texts]
    extents = [one.get_window_extent(renderer) for one in written]
    for one in written:
        one.remove()
    sizes = [(1.06 * extent.width + 2, extent.height + 1) for extent in extents]
    inside = axes.get_window_extent(renderer)
    field = Box(inside.x0 + 2, inside.y0 + 2, inside.width - 4, inside.height - 4, (0, 0))
    boxes = placed(anchors, sizes, field, _lines(axes, plane))
    told: set[str] = set()
    for text, point, anchor, box in zip(texts, points, anchors, boxes, strict=False):
        if box is None:
            continue
        told |= {point.family} & {text}
        line = {"arrowstyle": "-", "color": palette.soft, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
        middle = box.left + box.width / 2 - anchor[0], box.bottom + box.height / 2 - anchor[1]
        if box.led:
            end = box.end[0] - anchor[0], box.end[1] - anchor[1]
            axes.annotate("", _at(plane, point), end, textcoords="offset points", arrowprops=line)
        axes.annotate(
            text, _at(plane, point), middle, textcoords="offset points", color=_colour(palette, point), fontsize=8,
            ha="center", va="center", zorder=5,
            bbox={"facecolor": palette.ground, "alpha": 0.75, "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
    return told


def _lines(axes: "Axes", plane: Plane) -> Array:
    """Return what labels had better not stand on, in points: intervals, curves, the front, the bound."""
    paths = [_front(plane), *(_along(plane, curve) for curve in plane.curves)]
    for point in plane.points:
        (x, y), (across, up) = _at(plane, point), _reaches(plane, point)
        paths += [np.array([(end, y) for end in across]), np.array([(x, end) for end in up])]
    if plane.bound is not None:
        paths.append(np.stack(_bound_line(plane), 1)[::10])
    seen = [axes.transData.transform(path) for path in paths if len(path) > 1]
    return np.concatenate([np.hstack([path[:-1], path[1:]]) for path in seen]) if seen else np.empty((0, 4))


def _colour(palette: Palette, point: Point) -> str:
    return palette.restorers[point.index % len(palette.restorers)]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}…{name[-8:]}"


def _front(plane: Plane) -> np.ndarray:
    return np.array([_at(plane, plane.point(name)) for name in plane.front]).reshape(-1, 2)


def _along(plane: Plane, curve: Curve) -> np.ndarray:
    return np.array([_at(plane, plane.point(name)) for name in curve.restorers])


def _reaches(plane: Plane, point: Point) -> tuple[tuple[float, float], tuple[float, float]]:
    return _reach(point.distortion, plane.distortion), _reach(point.perception, plane.perception)


def _draw_bound(axes: "Axes", plane: Plane, palette: Palette) -> None:
    """Draw the bound, and shade what no estimator reaches, within the limits that the points ask for."""
    if plane.bound is None:
        return
    distortion, perception = _bound_line(plane)
    axes.plot(distortion, perception, color=palette.ink, linewidth=1.2, linestyle="--", label="bound D(P)")
    left = min(axes.get_xlim()[0], float(distortion.min()) * 0.95)
    axes.fill_betweenx(perception, left, distortion, color=palette.rule, alpha=0.45, linewidth=0)
    axes.set_xlim(left=left)
    axes.set_ylim(0, float(perception[-1]))


def _bound_line(plane: Plane) -> tuple[np.ndarray, np.ndarray]:
    assert plane.bound is not None, "drawn where there is a bound"
    top = max([plane.bound.gap, *(point.perception.mean for point in plane.points)]) * 1.1
    perception = np.linspace(0, top, 200)
    return np.array([plane.bound.distortion(p) for p in perception]), perception


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
