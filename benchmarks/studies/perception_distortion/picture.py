"""The study's plane of one task as a picture: squared error against the distance of patches, with what bounds both."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from restoration.benchmarks.intervals import mean_interval
from restoration.benchmarks.palette import LIGHT, shape
from restoration.benchmarks.plane_picture import MARKS, SIZE
from restoration.benchmarks.studies.perception_distortion.arms import ARMS, CHOSEN, EULER, MEAN, TASKS, Arm
from restoration.benchmarks.studies.perception_distortion.records import Study, sliced_of
from restoration.benchmarks.studies.perception_distortion.restoring import COUNTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAID = {"authors": "", "mean-free": ", mean-free"}  # the ways of transports in titles
LEGEND = 1.1  # inches below each panel
DIALS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)  # α of transports that are drawn, and stand in the page's table


@dataclass(frozen=True)
class Mark:
    """An arm at one setting: its places on both axes with their intervals, and what is written beside it."""

    error: tuple[float, float, float]
    distance: tuple[float, float, float]
    label: str = ""


Curves = list[tuple[str, list[Mark]]]


def panels(study: Study, task: str) -> dict[str, Curves]:
    """Return what is drawn, flows and transports apart; each beside the posterior mean and the GAN."""
    arms = [arm for arm in ARMS.values() if study.has(task, arm.name)]
    kinds = (("mean", "gan"), ("flow",), ("transport",))
    single, flows, transports = (_along(study, task, arms, of) for of in kinds)
    if swept := _by_sigma(study, task, arms):
        flows.append(("PMRF by σ_s", swept))
    if study.has(task, "transport"):
        drawn = {n: study.variants(task, "transport", way="mean-free", photographs=n) for n in COUNTS}
        transports.append(("DOT, mean-free, by photographs", [_mark(v, f"{n}") for n, v in drawn.items()]))
    found = {"flows": flows, "transports": transports}
    return {what: [*single, *own] for what, own in found.items() if own or what == "flows"}


def _along(study: Study, task: str, arms: Sequence[Arm], kinds: Sequence[str]) -> Curves:
    """Return the arms of some kinds, each along its dial."""
    return [
        (title, [_mark(study.each(task, arm.name, **settings), label) for label, settings in marks])
        for arm in arms
        if arm.kind in kinds and not arm.tasks
        for title, marks in _dials(arm)
    ]


def _by_sigma(study: Study, task: str, arms: Sequence[Arm]) -> list[Mark]:
    sigmas = {arm.network["sigma"]: arm.name for arm in arms if arm.tasks and arm.network}
    if not sigmas or not study.has(task, "pmrf"):
        return []
    sigmas[TASKS[task].sigma] = "pmrf"
    return [_mark(study.each(task, sigmas[s], steps=CHOSEN), f"σ {s:g}") for s in sorted(sigmas)]


def svg(study: Study, task: str) -> bytes:
    """Return the plane of a task as an SVG document, the same one for the same records."""
    import matplotlib as mpl  # here: it takes long to import
    from matplotlib.figure import Figure

    settings = {"svg.fonttype": "none", "svg.hashsalt": "study", "font.size": 10, "text.parse_math": False}
    stream = io.BytesIO()
    with mpl.rc_context(settings):
        drawn = panels(study, task)
        figure = Figure((SIZE[0], (SIZE[1] + LEGEND) * len(drawn)), facecolor=LIGHT.ground)
        for axes, (what, found) in zip(
            figure.subplots(len(drawn), squeeze=False)[:, 0], drawn.items(), strict=True
        ):
            _draw_panel(axes, study, task, found)
            axes.set_title(f"{task}, {what}", color=LIGHT.ink, fontsize=11, loc="left")
        figure.subplots_adjust(hspace=2 * LEGEND / SIZE[1])
        figure.savefig(stream, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return stream.getvalue()


def _draw_panel(axes: "Axes", study: Study, task: str, found: Curves) -> None:
    axes.grid(color=LIGHT.rule, linewidth=0.6)
    axes.set_axisbelow(True)
    _draw_bounds(axes, study, task)
    for i, (title, marks) in enumerate(found):
        _draw_curve(axes, marks, title, i)
    axes.set_xlabel("mean squared error, better to the left", color=LIGHT.ink)
    axes.set_ylabel("sliced Wasserstein distance (levels of 255), better below", color=LIGHT.ink)
    below = {"loc": "upper left", "bbox_to_anchor": (0, -0.14), "ncols": 3}
    axes.legend(**below, frameon=False, labelcolor=LIGHT.ink, fontsize=9)


def _dials(arm: Arm) -> Iterator[tuple[str, list[tuple[str, dict[str, float | str]]]]]:
    """Yield the curves of an arm: their titles, and the labels and settings of their marks."""
    if arm.kind == "flow":
        yield arm.title, [(f"{steps}", {"steps": steps}) for steps in EULER]
    elif arm.kind == "transport":
        for way, said in SAID.items():
            yield arm.title + said, [(f"α = {alpha:g}", {"way": way, "alpha": alpha}) for alpha in DIALS]
    else:
        yield arm.title, [("", {})]


def _mark(variants: Sequence[Mapping[str, Any]], label: str) -> Mark:
    """Return the mark of variants that differ in their seed or draw alone."""
    values, distance = np.array([v["mse"] for v in variants]), sliced_of(variants)
    low, high = mean_interval(values)
    assert low is not None and high is not None, "a study has two photographs at least"
    return Mark((float(values.mean()), low, high), (distance.value, *distance.ends), label)


def _draw_curve(axes: "Axes", found: list[Mark], title: str, index: int) -> None:
    colour, mark = LIGHT.restorers[index % len(LIGHT.restorers)], MARKS[shape(index)]
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
            m.label,
            (m.error[0], m.distance[0]),
            (4, 4),
            textcoords="offset points",
            color=LIGHT.soft,
            fontsize=7,
        )


def _draw_bounds(axes: "Axes", study: Study, task: str) -> None:
    """Draw the least error, twice it, and the distance between halves of the clean photographs."""
    if not study.has(task, MEAN):
        return
    least = study.least(task).mean()
    for value, style in ((least, "--"), (2 * least, ":")):
        axes.axvline(value, color=LIGHT.ink, linewidth=0.9, linestyle=style)
    axes.axvline(
        float("nan"), color=LIGHT.ink, linewidth=0.9, linestyle="--", label="MSE of the posterior mean"
    )
    axes.axvline(float("nan"), color=LIGHT.ink, linewidth=0.9, linestyle=":", label="twice that")
    floor = study.records[task, MEAN][0]["floor"]["mean"]
    axes.axhline(
        floor, color=LIGHT.soft, linewidth=0.9, linestyle="-.", label="between halves of clean photographs"
    )
