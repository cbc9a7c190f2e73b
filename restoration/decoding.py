"""Image files to upright samples, all 16 bits of them, and metadata; called by ``restoration.image``."""

import io
import logging
import os
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from restoration.exif import exif_of, exif_of_tiff, turned, upright

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# What Pillow's decoders raise on damaged files; tests cut and flip bytes of every format.
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError, AttributeError,
    AssertionError, RuntimeError, MemoryError, struct.error, zlib.error,
)  # fmt: skip


TIFF_LOGGER = logging.getLogger("PIL.TiffImagePlugin")


class Unsupported(Exception):
    """The file is sound but holds something that is not read; the message says what."""


@dataclass(frozen=True)
class Decoded:
    """Upright samples (H, W, C) with the alpha channel last, and what came with them."""

    samples: np.ndarray
    palette: bool
    icc: bytes | None
    exif: bytes | None
    dpi: tuple[float, float] | None
    lossless: bool


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
                self.filters = warnings.catch_warnings()
                self.filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
                TIFF_LOGGER.disabled = True

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                Image.MAX_IMAGE_PIXELS = self.limit
                self.filters.__exit__(None, None, None)
                TIFF_LOGGER.disabled = False


PILLOW_SETTINGS = _PillowSettings()


def decode(image: ImageFile, stream: IO[bytes]) -> Decoded:
    """Return what the opened but not yet loaded ``image`` holds; ``stream`` is its file."""
    with _silent_libtiff() if image.format == "TIFF" else nullcontext():
        return _decode(image, stream)


def _decode(image: ImageFile, stream: IO[bytes]) -> Decoded:
    palette = image.mode in ("P", "PA")
    if image.mode in ("CMYK", "LAB", "YCbCr"):
        samples, icc = np.asarray(_to_srgb(image)), None
    else:
        samples, icc = _samples(image, stream), image.info.get("icc_profile")
    samples = samples if samples.ndim == 3 else samples[..., None]
    if isinstance(image, TiffImageFile):
        exif = exif_of_tiff(image)  # Pillow has turned the samples upright
    else:
        orientation, exif = upright(exif_of(image))
        samples = turned(samples, orientation)
    # a TIFF that says nothing of its resolution has 1 dpi, says Pillow
    dpi = None if image.format == "TIFF" and 282 not in image.tag_v2 else image.info.get("dpi")
    return Decoded(
        samples, palette, icc or None, exif or None,
        (float(dpi[0]), float(dpi[1])) if dpi else None,
        _is_lossless(image, stream),
    )  # fmt: skip


def unreadable(path: Path, error: BaseException) -> str:
    """Return why a file whose decoding ended in ``error`` is not a readable image."""
    size = path.stat().st_size
    if size == 0:
        return "empty file"
    with path.open("rb") as stream:
        declared = _declared_size(stream)
    if declared and declared > size:
        return f"truncated after {size} of {declared} bytes"
    if isinstance(error, UnidentifiedImageError) and declared is None:
        return f"none of {', '.join(FORMATS)}"
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    text = " ".join(str(error).replace("decoder error -2", "broken data").split())
    if "truncated" in text.lower() or "buffer is not large enough" in text:
        return f"truncated after {size} bytes"
    return f"damaged: {text}" if text and not isinstance(error, UnidentifiedImageError) else "damaged header"


def _samples(image: ImageFile, stream: IO[bytes]) -> np.ndarray:
    rawmode = str(_arguments(image)[0])
    if image.mode in ("RGB", "RGBA") and rawmode.endswith((";16B", ";16L", ";16N")):
        return _deep_samples(image, rawmode, stream)
    if image.format == "PPM" and image.mode == "RGB" and _ppm_maximum(image) > 255:
        return _deep_ppm(image, stream)
    if image.mode.startswith("I"):
        return _deep_grey(image, rawmode)
    if image.mode in ("P", "PA"):
        transparent = image.mode == "PA" or "transparency" in image.info
        return np.asarray(image.convert("RGBA" if transparent else "RGB"))
    if image.mode in ("RGBa", "La"):
        return np.asarray(image.convert("RGBA" if image.mode == "RGBa" else "LA"))
    if image.mode not in ("1", "L", "LA", "RGB", "RGBA"):
        raise Unsupported(f"samples of kind '{image.mode}'; expected 8 or 16 bits")
    samples = np.asarray(image.convert("L") if image.mode == "1" else image)
    return _with_key(samples, image, levels={"L;2": 85, "L;4": 17}.get(rawmode, 1))


def _arguments(image: ImageFile) -> tuple[object, ...]:
    """Return what Pillow gives its decoder: first its name for the layout of the samples in the file."""
    arguments = image.tile[0].args if image.tile else ""
    return arguments if isinstance(arguments, tuple) and arguments else (arguments,)


def _deep_samples(image: ImageFile, rawmode: str, stream: IO[bytes]) -> np.ndarray:
    """Return 16-bit colour, of which Pillow keeps only the high bytes.

    Its reader for the other byte order keeps the low bytes of the same samples: two readings give all bits.
    """
    if _tiff_tag(image, 284) == 2:
        raise Unsupported("16-bit samples in separate planes; expected them pixel by pixel")
    if rawmode == "LA;16B":  # Pillow has no reading for the low bytes: take the four bytes as they are
        image._mode = "RGBA"
        image.tile = [image.tile[0]._replace(args="RGBA")]
        return np.asarray(image).view(">u2").astype(np.uint16)
    little = rawmode[-1] == "L" or (rawmode[-1] == "N" and sys.byteorder == "little")
    swapped = rawmode[:-1] + ("B" if little else "L")
    high = np.asarray(image)
    stream.seek(0)
    again = Image.open(stream, formats=FORMATS)
    again.tile = [tile._replace(args=(swapped, *_arguments(again)[1:])) for tile in again.tile]
    samples = high.astype(np.uint16)
    samples <<= 8
    samples |= np.asarray(again)
    return _with_key(samples, image)


def _tiff_tag(image: ImageFile, tag: int) -> object:
    return image.tag_v2.get(tag) if isinstance(image, TiffImageFile) else None


def _deep_grey(image: ImageFile, rawmode: str) -> np.ndarray:
    if rawmode in ("I;12", "I;16S", "I;16BS", "I;32S", "I;32BS", "I;32NS"):
        raise Unsupported(f"samples of kind '{rawmode}'; expected 8 or 16 bits")
    samples = np.asarray(image)
    if samples.min() < 0 or samples.max() > 65535:
        raise Unsupported("samples of 32 bits; expected 8 or 16")
    samples = samples.astype(np.uint16)
    if _tiff_tag(image, 262) == 0:
        samples = 65535 - samples  # white is zero
    return _with_key(samples, image)


def _deep_ppm(image: ImageFile, stream: IO[bytes]) -> np.ndarray:
    """Return a binary PPM with more than 8 bits, scaled to 16."""
    codec, _, offset, _ = image.tile[0]
    maximum = _ppm_maximum(image)
    if codec == "ppm_plain":
        raise Unsupported("16-bit colour written as text (P3); expected binary (P6)")
    width, height = image.size
    stream.seek(offset)
    data = stream.read(width * height * 6)
    if len(data) < width * height * 6:
        raise OSError("image file is truncated")
    samples = np.frombuffer(data, ">u2").reshape(height, width, 3).astype(np.uint32)
    return ((samples * 65535 + maximum // 2) // maximum).astype(np.uint16)


def _ppm_maximum(image: ImageFile) -> int:
    arguments = _arguments(image)
    maximum = arguments[1] if len(arguments) > 1 else 255
    assert isinstance(maximum, int)
    return maximum


def _with_key(samples: np.ndarray, image: Image.Image, levels: int = 1) -> np.ndarray:
    """Return the samples, with alpha if one colour stands for transparent (tRNS of grey and RGB files)."""
    key = image.info.get("transparency")
    if key is None or image.mode in ("LA", "RGBA", "P", "PA") or isinstance(key, bytes):
        return samples
    samples = samples if samples.ndim == 3 else samples[..., None]
    peak = np.iinfo(samples.dtype).max
    alpha = np.where((samples == np.asarray(key) * levels).all(-1, keepdims=True), 0, peak)
    return np.concatenate([samples, alpha.astype(samples.dtype)], -1)


def _to_srgb(image: Image.Image) -> Image.Image:
    """Return CMYK, Lab or YCbCr as sRGB; no writer here stores these, and networks see RGB."""
    embedded, srgb = image.info.get("icc_profile"), ImageCms.createProfile("sRGB")
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB") or image
    converted = None
    if image.mode == "CMYK" and embedded:
        with suppress(ImageCms.PyCMSError):  # a profile that is broken, or of another colour space
            converted = ImageCms.profileToProfile(image, io.BytesIO(embedded), srgb, outputMode="RGB")
    return converted or image.convert("RGB")


def _is_lossless(image: ImageFile, stream: IO[bytes]) -> bool:
    if image.format == "WEBP":
        stream.seek(0)
        return b"VP8L" in stream.read(1 << 20)
    return image.format not in ("JPEG", "MPO")


def _declared_size(stream: IO[bytes]) -> int | None:
    """Return how long the file says it is; 0 where its format does not say, None where it is no image."""
    head = stream.read(26)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return 8 + int.from_bytes(head[4:8], "little")
    if head[:2] == b"BM":
        return int.from_bytes(head[2:6], "little")
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return _declared_png_size(stream)
    if head[:4] in (b"II*\0", b"MM\0*"):  # the directory, with two bytes at least, lies where the header says
        return int.from_bytes(head[4:8], "little" if head[:1] == b"I" else "big") + 2
    known = (b"\xff\xd8\xff", b"GIF8", b"II+\0", b"MM\0+")
    return 0 if head.startswith(known) or (head[:1] == b"P" and head[1:2] in b"123456") else None


def _declared_png_size(stream: IO[bytes]) -> int:
    position, kind = 8, b""
    while kind != b"IEND":
        stream.seek(position)
        head = stream.read(8)
        if len(head) < 8:
            return position + 12  # at least the chunk that should stand here
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        position += 12 + length
    return position
