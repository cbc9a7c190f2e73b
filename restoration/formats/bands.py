"""Pictures by bands of rows: few rows at a time in memory, however many there are."""

import mmap
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


def release(*arrays: Samples) -> None:
    """Let mapped samples leave memory; they stay in their file, and come back when they are read."""
    for samples in arrays:
        if isinstance(samples, Joined):
            release(samples.samples, samples.alpha)
            continue
        base = samples
        while isinstance(base.base, np.ndarray):
            base = base.base
        if isinstance(base.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            base.base.madvise(mmap.MADV_DONTNEED)


class Releasing:
    """Mapped samples that leave memory whenever so many bytes of them have been read or written."""

    def __init__(self, *arrays: Samples) -> None:
        self.arrays, self.bytes = arrays, 0

    def used(self, size: int) -> None:
        """Take note of bytes that are not needed again soon."""
        self.bytes += size
        if self.bytes > MAPPED_BYTES:
            release(*self.arrays)
            self.bytes = 0


def rows_per_band(row_bytes: int) -> int:
    """Return how many rows of so many bytes make a band."""
    return max(1, BAND_BYTES // max(1, row_bytes))


def bands_of(samples: Samples, together: int = 1) -> Iterator[tuple[int, int]]:
    """Yield the first row and the end of so many bands at a time; what is mapped of those before leaves memory."""
    height, width, channels = samples.shape
    row = width * channels * samples.itemsize
    rows, releasing = rows_per_band(row) * together, Releasing(samples)
    for first in range(0, height, rows):
        yield first, min(first + rows, height)
        releasing.used(rows * row)


def in_parallel(encode: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """Yield the encoded items in order; few of them wait at a time, so memory stays small."""
    items = list(items)
    if len(items) == 1:
        yield encode(items[0])
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i in range(0, len(items), BANDS_AHEAD):
            yield from pool.map(encode, items[i : i + BANDS_AHEAD])
