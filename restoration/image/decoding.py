"""Image files to upright samples, all bits of them, and metadata; called by ``restoration.image``."""

import logging
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import IO

import numpy as np
from PIL import Image, PngImagePlugin, features
from PIL.ImageFile import ImageFile

from restoration.formats import bands, jpeg, png_reading, tiff_reading
from restoration.formats.by_pillow import CONVERTED, Unsupported, ppm_samples, samples_by_pillow
from restoration.formats.exif import exif_of, exif_of_tiff, resolution, stated_orientation, turned, upright
from restoration.formats.metadata import Stored, iptc_of_resources, xmp_orientation, xmp_upright
from restoration.formats.png_reading import LARGEST_TEXT

__all__ = ["DAMAGE", "FORMATS", "PILLOW_SETTINGS", "Decoded", "Unsupported", "decode", "decode_page"]

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", *(("AVIF",) if features.check("avif") else ()))
# What Pillow's decoders raise on damaged files; tests cut and flip bytes of every format.
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError, AttributeError,
    AssertionError, RuntimeError, MemoryError, struct.error, zlib.error,
)  # fmt: skip
TIFF_LOGGER = logging.getLogger("PIL.TiffImagePlugin")


@dataclass(frozen=True)
class Decoded:
    """Upright samples (H, W, 1 or 3) and alpha (H, W, 1), and what came with them."""

    samples: np.ndarray
    palette: bool
    icc: bytes | None
    exif: bytes | None
    dpi: tuple[float, float] | None
    lossless: bool
    alpha: np.ndarray | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    stored: Stored = field(default_factory=Stored)
    notes: tuple[str, ...] = ()


@dataclass
class _Beside:
    """What is found beside the samples, before orientation is applied."""

    icc: bytes | None = None
    exif: bytes = b""
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None


@contextmanager
def _silent_libtiff() -> Iterator[None]:
    """Keep what libtiff says about damage from the terminal: it writes past Python; the exception says it too."""
    with _LIBTIFF, open(os.devnull, "w") as nowhere:
        errors = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(errors, 2)
            os.close(errors)


_LIBTIFF = threading.Lock()


class _PillowSettings:
    """Inside ``with``, Pillow's size limit is off (the caller checks its own); it warns and logs nothing.

    Texts and profiles of a PNG may grow to ``LARGEST_TEXT`` bytes each.

    These are settings of the whole process, so threads that decode at the same time are counted and the last
    one out restores them.
    """

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                self.text, PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_CHUNK, LARGEST_TEXT
                self.filters = warnings.catch_warnings()
                self.filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
                TIFF_LOGGER.disabled = True

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = self.limit, self.text
                self.filters.__exit__(None, None, None)
                TIFF_LOGGER.disabled = False


PILLOW_SETTINGS = _PillowSettings()


def decode(image: ImageFile, stream: IO[bytes], samples: np.ndarray | None = None) -> Decoded:
    """Return what the opened ``image`` holds at the frame it stands at; ``stream`` is its file.

    ``samples``, alpha last, are those of the frame where the caller has them already.
    """
    with _silent_libtiff() if image.format == "TIFF" else nullcontext():
        if image.format == "TIFF":
            pages = tiff_reading.pages(stream)
            page = next((p for p in pages if p.number == image.tell()), None)
            return _tiff(stream, page, image) if page else _decode(image, stream, None)
        return _decode(image, stream, samples)


def decode_page(stream: IO[bytes], page: tiff_reading.Page, image: ImageFile | None) -> Decoded:
    """Return one page of a TIFF; ``image`` is Pillow's, where it can open the file, for pages it must read."""
    with _silent_libtiff():
        return _tiff(stream, page, image)


def _tiff(stream: IO[bytes], page: tiff_reading.Page, image: ImageFile | None) -> Decoded:
    notes: tuple[str, ...] = ()
    beside = _beside_of_page(stream, page)
    integers = None
    if page.readable:
        samples, alpha, integers = tiff_reading.samples_of(stream, page)
        extra = page.channels - samples.shape[2] - (alpha is not None)
        notes = (f"{extra} further channels of a pixel were left out",) if extra else ()
        if samples.dtype.kind == "f" and page.dtype is not None and page.dtype.itemsize == 8:
            notes = (*notes, "floats of 64 bits were read as 32")
        if integers is not None and integers.rounded:
            notes = (*notes, "of integers of 32 bits, 24 were kept")
        samples, alpha = _turned(samples, alpha, page.get(274, 1))
    else:
        if image is None:
            raise Unsupported(tiff_reading.unread(page) or "a TIFF of a kind that is not read")
        image.seek(page.number)
        notes = _conversion(image)
        samples, alpha = _parted(samples_by_pillow(image, stream, FORMATS))  # Pillow turns them upright
        beside.icc = None if image.mode in CONVERTED else beside.icc
    stored = Stored(
        palette=page.get(262, 1) == 3, peak=1 if page.get(258, 1) == 1 else None,
        premultiplied=page.get(338) == tiff_reading.ASSOCIATED, white_is_zero=page.get(262, 1) == 0,
        integers=integers,
    )  # fmt: skip
    xmp = xmp_upright(beside.xmp) if beside.xmp else None
    return Decoded(
        samples, stored.palette, beside.icc, beside.exif or None, beside.dpi, True, alpha,
        xmp, beside.iptc, stored, notes,
    )  # fmt: skip


def _beside_of_page(stream: IO[bytes], page: tiff_reading.Page) -> _Beside:
    resources = tiff_reading.raw_tag(page, 34377)
    iptc = tiff_reading.raw_tag(page, 33723) or (iptc_of_resources(resources) if resources else None)
    if iptc and iptc[:1] != b"\x1c" and len(iptc) % 4 == 0 and iptc[3:4] == b"\x1c":
        iptc = np.frombuffer(iptc, "<u4").astype(">u4").tobytes()  # called LONG, and swapped as such
    dpi, per_inch = None, {2: 1.0, 3: 2.54}.get(page.get(296, 2))
    if 282 in page.tags and per_inch:
        x, y = page.tags[282], page.tags.get(283, page.tags[282])
        dpi = (float(x) * per_inch, float(y) * per_inch)
    return _Beside(
        tiff_reading.raw_tag(page, 34675), exif_of_tiff(tiff_reading.exif_block(stream, page)),
        tiff_reading.raw_tag(page, 700), iptc, dpi,
    )  # fmt: skip


def _decode(image: ImageFile, stream: IO[bytes], given: np.ndarray | None) -> Decoded:
    notes, palette = _conversion(image), image.mode in ("P", "PA")
    converted = image.mode in CONVERTED
    png = png_reading.beside(stream) if image.format == "PNG" else None
    ppm = ppm_samples(stream) if image.format == "PPM" else None
    alpha: np.ndarray | None
    if ppm:
        samples, alpha = ppm[0], None
    elif given is not None:
        samples, alpha = _parted(given)
    elif png and png.streamable and _is_large(image):
        samples, alpha = png_reading.large_samples(stream, image.height, image.width)
    else:
        samples, alpha = _parted(samples_by_pillow(image, stream, FORMATS))
    beside, stored = _beside(image, stream, png)
    if converted:
        beside.icc = None
    orientation, exif = upright(beside.exif)
    if beside.xmp:
        if stated_orientation(beside.exif) is None:
            orientation = xmp_orientation(beside.xmp)
        beside.xmp = xmp_upright(beside.xmp)
    peak = ppm[1] if ppm and ppm[1] not in (255, 65535) else stored.peak
    samples, alpha = _turned(samples, alpha, orientation)
    return Decoded(
        samples, palette, beside.icc, exif or None, beside.dpi, _is_lossless(image, stream), alpha, beside.xmp,
        beside.iptc, Stored(
            palette, peak, stored.tables, chunks=stored.chunks, comment=stored.comment,
            extended_xmp=stored.extended_xmp, still_first=bool(image.info.get("default_image")),
        ), notes,
    )  # fmt: skip


def _beside(image: ImageFile, stream: IO[bytes], png: png_reading.Beside | None) -> tuple[_Beside, Stored]:
    """Return what a loaded image, not a TIFF, holds beside the samples."""
    info = image.info
    exif, xmp, dpi = exif_of(image), info.get("xmp"), info.get("dpi")
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    beside = _Beside(info.get("icc_profile") or None, exif, xmp or None, None)
    stored = Stored(peak=1 if image.mode == "1" else None)
    if png:
        beside.exif, beside.xmp, beside.iptc = png.exif or exif, png.xmp or xmp, png.iptc
        stored = Stored(peak=png.peak, chunks=png.kept)
    elif image.format in ("JPEG", "MPO"):
        found = jpeg.segments(stream)
        beside.iptc = found.iptc
        tables = getattr(image, "quantization", {})
        stored = Stored(
            tables=tuple(tuple(tables[key]) for key in sorted(tables)), comment=found.comment,
            extended_xmp=found.extended_xmp,
        )  # fmt: skip
    elif image.format == "GIF" and isinstance(info.get("comment"), bytes):
        stored = Stored(comment=info["comment"])
    elif image.format in ("WEBP", "AVIF") and beside.exif:
        dpi = resolution(beside.exif)
    beside.dpi = (float(dpi[0]), float(dpi[1])) if dpi else None
    return beside, stored


def _conversion(image: ImageFile) -> tuple[str, ...]:
    """Return what reading changes, in words."""
    if image.format == "AVIF" and _is_deep_avif(image):
        return ("10 or 12 bits were read as 8",)
    return (f"{image.mode} was converted to sRGB",) if image.mode in CONVERTED else ()


def _is_deep_avif(image: ImageFile) -> bool:
    """Whether the first AV1 configuration record (AV1-ISOBMFF, 2.3.3) tells of more than 8 bits."""
    stream = image.fp
    if stream is None:
        return False
    position = stream.tell()
    stream.seek(0)
    head = stream.read(1 << 16)
    stream.seek(position)
    record = head.find(b"av1C")
    return record >= 0 and bool(head[record + 6 : record + 7] > b"" and head[record + 6] & 0x40)


def _turned(
    samples: np.ndarray, alpha: np.ndarray | None, orientation: int
) -> tuple[np.ndarray, np.ndarray | None]:
    return turned(samples, orientation), None if alpha is None else turned(alpha, orientation)


def _parted(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    colours = 1 if samples.shape[2] < 3 else 3
    return samples[..., :colours], samples[..., colours:] if samples.shape[2] > colours else None


def _is_large(image: ImageFile) -> bool:
    """Whether the samples of a still picture are to lie in a temporary file."""
    size = image.width * image.height * len(image.getbands())
    return size > bands.MAPPED_BYTES and getattr(image, "n_frames", 1) == 1


def _is_lossless(image: ImageFile, stream: IO[bytes]) -> bool:
    if image.format == "WEBP":
        stream.seek(0)
        return b"VP8L" in stream.read(1 << 20)
    return image.format not in ("JPEG", "MPO", "AVIF")
