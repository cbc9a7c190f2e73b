"""Frames with their neighbours, for restorers that look at more than one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from restoration.errors import RequestError

Frame = TypeVar("Frame")
Flow = Callable[
    [Tensor, Tensor], Tensor
]  # (target, neighbour) → (N, 2, H, W): neighbour(x + flow) ≈ target(x)
COLOURS = 3


def windows(
    frames: Callable[[int, int], Iterable[Frame]], first: int, last: int, count: int, radius: int
) -> Iterator[tuple[Frame | None, ...]]:
    """Yield, for each frame from ``first`` to before ``last``, it and ``radius`` frames on both sides.

    ``frames(a, b)`` are those of a clip of ``count`` frames from a to before b, and are read once; what lies outside
    the clip is None. At most 2 ``radius`` + 1 frames are held.
    """
    start, stop = max(0, first - radius), min(count, last + radius)
    coming = enumerate(frames(start, stop), start)
    held: dict[int, Frame] = {}
    newest = start - 1
    for target in range(first, last):
        while newest < min(stop - 1, target + radius):
            newest, frame = next(coming)
            held[newest] = frame
        held.pop(target - radius - 1, None)
        yield tuple(held.get(number) for number in range(target - radius, target + radius + 1))


def radius_of(conditions: Sequence[str], name: str) -> int:
    """Return how many frames on each side a restorer of these conditions needs; others than frames are refused."""
    neighbours = conditions.count("neighbour")
    other = [condition for condition in conditions if condition not in ("neighbour", "flow")]
    if other:
        raise RequestError(f"'{name}' needs more than a video: {', '.join(dict.fromkeys(other))}")
    if neighbours % (2 * COLOURS):
        raise RequestError(f"'{name}' takes {neighbours} channels of neighbours; expected a multiple of 6")
    return neighbours // (2 * COLOURS)


def with_conditions(window: Sequence[Tensor | None], conditions: Sequence[str], flow: Flow) -> Tensor:
    """Return the middle of the window with its neighbours, and then the flows to them, as further channels.

    Outside the clip, the target stands for the neighbour, with zero flow. Grey frames are replicated.
    """
    middle = len(window) // 2
    target = window[middle]
    if target is None:
        raise ValueError("the window has no frame in its middle")
    if not conditions:
        return target
    colour = target.expand(-1, COLOURS, -1, -1)
    others = [frame for i, frame in enumerate(window) if i != middle]
    neighbours = [colour if other is None else other.expand_as(colour) for other in others]
    flows: list[Tensor] = []
    if "flow" in conditions:
        still = target.new_zeros(target.shape[0], 2, *target.shape[-2:])
        flows = [still if other is None else flow(target, other) for other in others]
    return torch.cat((target, *neighbours, *flows), 1)
