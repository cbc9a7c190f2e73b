"""TIFF by strips: 8, 16 and 32 bits, few bits, palettes, pages, metadata; BigTIFF where 4 GB do not suffice."""

import struct
import zlib
from collections.abc import Iterable
from typing import IO

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from restoration.formats.bands import Releasing, Samples, in_parallel, rows_per_band
from restoration.formats.exif import SUB_IFDS, TIFF_TEXT
from restoration.formats.integers import Integers
from restoration.formats.metadata import Metadata
from restoration.formats.png_writing import Layout, packed

CLASSIC_LIMIT = 4_000_000_000  # bytes; offsets of classic TIFF have 32 bits
ASSOCIATED, UNASSOCIATED = 1, 2
LONG8, UNDEFINED = 16, 7
FLOAT = 3
KINDS = {"i": 2, "f": FLOAT}  # of samples that are not unsigned


class TiffWriter:
    """A TIFF file written row by row: ``write`` bands in order, then ``close``; or page after page.

    Strips are deflated horizontal differences; floats are deflated as they are. ``total`` is how many bytes of
    samples the whole file will hold.
    """

    def __init__(self, stream: IO[bytes], total: int) -> None:
        self.stream, self.big = stream, total > CLASSIC_LIMIT
        self.header = b"II+\0\x08\0\0\0" + bytes(8) if self.big else b"II*\0" + bytes(4)
        self.link = 8 if self.big else 4  # where the place of the next directory goes
        stream.write(self.header)

    def begin(self, layout: Layout, channels: int, dtype: np.dtype, metadata: Metadata) -> None:
        """Start a page."""
        self.layout, self.channels, self.dtype, self.metadata = layout, channels, np.dtype(dtype), metadata
        self.integers = integers_for(metadata, layout, self.dtype)
        self.dtype = self.integers.dtype if self.integers else self.dtype
        self.offsets: list[int] = []
        self.lengths: list[int] = []
        row_bytes = -(-layout.width * channels * layout.bits // 8)
        self.strip = rows_per_band(row_bytes)
        self.waiting: list[np.ndarray] = []

    def write(self, samples: np.ndarray) -> None:
        """Add rows (H, W, C); whole strips are written, the rest waits for more."""
        rows = np.concatenate([*self.waiting, samples]) if self.waiting else samples
        whole = len(rows) // self.strip * self.strip
        self._strips(rows[first : first + self.strip] for first in range(0, whole, self.strip))
        self.waiting = [rows[whole:].copy()] if whole < len(rows) else []

    def end(self) -> None:
        """End a page."""
        self._strips(self.waiting)
        start = self.stream.tell() + self.stream.tell() % 2
        directory = self._directory()
        data = _with_offsets(directory.tobytes(start), start, self.offsets, self.big)
        self.stream.seek(start)
        self.stream.write(data)
        self.stream.seek(self.link)
        self.stream.write(struct.pack("<Q" if self.big else "<L", start))
        self.stream.seek(0, 2)
        count = struct.unpack_from("<Q" if self.big else "<H", data)[0]
        self.link = start + (8 + 20 * count if self.big else 2 + 12 * count)

    def page(self, layout: Layout, samples: Samples, metadata: Metadata) -> None:
        """Write a whole page."""
        self.begin(layout, samples.shape[2], samples.dtype, metadata)
        step, releasing = self.strip * 32, Releasing(samples)
        for first in range(0, layout.height, step):
            self.write(samples[first : first + step])
            releasing.used(step * samples.shape[1] * samples.shape[2] * samples.itemsize)
        self.end()

    def _strips(self, strips: Iterable[np.ndarray]) -> None:
        for data in in_parallel(self._deflated, strips):
            self.offsets.append(self.stream.tell())
            self.lengths.append(self.stream.write(data))

    def _inverted(self) -> bool:
        """Whether white is stored as zero."""
        return self.metadata.stored.white_is_zero and self.channels == 1 and self.layout.palette is None

    def _deflated(self, band: np.ndarray) -> bytes:
        if self._inverted():
            band = band.dtype.type(1 if band.dtype.kind == "f" else 2**self.layout.bits - 1) - band
        if self.integers:
            band = self.integers.from_samples(band)
            band = band.view(f"u{band.itemsize}")  # differences of any integers are taken modulo their range
        if self.layout.packed:
            return zlib.compress(packed(band, self.layout.bits).tobytes(), 6)
        if self._predictor() == 1:
            return zlib.compress(np.ascontiguousarray(band, band.dtype.newbyteorder("<")).data, 6)
        differences = band.copy()
        differences[:, 1:] -= band[:, :-1]
        deflater = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
        little = differences.astype(differences.dtype.newbyteorder("<"), copy=False)
        return deflater.compress(little.tobytes()) + deflater.flush()

    def _predictor(self) -> int:
        plain = self.layout.packed or self.layout.palette is not None or self.dtype.kind == "f"
        return 1 if plain else 2

    def _directory(self) -> ImageFileDirectory_v2:
        layout, channels, metadata = self.layout, self.channels, self.metadata
        directory = ImageFileDirectory_v2(self.header)
        _add_exif(directory, metadata.exif)
        photometric = 3 if layout.palette is not None else 2 if channels > 2 else 0 if self._inverted() else 1
        tags: dict[int, object] = {
            256: layout.width, 257: layout.height, 259: 8, 262: photometric,
            258: (8 * self.dtype.itemsize if self.integers else layout.bits,) * channels,
            277: channels, 278: self.strip, 284: 1, 317: self._predictor(),
        }  # fmt: skip
        if self.dtype.kind in KINDS:
            tags[339] = (KINDS[self.dtype.kind],) * channels
        if channels in (2, 4):
            tags[338] = (ASSOCIATED if metadata.stored.premultiplied else UNASSOCIATED,)
        if layout.palette is not None:
            colours = np.zeros((256, 3), int)
            colours[: len(layout.palette)] = layout.palette.astype(int) * 257
            tags[320] = tuple(colours.T.ravel().tolist())
        if metadata.dpi:
            tags |= {282: metadata.dpi[0], 283: metadata.dpi[1], 296: 2}
        for tag, data in ((34675, metadata.icc), (700, metadata.xmp), (33723, metadata.iptc)):
            if data:
                directory.tagtype[tag] = UNDEFINED if tag != 700 else 1
                tags[tag] = data
        for tag, value in tags.items():
            directory[tag] = value
        for tag, values in ((273, [0] * len(self.offsets)), (279, self.lengths)):
            directory.tagtype[tag] = LONG8 if self.big else 4
            directory[tag] = tuple(values)
        return directory


def integers_for(metadata: Metadata, layout: Layout, dtype: np.dtype) -> Integers | None:
    """Return how samples become integers with a sign or of 32 bits, None where they are stored as they are."""
    integers = metadata.stored.integers
    plain = layout.palette is not None or layout.packed
    return None if integers is None or plain or integers.samples != dtype else integers


def _with_offsets(directory: bytes, start: int, offsets: list[int], big: bool) -> bytes:
    """Return a TIFF directory with these strip offsets: Pillow adds the directory's end to those given."""
    patched = bytearray(directory)
    first, step, head, place, kind = (8, 20, "<HHQQ", 12, "Q") if big else (2, 12, "<HHLL", 8, "L")
    (count,) = struct.unpack_from("<Q" if big else "<H", patched)
    for entry in range(first, first + step * count, step):
        tag, _, length, pointer = struct.unpack_from(head, patched, entry)
        if tag == 273:
            at = entry + place if length == 1 else pointer - start
            struct.pack_into(f"<{length}{kind}", patched, at, *offsets)
    return bytes(patched)


def _add_exif(directory: ImageFileDirectory_v2, block: bytes | None) -> None:
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + (block or b""))
    for tag in TIFF_TEXT:
        if tag in exif:
            directory[tag] = exif[tag]
    for tag in SUB_IFDS:
        if exif.get_ifd(tag):
            directory[tag] = exif.get_ifd(tag)
