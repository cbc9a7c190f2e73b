"""A restored image against its clean one: all metrics of a protocol on one decoded pair, in float64."""

from collections.abc import Iterable
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
NOT_FINITE = "the {} image holds values that are not finite"


@dataclass(frozen=True)
class Beside:
    """What there is of one image beside the restored and the clean one; see `Seen`.

    ``clip`` says that the image is a frame of one; ``before`` holds the planes of the restored and the clean frame
    before it, and is None for the first.
    """

    degraded: Tensor | None = None
    mask: Tensor | None = None
    clip: bool = False
    before: tuple[Planes, Planes] | None = None


ALONE = Beside()


def planes(image: Tensor, protocol: Protocol, metrics: Iterable[str]) -> Planes:
    """Return what the metrics look at, by plane: rounded, without border, in float64 on the CPU."""
    image = image.detach().to("cpu", torch.float64)
    image = image.where(image.isfinite(), torch.nan)  # rounding would turn an infinity into white
    image = quantise(image) if protocol.output == "uint8" else image.clamp(0, 1)
    wanted = {METRICS[name].plane for name in metrics}
    views: Planes = {"whole": image} if "whole" in wanted else {}
    if "rgb" in wanted:
        views["rgb"] = _cut(image, protocol.border)
    if "y" in wanted:
        views["y"] = _cut(_luma(image, protocol.luma), protocol.border)
    return views


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
        return {name: _value(name, restored, clean, protocol, beside) for name in wanted}


def _value(name: str, restored: Planes, clean: Planes | None, protocol: Protocol, beside: Beside) -> Score:
    try:
        metric = made(name)
    except WeightsError as error:
        return " ".join(str(error).split())
    plane = metric.plane
    ours, truth = restored[plane], clean[plane] if clean else None
    side = min(ours.shape[-2:])
    if not torch.isfinite(ours).all():
        return NOT_FINITE.format("restored")
    if metric.reference and truth is not None and not torch.isfinite(truth).all():
        return NOT_FINITE.format("clean")
    if side < metric.smallest:
        return f"the shorter side has {side} pixels; expected at least {metric.smallest}"
    mask = None if beside.mask is None else _cut(beside.mask.cpu(), protocol.border)
    before = beside.before and (beside.before[0][plane], beside.before[1][plane])
    seen = Seen(ours, truth, beside.degraded, mask, before, protocol.scale)
    if reason := metric.lacks(seen):
        return reason
    try:
        value = metric.measure(seen).item()
    except RestorationError as error:
        return " ".join(str(error).split())
    return value if value == value else "the metric is not defined for this image"


@cache
def made(name: str) -> Metric:
    """Return the one metric of that name, ready to measure, or say what it lacks."""
    return METRICS[name]()


def _cut(image: Tensor, edge: int) -> Tensor:
    return image[..., edge : -edge or None, edge : -edge or None]


def _luma(image: Tensor, depth: str) -> Tensor:
    if image.shape[1] == 1:
        return image
    return quantise(luma(image)) if depth == "uint8" else luma(image)
