"""Rectangles of input pixels, how an image goes on beyond its edges, and what a tiling is described by."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]
Tile = int | Literal["auto", "off"]
Wrap = Literal["off", "x", "y", "both"]
Edge = Literal["mirrored", "repeated"]


@dataclass(frozen=True)
class Window:
    """A rectangle of input pixels; ``bottom`` and ``right`` lie outside."""

    top: int
    bottom: int
    left: int
    right: int

    def __str__(self) -> str:
        return f"rows {self.top} to {self.bottom - 1}, columns {self.left} to {self.right - 1}"

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return self.right - self.left

    @property
    def side(self) -> int:
        """Return the longer of both."""
        return max(self.height, self.width)

    def within(self, height: int, width: int) -> "Window":
        """Return the part of this window that lies in an image of this size."""
        return Window(max(0, self.top), min(self.bottom, height), max(0, self.left), min(self.right, width))

    def slices(self, scale: int, origin: "Window | None" = None) -> tuple[slice, slice]:
        """Return the rows and columns of this window's result, in the result of the whole or of ``origin``."""
        top, left = (origin.top, origin.left) if origin else (0, 0)
        rows = slice((self.top - top) * scale, (self.bottom - top) * scale)
        return rows, slice((self.left - left) * scale, (self.right - left) * scale)

    def split(self, side: int) -> "list[Window]":
        """Return the tiles of at most ``side``² that cover this window, in reading order."""
        return [
            Window(top, min(top + side, self.bottom), left, min(left + side, self.right))
            for top in range(self.top, self.bottom, side)
            for left in range(self.left, self.right, side)
        ]


Fetch = Callable[[Window], Tensor]


@dataclass(frozen=True)
class Tiling:
    """How a function is applied by parts.

    ``receptive_field`` is the farthest, in input pixels, at which an input pixel changes an output pixel. Where it
    is finite, each tile is computed with that margin and its margin is dropped: the result is the untiled one.
    Where it is None, tiles overlap by half and are blended.

    ``period`` is the grid that windows start on beside ``multiple``: that of attention windows, to which networks
    pad within. ``least`` is the smallest side that the function takes without padding of its own. ``wrap`` joins
    opposite edges: the image is one period of a texture. ``halo`` replaces the field by a smaller margin, found to
    be enough. ``edge`` is how an image goes on to a multiple where it does not wrap.
    """

    scale: int = 1
    multiple: int = 1
    receptive_field: int | None = None
    tile: Tile = "auto"
    period: int = 1
    least: int = 1
    wrap: Wrap = "off"
    halo: int | None = None
    edge: Edge = "mirrored"

    @property
    def grid(self) -> int:
        """Return what windows start at whole multiples of."""
        return math.lcm(self.multiple, self.period)

    @property
    def margin(self) -> int:
        """Return the margin of a tile, a multiple of the grid; 0 where tiles are blended."""
        reach = self.receptive_field if self.halo is None else self.halo
        return up(reach or 0, self.grid)

    @property
    def rows_wrap(self) -> bool:
        """Whether the last row is followed by the first."""
        return self.wrap in ("y", "both")

    @property
    def columns_wrap(self) -> bool:
        """Whether the last column is followed by the first."""
        return self.wrap in ("x", "both")

    def side(self, device: torch.device, height: int, width: int) -> int:
        """Return the side of a tile for an image of this size, a multiple of the grid."""
        from restoration.tiling.choice import fast_side

        whole = max(height, width)
        if isinstance(self.tile, int):
            side = self.tile
        elif self.tile == "off":
            side = whole
        else:
            side = fast_side(None if self.receptive_field is None else self.margin, device)
        return up(min(side, whole), self.grid)

    def whole(self, height: int, width: int) -> Window:
        """Return the image padded to a multiple."""
        return Window(0, up(height, self.multiple), 0, up(width, self.multiple))

    def grown(self, core: Window, whole: Window) -> Window:
        """Return a tile with its margin, which ends where the image ends, unless that wraps."""
        margin, least = self.margin, up(self.least, self.grid)
        top, bottom = _grown(core.top, core.bottom, margin, least, whole.bottom, self.rows_wrap)
        left, right = _grown(core.left, core.right, margin, least, whole.right, self.columns_wrap)
        return Window(top, bottom, left, right)


def _grown(first: int, last: int, margin: int, least: int, end: int, wraps: bool) -> tuple[int, int]:
    if wraps:
        return first - margin, last + margin
    first, last = max(0, first - margin), min(end, last + margin)
    last = min(end, max(last, first + least))
    lacking = max(0, least - (last - first))
    return max(0, first - up(lacking, least) if lacking else first), last


def continued(first: int, last: int, length: int, wraps: bool, edge: Edge = "mirrored") -> Tensor:
    """Return the indices ``first … last − 1`` of an axis continued as its edge says, or by itself where it wraps."""
    if wraps:
        return torch.arange(first, last) % length
    return (
        torch.arange(first, last).clamp(0, length - 1)
        if edge == "repeated"
        else reflected(first, last, length)
    )


def reflected(first: int, last: int, length: int) -> Tensor:
    """Return the indices ``first … last − 1`` of an axis continued by reflection about its last pixels."""
    period = max(1, 2 * (length - 1))
    indices = torch.arange(first, last) % period
    return torch.where(indices < length, indices, period - indices)


def up(length: int, multiple: int) -> int:
    """Return the next whole multiple."""
    return -(-length // multiple) * multiple
