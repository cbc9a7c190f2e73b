"""Image files to upright samples, all 16 bits of them, and metadata; called by ``restoration.image``."""

import io
import struct
import sys
import threading
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin, UnidentifiedImageError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
ORIENTATION = 0x0112
# What Pillow's decoders raise on damaged files; tests cut and flip bytes of every format.
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError, AttributeError,
    AssertionError, RuntimeError, MemoryError, struct.error, zlib.error,
)  # fmt: skip
# Descriptive TIFF tags; all others describe how that one file stores its samples.
TIFF_TEXT = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
SUB_IFDS = (0x8769, 0x8825)


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


class _PillowSettings:
    """Inside ``with``, Pillow's size limit is off (the caller checks its own) and its warnings are silent.

    Both are settings of the whole process, so threads that decode at the same time are counted and the last
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

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                Image.MAX_IMAGE_PIXELS = self.limit
                self.filters.__exit__(None, None, None)


PILLOW_SETTINGS = _PillowSettings()


def decode(image: Image.Image, stream: IO[bytes]) -> Decoded:
    """Return what the opened but not yet loaded ``image`` holds; ``stream`` is its file."""
    palette = image.mode in ("P", "PA")
    if image.mode in ("CMYK", "LAB", "YCbCr"):
        samples, icc = np.asarray(_to_srgb(image)), None
    else:
        samples, icc = _samples(image, stream), image.info.get("icc_profile")
    samples = samples if samples.ndim == 3 else samples[..., None]
    if image.format == "TIFF":
        exif = _tiff_exif(image)  # Pillow has turned the samples upright
    else:
        orientation, exif = upright(_exif(image))
        samples = turned(samples, orientation)
    dpi = image.info.get("dpi")
    return Decoded(
        samples, palette, icc or None, exif or None,
        (float(dpi[0]), float(dpi[1])) if dpi else None,
        _is_lossless(image, stream),
    )  # fmt: skip


def turned(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Return the samples of a file with this EXIF orientation (1 to 8) upright."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples


def upright(exif: bytes) -> tuple[int, bytes]:
    """Return the orientation in an EXIF block, and the block with 1 in its place and all else untouched."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    try:
        (start,) = struct.unpack_from(f"{order}L", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHLH", exif, entry)
            if tag == ORIENTATION and kind == 3:
                patched = bytearray(exif)
                struct.pack_into(f"{order}H", patched, entry + 8, 1)
                return value if 1 <= value <= 8 else 1, bytes(patched)
    except struct.error:  # no EXIF, or a damaged block: there is no orientation to apply
        pass
    return 1, exif


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
    text = " ".join(str(error).split())
    if "truncated" in text.lower() or "buffer is not large enough" in text:
        return f"truncated after {size} bytes"
    return f"damaged: {text}" if text and not isinstance(error, UnidentifiedImageError) else "damaged header"


def _samples(image: Image.Image, stream: IO[bytes]) -> np.ndarray:
    rawmode = _rawmode(image)
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


def _rawmode(image: Image.Image) -> str:
    """Return Pillow's name for the layout of the samples in the file."""
    arguments = image.tile[0][3] if image.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _deep_samples(image: Image.Image, rawmode: str, stream: IO[bytes]) -> np.ndarray:
    """Return 16-bit colour, of which Pillow keeps only the high bytes.

    Its reader for the other byte order keeps the low bytes of the same samples: two readings give all bits.
    """
    if image.format == "TIFF" and image.tag_v2.get(284) == 2:
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
    again.tile = [
        t._replace(args=swapped if isinstance(t.args, str) else (swapped, *t.args[1:])) for t in again.tile
    ]
    samples = high.astype(np.uint16)
    samples <<= 8
    samples |= np.asarray(again)
    return _with_key(samples, image)


def _deep_grey(image: Image.Image, rawmode: str) -> np.ndarray:
    if rawmode in ("I;12", "I;16S", "I;16BS", "I;32S", "I;32BS", "I;32NS"):
        raise Unsupported(f"samples of kind '{rawmode}'; expected 8 or 16 bits")
    samples = np.asarray(image)
    if samples.min() < 0 or samples.max() > 65535:
        raise Unsupported("samples of 32 bits; expected 8 or 16")
    samples = samples.astype(np.uint16)
    if image.format == "TIFF" and image.tag_v2.get(262) == 0:
        samples = 65535 - samples  # white is zero
    return _with_key(samples, image)


def _deep_ppm(image: Image.Image, stream: IO[bytes]) -> np.ndarray:
    """Return a binary PPM with more than 8 bits, scaled to 16."""
    codec, _, offset, (_, maximum) = image.tile[0]
    if codec == "ppm_plain":
        raise Unsupported("16-bit colour written as text (P3); expected binary (P6)")
    width, height = image.size
    stream.seek(offset)
    data = stream.read(width * height * 6)
    if len(data) < width * height * 6:
        raise OSError("image file is truncated")
    samples = np.frombuffer(data, ">u2").reshape(height, width, 3).astype(np.uint32)
    return ((samples * 65535 + maximum // 2) // maximum).astype(np.uint16)


def _ppm_maximum(image: Image.Image) -> int:
    arguments = image.tile[0][3]
    return arguments[1] if isinstance(arguments, tuple) else 255


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
    profile = image.info.get("icc_profile")
    if image.mode == "LAB":
        return ImageCms.profileToProfile(image, ImageCms.createProfile("LAB"), _SRGB(), outputMode="RGB")
    if image.mode == "CMYK" and profile:
        try:
            return ImageCms.profileToProfile(image, io.BytesIO(profile), _SRGB(), outputMode="RGB")
        except ImageCms.PyCMSError:  # a profile that is broken or of another colour space says nothing
            pass
    return image.convert("RGB")


def _SRGB() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _exif(image: Image.Image) -> bytes:
    exif = image.info.get("exif") or b""
    return exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""


def _tiff_exif(image: TiffImagePlugin.TiffImageFile) -> bytes:
    """Return the descriptive tags of a TIFF file as an EXIF block."""
    source, exif = image.getexif(), Image.Exif()
    for tag in TIFF_TEXT:
        if tag in source:
            exif[tag] = source[tag]
    for tag in SUB_IFDS:
        if source.get_ifd(tag):
            exif.get_ifd(tag).update(source.get_ifd(tag))
            exif[tag] = exif.get_ifd(tag)
    return exif.tobytes().removeprefix(b"Exif\0\0") if len(exif) else b""


def _is_lossless(image: Image.Image, stream: IO[bytes]) -> bool:
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
    known = (b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
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
