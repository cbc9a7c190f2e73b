"""The study's plane of one task as a picture: squared error against the distance of patches, with what bounds both."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from restoration.benchmarks.intervals import mean_interval
from restoration.benchmarks.plane_picture import COLOURS, GROUND, INK, MARKS, RULE, SIZE, SOFT
from restoration.benchmarks.studies.perception_distortion.arms import ARMS, EULER, MEAN
from restoration.benchmarks.studies.perception_distortion.measures import interval
from restoration.benchmarks.studies.perception_distortion.records import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DIALS = (0.0, 0.5, 1.0)  # α of transports that are drawn


@dataclass(frozen=True)
class Mark:
    """An arm at one setting: its places on both axes with their intervals, and what is written beside it."""

    error: tuple[float, float, float]
    distance: tuple[float, float, float]
    label: str = ""


def marks(study: Study, task: str, arm: str) -> list[Mark]:
    """Return an arm's marks in the order of its dial."""
    return [_mark(study, task, arm, label, settings) for label, settings in _settings(arm)]


def svg(study: Study, task: str) -> bytes:
    """Return the plane of a task as an SVG document, the same one for the same records."""
    import matplotlib as mpl  # here: it takes long to import
    from matplotlib.figure import Figure

    settings = {"svg.fonttype": "none", "svg.hashsalt": "study", "font.size": 10, "text.parse_math": False}
    stream = io.BytesIO()
    with mpl.rc_context(settings):
        figure = Figure(SIZE, facecolor=GROUND)
        axes = figure.add_subplot()
        axes.grid(color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
        _draw_bounds(axes, study, task)
        drawn = [arm for arm in ARMS if study.has(task, arm) and not ARMS[arm].tasks]
        for i, arm in enumerate(drawn):
            _draw_arm(axes, marks(study, task, arm), ARMS[arm].title, i)
        axes.set_xlabel("mean squared error, better to the left", color=INK)
        axes.set_ylabel("sliced Wasserstein distance of patches (levels of 255), better below", color=INK)
        axes.set_title(task, color=INK, fontsize=11, loc="left")
        axes.legend(
            loc="upper left", bbox_to_anchor=(0, -0.14), ncols=3, frameon=False, labelcolor=INK, fontsize=9
        )
        figure.savefig(stream, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return stream.getvalue()


def _settings(arm: str) -> Iterator[tuple[str, dict[str, float | str]]]:
    kind = ARMS[arm].kind
    if kind == "flow":
        yield from ((f"{steps}", {"steps": steps}) for steps in EULER)
    elif kind == "transport":
        yield from ((f"α = {alpha:g}", {"way": "mean-free", "alpha": alpha}) for alpha in DIALS)
    else:
        yield "", {}


def _mark(study: Study, task: str, arm: str, label: str, settings: dict[str, float | str]) -> Mark:
    values = study.values(task, arm, "mse", **settings)
    value, resamples = study.sliced(task, arm, **settings)
    low, high = mean_interval(values)
    assert low is not None and high is not None, "a study has two photographs at least"
    return Mark((float(values.mean()), low, high), (value, *interval(value, resamples)), label)


def _draw_arm(axes: "Axes", found: list[Mark], title: str, index: int) -> None:
    colour = COLOURS[index % len(COLOURS)]
    mark = MARKS[(index + index // len(COLOURS)) % len(MARKS)]
    (x, *xs), (y, *ys) = (
        zip(*(getattr(m, axis) for m in found), strict=True) for axis in ("error", "distance")
    )
    bars = [
        [
            [c - low for c, low in zip(at, ends[0], strict=True)],
            [high - c for c, high in zip(at, ends[1], strict=True)],
        ]
        for at, ends in ((x, xs), (y, ys))
    ]
    axes.errorbar(
        x, y, xerr=bars[0], yerr=bars[1], fmt=f"{mark}-", color=colour, markersize=6, linewidth=1.2, elinewidth=0.5,
        alpha=0.9, label=title,
    )  # fmt: skip
    for m in found:
        axes.annotate(
            m.label, (m.error[0], m.distance[0]), (4, 4), textcoords="offset points", color=SOFT, fontsize=7
        )


def _draw_bounds(axes: "Axes", study: Study, task: str) -> None:
    """Draw the least error, twice it, and the distance between halves of the clean photographs."""
    if not study.has(task, MEAN):
        return
    least = study.least(task).mean()
    for value, style in ((least, "--"), (2 * least, ":")):
        axes.axvline(value, color=INK, linewidth=0.9, linestyle=style)
    axes.axvline(float("nan"), color=INK, linewidth=0.9, linestyle="--", label="MSE of the posterior mean")
    axes.axvline(float("nan"), color=INK, linewidth=0.9, linestyle=":", label="twice that")
    floor = study.records[task, MEAN][0]["floor"]["mean"]
    axes.axhline(
        floor, color=SOFT, linewidth=0.9, linestyle="-.", label="between halves of clean photographs"
    )
