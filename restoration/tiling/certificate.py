"""What tiling costs in accuracy, on crops of the picture itself: with exact tiles, blended ones, small margins."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from restoration.tiling.parts import by_parts
from restoration.tiling.windows import Fetch, Function, Tiling, Window, up

EXACT = 1e-5  # of the result's standard deviation: tiles that differ no more from the whole are called exact
CORE = 64  # pixels of a tile that is compared with the whole
DOUBLE = 24  # and of one that is computed in double precision, which takes a multiple of the memory
MARGINS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
FARTHER = 1.25  # times a margin, at least, is the one that it is compared with
ENOUGH = (
    3e-7  # of the standard deviation: a thirtieth of what may be, as other places of a picture may show more
)
LARGEST = 1024  # side of a crop, at most


@dataclass(frozen=True)
class Difference:
    """Between tiled and untiled results of a crop, in standard deviations of the latter; ``psnr`` in decibels."""

    largest: float
    rms: float
    psnr: float

    @property
    def exact(self) -> bool:
        """Return whether nobody needs to know."""
        return self.largest <= EXACT


def difference(
    function: Function, fetch: Fetch, height: int, width: int, tiling: Tiling, side: int
) -> Difference:
    """Return how far tiles of ``side`` are from the whole, on the crop with most detail out of five."""
    core = min(side, up(CORE, tiling.grid)) if tiling.receptive_field is not None else side
    extent = min(LARGEST, 2 * (tiling.margin + core) if tiling.receptive_field is not None else core * 3 // 2)
    crop = max(_crops(height, width, tiling, extent), key=lambda window: float(fetch(window).std()))
    untiled = function(fetch(crop))

    def within(window: Window) -> Tensor:
        top, left = crop.top, crop.left
        return fetch(Window(window.top + top, window.bottom + top, window.left + left, window.right + left))

    small = replace(tiling, tile=core, wrap="off")
    joined = torch.empty_like(untiled)
    for window, part in by_parts(function, within, crop.height, crop.width, small, untiled.device):
        joined[..., *window.slices(tiling.scale)] = part
    return _difference(joined, untiled)


def shortened(function: Function, fetch: Fetch, height: int, width: int, tiling: Tiling) -> int:
    """Return the margin that is enough on two crops of the picture, at most the field's.

    Far pixels of a receptive field have weights that no result shows: a margin is enough where the next larger one
    changes nothing. The function is one of double precision: in single precision, rounding alone makes results
    differ by more than `ENOUGH`.
    """
    full, side = tiling.margin, up(DOUBLE, tiling.grid)
    whole = tiling.whole(height, width)
    margins = sorted({m for m in (up(margin, tiling.grid) for margin in MARGINS) if m < full})
    found = 0
    for crop in sorted(_crops(height, width, tiling, side), key=lambda w: -float(fetch(w).std()))[:2]:

        def result(margin: int, core: Window = crop) -> Tensor:
            window = replace(tiling, halo=margin, wrap="off").grown(core, whole)
            return function(fetch(window))[..., *core.slices(tiling.scale, window)]

        tried, before = 0, None
        for margin in margins:
            if margin < found or margin < FARTHER * tried:
                continue
            made = result(margin)
            if before is not None and _difference(before, made).largest <= ENOUGH:
                break
            tried, before = margin, made
        else:
            return full
        found = max(found, tried)
    return found


def _crops(height: int, width: int, tiling: Tiling, side: int) -> Iterator[Window]:
    """Yield crops in the middle and in the four quarters, on the grid."""
    grid = tiling.grid
    rows, columns = (max(1, min(side, n) // grid) * grid for n in (height, width))
    for down, across in ((2, 2), (1, 1), (1, 3), (3, 1), (3, 3)):
        top = (height - min(rows, height)) * down // 4 // grid * grid
        left = (width - min(columns, width)) * across // 4 // grid * grid
        yield Window(top, top + rows, left, left + columns)


def _difference(found: Tensor, expected: Tensor) -> Difference:
    error, deviation = (found - expected).double(), max(1e-12, float(expected.double().std()))
    rms = float(error.square().mean().sqrt())
    psnr = -20 * torch.log10(torch.tensor(max(rms, 1e-15))).item()
    return Difference(float(error.abs().max()) / deviation, rms / deviation, psnr)
