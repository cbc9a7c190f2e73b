"""Which input pixels an output pixel of a resized line sees, and with which weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Edges = Literal["reflect", "clamp", "cut"]
EDGES = ("reflect", "clamp", "cut")


@dataclass(frozen=True)
class Axis:
    """One axis of a resize: ``length`` pixels become ``target``, ``scale`` times as many."""

    length: int
    target: int
    scale: float
    kernel: str
    antialias: bool
    edges: Edges


def cubic(x: np.ndarray) -> np.ndarray:
    """Return Keys' cubic kernel with a = −1/2 (1981, eq. 15)."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def triangle(x: np.ndarray) -> np.ndarray:
    """Return the kernel of linear interpolation."""
    return np.maximum(1 - np.abs(x), 0)


def box(x: np.ndarray) -> np.ndarray:
    """Return the kernel of means of whole pixels and of the nearest neighbour; a tie goes to the left."""
    return ((x >= -0.5) & (x < 0.5)).astype(np.float64)


KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {  # function and width
    "bicubic": (cubic, 4.0),
    "bilinear": (triangle, 2.0),
    "box": (box, 1.0),
    "nearest": (box, 1.0),
}


def inside(index: np.ndarray, length: int, edges: Edges) -> np.ndarray:
    """Return the pixel that stands for each index, which may lie beyond the border."""
    if edges != "reflect":
        return index.clip(0, length - 1)
    index = index % (2 * length)
    return np.minimum(index, 2 * length - 1 - index)


def taps(axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Return, for every output, the inputs it sees (from 0, beyond the border too) and their normalised weights."""
    if axis.kernel == "area":
        return _covered(axis)
    if axis.kernel == "area-enlarged":
        return _enlarged(axis)
    return _matlab(axis)


def _matlab(axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """The formulas of MATLAB's imresize.m, in double and in its order of operations, because ties depend on both."""
    function, width = KERNELS[axis.kernel]
    narrow = axis.scale if axis.antialias and axis.scale < 1 else 1.0
    centre = np.arange(1, axis.target + 1) / axis.scale + 0.5 * (1 - 1 / axis.scale)
    left = np.floor(centre - width / narrow / 2)
    index = left[:, None] + np.arange(math.ceil(width / narrow) + 2)
    weights = narrow * function(narrow * (centre[:, None] - index))
    if axis.edges == "cut":
        weights *= (index >= 1) & (index <= axis.length)
    weights /= weights.sum(1, keepdims=True)
    used = (weights != 0).any(0)
    return index[:, used].astype(np.int64) - 1, weights[:, used]


def _covered(axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Weights are the shares of the stretch of an output that the inputs cover."""
    start, end = (np.arange(axis.target)[:, None] + n for n in (0.0, 1.0))
    index = np.floor(start / axis.scale) + np.arange(math.ceil(1 / axis.scale) + 1)
    shares = np.minimum((index + 1) * axis.scale, end) - np.maximum(index * axis.scale, start)
    shares = np.where((shares > 1e-9) & (index < axis.length), shares, 0)
    used = (shares != 0).any(0)
    return index[:, used].astype(np.int64), (shares / shares.sum(1, keepdims=True))[:, used]


def _enlarged(axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Inputs stay blocks; an output that lies across two is between them, by how far it reaches into the second.

    Where an output begins exactly at a block, OpenCV by its rounding errors sometimes takes the block before.
    """
    place = np.arange(axis.target)
    first = np.floor(place / axis.scale + 1e-9)
    reach = place + 1 - (first + 1) * axis.scale
    part = np.where((reach > 1e-9) & (first < axis.length - 1), reach - np.floor(reach), 0)
    return first.astype(np.int64)[:, None] + np.arange(2), np.stack([1 - part, part], 1)
