"""Pictures by bands of rows: few rows at a time in memory, however many there are."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

S = TypeVar("S")
T = TypeVar("T")

BAND_BYTES = 1 << 18  # of samples, filtered and compressed at a time: they stay in a core's cache
BANDS_AHEAD = 32
MAPPED_BYTES = 1 << 25  # samples beyond it lie in a temporary file that the system pages in and out


class Joined:
    """Samples with their alpha as last channel, joined only band by band: ``joined[first:last]``."""

    def __init__(self, samples: np.ndarray, alpha: np.ndarray) -> None:
        self.samples, self.alpha = samples, alpha
        self.shape = (*samples.shape[:2], samples.shape[2] + alpha.shape[2])
        self.dtype, self.itemsize = samples.dtype, samples.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        return np.concatenate([self.samples[rows], self.alpha[rows]], -1)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)


Samples = np.ndarray | Joined


def empty_samples(shape: tuple[int, ...], dtype: np.dtype | type, folder: Path | None = None) -> np.ndarray:
    """Return an array to fill; beyond ``MAPPED_BYTES`` it lies in an unnamed file in ``folder`` or TMPDIR.

    The file's space is reserved first, so that a full disk is an ``OSError`` here and not a crash later.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= MAPPED_BYTES:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        with suppress(AttributeError):  # not every system has it
            os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, dtype, "w+", shape=shape)


def rows_per_band(row_bytes: int) -> int:
    """Return how many rows of so many bytes make a band."""
    return max(1, BAND_BYTES // max(1, row_bytes))


def bands_of(samples: Samples) -> list[tuple[int, int]]:
    """Return the first and last row of each band."""
    height, width, channels = samples.shape
    rows = rows_per_band(width * channels * samples.itemsize)
    return [(first, min(first + rows, height)) for first in range(0, height, rows)]


def in_parallel(encode: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """Yield the encoded items in order; few of them wait at a time, so memory stays small."""
    items = list(items)
    if len(items) == 1:
        yield encode(items[0])
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i in range(0, len(items), BANDS_AHEAD):
            yield from pool.map(encode, items[i : i + BANDS_AHEAD])
