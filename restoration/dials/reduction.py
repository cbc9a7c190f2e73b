"""MATLAB's bicubic reduction along one axis as a banded matrix: its blocks, and (D·Dᵀ)⁻¹."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from restoration.degradations.resize import resize

SHORT = 8  # up to this many outputs, taps may be mirrored at both ends: everything may meet everything
OVERLAP = 3  # farther outputs have no input in common: a row of D has at most 4·scale taps
BLOCK = 64  # outputs whose matrix is formed at a time


@dataclass(frozen=True)
class Axis:
    """The matrix D of the reduction of ``length · scale`` pixels to ``length``; all in float64."""

    length: int
    scale: int

    @property
    def full(self) -> int:
        """Return the number of pixels before the reduction."""
        return self.length * self.scale

    def block(self, first: int, last: int) -> tuple[int, int, np.ndarray]:
        """Return (start, end, D[first:last, start:end]), outside which those rows are zero."""
        offset, weights = _taps(self.scale)
        taps = self.scale * np.arange(first, last)[:, None] + offset + np.arange(len(weights))
        index = _mirrored(taps, self.full)
        start, end = int(index.min()), int(index.max()) + 1
        matrix = np.zeros((last - first, end - start))
        np.add.at(matrix, (np.arange(last - first)[:, None], index - start), weights[None])
        return start, end, matrix

    def adjoint(self, first: int, last: int) -> tuple[int, int, np.ndarray]:
        """Return (start, end, Dᵀ[first:last, start:end]), outside which those rows are zero."""
        if self.length <= SHORT:
            start, end = 0, self.length
        else:
            reach = 2 * self.scale
            start = max(0, (first - reach) // self.scale - 1)
            end = min(self.length, -(-(last + reach) // self.scale) + 1)
        left, _, matrix = self.block(start, end)
        return start, end, matrix[:, first - left : last - left].T

    def reduce(self, image: np.ndarray) -> np.ndarray:
        """Return D along the last axis, ``length · scale`` → ``length``."""
        parts = []
        for first in range(0, self.length, BLOCK):
            start, end, matrix = self.block(first, min(first + BLOCK, self.length))
            parts.append(image[..., start:end] @ matrix.T)
        return np.concatenate(parts, -1)

    def spread(self, image: np.ndarray) -> np.ndarray:
        """Return Dᵀ along the last axis, ``length`` → ``length · scale``."""
        parts = []
        for first in range(0, self.full, BLOCK * self.scale):
            start, end, matrix = self.adjoint(first, min(first + BLOCK * self.scale, self.full))
            parts.append(image[..., start:end] @ matrix.T)
        return np.concatenate(parts, -1)

    def solve(self, values: np.ndarray) -> None:
        """Replace ``values`` (length, n), in place, by (D·Dᵀ)⁻¹ · values."""
        factor = _factor(self)
        reach = len(factor) - 1
        for i in range(self.length):
            for d in range(1, min(reach, i) + 1):
                values[i] -= factor[d, i] * values[i - d]
            values[i] /= factor[0, i]
        for i in range(self.length - 1, -1, -1):
            for d in range(1, min(reach, self.length - 1 - i) + 1):
                values[i] -= factor[d, i + d] * values[i + d]
            values[i] /= factor[0, i]


@lru_cache(maxsize=16)
def _taps(scale: int) -> tuple[int, np.ndarray]:
    """Return where the taps of output 0 begin, and their weights: those of every output, but for mirrored borders."""
    middle = 8
    columns = torch.eye(2 * middle * scale, dtype=torch.float64)[None, None]
    rows = resize(columns, size=(2 * middle, columns.shape[-1]))[0, 0].numpy()
    used = np.flatnonzero(rows[middle])
    return int(used[0]) - middle * scale, rows[middle, used[0] : used[-1] + 1].copy()


def _mirrored(index: np.ndarray, length: int) -> np.ndarray:
    """Return the pixels that stand for places beyond the border, the border pixel twice."""
    index = index % (2 * length)
    return np.minimum(index, 2 * length - 1 - index)


@lru_cache(maxsize=16)
def _factor(axis: Axis) -> np.ndarray:
    """Return L of D·Dᵀ = L·Lᵀ (Cholesky) by diagonals: ``[d, i]`` holds L[i, i − d]."""
    gram = _gram(axis).tolist()
    reach = len(gram) - 1
    factor = [[0.0] * axis.length for _ in range(reach + 1)]
    for i in range(axis.length):
        for d in range(min(reach, i), -1, -1):
            j = i - d
            shared = range(max(i - reach, 0), j)
            rest = gram[d][j] - sum(factor[i - k][i] * factor[j - k][j] for k in shared)
            factor[d][i] = rest / factor[0][j] if d else rest**0.5
    return np.array(factor)


def _gram(axis: Axis) -> np.ndarray:
    """Return D·Dᵀ by diagonals: ``[d, i]`` holds its entry (i, i + d)."""
    reach = axis.length - 1 if axis.length <= SHORT else OVERLAP
    diagonals = np.zeros((reach + 1, axis.length))
    for first in range(0, axis.length, BLOCK):
        last = min(first + BLOCK, axis.length)
        _, _, matrix = axis.block(first, min(last + reach, axis.length))
        product = matrix @ matrix.T
        for d in range(reach + 1):
            entries = np.diagonal(product, d)[: last - first]
            diagonals[d, first : first + len(entries)] = entries
    return diagonals
