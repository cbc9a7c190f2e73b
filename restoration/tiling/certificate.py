"""What tiling costs in accuracy, on crops of the picture itself: with exact tiles, blended ones, small margins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from restoration.tiling.parts import by_parts, fetch_from
from restoration.tiling.spot import Spot, at
from restoration.tiling.windows import Fetch, Function, Tiling, Window, up

EXACT = 1e-5  # of the result's standard deviation: tiles that differ no more from the whole are called exact
CORE = 64  # pixels of a tile that is compared with the whole
DOUBLE = 24  # and of one that is computed in double precision, which takes a multiple of the memory
MARGINS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
FARTHER = 1.25  # times a margin, at least, is the one that it is compared with
ENOUGH = (
    3e-7  # of the standard deviation: a thirtieth of what may be, as other places of a picture may show more
)
LEAST = 32  # and of a tile that is compared
LARGEST = 1024  # side of a crop, at most
FLAT = 0.02  # standard deviation of a crop below which it shows too little
PATCH = 16  # pixels between colours of smooth noise


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
    """Return how far tiles of ``side`` are from the whole, on the crop with most detail out of five.

    Exact tiles are tried smaller than they are, but begin on the same pixels of 64, and on a crop that shows at
    least as much around them as they see. A crop without detail shows nothing: noise takes its place.
    """
    exact = tiling.receptive_field is not None
    core = min(side, up(LEAST + (side - LEAST) % CORE, tiling.grid)) if exact else side
    seen = max(2 * (tiling.margin + core), side + 2 * tiling.margin)
    extent = min(LARGEST, seen) if exact else core * 3 // 2
    beyond = (
        tiling.multiple if exact and tiling.period > 1 else 0
    )  # where windows start must not depend on the size
    crop = max(_crops(height, width, tiling, extent, beyond), key=lambda window: float(fetch(window).std()))
    image = fetch(crop)
    if exact and image.numel() > 1 and float(image.std()) < FLAT:
        image = noise(image.shape[1], *image.shape[-2:])
    untiled = function(image)

    small = replace(tiling, tile=core, wrap="off")
    joined = torch.empty_like(untiled)
    for window, part in by_parts(function, fetch_from(image), crop.height, crop.width, small, untiled.device):
        joined[..., *window.slices(tiling.scale)] = part
    return _difference(joined, untiled)


def shortened(
    function: Function, fetch: Fetch, height: int, width: int, tiling: Tiling, conditions: int = 0
) -> int:
    """Return the margin that is enough, at most the field's.

    Far pixels of a receptive field have weights that no result shows. A margin is enough where, along strips of
    noise and of smooth colours, the whole field's margin changes nothing, nor does the next larger one on a square
    of noise and on the picture's most detailed crop. So it does not depend on what one picture happens to show. The
    function is one of double precision: in single precision, rounding alone makes results differ by more than
    `ENOUGH`. One that rounds to single precision within, as a flow followed by DPMSolverMultistepScheduler does, may
    so be found to need its whole field. The last ``conditions`` channels are masks.
    """
    side = up(DOUBLE, tiling.grid)
    full = min(tiling.margin, up(max(height, width), tiling.grid))  # windows end where the picture does
    margins = sorted({m for m in (up(margin, tiling.grid) for margin in MARGINS) if m < full})
    crop = max(_crops(height, width, tiling, side), key=lambda window: float(fetch(window).std()))
    channels, length = fetch(crop).shape[1], 2 * full + side
    found = 0
    for coarse in (False, True):
        strip = noise(channels, side, length, conditions, coarse)
        for image in (strip, strip.mT.contiguous()):
            found = max(found, _as_whole(function, image, full, side, margins, tiling))
            if found == full:
                return tiling.margin
    square = noise(channels, length, length, conditions)
    middle = Window(full, full + side, full, full + side)
    for source, core, whole in (
        (fetch_from(square), middle, Window(0, length, 0, length)),
        (fetch, crop, tiling.whole(height, width)),
    ):
        found = max(
            found, _as_next(function, source, core, whole, [m for m in margins if m >= found], tiling)
        )
    return found


def _as_whole(
    function: Function, strip: Tensor, full: int, side: int, margins: Sequence[int], tiling: Tiling
) -> int:
    """Return the least margin along a strip whose result in the middle is that of the whole strip."""
    height, width = strip.shape[-2:]
    whole = Window(0, height, 0, width)
    core = Window(0, side, full, full + side) if width > height else Window(full, full + side, 0, side)
    expected = function(strip)[..., *core.slices(tiling.scale)]
    for margin in margins:
        window = replace(tiling, halo=margin, wrap="off").grown(core, whole)
        made = _placed(function, fetch_from(strip), window, whole)[..., *core.slices(tiling.scale, window)]
        if _difference(made, expected).largest <= ENOUGH:
            return margin
    return full


def _as_next(
    function: Function, fetch: Fetch, core: Window, whole: Window, margins: Sequence[int], tiling: Tiling
) -> int:
    """Return the least margin around a core whose result the next larger one does not change; else the field's."""
    tried, before = 0, None
    for margin in margins:
        if margin < FARTHER * tried:
            continue
        window = replace(tiling, halo=margin, wrap="off").grown(core, whole)
        made = _placed(function, fetch, window, whole)[..., *core.slices(tiling.scale, window)]
        if before is not None and _difference(before, made).largest <= ENOUGH:
            return tried
        tried, before = margin, made
    return tiling.margin


def _placed(function: Function, fetch: Fetch, window: Window, whole: Window) -> Tensor:
    with at(Spot(window, whole.bottom, whole.right)):
        return function(fetch(window))


def noise(channels: int, height: int, width: int, conditions: int = 0, coarse: bool = False) -> Tensor:
    """Return an image (1, channels, height, width) in [0, 1]: the same in every process.

    Half of it varies from pixel to pixel and half over patches of 16 pixels, all of it where it is ``coarse``. The
    last ``conditions`` channels are zeros and ones.
    """
    generator = torch.Generator().manual_seed(11)
    patches = torch.rand(1, channels, height // PATCH + 2, width // PATCH + 2, generator=generator)
    image = functional.interpolate(patches, scale_factor=PATCH, mode="bilinear")[..., :height, :width]
    if not coarse:
        image = (image + torch.rand(image.shape, generator=generator)) / 2
    image[:, channels - conditions :].round_()
    return image


def _crops(height: int, width: int, tiling: Tiling, side: int, beyond: int = 0) -> Iterator[Window]:
    """Yield crops in the middle and in the four quarters, on the grid, that end ``beyond`` it where there is room."""
    grid = tiling.grid
    rows, columns = (max(1, min(side, n) // grid) * grid for n in (height, width))
    rows, columns = (m + beyond * (m + beyond <= n) for m, n in ((rows, height), (columns, width)))
    for down, across in ((2, 2), (1, 1), (1, 3), (3, 1), (3, 3)):
        top = (height - min(rows, height)) * down // 4 // grid * grid
        left = (width - min(columns, width)) * across // 4 // grid * grid
        yield Window(top, top + rows, left, left + columns)


def _difference(found: Tensor, expected: Tensor) -> Difference:
    error, deviation = (found - expected).double(), max(1e-12, float(expected.double().std()))
    rms = float(error.square().mean().sqrt())
    psnr = -20 * torch.log10(torch.tensor(max(rms, 1e-15))).item()
    return Difference(float(error.abs().max()) / deviation, rms / deviation, psnr)
