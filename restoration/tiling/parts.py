"""A function applied by parts: exact tiles with margins, blended ones without, smaller ones where memory ends."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from restoration.errors import RestorationError
from restoration.tiling.memory import is_out_of_memory, let_go
from restoration.tiling.spot import Spot, at
from restoration.tiling.windows import Edge, Fetch, Function, Tile, Tiling, Window, Wrap, continued, up

MINIMUM = 16  # pixels: smaller tiles save no memory worth having
SEAM = 64  # pixels that blended tiles see beyond edges that wrap
# what a network raises at a tile that it cannot restore
FAILURES = (
    RestorationError, RuntimeError, MemoryError, AssertionError, LookupError, TypeError, ValueError, ArithmeticError,
)  # fmt: skip
Compute = Callable[[Window], Tensor]
Again = Callable[[int], Tiling]
Share = Callable[[Sequence[Window], Compute], Iterable[Tensor | None]]


def alone(windows: Sequence[Window], compute: Compute) -> Iterator[Tensor]:
    """Yield the result of every window: the work of one process. Others share it, and yield None for the rest."""
    return map(compute, windows)


def tiled(
    function: Function,
    image: Tensor,
    *,
    scale: int = 1,
    multiple: int = 1,
    receptive_field: int | None = None,
    tile: Tile = "auto",
    wrap: Wrap = "off",
    edge: Edge = "mirrored",
    tiling: Tiling | None = None,
    again: Again | None = None,
) -> Tensor:
    """Return ``function(image)``, ``scale`` times as large, computed by parts."""
    count, _, height, width = image.shape
    tiling = tiling or Tiling(scale, multiple, receptive_field, tile, wrap=wrap, edge=edge)
    restored: Tensor | None = None
    parts = by_parts(function, fetch_from(image, tiling), height, width, tiling, image.device, again=again)
    for window, part in parts:
        if restored is None:
            shape = (count, part.shape[1], height * tiling.scale, width * tiling.scale)
            restored = part.new_empty(shape)
        restored[..., *window.slices(tiling.scale)] = part
    assert restored is not None
    return restored


def fetch_from(image: Tensor, tiling: Tiling | None = None) -> Fetch:
    """Return the windows of an image, continued beyond its lower right edges as the tiling says."""
    height, width = image.shape[-2:]
    tiling = tiling or Tiling()

    def fetch(window: Window) -> Tensor:
        if window == window.within(height, width):
            return image[..., window.top : window.bottom, window.left : window.right]
        rows = continued(window.top, window.bottom, height, tiling.rows_wrap, tiling.edge).to(image.device)
        columns = continued(window.left, window.right, width, tiling.columns_wrap, tiling.edge).to(
            image.device
        )
        return image[..., rows, :][..., columns]

    return fetch


def by_parts(
    function: Function,
    fetch: Fetch,
    height: int,
    width: int,
    tiling: Tiling,
    device: torch.device,
    share: Share = alone,
    again: Again | None = None,
) -> Iterator[tuple[Window, Tensor]]:
    """Yield windows that cover the image, each with its part of the result.

    The image is padded to a multiple as a whole; windows end where the padded image ends, so whatever a network
    does at borders it does as on the whole. When memory runs out the tile is halved and the work goes on; where that
    is the whole image, for which nobody asked how far the function sees, or margins make tiles no smaller than it,
    ``again`` returns the tiling by tiles of a side. A tile that fails otherwise is an error that names it.
    """
    whole, side = tiling.whole(height, width), tiling.side(device, height, width)
    size = (whole.height, whole.width)
    exact = tiling.receptive_field is not None or (side >= whole.side and tiling.wrap == "off")
    if not exact:
        rows, columns = (up(SEAM, tiling.grid) * wraps for wraps in (tiling.rows_wrap, tiling.columns_wrap))
        whole = Window(-rows, whole.bottom + rows, -columns, whole.right + columns)
    parts = Parts(function, fetch, whole, tiling, up(side, tiling.grid), size, again)
    for window, part in parts.exact(share) if exact else parts.blended(share):
        kept = window.within(height, width)
        if kept.height > 0 and kept.width > 0:
            yield kept, part[..., *kept.slices(tiling.scale, window)]


@dataclass
class Parts:
    """The parts of one image's result; ``side`` shrinks when memory runs out, and stays so."""

    function: Function
    fetch: Fetch
    whole: Window
    tiling: Tiling
    side: int
    size: tuple[int, int]  # of the image, padded to a multiple
    again: Again | None = None
    tiles: int = field(default=0, init=False)

    def exact(self, share: Share) -> Iterator[tuple[Window, Tensor]]:
        """Yield tiles side by side, in reading order, each as it is in the result of the whole."""
        cores = self.whole.split(self.side)
        for core, part in zip(cores, share(cores, self.core), strict=True):
            if part is not None:
                yield core, part

    def blended(self, share: Share) -> Iterator[tuple[Window, Tensor]]:
        """Yield bands of rows: tiles are faded into each other along a row, then rows into each other.

        A fade is ``old + weight · (new − old)``: where both agree the result is exactly theirs.
        """
        return _bands(self.whole, self.side, self.tiling, lambda tiles: share(tiles, self.blend))

    def core(self, core: Window) -> Tensor:
        """Return the result of a window, from tiles with margins that are small enough."""
        if core.side > self.side:
            tiles = [(tile, self.core(tile)) for tile in core.split(self.side)]
            first = tiles[0][1]
            scale = self.tiling.scale
            joined = first.new_empty(*first.shape[:-2], core.height * scale, core.width * scale)
            for tile, made in tiles:
                joined[..., *tile.slices(scale, core)] = made
            return joined
        window = self.tiling.grown(core, self.whole)
        part = self._called(window, core)
        if part is not None:
            return part[..., *core.slices(self.tiling.scale, window)]
        as_large = 2 * self.tiling.margin >= self.whole.side
        if self.again is not None and (self.tiling.receptive_field is None or as_large):
            self.tiling, self.again = self.again(self.side), None
            side = self.tiling.tile if isinstance(self.tiling.tile, int) else self.side
            self.side = up(min(self.side, side), self.tiling.grid)
        return self.core(core) if self.tiling.receptive_field is not None else self.blend(core)

    def blend(self, window: Window) -> Tensor:
        """Return the result of a window, where it is too large from blended tiles of it."""
        if window.side <= self.side and (part := self._called(window, window)) is not None:
            return part
        bands = _bands(window, self.side, self.tiling, lambda tiles: map(self.blend, tiles))
        return torch.cat([part for _, part in bands], -2)

    def _called(self, window: Window, core: Window) -> Tensor | None:
        """Return the function's result; None, and a smaller side from now on, where memory did not suffice."""
        self.tiles += 1
        try:
            with at(Spot(window, *self.size, self.tiling.rows_wrap, self.tiling.columns_wrap)):
                return self.function(self.fetch(window))
        except FAILURES as error:
            if not is_out_of_memory(error):
                if core == self.whole:
                    raise
                text = str(error).strip().splitlines()
                raise RestorationError(f"{core}: {text[0] if text else type(error).__name__}") from error
        self.side = self._halved(min(self.side, core.side))
        let_go()  # outside of the handler: it holds the frames that hold the tensors
        return None

    def _halved(self, side: int) -> int:
        smallest = up(MINIMUM, self.tiling.grid)
        if side <= smallest:
            raise RestorationError(f"not enough memory even for tiles of {side}x{side} pixels")
        return max(smallest, up(side // 2, self.tiling.grid))


def _bands(
    whole: Window, side: int, tiling: Tiling, results: Callable[[list[Window]], Iterable[Tensor | None]]
) -> Iterator[tuple[Window, Tensor]]:
    tops, lefts = starts(whole.height, side, tiling.grid), starts(whole.width, side, tiling.grid)
    rows = [(whole.top + top, min(whole.top + top + side, whole.bottom)) for top in tops]
    columns = [(whole.left + left, min(whole.left + left + side, whole.right)) for left in lefts]
    tiles = iter(results([Window(*row, *column) for row in rows for column in columns]))
    ends = [*(top for top, _ in rows[1:]), whole.bottom]
    band, above = None, 0
    for (top, _), following in zip(rows, ends, strict=True):
        row = _row([next(tiles) for _ in columns], [left * tiling.scale for left in lefts])
        if row is None:
            continue
        band = row if band is None else _faded(band[..., (top - above) * tiling.scale :, :], row, -2)
        above = top
        yield (
            Window(top, following, whole.left, whole.right),
            band[..., : (following - top) * tiling.scale, :],
        )


def _row(parts: Sequence[Tensor | None], lefts: Sequence[int]) -> Tensor | None:
    """Return the tiles of one row, faded into each other; None where another process has them."""
    joined: Tensor | None = None
    for part, left in zip(parts, lefts, strict=True):
        if part is None:
            return None
        if joined is None:
            joined = part.new_empty(*part.shape[:-1], lefts[-1] + parts[-1].shape[-1])  # type: ignore[union-attr]
            joined[..., : part.shape[-1]], end = part, part.shape[-1]
        else:
            joined[..., left : left + part.shape[-1]] = _faded(joined[..., left:end], part, -1)
            end = left + part.shape[-1]
    return joined


def _faded(old: Tensor, new: Tensor, axis: int) -> Tensor:
    """Return ``new`` whose first rows or columns, those that ``old`` has too, fade from ``old``."""
    length = old.shape[axis]
    weight = 0.5 - 0.5 * torch.cos(math.pi * (torch.arange(length, device=new.device) + 0.5) / length)
    weight = weight.to(new.dtype).unsqueeze(-1) if axis == -2 else weight.to(new.dtype)
    first, rest = new.split([length, new.shape[axis] - length], axis)
    return torch.cat([old + weight * (first - old), rest], axis)


def starts(length: int, side: int, grid: int) -> list[int]:
    """Return where tiles that overlap by half begin along an axis; the last ends at the axis's end."""
    if side >= length:
        return [0]
    step = max(grid, side // 2 // grid * grid)
    return [*range(0, length - side, step), length - side]
