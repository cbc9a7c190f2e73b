"""MATLAB's ``imresize`` on tensors, sample for sample."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.degraded import Degradation, Degraded, check_scale, one_per_image, reduced
from restoration.degradations.draws import Keys
from restoration.degradations.taps import EDGES, KERNELS, Axis, Edges, inside, taps

Scale = Fraction | float | int

# Samples of one band of rows: its buffers, a few of that many floats, stay in a core's cache.
BAND = 2**17
# Columns made by one small matrix product: fewer are many products, more are mostly zeros.
COLUMNS = 16
ROWS = 24  # of a band at most, for the same reason


@dataclass(frozen=True)
class Bicubic(Degradation):
    """MATLAB's bicubic reduction of 8-bit images, as the super-resolution sets were made (Keys, 1981).

    ``edges = "clamp"`` is MATLAB before R2011; ``levels`` are the steps of the file, 255 for 8 bits, 0 not rounded.
    """

    scale: int
    edges: Edges = "reflect"
    levels: int | None = 255

    def __post_init__(self) -> None:
        check_scale(self.scale)
        check_levels(self.levels)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean reduced by ``scale``; height and width must be multiples of it."""
        one_per_image(clean, keys)
        reduced(clean.shape[-2:], self.scale)
        return Degraded(resize(clean, scale=Fraction(1, self.scale), edges=self.edges, levels=self.levels))


def resize(
    image: Tensor,
    *,
    scale: Scale | None = None,
    size: tuple[int, int] | None = None,
    kernel: str = "bicubic",
    antialias: bool = True,
    edges: Edges = "reflect",
    levels: int | None = None,
) -> Tensor:
    """Return ``image`` (N, C, H, W) with ⌈n · scale⌉ pixels a side, or with ``size`` = (height, width).

    One pass per axis, the smaller scale first, rows when they tie. ``levels`` = 255 rounds half up and clips to 8 bits
    after each pass, as MATLAB does to uint8, and lets no gradient through; None or 0 is MATLAB's double. Beyond the
    border the image is mirrored, the border pixel twice ("reflect"), its last pixel goes on ("clamp"), or there is
    nothing, and the weights of what there is sum to 1 ("cut", as PyTorch's antialiased interpolate). Kernels are those
    of ``KERNELS``; "nearest" never antialiases. "area" is OpenCV's INTER_AREA: the mean over what an output pixel
    covers, parts of pixels counted as parts; where a side grows, its linear interpolation between blocks.
    """
    if (scale is None) == (size is None):
        raise ValueError("resize: expected either a scale or a size")
    names = sorted([*KERNELS, "area"])
    if kernel not in names:
        raise ValueError(f"resize: unknown kernel '{kernel}'; expected one of {', '.join(names)}")
    check_levels(levels, "resize: ")
    levels = levels or None
    height, width = image.shape[-2:]
    smooth = antialias and kernel != "nearest"
    rows = _axis(height, scale, size and size[0], kernel, smooth, edges)
    columns = _axis(width, scale, size and size[1], kernel, smooth, edges)
    if kernel == "area" and max(rows.scale, columns.scale) > 1:
        rows, columns = (replace(axis, kernel="area-enlarged") for axis in (rows, columns))
    device = image.device.type
    with torch.autocast(device if torch.amp.is_autocast_available(device) else "cpu", enabled=False):
        if columns.scale < rows.scale:
            return _each_resized(image.mT.contiguous(), columns, rows, levels).mT.contiguous()
        return _each_resized(image, rows, columns, levels)


def check_levels(levels: int | None, where: str = "") -> None:
    """Refuse levels below 0; 0 and None round nothing."""
    if levels is not None and levels < 0:
        raise ValueError(f"{where}levels = {levels}; expected a whole number from 0, which rounds nothing")


@dataclass(frozen=True)
class _Bands:
    """Blocks of outputs: ``weights`` (blocks, outputs, taps) times the inputs ``index`` (blocks, taps).

    ``spans`` are the inputs of each block as a slice, None at a border. Where all blocks have the same weights they are
    windows, ``step`` apart, on the inputs ``body`` between ``before`` and ``after``; elsewhere ``step`` is None.
    """

    index: Tensor
    weights: Tensor
    spans: tuple[slice | None, ...]
    step: int | None
    before: Tensor
    body: slice
    after: Tensor


def _axis(
    length: int, scale: Scale | None, target: int | None, kernel: str, antialias: bool, edges: Edges
) -> Axis:
    if edges not in EDGES:
        raise ValueError(f"resize: unknown edges '{edges}'; expected one of {', '.join(EDGES)}")
    wanted = f"size {target}" if scale is None else f"scale {scale}"
    target = target if scale is None else math.ceil(length * scale)
    if target < 1:
        raise ValueError(f"resize: {wanted} leaves nothing of {length} pixels; expected more than 0")
    return Axis(length, target, target / length if scale is None else float(scale), kernel, antialias, edges)


def _each_resized(images: Tensor, rows: Axis, columns: Axis, levels: int | None) -> Tensor:
    """Resize images one by one: what a matrix product rounds to depends on how many rows it has."""
    if len(images) == 1:
        return _resized(images, rows, columns, levels)
    result = images.new_empty(*images.shape[:-2], rows.target, columns.target)
    for i in range(len(images)):
        result[i : i + 1] = _resized(images[i : i + 1], rows, columns, levels)
    return result


def _resized(image: Tensor, rows: Axis, columns: Axis, levels: int | None) -> Tensor:
    """Filter rows, then columns, band by band: what lies between the passes never leaves the cache."""
    planes = image.reshape(-1, rows.length, columns.length)
    dtype = _arithmetic(image, rows, columns, levels)
    widest = len(planes) * max(columns.target, math.ceil(columns.length / min(rows.scale, 1)))
    vertical = _bands(rows, min(ROWS, max(8, BAND // max(widest, 1))), dtype, image.device)
    horizontal = _bands(columns, _block(columns), dtype, image.device)
    result = planes.new_empty(len(planes), rows.target, columns.target)
    source = _Source(planes, dtype, levels, vertical.index.shape[1])
    block = vertical.weights.shape[1]
    for place, weights in enumerate(vertical.weights):
        target = result[:, place * block : (place + 1) * block]
        weights = weights[: target.shape[1]].expand(len(planes), -1, -1)
        band = torch.bmm(weights, source.band(vertical.index[place], vertical.spans[place]))
        band = _filter_columns(_rounded(band, levels), horizontal)[..., : columns.target]
        target.copy_(band if levels is None else _rounded(band, levels).div_(levels))
    return result.reshape(*image.shape[:-2], rows.target, columns.target)


class _Source:
    """The image as bands of rows, in whole steps when it has ``levels``."""

    def __init__(self, planes: Tensor, dtype: torch.dtype, levels: int | None, rows: int) -> None:
        self.planes, self.dtype, self.levels = planes, dtype, levels
        # one buffer for all bands: a fresh one per band costs ten times its filling in page faults
        self.steps = None if levels is None else planes.new_empty(len(planes), rows, planes.shape[2])

    def band(self, index: Tensor, span: slice | None) -> Tensor:
        """Return the rows ``index``, which are ``span`` away from the border."""
        rows = self.planes.index_select(1, index) if span is None else self.planes[:, span]
        if self.steps is None:
            return rows.to(self.dtype)
        # multiplied in the image's own type: k/levels then comes back as exactly k
        return torch.mul(rows.detach(), self.levels, out=self.steps).to(self.dtype)


def _filter_columns(band: Tensor, bands: _Bands) -> Tensor:
    if bands.step is None:
        parts = band.index_select(2, bands.index.flatten()).unflatten(2, bands.index.shape)
        return torch.einsum("nybk,bgk->nybg", parts, bands.weights).flatten(2)
    edges = band.index_select(2, bands.before), band.index_select(2, bands.after)
    padded = torch.cat([edges[0], band[..., bands.body], edges[1]], dim=2)
    # flattened, that is copied, for one product instead of as many as there are rows
    windows = padded.unfold(2, bands.weights.shape[2], bands.step).flatten(0, 2)
    return (windows @ bands.weights[0].mT).view(*band.shape[:2], bands.weights.shape[:2].numel())


def _rounded(samples: Tensor, levels: int | None) -> Tensor:
    """Round half up and clip, in place."""
    return samples if levels is None else samples.add_(0.5).floor_().clamp_(0, levels)


def _block(axis: Axis) -> int:
    """Return a number of outputs after which the weights repeat, if the scale is a small fraction."""
    period = Fraction(axis.scale).limit_denominator(64).numerator
    return period * math.ceil(COLUMNS / period) if 0 < period <= 4 * COLUMNS else COLUMNS


def _arithmetic(image: Tensor, rows: Axis, columns: Axis, levels: int | None) -> torch.dtype:
    """Return the narrowest type in which sums fall on the right side of every half step."""
    if levels is None or image.dtype == torch.float64:
        return torch.promote_types(image.dtype, torch.float32)
    # elsewhere than on a CPU, float32 products may be worked out in fewer bits (TF32)
    decided = image.is_cpu and all(_decided(axis, levels) for axis in (rows, columns))
    return torch.float32 if decided else torch.float64


@lru_cache(maxsize=256)
def _decided(axis: Axis, levels: int) -> bool:
    """Whether float32 rounds sums of whole samples as exact arithmetic would.

    With weights in multiples of 1/D every sum is one too. For D = 2ⁿ float32 holds it without error while it has 24
    bits; for odd D it stays 1/2D away from every half, and the error only has to be smaller.
    """
    weights = taps(axis)[1]
    largest = levels * np.abs(weights).sum(1).max()
    for d in (2**15, 3**4, 5**4):
        if np.abs(weights * d - np.round(weights * d)).max() < 1e-9:
            error = weights.shape[1] * largest * 2.0**-23
            return bool(largest * d < 2**24 if d % 2 == 0 else error < 0.5 / d)
    return False


@lru_cache(maxsize=256)
def _bands(axis: Axis, block: int, dtype: torch.dtype, device: torch.device) -> _Bands:
    """Return the taps of ``axis`` as small dense matrices, ``block`` outputs each; the last may be padded."""
    index, weights = taps(axis)
    block = min(block, axis.target)
    starts = index[::block, 0]
    place = np.arange(axis.target)
    of, row = place // block, place % block
    column = index - starts[of, None]
    matrix = np.zeros((len(starts), block, column.max() + 1))
    np.add.at(matrix, (of[:, None], row[:, None], column), weights)
    index = inside(starts[:, None] + np.arange(matrix.shape[2]), axis.length, axis.edges)
    spans = tuple(slice(i[0], i[-1] + 1) if i[-1] - i[0] == len(i) - 1 else None for i in index.tolist())
    steps = set(np.diff(starts).tolist() or [1])
    alike = len(steps) == 1 and np.abs(matrix[of, row] - matrix[0, row]).max() < 1e-12
    first, last = starts[0], starts[-1] + matrix.shape[2]
    body = slice(max(first, 0), min(last, axis.length))
    before = inside(np.arange(first, body.start), axis.length, axis.edges)
    after = inside(np.arange(body.stop, last), axis.length, axis.edges)
    with torch.inference_mode(False):  # what is cached under inference could never be used in training
        index, before, after = (torch.from_numpy(i).to(device) for i in (index, before, after))
        weights = torch.from_numpy(matrix).to(device, dtype)
    return _Bands(index, weights, spans, steps.pop() if alike else None, before, body, after)
