"""Large images by parts: windows whose joined results equal the whole, padding to a multiple, self-ensemble."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from restoration.errors import RestorationError

Function = Callable[[Tensor], Tensor]
Tile = int | Literal["auto", "off"]
MINIMUM = 16  # pixels: smaller tiles save no memory worth having
OVERLAP = 4  # blended tiles share this part of their side with each neighbour


@dataclass(frozen=True)
class Window:
    """A rectangle of input pixels; ``bottom`` and ``right`` lie outside."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return self.right - self.left

    def within(self, height: int, width: int) -> "Window":
        """Return the part of this window that lies in an image of this size."""
        return Window(self.top, min(self.bottom, height), self.left, min(self.right, width))

    def grown(self, halo: int, height: int, width: int) -> "Window":
        """Return the window with a margin that ends where the image ends."""
        return Window(
            max(0, self.top - halo), min(height, self.bottom + halo),
            max(0, self.left - halo), min(width, self.right + halo),
        )  # fmt: skip

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
    Where it is None, tiles overlap and are blended.
    """

    scale: int = 1
    multiple: int = 1
    receptive_field: int | None = None
    tile: Tile = "auto"

    def side(self, device: torch.device, height: int, width: int) -> int:
        """Return the side of a tile for an image of this size, a multiple of ``multiple``."""
        whole = max(height, width)
        words = {"off": whole, "auto": fast_side(self.receptive_field, device)}
        side = self.tile if isinstance(self.tile, int) else words[self.tile]
        return _up(min(side, whole), self.multiple)


def fast_side(receptive_field: int | None, device: torch.device) -> int:
    """Return the side of a tile that costs least per pixel of the result.

    On processors the time per pixel computed is flat up to windows of 384² (48 channels), then half as much again,
    as layers above 32 MB are returned to the system and faulted in anew; 320² takes a third less memory. Margins
    cost (window / tile)². GPUs need larger windows to keep all units busy.
    """
    if receptive_field is None:
        return 512 if device.type == "cpu" else 1024
    flat = 320 if device.type == "cpu" else 1024

    def cost(window: int) -> float:
        return (window / (window - 2 * receptive_field)) ** 2 * (1 if window <= flat else 1.5)

    windows = [w for w in (256, 320, 512, 768, 1024) if w > 2 * receptive_field]
    return min(windows, key=cost) - 2 * receptive_field if windows else 2 * receptive_field


def tiled(
    function: Function,
    image: Tensor,
    *,
    scale: int = 1,
    multiple: int = 1,
    receptive_field: int | None = None,
    tile: Tile = "auto",
) -> Tensor:
    """Return ``function(image)``, ``scale`` times as large, computed by parts."""
    count, _, height, width = image.shape
    tiling = Tiling(scale, multiple, receptive_field, tile)
    restored: Tensor | None = None
    for window, part in by_parts(function, fetch_from(image), height, width, tiling, image.device):
        if restored is None:
            restored = part.new_empty(count, part.shape[1], height * scale, width * scale)
        restored[..., *window.slices(scale)] = part
    assert restored is not None
    return restored


def fetch_from(image: Tensor) -> Fetch:
    """Return the windows of an image, continued beyond its lower right edges by reflection."""
    height, width = image.shape[-2:]

    def fetch(window: Window) -> Tensor:
        if window.bottom <= height and window.right <= width:
            return image[..., window.top : window.bottom, window.left : window.right]
        rows = reflected(window.top, window.bottom, height).to(image.device)
        columns = reflected(window.left, window.right, width).to(image.device)
        return image[..., rows, :][..., columns]

    return fetch


def reflected(first: int, last: int, length: int) -> Tensor:
    """Return the indices ``first … last − 1`` of an axis continued by reflection about its last pixels."""
    period = max(1, 2 * (length - 1))
    indices = torch.arange(first, last) % period
    return torch.where(indices < length, indices, period - indices)


def by_parts(
    function: Function, fetch: Fetch, height: int, width: int, tiling: Tiling, device: torch.device
) -> Iterator[tuple[Window, Tensor]]:
    """Yield windows that cover the image, each with its part of the result.

    The image is padded to a multiple as a whole; windows end where the padded image ends, so whatever a network
    does at borders it does as on the whole. When memory runs out the tile is halved and the work goes on.
    """
    whole = Window(0, _up(height, tiling.multiple), 0, _up(width, tiling.multiple))
    side = tiling.side(device, height, width)
    exact = tiling.receptive_field is not None or side >= max(whole.height, whole.width)
    parts = _exact_parts if exact else _blended_parts
    for window, part in parts(function, fetch, whole, tiling, side):
        kept = window.within(height, width)
        if kept.height > 0 and kept.width > 0:
            yield kept, part[..., : kept.height * tiling.scale, : kept.width * tiling.scale]


def self_ensemble(function: Function) -> Function:
    """Return the mean of the function's results on the image's eight flips and turns, each turned back.

    (Timofte et al., 2016.) The mean is a pairwise sum over a power of two: exact for functions that commute.
    """

    def ensemble(image: Tensor) -> Tensor:
        results = [turned_back(function(turned(image, which)), which) for which in range(8)]
        while len(results) > 1:
            results = [a + b for a, b in zip(results[::2], results[1::2], strict=True)]
        return results[0] / 8

    return ensemble


def turned(image: Tensor, which: int) -> Tensor:
    """Return one of the eight flips and quarter turns of an image."""
    image = image.flip(-1) if which & 1 else image
    image = image.flip(-2) if which & 2 else image
    return image.transpose(-1, -2) if which & 4 else image


def turned_back(image: Tensor, which: int) -> Tensor:
    """Return the image whose flip or turn this is."""
    image = image.transpose(-1, -2) if which & 4 else image
    image = image.flip(-2) if which & 2 else image
    return image.flip(-1) if which & 1 else image


def _exact_parts(
    function: Function, fetch: Fetch, whole: Window, tiling: Tiling, side: int
) -> Iterator[tuple[Window, Tensor]]:
    halo = _up(tiling.receptive_field or 0, tiling.multiple)
    waiting = whole.split(side)[::-1]
    while waiting:
        core = waiting.pop()
        if max(core.height, core.width) > side:
            waiting += core.split(side)[::-1]
            continue
        window = core.grown(halo, whole.bottom, whole.right)
        try:
            part = function(fetch(window))
        except (RuntimeError, MemoryError) as error:
            if tiling.receptive_field is None and _is_out_of_memory(error):
                yield from _blended_parts(function, fetch, whole, tiling, _halved(side, tiling, error))
                return
            side = _halved(min(side, max(core.height, core.width)), tiling, error)
            waiting.append(core)
            continue
        yield core, part[..., *core.slices(tiling.scale, window)]


def _blended_parts(
    function: Function, fetch: Fetch, whole: Window, tiling: Tiling, side: int
) -> Iterator[tuple[Window, Tensor]]:
    """Yield bands of rows: tiles are faded into each other along a row, then rows into each other.

    A fade is ``old + weight · (new − old)``: where both agree the result is exactly theirs.
    """
    while True:
        try:
            yield from _bands(function, fetch, whole, tiling, side)
            return
        except (RuntimeError, MemoryError) as error:
            side = _halved(side, tiling, error)


def _bands(
    function: Function, fetch: Fetch, whole: Window, tiling: Tiling, side: int
) -> Iterator[tuple[Window, Tensor]]:
    tops = _starts(whole.height, side, tiling.multiple)
    band, above = None, 0
    for top, following in zip(tops, [*tops[1:], whole.bottom], strict=True):
        bottom = min(top + side, whole.bottom)
        row = _row(function, fetch, Window(top, bottom, 0, whole.right), tiling, side)
        band = row if band is None else _faded(band[..., (top - above) * tiling.scale :, :], row, -2)
        above = top
        yield Window(top, following, 0, whole.right), band[..., : (following - top) * tiling.scale, :]


def _row(function: Function, fetch: Fetch, row: Window, tiling: Tiling, side: int) -> Tensor:
    """Return the tiles of one row, faded into each other."""
    joined: Tensor | None = None
    for left in _starts(row.width, side, tiling.multiple):
        right = min(left + side, row.right)
        part = function(fetch(Window(row.top, row.bottom, left, right)))
        if joined is None:
            joined, end = part.new_empty(*part.shape[:-1], row.width * tiling.scale), 0
            joined[..., : part.shape[-1]] = part
        else:
            start = left * tiling.scale
            joined[..., start : start + part.shape[-1]] = _faded(joined[..., start:end], part, -1)
        end = right * tiling.scale
    assert joined is not None
    return joined


def _faded(old: Tensor, new: Tensor, axis: int) -> Tensor:
    """Return ``new`` whose first rows or columns, those that ``old`` has too, fade from ``old``."""
    length = old.shape[axis]
    weight = 0.5 - 0.5 * torch.cos(math.pi * (torch.arange(length, device=new.device) + 0.5) / length)
    weight = weight.to(new.dtype).unsqueeze(-1) if axis == -2 else weight.to(new.dtype)
    first, rest = new.split([length, new.shape[axis] - length], axis)
    return torch.cat([old + weight * (first - old), rest], axis)


def _starts(length: int, side: int, multiple: int) -> list[int]:
    """Return where tiles begin along an axis; the last ends at the axis's end."""
    if side >= length:
        return [0]
    step = max(multiple, (side - side // OVERLAP) // multiple * multiple)
    return [*range(0, length - side, step), length - side]


def _halved(side: int, tiling: Tiling, error: BaseException) -> int:
    """Return half the side after an error that means too little memory; raise any other."""
    if not _is_out_of_memory(error):
        raise error
    smallest = _up(MINIMUM, tiling.multiple)
    if side <= smallest:
        raise RestorationError(f"not enough memory even for tiles of {side}x{side} pixels") from None
    return max(smallest, _up(side // 2, tiling.multiple))


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(
        words in str(error) for words in ("can't allocate memory", "not enough memory", "out of memory")
    )


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
