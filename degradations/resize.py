"""MATLAB's ``imresize`` on tensors, sample for sample."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.degraded import Degradation, Degraded, one_per_image
from restoration.degradations.draws import Keys

Edges = Literal["reflect", "clamp"]
Scale = Fraction | float | int

# Samples of one band of rows: measured best from 2¹⁶ to 2¹⁸, where its buffers stay in a core's cache.
BAND = 2**17
# Columns made by one small matrix product; 8 and 64 measured slower for reduction and enlargement alike.
COLUMNS = 16


@dataclass(frozen=True)
class Bicubic(Degradation):
    """MATLAB's bicubic reduction of 8-bit images, as the super-resolution sets were made (Keys, 1981).

    ``edges = "clamp"`` is MATLAB before R2011; ``levels`` are the steps of the file, 255 for 8 bits, None not rounded.
    """

    scale: int
    edges: Edges = "reflect"
    levels: int | None = 255

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise ValueError(f"scale = {self.scale}; expected a whole number from 1")

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return clean reduced by ``scale``; height and width must be multiples of it."""
        one_per_image(clean, keys)
        height, width = clean.shape[-2:]
        if height % self.scale or width % self.scale:
            raise ValueError(f"clean is {height}x{width}; expected multiples of the scale {self.scale}")
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
    after each pass, as MATLAB does to uint8, and lets no gradient through; None is MATLAB's double. Beyond the border
    the image is mirrored, the border pixel twice ("reflect"), or its last pixel goes on ("clamp"). Kernels are those of
    ``KERNELS``; "nearest" never antialiases.
    """
    if (scale is None) == (size is None):
        raise ValueError("resize: expected either a scale or a size")
    if kernel not in KERNELS:
        raise ValueError(f"resize: unknown kernel '{kernel}'; expected one of {', '.join(KERNELS)}")
    height, width = image.shape[-2:]
    smooth = antialias and kernel != "nearest"
    rows = _axis(height, scale, size and size[0], kernel, smooth, edges)
    columns = _axis(width, scale, size and size[1], kernel, smooth, edges)
    device = image.device.type
    with torch.autocast(device if torch.amp.is_autocast_available(device) else "cpu", enabled=False):
        if columns.scale < rows.scale:
            return _resized(image.mT.contiguous(), columns, rows, levels).mT.contiguous()
        return _resized(image, rows, columns, levels)


def cubic(x: np.ndarray) -> np.ndarray:
    """Return Keys' cubic kernel with a = −1/2 (1981, eq. 15)."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def triangle(x: np.ndarray) -> np.ndarray:
    """Return the kernel of linear interpolation."""
    return np.maximum(1 - np.abs(x), 0)


def box(x: np.ndarray) -> np.ndarray:
    """Return the kernel of area averages and of the nearest neighbour; a tie goes to the left."""
    return ((x >= -0.5) & (x < 0.5)).astype(np.float64)


KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {  # function and width
    "bicubic": (cubic, 4.0),
    "bilinear": (triangle, 2.0),
    "box": (box, 1.0),
    "nearest": (box, 1.0),
}


@dataclass(frozen=True)
class _Axis:
    """One 1-D pass."""

    length: int
    target: int
    scale: float
    kernel: str
    antialias: bool
    edges: Edges


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
) -> _Axis:
    if edges not in ("reflect", "clamp"):
        raise ValueError(f"resize: unknown edges '{edges}'; expected reflect or clamp")
    wanted = f"size {target}" if scale is None else f"scale {scale}"
    target = target if scale is None else math.ceil(length * scale)
    if target < 1:
        raise ValueError(f"resize: {wanted} leaves nothing of {length} pixels; expected more than 0")
    return _Axis(length, target, target / length if scale is None else float(scale), kernel, antialias, edges)


def _resized(image: Tensor, rows: _Axis, columns: _Axis, levels: int | None) -> Tensor:
    """Filter rows, then columns, band by band: what lies between the passes never leaves the cache."""
    planes = image.reshape(-1, rows.length, columns.length)
    dtype = _arithmetic(image, rows, columns, levels)
    widest = len(planes) * max(columns.target, math.ceil(columns.length / min(rows.scale, 1)))
    vertical = _bands(rows, max(8, BAND // max(widest, 1)), dtype, image.device)
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


def _block(axis: _Axis) -> int:
    """Return a number of outputs after which the weights repeat, if the scale is a small fraction."""
    period = Fraction(axis.scale).limit_denominator(64).numerator
    return period * math.ceil(COLUMNS / period) if 0 < period <= 4 * COLUMNS else COLUMNS


def _arithmetic(image: Tensor, rows: _Axis, columns: _Axis, levels: int | None) -> torch.dtype:
    """Return the narrowest type in which sums fall on the right side of every half step."""
    if levels is None or image.dtype == torch.float64:
        return torch.promote_types(image.dtype, torch.float32)
    # elsewhere than on a CPU, float32 products may be worked out in fewer bits (TF32)
    decided = image.is_cpu and all(_decided(axis, levels) for axis in (rows, columns))
    return torch.float32 if decided else torch.float64


@lru_cache(maxsize=256)
def _decided(axis: _Axis, levels: int) -> bool:
    """Whether float32 rounds sums of whole samples as exact arithmetic would.

    With weights in multiples of 1/D every sum is one too. For D = 2ⁿ float32 holds it without error while it has 24
    bits; for odd D it stays 1/2D away from every half, and the error only has to be smaller.
    """
    weights = _taps(axis)[1]
    largest = levels * np.abs(weights).sum(1).max()
    for d in (2**15, 3**4, 5**4):
        if np.abs(weights * d - np.round(weights * d)).max() < 1e-9:
            error = weights.shape[1] * largest * 2.0**-23
            return bool(largest * d < 2**24 if d % 2 == 0 else error < 0.5 / d)
    return False


@lru_cache(maxsize=256)
def _bands(axis: _Axis, block: int, dtype: torch.dtype, device: torch.device) -> _Bands:
    """Return the taps of ``axis`` as small dense matrices, ``block`` outputs each; the last may be padded."""
    index, weights = _taps(axis)
    block = min(block, axis.target)
    starts = index[::block, 0]
    place = np.arange(axis.target)
    of, row = place // block, place % block
    column = index - starts[of, None]
    matrix = np.zeros((len(starts), block, column.max() + 1))
    np.add.at(matrix, (of[:, None], row[:, None], column), weights)
    index = _inside(starts[:, None] + np.arange(matrix.shape[2]), axis.length, axis.edges)
    spans = tuple(slice(i[0], i[-1] + 1) if i[-1] - i[0] == len(i) - 1 else None for i in index.tolist())
    steps = set(np.diff(starts).tolist() or [1])
    alike = len(steps) == 1 and np.abs(matrix[of, row] - matrix[0, row]).max() < 1e-12
    first, last = starts[0], starts[-1] + matrix.shape[2]
    body = slice(max(first, 0), min(last, axis.length))
    before = _inside(np.arange(first, body.start), axis.length, axis.edges)
    after = _inside(np.arange(body.stop, last), axis.length, axis.edges)
    with torch.inference_mode(False):  # what is cached under inference could never be used in training
        index, before, after = (torch.from_numpy(i).to(device) for i in (index, before, after))
        weights = torch.from_numpy(matrix).to(device, dtype)
    return _Bands(index, weights, spans, steps.pop() if alike else None, before, body, after)


def _inside(index: np.ndarray, length: int, edges: Edges) -> np.ndarray:
    """Return the pixel that stands for each index, which may lie beyond the border."""
    if edges == "clamp":
        return index.clip(0, length - 1)
    index = index % (2 * length)
    return np.minimum(index, 2 * length - 1 - index)


def _taps(axis: _Axis) -> tuple[np.ndarray, np.ndarray]:
    """Return, for every output, the inputs it sees (from 0, beyond the border too) and their normalised weights.

    The formulas of MATLAB's imresize.m, in double and in its order of operations, because ties depend on both.
    """
    function, width = KERNELS[axis.kernel]
    narrow = axis.scale if axis.antialias and axis.scale < 1 else 1.0
    centre = np.arange(1, axis.target + 1) / axis.scale + 0.5 * (1 - 1 / axis.scale)
    left = np.floor(centre - width / narrow / 2)
    index = left[:, None] + np.arange(math.ceil(width / narrow) + 2)
    weights = narrow * function(narrow * (centre[:, None] - index))
    weights /= weights.sum(1, keepdims=True)
    used = (weights != 0).any(0)
    return index[:, used].astype(np.int64) - 1, weights[:, used]
