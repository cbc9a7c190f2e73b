"""Sums over all Gaussian windows of a function of two images, with its gradient, in one pass through the cache.

A plane is blurred by products with a banded matrix, one block of rows or columns at a time, which on a CPU is several
times faster than a convolution with one channel. Planes are held as (H, P, W), rows first, W a multiple of the block;
windows that reach beyond a row are cut off there, and left out of every sum.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from restoration.losses.separable import gaussian

# Rows and columns that one matrix product gives, and the rows and samples of one map per thread that are worked on at
# a time, as measured fastest: more outputs waste arithmetic on zeros and fewer memory traffic; larger bands leave the
# cache. Elsewhere than on a CPU a band is as large as memory allows, some 30 maps of it.
ROWS = 8
COLUMNS = 16
BAND_ROWS = 96
BAND_SAMPLES = 96 * 1024
DEVICE_SAMPLES = 1 << 24


class Measure(Protocol):
    """A function F of what a window of ``size`` pixels sees of the restored and the clean image, both (H, P, W)."""

    size: int

    def __call__(
        self, restored: Tensor, clean: Tensor, signs: tuple[int, ...]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the sum of 1 − F over the windows of each plane, (P,), and a quarter of its slopes.

        They are (H, P, W or more), with respect to the restored image for sign 1 and the clean one for sign −1. The
        factor 4 costs nothing where it is put in: with what the slopes are multiplied by on the way back.
        """


@dataclass(frozen=True)
class Gaussian:
    """A separable Gaussian window of ``size`` pixels, for (H, …, W) planes whose W is a multiple of ``block``."""

    size: int
    sigma: float

    @property
    def block(self) -> int:
        """Return how many columns one product gives; no window reaches beyond the next block."""
        return COLUMNS * max(1, -(-(self.size - 1) // COLUMNS))

    def rounded_up(self, width: int) -> int:
        """Return the next multiple of ``block``."""
        return -(-width // self.block) * self.block

    def blur(self, planes: Tensor) -> Tensor:
        """Return the blurred planes, (H − size + 1, …, W); the last size − 1 columns are not to be used."""
        down, reach = self._down(planes), self.size - 1
        here, beyond, _, _ = _across(self, planes.dtype, planes.device)
        blocks = down.view(-1, self.block)
        blurred = blocks @ here
        if reach:
            blurred[:-1].addmm_(blocks[1:, :reach], beyond)
            # each row's last block has the next row times 0 in it, which is NaN where that is not finite: once more
            last, repaired = (part.view(-1, planes.shape[-1])[:, -self.block :] for part in (down, blurred))
            torch.mm(last, here, out=repaired)
        return blurred.view(down.shape)

    def spread(self, slopes: Tensor, valid: int) -> Tensor:
        """Return the transpose of ``blur`` of slopes that count in the first ``valid`` columns; clears the others."""
        reach, height = self.size - 1, len(slopes)
        slopes[..., valid:] = 0
        _, _, here, before = _across(self, slopes.dtype, slopes.device)
        padded = slopes.new_empty(height + 2 * reach, *slopes.shape[1:])
        padded[:reach] = 0
        padded[height + reach :] = 0
        blocks = slopes.view(-1, self.block)
        spread = torch.mm(blocks, here, out=padded[reach : height + reach].view(-1, self.block))
        if reach:
            spread[1:].addmm_(blocks[:-1, self.block - reach :], before)
        return self._down(padded)

    def _down(self, planes: Tensor) -> Tensor:
        matrix, reach = _downward(self, planes.dtype, planes.device), self.size - 1
        valid, line = len(planes) - reach, planes[0].numel()
        blurred = planes.new_empty(valid, *planes.shape[1:])
        blocks, rest = divmod(valid, ROWS)
        windows = planes.as_strided((blocks, ROWS + reach, line), (ROWS * line, line, 1))
        whole = blurred[: valid - rest].view(blocks, ROWS, line)
        torch.bmm(matrix.expand(blocks, -1, -1), windows, out=whole)
        if rest:
            last = blurred[valid - rest :].view(rest, line)
            torch.mm(matrix[:rest, : rest + reach], planes[valid - rest :].view(-1, line), out=last)
        return blurred


def mean_difference(restored: Tensor, clean: Tensor, measure: Measure) -> Tensor:
    """Return the mean of 1 − F over the windows inside each plane of (N, C, H, W), at least in float32: (N, C)."""
    restored, clean = in_full(restored, clean)
    height, width = (length - measure.size + 1 for length in restored.shape[-2:])
    if torch.is_grad_enabled() and (restored.requires_grad or clean.requires_grad):
        return _Sum.apply(restored, clean, measure) / (height * width)
    return _sums(restored, clean, measure, ())[0] / (height * width)


def sums_and_differences(restored: Tensor, clean: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return s, d, s² and d², (H, 4, P, width), of s = restored + clean and d = restored − clean less their means.

    The means over each plane come with them, (2, P, 1). To take them off changes no covariance, and keeps
    ``mean s² − (mean s)²`` from cancelling in float32. Columns beyond the images hold zeros.
    """
    height, count, inside = restored.shape
    maps = restored.new_empty(height, 4, count, width)
    maps[:, :2, :, inside:] = 0
    s, d = maps[:, 0, :, :inside], maps[:, 1, :, :inside]
    torch.add(restored, clean, out=s)
    torch.sub(restored, clean, out=d)
    means = maps[:, :2].sum((0, 3), keepdim=True).div_(height * inside)
    maps[:, :2, :, :inside] -= means
    torch.mul(maps[:, :2], maps[:, :2], out=maps[:, 2:])
    return maps, means[0]


def in_full(restored: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in one type that is at least float32: a difference of squares is noise in half precision."""
    dtype = torch.promote_types(torch.promote_types(restored.dtype, clean.dtype), torch.float32)
    return restored.to(dtype), clean.to(dtype)


class _Context(Protocol):
    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor | None, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


class _Sum(torch.autograd.Function):
    """The sums of 1 − F, whose slopes are found on the way there."""

    @staticmethod
    def forward(ctx: _Context, restored: Tensor, clean: Tensor, measure: Measure) -> Tensor:
        needed = ctx.needs_input_grad[:2]
        signs = tuple(sign for sign, wanted in zip((1, -1), needed, strict=True) if wanted)
        sums, slopes = _sums(restored, clean, measure, signs)
        ctx.save_for_backward(restored, clean, slopes.get(1), slopes.get(-1))
        return sums

    @staticmethod
    def backward(ctx: _Context, slope: Tensor) -> tuple[Tensor | None, ...]:
        restored, clean, *kept = ctx.saved_tensors
        factor = 4 * slope[..., None, None]
        return *(None if part is None else _Slope.apply(part, factor, restored, clean) for part in kept), None


class _Slope(torch.autograd.Function):
    """The slopes, which depend on the images in a way that is not recorded: an error where that would matter."""

    @staticmethod
    def forward(ctx: _Context, slopes: Tensor, factor: Tensor, restored: Tensor, clean: Tensor) -> Tensor:
        return slopes * factor

    @staticmethod
    def backward(ctx: _Context, slope: Tensor) -> tuple[Tensor | None, ...]:
        raise RuntimeError("ssim, ms-ssim and zhao-mix have no second derivatives")


def _sums(
    restored: Tensor, clean: Tensor, measure: Measure, signs: tuple[int, ...]
) -> tuple[Tensor, dict[int, Tensor]]:
    """Return what a measure says of every plane, (N, C), and the images of slopes by sign."""
    slopes = {sign: torch.zeros_like(restored, memory_format=torch.contiguous_format) for sign in signs}
    x, y, *views = (_planes(image) for image in (restored, clean, *slopes.values()))
    sums = restored.new_zeros(x.shape[1])
    with torch.autocast(restored.device.type, enabled=False):
        for band, some in _bands(x, measure.size - 1):
            found, parts = measure(x[band, some], y[band, some], signs)
            sums[some] += found
            for view, part in zip(views, parts, strict=True):
                view[band, some] += part[..., : x.shape[2]]
    return sums.view(restored.shape[:2]), slopes


def _planes(images: Tensor) -> Tensor:
    return images.flatten(0, 1).transpose(0, 1)


def _bands(planes: Tensor, reach: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows and planes that are worked on together, to stay in the cache; rows overlap by a window's reach."""
    height, count, width = planes.shape
    on_cpu = planes.device.type == "cpu"
    samples = BAND_SAMPLES * torch.get_num_threads() if on_cpu else DEVICE_SAMPLES
    rows = min(height - reach, max(BAND_ROWS, (samples // width - reach) // ROWS * ROWS))
    group = max(1, samples // ((rows + reach) * width))
    for first in range(0, count, group):
        for top in range(0, height - reach, rows):
            yield slice(top, top + rows + reach), slice(first, first + group)


@lru_cache(maxsize=64)
def _downward(window: Gaussian, dtype: torch.dtype, device: torch.device) -> Tensor:
    return _banded(window, ROWS).T.contiguous().to(device, dtype)


@lru_cache(maxsize=64)
def _across(window: Gaussian, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    """Return what a block and the next one give to its windows, and what its windows and the last one's give back."""
    block, reach = window.block, window.size - 1
    matrix = _banded(window, block)
    here, beyond = matrix[:block], matrix[block:]
    before = torch.zeros(reach, block, dtype=torch.float64)
    before[:, :reach] = beyond[:, block - reach :].T
    return tuple(part.contiguous().to(device, dtype) for part in (here, beyond, here.T, before))


def _banded(window: Gaussian, outputs: int) -> Tensor:
    """Return the matrix whose column i holds the window from row i on: (outputs + size − 1, outputs)."""
    taps = torch.tensor(gaussian(window.size, window.sigma), dtype=torch.float64)
    matrix = torch.zeros(outputs + window.size - 1, outputs, dtype=torch.float64)
    for column in range(outputs):
        matrix[column : column + window.size, column] = taps
    return matrix
