"""Samples by Pillow's decoders, with the bits that it drops; PPM without it."""

import io
import re
import sys
from contextlib import suppress
from typing import IO

import numpy as np
from PIL import Image, ImageCms
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from restoration.formats import bands

PPM_HEAD = re.compile(rb"P([2356])((?:\s|#[^\n]*\n)+)(\d+)((?:\s|#[^\n]*\n)+)(\d+)((?:\s|#[^\n]*\n)+)(\d+)\s")
PPM_HEAD_BYTES = 1 << 16
ROWS = 256
CONVERTED = ("CMYK", "LAB", "YCbCr")


class Unsupported(Exception):
    """The file is sound but holds something that is not read; the message says what."""


def samples_by_pillow(image: ImageFile, stream: IO[bytes], formats: tuple[str, ...]) -> np.ndarray:
    """Return the samples (H, W, C), alpha last, of the frame that the image stands at."""
    if image.mode in CONVERTED:
        return np.asarray(to_srgb(image))
    samples = _samples(image, stream, formats)
    return samples if samples.ndim == 3 else samples[..., None]


def _samples(image: ImageFile, stream: IO[bytes], formats: tuple[str, ...]) -> np.ndarray:
    rawmode = str(_arguments(image)[0])
    if image.mode in ("RGB", "RGBA") and rawmode.endswith((";16B", ";16L", ";16N")):
        return _deep_samples(image, rawmode, stream, formats)
    if image.mode.startswith("I"):
        return _deep_grey(image, rawmode)
    if image.mode in ("P", "PA"):
        transparent = image.mode == "PA" or "transparency" in image.info
        return np.asarray(image.convert("RGBA" if transparent else "RGB"))
    if image.mode in ("RGBa", "La"):
        return np.asarray(image.convert("RGBA" if image.mode == "RGBa" else "LA"))
    if image.mode not in ("1", "L", "LA", "RGB", "RGBA"):
        raise Unsupported(f"samples of kind '{image.mode}'; expected 8 or 16 bits")
    samples = _array(image.convert("L") if image.mode == "1" else image)
    return _with_key(samples, image, levels={"L;2": 85, "L;4": 17}.get(rawmode, 1))


def _array(image: Image.Image) -> np.ndarray:
    """Return Pillow's samples; large ones are moved to a file by bands, not doubled in memory."""
    width, height = image.size
    if width * height * len(image.getbands()) <= bands.MAPPED_BYTES:
        return np.asarray(image)
    samples = bands.empty_samples((height, width, len(image.getbands())), np.uint8)
    for top in range(0, height, ROWS):
        part = np.asarray(image.crop((0, top, width, min(top + ROWS, height))))
        samples[top : top + ROWS] = part.reshape(-1, width, samples.shape[2])
    return samples


def _arguments(image: ImageFile) -> tuple[object, ...]:
    """Return what Pillow gives its decoder: first its name for the layout of the samples in the file."""
    arguments = image.tile[0].args if image.tile else ""
    return arguments if isinstance(arguments, tuple) and arguments else (arguments,)


def _deep_samples(image: ImageFile, rawmode: str, stream: IO[bytes], formats: tuple[str, ...]) -> np.ndarray:
    """Return 16-bit colour, of which Pillow keeps only the high bytes.

    Its reader for the other byte order keeps the low bytes of the same samples: two readings give all bits.
    """
    if rawmode == "LA;16B":  # Pillow has no reading for the low bytes: take the four bytes as they are
        image._mode = "RGBA"
        image.tile = [image.tile[0]._replace(args="RGBA")]
        return np.asarray(image).view(">u2").astype(np.uint16)
    little = rawmode[-1] == "L" or (rawmode[-1] == "N" and sys.byteorder == "little")
    swapped = rawmode[:-1] + ("B" if little else "L")
    high = np.asarray(image)
    stream.seek(0)
    again = Image.open(stream, formats=formats)
    again.tile = [tile._replace(args=(swapped, *_arguments(again)[1:])) for tile in again.tile]
    samples = high.astype(np.uint16)
    samples <<= 8
    samples |= np.asarray(again)
    return _with_key(samples, image)


def _deep_grey(image: ImageFile, rawmode: str) -> np.ndarray:
    if rawmode in ("I;12", "I;16S", "I;16BS", "I;32S", "I;32BS", "I;32NS"):
        raise Unsupported(f"samples of kind '{rawmode}'; expected 8 or 16 bits")
    samples = np.asarray(image)
    if samples.min() < 0 or samples.max() > 65535:
        raise Unsupported("samples of 32 bits; expected 8 or 16, or floats")
    samples = samples.astype(np.uint16)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(262) == 0:
        samples = 65535 - samples  # white is zero
    return _with_key(samples, image)


def ppm_samples(stream: IO[bytes]) -> tuple[np.ndarray, int] | None:
    """Return what a PGM or PPM holds, scaled to 8 or 16 bits, and its peak; None for bitmaps and others."""
    stream.seek(0)
    found = PPM_HEAD.match(stream.read(PPM_HEAD_BYTES))
    if not found:
        return None
    kind, width, height, peak = (int(found[i]) for i in (1, 3, 5, 7))
    channels = 3 if kind in (3, 6) else 1
    if not 1 <= peak <= 65535:
        raise ValueError(f"maximum value {peak}")
    deep = peak > 255
    samples = bands.empty_samples((height, width, channels), np.uint16 if deep else np.uint8)
    stream.seek(found.end())
    if kind < 5:
        values = stream.read().split()[: samples.size]
        if len(values) < samples.size:
            raise OSError("image file is truncated")
        samples[:] = scaled(np.array(values, np.int64).reshape(samples.shape), peak)
        return samples, peak
    row = width * channels * (1 + deep)
    step = max(1, (1 << 22) // max(1, row))
    for top in range(0, height, step):
        rows = min(step, height - top)
        data = stream.read(rows * row)
        if len(data) < rows * row:
            raise OSError("image file is truncated")
        part = np.frombuffer(data, ">u2" if deep else np.uint8).reshape(rows, width, channels)
        samples[top : top + rows] = scaled(part, peak)
    return samples, peak


def scaled(levels: np.ndarray, peak: int) -> np.ndarray:
    """Return levels from 0 to ``peak`` as samples whose white is all bits."""
    white = 65535 if peak > 255 else 255
    if peak == white:
        return levels
    if levels.max(initial=0) > peak:
        raise ValueError(f"a sample above the maximum of {peak}")
    return (levels.astype(np.int64) * white + peak // 2) // peak


def _with_key(samples: np.ndarray, image: Image.Image, levels: int = 1) -> np.ndarray:
    """Return the samples, with alpha if one colour stands for transparent (tRNS of grey and RGB files)."""
    key = image.info.get("transparency")
    if key is None or image.mode in ("LA", "RGBA", "P", "PA") or isinstance(key, bytes):
        return samples
    samples = samples if samples.ndim == 3 else samples[..., None]
    peak = np.iinfo(samples.dtype).max
    alpha = np.where((samples == np.asarray(key) * levels).all(-1, keepdims=True), 0, peak)
    return np.concatenate([samples, alpha.astype(samples.dtype)], -1)


def to_srgb(image: Image.Image) -> Image.Image:
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
