"""Where the labels of points in a plot stand so that they cover neither each other nor a mark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ANGLES = 24
REACHES = (8.0, 11.0, 17.0, 25.0, 36.0, 50.0, 68.0, 90.0, 120.0)  # points from a mark to the label's edge
STEEP = 1.5  # how soon a label that goes round its mark turns a corner to it rather than a side
LED = 14.0  # from which distance on a line leads to the label
MARK = 5.0  # half the side of a mark
APART = 2.0  # between two labels
ROUNDS = 4  # of greedy placement; every one but the first moves labels that can stand better
TRIALS = 4  # with the labels in another order, where some have no place
CROSSED = 9.0  # what a line behind a label costs, or a mark behind its own line, in points of distance
RANKED = 0.05  # and what the next best angle costs

Point = tuple[float, float]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """A label's box: its lower left corner and its size, where the line to its mark ends, and whether it has one."""

    left: float
    bottom: float
    width: float
    height: float
    end: Point = (0.0, 0.0)
    led: bool = False


@dataclass(frozen=True)
class _Places:
    """Where one label may stand: boxes (n, 4), ends (n, 2) of the lines from its mark, and what each place costs."""

    boxes: Array
    leads: Array  # (n, 4), both ends
    led: NDArray[np.bool_]
    costs: Array  # infinite where it cannot stand


def placed(
    anchors: Sequence[Point], sizes: Sequence[tuple[float, float]], field: Box, lines: Array
) -> list[Box | None]:
    """Return the box of each label, all lengths in points; None where it has no place that is free.

    ``anchors`` are all marks of the plot, and the first ``len(sizes)`` of them have labels of these widths and heights.
    ``lines`` (n, 4) are the segments x, y, x, y that had better not be behind a label. A label never leaves
    ``field``, nor covers another one, a mark or a line that leads to a label. Labels are placed one by one, each where
    it costs least, and then again in turn, with all others where they are; where one has no place then, all over again,
    that one first.
    """
    marks = np.array([(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in anchors]).reshape(-1, 4)
    found = [_places(i, anchors[i], size, marks, field, lines) for i, size in enumerate(sizes)]
    order = list(range(len(found)))
    best: list[int | None] = [None] * len(found)
    for _ in range(TRIALS):
        chosen = _chosen(found, order)
        if chosen.count(None) < best.count(None) or best.count(None) == len(best):
            best = chosen
        if None not in chosen:
            break
        order.sort(key=lambda i: chosen[i] is not None)  # next time those first that had no place
    return [_box(places, choice) for places, choice in zip(found, best, strict=True)]


def _chosen(found: Sequence[_Places], order: Sequence[int]) -> list[int | None]:
    """Return which of its places each label takes; None where none is left."""
    chosen: list[int | None] = [None] * len(found)
    for _ in range(ROUNDS):
        before = list(chosen)
        for i in order:
            chosen[i] = None
            costs = found[i].costs + _hindered(found[i], found, chosen)
            best = int(costs.argmin())
            chosen[i] = best if math.isfinite(costs[best]) else None
        if chosen == before:
            break
    return chosen


def overlapping(boxes: Array, others: Array, apart: float = 0.0) -> NDArray[np.bool_]:
    """Return (n, m): whether boxes (n, 4) and (m, 4), left, bottom, right, top, are less than ``apart`` apart."""
    ours, theirs = boxes[:, None], others[None]
    below = (ours[..., :2] - apart < theirs[..., 2:]).all(-1)
    return np.asarray(below & (theirs[..., :2] - apart < ours[..., 2:]).all(-1))


def passing(boxes: Array, lines: Array) -> NDArray[np.bool_]:
    """Return (n, m): whether lines (m, 4) pass through boxes (n, 4) (Liang and Barsky, 1984)."""
    start, step = lines[None, :, :2], lines[None, :, 2:] - lines[None, :, :2]
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    inside = (start >= low) & (start <= high)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(low - start) / step, (high - start) / step])
    still = step == 0
    enter = np.where(still, np.where(inside, -np.inf, np.inf), ends.min(0)).max(-1)
    leave = np.where(still, np.where(inside, np.inf, -np.inf), ends.max(0)).min(-1)
    return np.maximum(enter, 0) <= np.minimum(leave, 1)


def meeting(lines: Array, others: Array) -> NDArray[np.bool_]:
    """Return (n, m): whether lines (n, 4) and (m, 4) cross, by on which side of each the ends of the other lie."""

    def side(line: Array, point: Array) -> Array:
        along, to = line[..., 2:] - line[..., :2], point - line[..., :2]
        return along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]

    ours, theirs = lines[:, None], others[None]
    first = side(ours, theirs[..., :2]) * side(ours, theirs[..., 2:])
    return (first < 0) & (side(theirs, ours[..., :2]) * side(theirs, ours[..., 2:]) < 0)


def _places(
    own: int, anchor: Point, size: tuple[float, float], marks: Array, field: Box, lines: Array
) -> _Places:
    """Return the places around a mark; of equally near ones the upper right costs least."""
    order = np.arange(ANGLES)
    turns = math.pi / 4 + (order + 1) // 2 * (-1.0) ** order * 2 * math.pi / ANGLES
    turn, reach = np.tile(turns, len(REACHES)), np.repeat(REACHES, ANGLES)
    ray = np.stack([np.cos(turn), np.sin(turn)], 1)
    at, sides = np.array(anchor), np.array(size)
    low = at + reach[:, None] * ray - sides * (1 - np.clip(STEEP * ray, -1, 1)) / 2
    boxes = np.hstack([low, low + sides])
    ends = np.clip(at, boxes[:, :2], boxes[:, 2:])
    away = np.hypot(*(ends - at).T)
    leads, led = np.hstack([np.broadcast_to(at, ends.shape), ends]), away > LED
    passed = np.delete(passing(marks, leads), own, axis=0).sum(0) * led
    costs = away + RANKED * np.tile(order, len(REACHES)) + CROSSED * (passing(boxes, lines).sum(1) + passed)
    outside = (low < (field.left, field.bottom)).any(1)
    outside |= (boxes[:, 2:] > (field.left + field.width, field.bottom + field.height)).any(1)
    costs[outside | overlapping(boxes, marks).any(1)] = np.inf
    return _Places(boxes, leads, led, costs)


def _hindered(places: _Places, found: Sequence[_Places], chosen: Sequence[int | None]) -> Array:
    """Return infinity for each place that another label, or its line, leaves no room for; 0 for the others."""
    others = [(other, i) for other, i in zip(found, chosen, strict=True) if i is not None]
    if not others:
        return np.zeros(len(places.costs))
    boxes = np.stack([other.boxes[i] for other, i in others])
    leads = np.stack([other.leads[i] for other, i in others])
    led = np.array([other.led[i] for other, i in others])
    never = (overlapping(places.boxes, boxes, APART) | passing(places.boxes, leads) & led).any(1)
    crossed = passing(boxes, places.leads).T | meeting(places.leads, leads) & led
    return np.where(never | crossed.any(1) & places.led, np.inf, 0.0)


def _box(places: _Places, choice: int | None) -> Box | None:
    if choice is None:
        return None
    left, bottom, right, top = map(float, places.boxes[choice])
    end = float(places.leads[choice, 2]), float(places.leads[choice, 3])
    return Box(left, bottom, right - left, top - bottom, end, bool(places.led[choice]))
