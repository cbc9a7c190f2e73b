"""Samples to image files; PNG, TIFF and PPM band by band and up to 16 bits; called by ``restoration.image``.

Pillow writes no 16-bit colour, and copies a picture before compressing it; the writers here do better.
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TypeVar

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from restoration.exif import SUB_IFDS, TIFF_TEXT

T = TypeVar("T")

BAND_BYTES = 1 << 18  # of samples, filtered and compressed at a time: they stay in a core's cache
BANDS_AHEAD = 32
ADLER = 65521
INCH = 0.0254  # metres
JPEG_QUALITY, WEBP_QUALITY = 95, 95


@dataclass(frozen=True)
class Metadata:
    """What is written beside the samples, as far as the format has a place for it."""

    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    lossless: bool = True  # WebP has both kinds


def write_png(stream: IO[bytes], samples: np.ndarray, metadata: Metadata) -> None:
    """Write samples (H, W, 1 to 4) of uint8 or uint16 as PNG.

    Rows are Paeth-filtered, then deflated by run lengths and Huffman codes alone: on photographs that is as
    small as zlib's search for repeats, at several times its speed.
    """
    height, width, channels = samples.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    stream.write(b"\x89PNG\r\n\x1a\n")
    _chunk(stream, b"IHDR", struct.pack(">LL5B", width, height, samples.itemsize * 8, kind, 0, 0, 0))
    if metadata.icc:
        _chunk(stream, b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc))
    if metadata.exif:
        _chunk(stream, b"eXIf", metadata.exif)
    if metadata.dpi:
        _chunk(stream, b"pHYs", struct.pack(">LLB", *(round(dpi / INCH) for dpi in metadata.dpi), 1))
    checksum, start = 1, b"\x78\x01"
    for data, adler, length in _parallel(lambda rows: _png_band(samples, rows), _bands(samples)):
        _chunk(stream, b"IDAT", start + data)
        checksum, start = _joined_adler(checksum, adler, length), b""
    _chunk(stream, b"IDAT", b"\x03\x00" + struct.pack(">L", checksum))  # an empty block that is the last
    _chunk(stream, b"IEND", b"")


def write_tiff(stream: IO[bytes], samples: np.ndarray, metadata: Metadata) -> None:
    """Write samples (H, W, 1 to 4) of uint8 or uint16 as TIFF: deflated strips of horizontal differences."""
    height, width, channels = samples.shape
    stream.write(b"II*\0\0\0\0\0")
    offsets, lengths, bands = [], [], _bands(samples)
    for data in _parallel(lambda rows: _tiff_band(samples, rows), bands):
        offsets.append(stream.tell())
        lengths.append(stream.write(data))
    start = stream.tell() + stream.tell() % 2
    directory = ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    _add_exif(directory, metadata.exif)
    tags = {
        256: width, 257: height, 258: (samples.itemsize * 8,) * channels, 259: 8,
        262: 2 if channels > 2 else 1, 273: tuple(offsets), 277: channels,
        278: bands[0][1], 279: tuple(lengths), 284: 1, 317: 2,
    }  # fmt: skip
    if channels in (2, 4):
        tags[338] = (2,)  # opacity, not multiplied into the colours
    if metadata.dpi:
        tags |= {282: metadata.dpi[0], 283: metadata.dpi[1], 296: 2}
    for tag, value in tags.items():
        directory[tag] = value
    if metadata.icc:
        directory[34675] = metadata.icc
    stream.seek(start)
    stream.write(_with_offsets(directory.tobytes(start), start, offsets))
    stream.seek(4)
    stream.write(struct.pack("<L", start))


def write_ppm(stream: IO[bytes], samples: np.ndarray, metadata: Metadata) -> None:
    """Write samples (H, W, 1 or 3) of uint8 or uint16 as binary PGM or PPM, which hold no metadata."""
    height, width, channels = samples.shape
    stream.write(
        b"P%d\n%d %d\n%d\n" % (6 if channels == 3 else 5, width, height, np.iinfo(samples.dtype).max)
    )
    for first, last in _bands(samples):
        stream.write(_big_endian(samples[first:last]).tobytes())


def write_jpeg(stream: IO[bytes], samples: np.ndarray, metadata: Metadata) -> None:
    """Write samples (H, W, 1 or 3) of uint8 as JPEG with full colour resolution."""
    _pillow(samples).save(
        stream, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4", icc_profile=metadata.icc,
        exif=b"Exif\0\0" + metadata.exif if metadata.exif else b"", dpi=metadata.dpi or (0, 0),
    )  # fmt: skip


def write_webp(stream: IO[bytes], samples: np.ndarray, metadata: Metadata) -> None:
    """Write samples (H, W, 1, 3 or 4) of uint8 as WebP, which has no grey."""
    _pillow(samples).save(
        stream, "WEBP", quality=WEBP_QUALITY, lossless=metadata.lossless, exact=True,
        icc_profile=metadata.icc or b"", exif=metadata.exif or b"",
    )  # fmt: skip


def write_bmp(stream: IO[bytes], samples: np.ndarray, metadata: Metadata) -> None:
    """Write samples (H, W, 1 or 3) of uint8 as BMP."""
    _pillow(np.ascontiguousarray(samples)).save(stream, "BMP", dpi=metadata.dpi or (96, 96))


def _pillow(samples: np.ndarray) -> Image.Image:
    """Return a Pillow image; colour that lies in four bytes per pixel is lent, not copied."""
    height, width, channels = samples.shape
    base = samples.base
    if channels == 3 and base is not None and base.shape == (height, width, 4) and base.flags.c_contiguous:
        return Image.frombuffer("RGBX", (width, height), base, "raw", "RGBX", 0, 1)
    return Image.fromarray(samples[..., 0] if channels == 1 else np.ascontiguousarray(samples))


def _bands(samples: np.ndarray) -> list[tuple[int, int]]:
    height = len(samples)
    rows = max(1, BAND_BYTES // samples[0].nbytes)
    return [(first, min(first + rows, height)) for first in range(0, height, rows)]


def _parallel(encode: Callable[[tuple[int, int]], T], bands: list[tuple[int, int]]) -> Iterator[T]:
    """Yield the encoded bands in order; few of them wait at a time, so memory stays small."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i in range(0, len(bands), BANDS_AHEAD):
            yield from pool.map(encode, bands[i : i + BANDS_AHEAD])


def _png_band(samples: np.ndarray, rows: tuple[int, int]) -> tuple[bytes, int, int]:
    """Return the deflated rows with the Adler checksum and the length of what was deflated."""
    first, last = rows
    above = samples[first - 1 : first] if first else np.zeros_like(samples[:1])
    lines = (
        _big_endian(np.concatenate([above, samples[first:last]])).view(np.uint8).reshape(last - first + 1, -1)
    )
    filtered = np.full((last - first, lines.shape[1] + 1), 4, np.uint8)  # 4 announces Paeth
    filtered[:, 1:] = _paeth(lines, samples.shape[2] * samples.itemsize)
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_RLE)
    data = deflater.compress(filtered.data) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return data, zlib.adler32(filtered.data), filtered.size


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


def _tiff_band(samples: np.ndarray, rows: tuple[int, int]) -> bytes:
    band = samples[rows[0] : rows[1]]
    differences = band.copy()
    differences[:, 1:] -= band[:, :-1]
    deflater = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    return (
        deflater.compress(differences.astype(differences.dtype.newbyteorder("<")).tobytes())
        + deflater.flush()
    )


def _with_offsets(directory: bytes, start: int, offsets: list[int]) -> bytes:
    """Return a TIFF directory with these strip offsets: Pillow adds the directory's end to those given."""
    patched = bytearray(directory)
    (count,) = struct.unpack_from("<H", patched)
    for entry in range(2, 2 + 12 * count, 12):
        tag, _, length, pointer = struct.unpack_from("<HHLL", patched, entry)
        if tag == 273:
            struct.pack_into(f"<{length}L", patched, entry + 8 if length == 1 else pointer - start, *offsets)
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


def _big_endian(samples: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(samples, samples.dtype.newbyteorder(">"))


def _joined_adler(first: int, second: int, length: int) -> int:
    """Return the Adler-32 of two byte strings from their own, and the length of the second."""
    a = ((first & 0xFFFF) + (second & 0xFFFF) - 1) % ADLER
    b = ((first >> 16) + (second >> 16) + length * ((first & 0xFFFF) - 1)) % ADLER
    return b << 16 | a


def _chunk(stream: IO[bytes], kind: bytes, data: bytes) -> None:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    stream.write(struct.pack(">L", len(data)) + kind + data + struct.pack(">L", checksum))
