"""TIFF by the specification (6.0, BigTIFF, the floating-point supplement): grey and RGB of 8, 16 and 32 bits.

Any byte order, strips or tiles, samples by pixel or in planes, and every lossless compression that libtiff knows.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from restoration.formats import integers
from restoration.formats.bands import Releasing, empty_samples

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PLAIN, DEFLATE, OLD_DEFLATE = 1, 8, 32946
BY_LIBTIFF = (5, 32773, 34925, 50000)  # LZW, PackBits, LZMA, Zstandard
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
MAX_CHANNELS = 64
UNSPECIFIED, ASSOCIATED = 0, 1
KINDS = {1: "unsigned", 2: "signed", 3: "floating", 4: "untyped", 5: "complex", 6: "complex"}
FOREIGN = {
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    34933: "PNG",
    50001: "WebP",
}


@dataclass(frozen=True)
class Page:
    """One directory of a TIFF file, its tags read."""

    tags: ImageFileDirectory_v2
    number: int  # among all directories of the file
    offset: int
    order: str  # < or >

    def get(self, tag: int, default: int = 0) -> int:
        """Return the first value of a tag."""
        value = self.tags.get(tag, default)
        value = value[0] if isinstance(value, tuple) and value else value
        return int(value) if isinstance(value, (int, float)) else default

    def all(self, tag: int) -> tuple[int, ...]:
        """Return every value of a tag."""
        value = self.tags.get(tag, ())
        return value if isinstance(value, tuple) else (value,)

    @property
    def size(self) -> tuple[int, int]:
        """Return (height, width) as stored."""
        return self.get(257), self.get(256)

    @property
    def channels(self) -> int:
        """Return the samples of a pixel."""
        return self.get(277, 1)

    @property
    def dtype(self) -> np.dtype | None:
        """Return the kind of the samples, None where they are not read here."""
        bits, kinds = set(self.all(258)) or {1}, set(self.all(339)) or {UNSIGNED}
        if len(bits) > 1 or len(kinds) > 1:
            return None
        names = {(8, UNSIGNED): "u1", (16, UNSIGNED): "u2", (32, UNSIGNED): "u4", (8, SIGNED): "i1",
                 (16, SIGNED): "i2", (32, SIGNED): "i4", (16, FLOAT): "f2", (32, FLOAT): "f4",
                 (64, FLOAT): "f8"}  # fmt: skip
        name = names.get((bits.pop(), kinds.pop()))
        return np.dtype(self.order + name) if name else None

    @property
    def readable(self) -> bool:
        """Whether ``samples_of`` reads this page; the others are left to Pillow."""
        colours = 3 if self.get(262, 1) == 2 else 1
        return (
            self.dtype is not None
            and self.get(262, 1) in (0, 1, 2)
            and self.get(259, 1) in (PLAIN, DEFLATE, OLD_DEFLATE, *BY_LIBTIFF)
            and self.get(317, 1) in ((1, 2, 3) if self.dtype.kind == "f" else (1, 2))
            and self.get(266, 1) == 1
            and colours <= self.channels <= MAX_CHANNELS
            and min(self.size) > 0
        )


def pages(stream: IO[bytes], most: int = 1 << 20) -> list[Page]:
    """Return the pages of a TIFF file, empty if it is none, ``most`` of them at most.

    Thumbnails that call themselves such are left out.
    """
    stream.seek(0)
    head = stream.read(8)
    if head[:4] not in MAGIC:
        return []
    head += stream.read(8) if 43 in head[2:4] else b""
    found: list[Page] = []
    offset, seen, order = ImageFileDirectory_v2(head).next, set(), "<" if head[:1] == b"I" else ">"
    while offset and offset not in seen and len(found) < most:
        seen.add(offset)
        stream.seek(offset)
        tags = ImageFileDirectory_v2(head)
        tags.load(stream)
        found.append(Page(tags, len(found), offset, order))
        offset = tags.next
    return [p for i, p in enumerate(found) if i == 0 or not p.get(254) & 1]


def unread(page: Page) -> str | None:
    """Return what a page holds that is read neither here nor by Pillow, in words; None where it may be read."""
    if name := FOREIGN.get(page.get(259, 1)):
        return f"TIFF compressed as {name}; expected one of none, deflate, LZW, PackBits, LZMA, Zstandard, JPEG, fax"
    bits, kind = page.get(258, 1), KINDS.get(page.get(339, UNSIGNED), "unknown")
    if page.dtype is None and (kind != "unsigned" or bits == 64):
        return f"{kind} samples of {bits} bits; expected whole numbers of at most 32 bits, or floats"
    return None


def exif_block(stream: IO[bytes], page: Page) -> Image.Exif:
    """Return a page's tags as Pillow's EXIF object, which follows them into sub-directories."""
    exif = Image.Exif()
    exif.endian = page.order
    exif.bigtiff = page.tags._bigtiff
    exif.load_from_fp(stream, page.offset)
    return exif


def raw_tag(page: Page, tag: int) -> bytes | None:
    """Return the bytes of a tag that holds a block of data, of whatever type it calls it."""
    value = page.tags.get(tag)
    if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
        letter = {3: "H", 4: "L"}.get(page.tags.tagtype.get(tag, 0), "B")
        return struct.pack(f"{page.order}{len(value)}{letter}", *value)
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, bytes) else None


def samples_of(
    stream: IO[bytes], page: Page
) -> tuple[np.ndarray, np.ndarray | None, integers.Integers | None]:
    """Return the colours and the alpha, as stored but for white, which is 1 or all bits.

    Associated alpha is divided out, half and double floats become single ones, and integers with a sign or of 32 bits
    what `integers.Integers`, the last that is returned, says. Large pictures lie in a temporary file, and memory
    holds one strip or tile.
    """
    height, width = page.size
    colours = 3 if page.get(262, 1) == 2 else 1
    assert page.dtype is not None  # it is readable
    dtype = np.dtype("f4") if page.dtype.kind == "f" else page.dtype.newbyteorder("=")
    extra = page.all(338)
    has_alpha = page.channels > colours and (not extra or extra[0] != UNSPECIFIED)
    samples = empty_samples((height, width, colours), dtype)
    alpha = empty_samples((height, width, 1), dtype) if has_alpha else None
    releasing = Releasing(samples, *(() if alpha is None else (alpha,)))
    for top, left, first, block in _blocks(stream, page):
        releasing.used(block.nbytes)
        block = block[: height - top, : width - left]
        rows, columns = slice(top, top + block.shape[0]), slice(left, left + block.shape[1])
        last = first + block.shape[2]
        if first < colours:
            samples[rows, columns, first : min(last, colours)] = block[..., : colours - first]
        if alpha is not None and first <= colours < last:
            alpha[rows, columns] = block[..., colours - first : colours - first + 1]
    stored = None
    if dtype.str[1:] in integers.KINDS:
        samples, alpha, stored = integers.as_samples(samples, alpha)
        releasing = Releasing(samples, *(() if alpha is None else (alpha,)))
    for top in range(0, height, 256):
        part = samples[top : top + 256]
        releasing.used(part.nbytes)
        if page.get(262, 1) == 0:
            np.subtract(_white(samples.dtype), part, out=part)
        if alpha is not None and extra and extra[0] == ASSOCIATED:
            part[:] = divided(part, alpha[top : top + 256])
    return samples, alpha, stored


def divided(samples: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return colours without the alpha that was multiplied into them; 0 where it is 0."""
    if samples.dtype.kind == "f":
        return np.divide(samples, alpha, out=np.zeros_like(samples), where=alpha != 0)
    peak = int(_white(samples.dtype))
    wide, opacity = samples.astype(np.uint64), np.maximum(alpha, 1).astype(np.uint64)
    result = np.minimum((wide * peak + opacity // 2) // opacity, peak)
    return np.where(alpha == 0, 0, result).astype(samples.dtype)


def multiplied(samples: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return colours with alpha multiplied into them."""
    if samples.dtype.kind == "f":
        return samples * alpha
    peak = int(_white(samples.dtype))
    return ((samples.astype(np.uint64) * alpha + peak // 2) // peak).astype(samples.dtype)


def _white(dtype: np.dtype) -> np.generic:
    return dtype.type(1 if dtype.kind == "f" else np.iinfo(dtype).max)


def _blocks(stream: IO[bytes], page: Page) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """Yield (top, left, first channel, samples) of every strip or tile."""
    height, width = page.size
    tiled = 322 in page.tags
    rows = page.get(323) if tiled else min(page.get(278, height) or height, height)
    columns = page.get(322) if tiled else width
    offsets, lengths = page.all(324 if tiled else 273), page.all(325 if tiled else 279)
    planes = page.channels if page.get(284, 1) == 2 and page.channels > 1 else 1
    channels = page.channels // planes
    if rows < 1 or columns < 1 or (tiled and rows * columns > 1 << 26):
        raise OSError("strips or tiles of no size")
    across, down = -(-width // columns), -(-height // rows)
    if min(len(offsets), len(lengths)) < planes * across * down:
        raise OSError("image file is truncated")
    for number in range(planes * across * down):
        plane, place = divmod(number, across * down)
        top, left = place // across * rows, place % across * columns
        count = rows if tiled else min(rows, height - top)
        stream.seek(offsets[number])
        data = stream.read(lengths[number])
        yield top, left, plane, _block(page, data, count, columns, channels)


def _block(page: Page, data: bytes, rows: int, columns: int, channels: int) -> np.ndarray:
    dtype = page.dtype
    assert dtype is not None
    size = rows * columns * channels * dtype.itemsize
    data = _decompressed(page.get(259, 1), data, size, rows)
    if len(data) < size:
        raise OSError("image file is truncated")
    predictor = page.get(317, 1)
    if predictor == 3:
        return _from_floating_differences(data[:size], rows, columns, channels, dtype)
    block = np.frombuffer(data, dtype, rows * columns * channels).reshape(rows, columns, channels)
    if predictor == 2 and dtype.kind == "u":
        return np.cumsum(block.astype(dtype.newbyteorder("=")), 1, dtype.newbyteorder("="))
    if predictor == 2:
        whole = block.view(f"{dtype.str[0]}u{dtype.itemsize}").astype(f"u{dtype.itemsize}")
        return np.cumsum(whole, 1, whole.dtype).view(dtype.newbyteorder("="))
    return block


def _from_floating_differences(
    data: bytes, rows: int, columns: int, channels: int, dtype: np.dtype
) -> np.ndarray:
    """Undo predictor 3: a row's bytes lie by significance, highest first, and are differences at pixel distance."""
    differences = np.frombuffer(data, np.uint8).reshape(rows, -1, channels)
    planes = np.cumsum(differences, 1, np.uint8).reshape(rows, dtype.itemsize, columns * channels)
    big = np.ascontiguousarray(planes.swapaxes(1, 2))
    return big.view(dtype.newbyteorder(">")).reshape(rows, columns, channels)


def _decompressed(compression: int, data: bytes, size: int, rows: int) -> bytes:
    if compression == PLAIN:
        return data
    if compression in (DEFLATE, OLD_DEFLATE):
        return zlib.decompressobj().decompress(data, size)
    tags = {256: size // rows, 257: rows, 258: 8, 259: compression, 262: 1, 273: 0, 277: 1, 278: rows,
            279: len(data)}  # fmt: skip
    end = 8 + 2 + 12 * len(tags) + 4
    tags[273] = end
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags.items())
    file = struct.pack("<4sLH", b"II*\0", 8, len(tags)) + entries + bytes(4) + data
    with Image.open(io.BytesIO(file), formats=("TIFF",)) as image:
        return image.tobytes()
