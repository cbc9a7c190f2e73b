"""PNG and APNG by the specification: up to 16 bits, few bits, palettes, metadata, one band of rows at a time."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import IO

import numpy as np

from restoration.formats.bands import Samples, in_parallel, rows_per_band
from restoration.formats.metadata import Metadata, resources_of_iptc

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADLER = 65521
INCH = 0.0254  # metres
KINDS = {1: 0, 2: 4, 3: 2, 4: 6}
NONE, PAETH = 0, 4
BEFORE_PALETTE = (b"cHRM", b"gAMA", b"sRGB", b"cICP", b"mDCV", b"cLLI")  # what the colours mean
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
KEPT_CHUNKS = (*BEFORE_PALETTE, *TEXTS)


@dataclass(frozen=True)
class Layout:
    """What IHDR, PLTE and tRNS say: ``kind`` 3 has a palette (n, 3) and opacities, and its samples are indices."""

    height: int
    width: int
    bits: int
    kind: int
    palette: np.ndarray | None = None
    opacities: np.ndarray | None = None

    @property
    def packed(self) -> bool:
        """Whether several samples share a byte."""
        return self.bits < 8


class Rows:
    """The zlib stream of one picture, made from bands of rows that come in order.

    Rows are Paeth-filtered, then deflated by run lengths and Huffman codes alone: on photographs that is as
    small as zlib's search for repeats, at several times its speed. Indices are not filtered, but searched.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.filter = NONE if layout.packed or layout.kind == 3 else PAETH
        self.above: np.ndarray | None = None
        self.checksum, self.start = 1, b"\x78\x01"

    def pieces(self, samples: np.ndarray) -> Iterator[bytes]:
        """Yield what these rows, (H, W, C) of uint8 or uint16, add to the stream."""
        samples = packed(samples, self.layout.bits) if self.layout.packed else samples
        above = np.zeros_like(samples[:1]) if self.above is None else self.above
        self.above = samples[-1:].copy()
        step = rows_per_band(samples[0].nbytes)
        bands = [
            (samples[first - 1 : first] if first else above, samples[first : first + step])
            for first in range(0, len(samples), step)
        ]
        for data, adler, length in in_parallel(self._deflated, bands):
            self.checksum = _joined_adler(self.checksum, adler, length)
            yield self.start + data
            self.start = b""

    def end(self) -> bytes:
        """Return the stream's last bytes: an empty block that is the last, and the checksum."""
        return b"\x03\x00" + struct.pack(">L", self.checksum)

    def _deflated(self, band: tuple[np.ndarray, np.ndarray]) -> tuple[bytes, int, int]:
        """Return the deflated rows with the Adler checksum and the length of what was deflated."""
        above, rows = band
        lines = _big_endian(np.concatenate([above, rows])).view(np.uint8).reshape(len(rows) + 1, -1)
        filtered = np.full((len(rows), lines.shape[1] + 1), self.filter, np.uint8)
        filtered[:, 1:] = _paeth(lines, rows.shape[2] * rows.itemsize) if self.filter else lines[1:]
        strategy = zlib.Z_RLE if self.filter else zlib.Z_DEFAULT_STRATEGY
        deflater = zlib.compressobj(6, zlib.DEFLATED, -15, 9, strategy)
        data = deflater.compress(filtered.data) + deflater.flush(zlib.Z_SYNC_FLUSH)
        return data, zlib.adler32(filtered.data), filtered.size


class PngWriter:
    """A PNG file written row by row: ``write`` bands in order, then ``close``."""

    def __init__(self, stream: IO[bytes], layout: Layout, metadata: Metadata, frames: int = 0) -> None:
        self.stream, self.layout, self.sequence = stream, layout, 0
        self.rows = Rows(layout)
        _head(stream, layout, metadata)
        self.frames = frames

    def write(self, samples: np.ndarray) -> None:
        """Add rows (H, W, C)."""
        for data in self.rows.pieces(samples):
            chunk(self.stream, b"IDAT", data)

    def close(self) -> None:
        """End the file."""
        chunk(self.stream, b"IDAT", self.rows.end())
        chunk(self.stream, b"IEND", b"")


def write_frames(
    stream: IO[bytes], frames: Sequence[Samples], layout: Layout, metadata: Metadata,
    durations: Sequence[float], loop: int | None,
) -> None:  # fmt: skip
    """Write an APNG: whole frames of ``durations`` milliseconds each, ``loop`` times (0 for ever)."""
    hidden = metadata.stored.still_first  # the first is no frame of the animation
    _head(stream, layout, metadata)
    chunk(stream, b"acTL", struct.pack(">LL", len(frames) - hidden, loop or 0))
    sequence = 0
    for i, (samples, duration) in enumerate(zip(frames, durations, strict=True)):
        if i or not hidden:
            delay = Fraction(duration or 0).limit_denominator(65535) / 1000
            delay = delay.limit_denominator(65535 if delay < 1 else 1000)
            place = struct.pack(">LLLLL", sequence, layout.width, layout.height, 0, 0)
            time = struct.pack(">HHBB", min(delay.numerator, 65535), delay.denominator, 0, 0)
            chunk(stream, b"fcTL", place + time)
            sequence += 1
        rows = Rows(layout)
        for data in (*rows.pieces(np.asarray(samples)), rows.end()):
            if i == 0:
                chunk(stream, b"IDAT", data)
            else:
                chunk(stream, b"fdAT", struct.pack(">L", sequence) + data)
                sequence += 1
    chunk(stream, b"IEND", b"")


def chunk(stream: IO[bytes], kind: bytes, data: bytes) -> None:
    """Write one chunk."""
    checksum = zlib.crc32(data, zlib.crc32(kind))
    stream.write(struct.pack(">L", len(data)) + kind + data + struct.pack(">L", checksum))


def packed(samples: np.ndarray, bits: int) -> np.ndarray:
    """Return rows of samples below 2^bits with several in a byte, the first in the high bits."""
    height, width = samples.shape[:2]
    places = 8 // bits
    wide = np.zeros((height, -(-width // places) * places), np.uint8)
    wide[:, :width] = samples[..., 0]
    shifts = np.arange(places - 1, -1, -1, dtype=np.uint8) * bits
    return (wide.reshape(height, -1, places) << shifts).sum(-1, dtype=np.uint8)[..., None]


def _head(stream: IO[bytes], layout: Layout, metadata: Metadata) -> None:
    stream.write(SIGNATURE)
    size = (layout.width, layout.height, layout.bits, layout.kind)
    chunk(stream, b"IHDR", struct.pack(">LL5B", *size, 0, 0, 0))
    colour = [c for c in metadata.stored.chunks if c[0] in BEFORE_PALETTE]
    for kind, data in colour:
        if not (metadata.icc and kind == b"sRGB"):  # one of the two may stand
            chunk(stream, kind, data)
    if metadata.icc:
        chunk(stream, b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc))
    if layout.palette is not None:
        chunk(stream, b"PLTE", layout.palette.astype(np.uint8).tobytes())
    if layout.opacities is not None:
        chunk(stream, b"tRNS", layout.opacities.astype(np.uint8).tobytes())
    if metadata.exif:
        chunk(stream, b"eXIf", metadata.exif)
    if metadata.dpi:
        chunk(stream, b"pHYs", struct.pack(">LLB", *(round(dpi / INCH) for dpi in metadata.dpi), 1))
    if metadata.xmp:
        chunk(stream, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp)
    if metadata.iptc:
        chunk(stream, b"zTXt", raw_profile(b"iptc", resources_of_iptc(metadata.iptc)))
    for kind, data in metadata.stored.chunks:
        if kind in TEXTS:
            chunk(stream, kind, data)


def raw_profile(name: bytes, data: bytes) -> bytes:
    """Return a zTXt chunk in the form by which ImageMagick and ExifTool keep what PNG has no chunk for."""
    digits = data.hex().encode()
    lines = b"\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    text = b"\n%s\n%8d\n%s\n" % (name, len(data), lines)
    return b"Raw profile type " + name + b"\0\0" + zlib.compress(text)


def _big_endian(samples: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(samples, samples.dtype.newbyteorder(">"))


def _paeth(lines: np.ndarray, step: int) -> np.ndarray:
    """Return all lines but the first as differences to Paeth's prediction (PNG specification, 9.4)."""
    wide = np.zeros((len(lines), lines.shape[1] + step), np.int16)
    wide[:, step:] = lines
    left, up, corner = wide[1:, :-step], wide[:-1, step:], wide[:-1, :-step]
    to_left, to_up = up - corner, left - corner
    to_corner = np.abs(to_left + to_up)
    np.abs(to_left, out=to_left)
    np.abs(to_up, out=to_up)
    nearest = np.where(to_up <= to_corner, up, corner)
    nearest = np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest)
    return lines[1:] - nearest.astype(np.uint8)


def _joined_adler(first: int, second: int, length: int) -> int:
    """Return the Adler-32 of two byte strings from their own, and the length of the second."""
    a = ((first & 0xFFFF) + (second & 0xFFFF) - 1) % ADLER
    b = ((first >> 16) + (second >> 16) + length * ((first & 0xFFFF) - 1)) % ADLER
    return b << 16 | a
