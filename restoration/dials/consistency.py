"""Exact back-projection: the nearest image to a restored one whose bicubic reduction is the degraded image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from restoration.dials.reduction import Axis
from restoration.errors import RequestError
from restoration.formats.bands import empty_samples
from restoration.image import PEAKS

PASSES = 8  # at most, where clipping undoes a part of what was added
RELAXED = 1.5  # times what is missing is added in later ones: below 2 it converges, above 1 sooner
STRIP = 2**22  # numbers worked on at a time, in float64


@dataclass(frozen=True)
class Residual:
    """How far the reduction of an image is from the degraded one, of a range of 1."""

    largest: float
    rms: float


def require_enlarging(scale: int, name: str) -> None:
    """Refuse ``--consistent`` for a restorer that does not enlarge."""
    if scale == 1:
        raise RequestError(
            f"--consistent: '{name}' has scale 1; expected a restorer that enlarges, whose result can be reduced again"
        )


def consistent(restored: Tensor, degraded: Tensor, scale: int) -> Tensor:
    """Return x + D⁺·(y − D·x) of images (N, C, H·scale, W·scale) and (N, C, H, W), on the CPU; nothing is clipped.

    D is the bicubic reduction of `restoration.degradations.resize`, D⁺ = Dᵀ·(D·Dᵀ)⁻¹ its pseudo-inverse: the
    projection onto {x : D·x = y}. No image of that set is farther from the result than from ``restored``.
    """
    result = []
    for image, reduced in zip(restored, degraded, strict=True):
        samples = image.detach().float().cpu().permute(1, 2, 0).numpy().copy()
        back_project(samples, reduced.detach().float().cpu().permute(1, 2, 0).numpy(), scale)
        result.append(torch.from_numpy(samples).permute(2, 0, 1))
    return torch.stack(result)


def back_project(restored: np.ndarray, degraded: np.ndarray, scale: int) -> None:
    """Project samples (H·scale, W·scale, C), in place, onto those whose reduction is ``degraded`` (H, W, C).

    Both are of one type. Whole numbers are rounded and clipped at the end, floats are not. Where clipping leaves more
    than half a level of 8 bits, it is done again: projections onto two convex sets in turn approach what lies in both
    (Bregman, 1965). Only strips are taken into memory, beside one float32 array of the size of ``degraded``, which
    lies in a file when it is large.
    """
    rows, columns = Axis(len(degraded), scale), Axis(degraded.shape[1], scale)
    missing = empty_samples((degraded.shape[2], *degraded.shape[:2]), np.float32)
    enough = PEAKS[restored.itemsize * 8] / PEAKS[8] / 2
    for again in range(PASSES if restored.dtype.kind != "f" else 1):
        largest = 0.0
        for top, part in _missing(restored, degraded, rows, columns):
            missing[:, top : top + part.shape[1]] = part
            largest = max(largest, float(np.abs(part).max()))
        if again and largest <= enough:
            return
        _solve(missing, rows, columns)
        _add(restored, missing, rows, columns, RELAXED if again else 1.0)


def _add(restored: np.ndarray, missing: np.ndarray, rows: Axis, columns: Axis, times: float) -> None:
    """Add ``times`` Dᵀ·``missing`` in place."""
    step = _step(restored)
    for top in range(0, len(restored), step):
        bottom = min(top + step, len(restored))
        start, end, matrix = rows.adjoint(top, bottom)
        added = times * matrix @ columns.spread(missing[:, start:end].astype(np.float64))
        strip = restored[top:bottom]
        strip[...] = _as_samples(strip + added.transpose(1, 2, 0), restored.dtype)


def residual(restored: np.ndarray, degraded: np.ndarray, scale: int) -> Residual:
    """Return how far the reduction of ``restored`` is from ``degraded``, both samples of one type."""
    rows, columns = Axis(len(degraded), scale), Axis(degraded.shape[1], scale)
    largest = squares = 0.0
    for _, part in _missing(restored, degraded, rows, columns):
        largest = max(largest, float(np.abs(part).max()))
        squares += float(np.square(part).sum())
    peak = PEAKS[restored.itemsize * 8]
    return Residual(largest / peak, (squares / degraded.size) ** 0.5 / peak)


def _missing(
    restored: np.ndarray, degraded: np.ndarray, rows: Axis, columns: Axis
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the top of each strip and its y − D·x: (C, rows, W)."""
    step = max(1, _step(restored) // rows.scale)
    for top in range(0, rows.length, step):
        bottom = min(top + step, rows.length)
        start, end, matrix = rows.block(top, bottom)
        reduced = matrix @ restored[start:end].transpose(2, 0, 1).astype(np.float64)
        yield top, degraded[top:bottom].transpose(2, 0, 1) - columns.reduce(reduced)


def _solve(missing: np.ndarray, rows: Axis, columns: Axis) -> None:
    """Apply (D·Dᵀ)⁻¹ along both axes, in place."""
    channels, height, width = missing.shape
    step = max(1, STRIP // (channels * width))
    for top in range(0, height, step):
        strip = missing[:, top : top + step]
        lines = strip.reshape(-1, width).T.astype(np.float64, order="C")
        columns.solve(lines)
        strip[...] = lines.T.reshape(strip.shape)
    step = max(1, STRIP // (channels * height))
    for left in range(0, width, step):
        strip = missing[:, :, left : left + step]
        lines = strip.transpose(1, 0, 2).reshape(height, -1).astype(np.float64, order="C")
        rows.solve(lines)
        strip[...] = lines.reshape(height, channels, -1).transpose(1, 0, 2)


def _step(restored: np.ndarray) -> int:
    """Return how many rows of the restored image make a strip."""
    return max(1, STRIP // (restored.shape[1] * restored.shape[2]))


def _as_samples(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return values as they are stored: whole numbers are clipped and rounded half up."""
    return values if dtype.kind == "f" else (values + 0.5).clip(0, np.iinfo(dtype).max)
