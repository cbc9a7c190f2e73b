"""Pictures by rows: from a file, and to a file without the whole ever being in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from restoration.errors import ImageError
from restoration.files import atomic
from restoration.formats.bands import empty_samples
from restoration.formats.declared import shown
from restoration.formats.metadata import Stored
from restoration.formats.png_writing import PngWriter
from restoration.formats.tiff_writing import TiffWriter
from restoration.image.encoding import plain_layout
from restoration.image.picture import DTYPES, Picture
from restoration.image.reading import MAX_PIXELS, read
from restoration.image.writing import (
    ALPHA_SUFFIXES,
    FAILURES,
    PLACES,
    PNG_SUFFIXES,
    TIFF_SUFFIXES,
    WRITERS,
    depth_for,
    metadata_for,
    samples_for,
    warn,
)


@dataclass(frozen=True)
class Rows:
    """A picture's rows, alpha as last channel; ``read`` any of them, in any order and from any thread."""

    picture: Picture

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return self.picture.samples.shape[0]

    @property
    def width(self) -> int:
        """Return the pixels of a row."""
        return self.picture.samples.shape[1]

    @property
    def channels(self) -> int:
        """Return the samples of a pixel: 1 or 3, and one more with alpha."""
        return self.picture.samples.shape[2] + (self.picture.alpha_samples is not None)

    @property
    def depth(self) -> int:
        """Return the bits of a sample: 8, 16, or 32 for floats."""
        return self.picture.depth

    def read(self, top: int, bottom: int) -> np.ndarray:
        """Return rows ``top … bottom − 1`` as (H, W, channels)."""
        samples, alpha = self.picture.samples[top:bottom], self.picture.alpha_samples
        return np.array(samples) if alpha is None else np.concatenate([samples, alpha[top:bottom]], -1)


def rows_of(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Rows:
    """Return the rows of a still picture.

    Large PNG (not interlaced), TIFF and PPM files are decoded band by band into an unnamed temporary file, which
    the system pages in and out: memory stays flat. Other formats are decoded whole.
    """
    return Rows(read(path, max_pixels=max_pixels))


class RowsWriter:
    """A picture written row by row: ``write(top, samples)`` in order, samples (H, W, channels) of ``depth`` bits."""

    def __init__(
        self, stream: IO[bytes], suffix: str, like: Picture, size: tuple[int, int, int, int]
    ) -> None:
        self.height, self.width, self.channels, self.depth = size
        self.suffix, self.like, self.next = suffix, like, 0
        dtype = np.dtype(DTYPES[self.depth])
        self.dtype = dtype
        # what depends on all pixels, palettes and few bits, cannot be known by the first rows
        blank = np.broadcast_to(np.zeros((), dtype), (self.height, self.width, 1))
        metadata = metadata_for(suffix, replace(like, samples=blank))
        kept = Stored(chunks=metadata.stored.chunks, integers=metadata.stored.integers)
        metadata = replace(metadata, stored=kept)
        layout = plain_layout(self.height, self.width, self.channels, dtype)
        self.canvas: np.ndarray | None = None
        self.file: PngWriter | TiffWriter | None = None
        if suffix in PNG_SUFFIXES:
            self.file = PngWriter(stream, layout, metadata)
        elif suffix in TIFF_SUFFIXES:
            self.file = TiffWriter(stream, self.height * self.width * self.channels * dtype.itemsize)
            self.file.begin(layout, self.channels, dtype, metadata)
        else:
            self.canvas = empty_samples((self.height, self.width, self.channels), dtype)

    def write(self, top: int, samples: np.ndarray) -> None:
        """Add rows; ``top`` must be the row after the last one written."""
        expected = (len(samples), self.width, self.channels)
        if top != self.next or samples.shape != expected or top + len(samples) > self.height:
            raise ValueError(f"rows {samples.shape} at {top}: expected {expected} at {self.next}")
        if samples.dtype != self.dtype:
            raise ValueError(f"rows of {samples.dtype}; expected {self.dtype}")
        self.next += len(samples)
        if self.canvas is not None:
            self.canvas[top : self.next] = samples
        elif self.file is not None:
            self.file.write(samples)

    def close(self) -> None:
        """End the file, every row of which must have been written."""
        if self.next != self.height:
            raise ValueError(f"{self.next} rows of {self.height} were written")
        if isinstance(self.file, PngWriter):
            self.file.close()
        elif self.file is not None:
            self.file.end()


@contextmanager
def rows_to(
    path: str | Path, like: Picture, height: int, width: int, *, channels: int | None = None
) -> Iterator[RowsWriter]:
    """Yield a writer of rows for a file with the depth, profile and metadata of ``like``.

    PNG and TIFF are written as the rows come, with nothing of them kept; other formats collect them in a temporary
    file first. The file appears whole when the block ends well, or not at all.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in PLACES:
        raise ImageError(f"{shown(path)}: cannot write '{suffix}' files; expected one of {' '.join(PLACES)}")
    channels = channels or Rows(like).channels
    if channels in (2, 4) and suffix not in ALPHA_SUFFIXES:
        expected = " ".join(ALPHA_SUFFIXES)
        raise ImageError(f"{shown(path)}: {suffix} holds no transparency; expected one of {expected}")
    depth = like.depth if suffix not in (*PNG_SUFFIXES, *TIFF_SUFFIXES) else depth_for(suffix, like.depth)
    try:
        with atomic(path) as stream:
            writer = RowsWriter(stream, suffix, like, (height, width, channels, depth))
            yield writer
            writer.close()
            if writer.canvas is not None:
                whole = _picture(like, writer.canvas)
                WRITERS[suffix](stream, samples_for(suffix, whole), metadata_for(suffix, whole))
    except FAILURES as error:
        if isinstance(error, ImageError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{shown(path)}: could not be written ({reason}); nothing was left behind") from None
    warn(path, like)


def _picture(like: Picture, samples: np.ndarray) -> Picture:
    colours = 1 if samples.shape[2] < 3 else 3
    alpha = samples[..., colours:] if samples.shape[2] > colours else None
    return replace(like, samples=samples[..., :colours], alpha_samples=alpha)
