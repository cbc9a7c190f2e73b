"""A restored image against its clean one: all metrics of a protocol on one decoded pair, in float64."""

from collections.abc import Iterable

import torch
from torch import Tensor

from restoration.benchmarks.protocol import Protocol
from restoration.image import quantise
from restoration.losses.colour import luma

Score = float | str  # a value, or the reason why there is none
Planes = dict[str, Tensor]


def planes(image: Tensor, protocol: Protocol, metrics: Iterable[str]) -> Planes:
    """Return what the metrics look at, by plane: rounded, without border, in float64 on the CPU."""
    image = image.detach().to("cpu", torch.float64)
    image = image.where(image.isfinite(), torch.nan)  # rounding would turn an infinity into white
    image = quantise(image) if protocol.output == "uint8" else image.clamp(0, 1)
    views = {"rgb": lambda: image, "y": lambda: _luma(image, protocol.luma)}
    wanted = {protocol.metric(name).plane for name in metrics}
    edge = protocol.border
    return {
        plane: views[plane]()[..., edge : -edge or None, edge : -edge or None] for plane in sorted(wanted)
    }


def score(restored: Planes, clean: Planes, protocol: Protocol, metrics: Iterable[str]) -> dict[str, Score]:
    """Return the value of each metric, or the reason why there is none."""
    found: dict[str, Score] = {}
    for name in metrics:
        metric = protocol.metric(name)
        ours, truth = restored[metric.plane], clean[metric.plane]
        side = min(truth.shape[-2:])
        if not torch.isfinite(ours).all():
            found[name] = "the restored image holds values that are not finite"
        elif side < metric.smallest:
            found[name] = f"the shorter side has {side} pixels; expected at least {metric.smallest}"
        else:
            found[name] = metric(ours, truth).item()
    return found


def _luma(image: Tensor, depth: str) -> Tensor:
    if image.shape[1] == 1:
        return image
    return quantise(luma(image)) if depth == "uint8" else luma(image)
