"""PNG by the specification: its chunks, and the rows of large pictures band by band."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import Image

from restoration.formats.bands import Releasing, empty_samples
from restoration.formats.metadata import iptc_of_resources
from restoration.formats.png_writing import KEPT_CHUNKS, SIGNATURE

CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
READ_BYTES = 1 << 20
LARGEST_TEXT = 1 << 26  # what a compressed text may grow to
XMP_KEYWORD = b"XML:com.adobe.xmp"


@dataclass(frozen=True)
class Beside:
    """What the chunks of a PNG hold beside the samples."""

    exif: bytes | None
    xmp: bytes | None
    iptc: bytes | None
    kept: tuple[tuple[bytes, bytes], ...]
    peak: int | None  # white of grey with fewer than 8 bits
    streamable: bool  # its rows come one after the other, whole samples in whole bytes


def chunks(stream: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's kind, where its data starts and how long it is, up to the end or where the file breaks."""
    stream.seek(0)
    if stream.read(8) != SIGNATURE:
        return
    position, kind = 8, b""
    while kind != b"IEND":
        stream.seek(position)
        head = stream.read(8)
        if len(head) < 8:
            return
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        yield kind, position + 8, length
        position += 12 + length


def beside(stream: IO[bytes]) -> Beside:
    """Return the metadata of a PNG; texts that hold EXIF, XMP or IPTC are taken as such."""
    exif = xmp = iptc = None
    kept: list[tuple[bytes, bytes]] = []
    header, keyed = b"\0" * 13, False
    for kind, start, length in chunks(stream):
        if kind == b"IDAT" or length > LARGEST_TEXT:
            continue
        stream.seek(start)
        data = stream.read(length)
        if kind == b"IHDR" and length == 13:
            header = data
        keyed |= kind == b"tRNS"
        keyword, _, rest = data.partition(b"\0")
        if kind == b"eXIf":
            exif = data.removeprefix(b"Exif\0\0")
        elif kind == b"iTXt" and keyword == XMP_KEYWORD:
            xmp = _international(rest)
        elif kind in (b"zTXt", b"tEXt") and keyword.startswith(b"Raw profile type "):
            profile = _raw_profile(rest[1:] if kind == b"zTXt" else rest, kind == b"zTXt")
            name = keyword.split()[-1]
            if name in (b"exif", b"APP1") and profile.startswith(b"Exif\0\0"):
                exif = exif or profile[6:]
            elif name == b"iptc":
                iptc = iptc_of_resources(profile) or profile
            elif name == b"xmp":
                xmp = xmp or profile
            else:
                kept.append((kind, data))
        elif kind in KEPT_CHUNKS:
            kept.append((kind, data))
    bits, colour, interlaced = header[8], header[9], header[12]
    streamable = bits in (8, 16) and colour in CHANNELS and not interlaced and not keyed
    peak = 2**bits - 1 if bits < 8 and colour == 0 else None
    return Beside(exif or None, xmp or None, iptc, tuple(kept), peak, streamable)


def large_samples(stream: IO[bytes], height: int, width: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the colours and the alpha of a streamable PNG; memory holds a few rows of it at a time."""
    stream.seek(24)
    bits, kind = stream.read(2)
    channels = CHANNELS[kind]
    colours, dtype = 1 if channels < 3 else 3, np.uint8 if bits == 8 else np.uint16
    samples = empty_samples((height, width, colours), dtype)
    alpha = empty_samples((height, width, 1), dtype) if channels > colours else None
    top, releasing = 0, Releasing(samples, *(() if alpha is None else (alpha,)))
    for band in _bands(stream, height, width, channels, bits):
        bottom = top + len(band)
        samples[top:bottom] = band[..., :colours]
        if alpha is not None:
            alpha[top:bottom] = band[..., colours:]
        releasing.used(band.nbytes)
        top = bottom
    return samples, alpha


def _bands(stream: IO[bytes], height: int, width: int, channels: int, bits: int) -> Iterator[np.ndarray]:
    """Yield bands of rows. Pillow's decoder undoes the filters; the row above goes before each band, unfiltered."""
    row_bytes = width * channels * bits // 8
    line = row_bytes + 1
    waiting, above, rows = bytearray(), bytes(row_bytes), 0
    for data in _inflated(stream):
        waiting += data
        count = min(len(waiting) // line, height - rows)
        if count and (len(waiting) >= READ_BYTES or rows + count == height):
            band = _unfiltered(above, waiting[: count * line], width, channels, bits)
            del waiting[: count * line]
            above, rows = _raw(band[-1:]), rows + count
            yield band
        if rows == height:
            return
    raise OSError("image file is truncated")


def _unfiltered(above: bytes, lines: bytearray, width: int, channels: int, bits: int) -> np.ndarray:
    stored = zlib.compress(b"\0" + above + lines, 0)
    height = len(lines) // (len(above) + 1) + 1

    def decoded(mode: str, rawmode: str) -> np.ndarray:
        return np.asarray(Image.frombytes(mode, (width, height), stored, "zip", rawmode, 0))

    if bits == 8 or channels < 3:  # 16-bit samples of one or two channels are bytes of two or four
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels * bits // 8]
        whole = decoded(mode, mode).reshape(height, width, -1)
        return (whole if bits == 8 else whole.view(">u2").astype(np.uint16))[1:]
    mode = {3: "RGB", 4: "RGBA"}[channels]
    high, low = decoded(mode, f"{mode};16B"), decoded(mode, f"{mode};16L")
    return (high.astype(np.uint16) << 8 | low)[1:]


def _raw(row: np.ndarray) -> bytes:
    return row.astype(row.dtype.newbyteorder(">")).tobytes()


def _inflated(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the inflated bytes of the image data, at most a megabyte at a time."""
    inflater = zlib.decompressobj()
    for kind, start, length in chunks(stream):
        if kind != b"IDAT":
            continue
        checksum, position = zlib.crc32(kind), start
        while position < start + length:
            stream.seek(position)
            data = stream.read(min(READ_BYTES, start + length - position))
            if not data:
                raise OSError("image file is truncated")
            checksum, position = zlib.crc32(data, checksum), position + len(data)
            while data:
                yield inflater.decompress(data, READ_BYTES)
                data = inflater.unconsumed_tail
        stream.seek(position)
        if stream.read(4) != struct.pack(">L", checksum):
            raise OSError("broken PNG chunk, its checksum differs")


def _international(rest: bytes) -> bytes | None:
    """Return the text of an iTXt chunk after its keyword."""
    flag, text = rest[:1], rest[2:].split(b"\0", 2)[-1]
    try:
        return zlib.decompressobj().decompress(text, LARGEST_TEXT) if flag == b"\1" else text
    except zlib.error:
        return None


def _raw_profile(text: bytes, compressed: bool) -> bytes:
    try:
        text = zlib.decompressobj().decompress(text, LARGEST_TEXT) if compressed else text
        return bytes.fromhex(b"".join(text.strip().split()[2:]).decode("ascii"))
    except (zlib.error, ValueError):
        return b""
