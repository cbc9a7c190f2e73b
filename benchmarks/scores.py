"""A restored image against its clean one: all metrics of a protocol on one decoded pair, in float64."""

from collections.abc import Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from restoration.benchmarks.metrics import METRICS, Metric, Seen
from restoration.benchmarks.protocol import Protocol
from restoration.errors import RestorationError, WeightsError
from restoration.image import quantise
from restoration.losses.colour import luma

Score = float | str  # a value, or the reason why there is none
Planes = dict[str, Tensor]
ROWS = 32  # that are rounded at a time, in the cache
NOT_FINITE = "the {} image holds values that are not finite"


@dataclass(frozen=True)
class Beside:
    """What there is of one image beside the restored and the clean one; see `Seen`.

    ``clip`` says that the image is a frame of one; ``before`` holds the planes of the restored and the clean frame
    before it, and is None for the first. ``flow`` leads from that one to this one, where it is known.
    """

    degraded: Tensor | None = None
    mask: Tensor | None = None
    clip: bool = False
    before: tuple[Planes, Planes] | None = None
    flow: Tensor | None = None


ALONE = Beside()


def planes(image: Tensor, protocol: Protocol, metrics: Iterable[str]) -> Planes:
    """Return what the metrics look at, by plane: rounded, without border, in float64 on the CPU.

    Every value is in [0, 1], or NaN where the image was not finite.
    """
    image = image.detach().cpu()
    if not image.sum().isfinite():  # rounding would turn an infinity into white
        image = image.where(image.isfinite(), torch.nan)
    wanted = {METRICS[name].plane for name in metrics}
    count, channels, height, width = image.shape
    whole = torch.empty(image.shape, dtype=torch.float64) if wanted & {"rgb", "whole"} else None
    grey = torch.empty((count, 1, height, width), dtype=torch.float64) if "y" in wanted else None
    for top in range(0, height, ROWS):
        rows = slice(top, top + ROWS)
        part = image[..., rows, :].double()
        part = quantise(part) if protocol.output == "uint8" else part.clamp(0, 1)
        if whole is not None:
            whole[..., rows, :] = part
        if grey is not None:
            grey[..., rows, :] = part if channels == 1 else _luma(part, protocol.luma)
    views: Planes = {}
    if whole is not None and "whole" in wanted:
        views["whole"] = whole
    if whole is not None and "rgb" in wanted:
        views["rgb"] = _cut(whole, protocol.border)
    if grey is not None:
        views["y"] = _cut(grey, protocol.border)
    return views


def finite(plane: Tensor) -> bool:
    """Return whether all values of one of the `planes` are numbers: a sum with NaN in it is NaN."""
    return bool(plane.sum().isfinite())


def score(
    restored: Planes, clean: Planes | None, protocol: Protocol, metrics: Iterable[str], beside: Beside = ALONE
) -> dict[str, Score]:
    """Return the value of each metric, or the reason why there is none; metrics of sets are left out.

    So are those of frames at the first frame of a clip.
    """
    with torch.no_grad():
        wanted = [name for name in metrics if METRICS[name].kind != "set"]
        if beside.clip and beside.before is None:
            wanted = [name for name in wanted if METRICS[name].kind != "frames"]
        looked_at = {METRICS[name].plane for name in wanted}
        spoilt = [{p for p in looked_at if not finite(views[p])} for views in (restored, clean) if views]
        return {name: _value(name, restored, clean, protocol, beside, spoilt) for name in wanted}


def _value(
    name: str, restored: Planes, clean: Planes | None, protocol: Protocol, beside: Beside,
    spoilt: Sequence[Set[str]],
) -> Score:  # fmt: skip
    """Return one value; ``spoilt`` are the planes that are not finite, of the restored and of the clean image."""
    try:
        metric = made(name)
    except WeightsError as error:
        return in_a_line(error)
    plane = metric.plane
    ours, truth = restored[plane], clean[plane] if clean else None
    side = min(ours.shape[-2:])
    if plane in spoilt[0]:
        return NOT_FINITE.format("restored")
    if metric.reference and clean and plane in spoilt[1]:
        return NOT_FINITE.format("clean")
    if side < metric.smallest:
        return f"the shorter side has {side} pixels; expected at least {metric.smallest}"
    mask, flow = (m if m is None else _cut(m.cpu(), protocol.border) for m in (beside.mask, beside.flow))
    before = beside.before and (beside.before[0][plane], beside.before[1][plane])
    seen = Seen(ours, truth, beside.degraded, mask, before, protocol.scale, flow)
    if reason := metric.lacks(seen):
        return reason
    try:
        value = metric.measure(seen).item()
    except RestorationError as error:
        return in_a_line(error)
    return value if value == value else "the metric is not defined for this image"


def in_a_line(error: Exception) -> str:
    """Return an error as a reason in a cell: its first line, and of further ones the first remedy."""
    first, *rest = str(error).strip().splitlines() or [type(error).__name__]
    remedy = " ".join(rest).strip().split("    ")[0]
    return " ".join(
        f"{first}{' ' if first.endswith('.') else '; '}{remedy}".split() if rest else first.split()
    )


@cache
def made(name: str) -> Metric:
    """Return the one metric of that name, ready to measure, or say what it lacks."""
    return METRICS[name]()


def ready(metrics: Iterable[str]) -> None:
    """Make metrics that several threads are going to measure by; what one lacks is said when it is measured."""
    for name in metrics:
        with suppress(WeightsError):
            made(name)


def _cut(image: Tensor, edge: int) -> Tensor:
    return image[..., edge : -edge or None, edge : -edge or None]


def _luma(image: Tensor, depth: str) -> Tensor:
    return quantise(luma(image)) if depth == "uint8" else luma(image)
