"""Image files and their samples: read and written without loss; the only place that knows 255 and 65535."""

import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image
from PIL.ImageFile import ImageFile
from torch import Tensor

from restoration import encoding
from restoration.decoding import DAMAGE, FORMATS, PILLOW_SETTINGS, Decoded, Unsupported, decode, unreadable
from restoration.errors import ImageError
from restoration.files import atomic

MAX_PIXELS = 512_000_000
WRITERS = {
    ".bmp": encoding.write_bmp,
    ".jpeg": encoding.write_jpeg,
    ".jpg": encoding.write_jpeg,
    ".pgm": encoding.write_ppm,
    ".png": encoding.write_png,
    ".ppm": encoding.write_ppm,
    ".tif": encoding.write_tiff,
    ".tiff": encoding.write_tiff,
    ".webp": encoding.write_webp,
}
DEEP_SUFFIXES = (".pgm", ".png", ".ppm", ".tif", ".tiff")  # hold 16 bits; the others get 8
ALPHA_SUFFIXES = (".png", ".tif", ".tiff", ".webp")
IMAGE_SUFFIXES = (*WRITERS, ".gif", ".pbm", ".pnm")
PEAKS = {8: 255, 16: 65535}


@dataclass(frozen=True)
class Picture:
    """One decoded file: upright samples in the file's own colour space, and what travels with them."""

    samples: np.ndarray  # (H, W, 1 or 3) of uint8 or uint16
    alpha_samples: np.ndarray | None = None  # (H, W, 1)
    palette: bool = False  # the file held palette indices; the samples are the colours they stand for
    icc: bytes | None = None
    exif: bytes | None = None  # orientation set to upright
    dpi: tuple[float, float] | None = None
    format: str = "PNG"
    lossless: bool = True

    @property
    def depth(self) -> int:
        """Return the bits per sample, 8 or 16."""
        return self.samples.dtype.itemsize * 8

    @property
    def pixels(self) -> Tensor:
        """Return the colours as an image; grey files have one channel."""
        return to_float(self.samples)

    @property
    def alpha(self) -> Tensor | None:
        """Return the opacity as an image of one channel, or None where the file has none."""
        return None if self.alpha_samples is None else to_float(self.alpha_samples)


def find_images(folder: str | Path) -> list[Path]:
    """Return the image files below ``folder``, sorted; hidden files and folders are left out."""
    found, seen = [], set()
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        place = os.path.realpath(parent)
        if place in seen:  # a link to a folder above, or a second one to the same
            folders.clear()
            continue
        seen.add(place)
        folders[:] = [name for name in folders if not name.startswith(".")]
        images = (n for n in names if n.lower().endswith(IMAGE_SUFFIXES) and not n.startswith("."))
        found += [Path(parent, name) for name in images]
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise ImageError(f"{error.filename}: cannot be read ({error.strerror})")


def read(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Return the picture in a file; its size is checked by the header, before anything is decoded."""
    with _opened(Path(path), max_pixels) as (image, stream):
        return _picture(decode(image, stream), "JPEG" if image.format == "MPO" else str(image.format))


def stored_size(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (height, width) by a file's header, as stored: an orientation tag may exchange them."""
    with _opened(Path(path), max_pixels) as (image, _):
        return image.height, image.width


def write(path: str | Path, picture: Picture) -> None:
    """Write a picture in the format of the name's suffix: the file appears whole or not at all."""
    path = Path(path)
    suffix = path.suffix.lower()
    check_target(path, picture)
    samples = _with_alpha(path, picture)
    if picture.depth == 16 and suffix not in DEEP_SUFFIXES:
        samples = to_samples(to_float(samples))
    metadata = encoding.Metadata(picture.icc, picture.exif, picture.dpi, picture.lossless)
    try:
        with atomic(path) as stream:
            WRITERS[suffix](stream, samples, metadata)
    except (OSError, ValueError, struct.error, MemoryError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path}: could not be written ({reason}); nothing was left behind") from None


def write_image(path: str | Path, image: Tensor, depth: int = 8) -> None:
    """Write an image (1, C, H, W) on its own, as ``write`` does."""
    write(path, Picture(to_samples(image, depth)))


def blank_samples(height: int, width: int, channels: int, depth: int = 8, suffix: str = ".png") -> np.ndarray:
    """Return samples to fill, laid out so that ``write`` needs no copy of them for a file of this suffix."""
    if channels == 3 and depth == 8 and suffix.lower() in (".jpg", ".jpeg"):
        return np.empty((height, width, 4), np.uint8)[..., :3]  # as Pillow keeps colour
    return np.empty((height, width, channels), np.uint8 if depth == 8 else np.uint16)


def read_samples(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return a file's upright samples, (H, W, 1 or 3) of uint8 or uint16; alpha is dropped."""
    return read(path, max_pixels=max_pixels).samples


def to_float(samples: np.ndarray) -> Tensor:
    """Return samples (H, W, C) as an image (1, C, H, W) in [0, 1]."""
    floats = samples.transpose(2, 0, 1)[None].astype(np.float32, order="C")
    return torch.from_numpy(floats).div_(PEAKS[samples.dtype.itemsize * 8])


def to_samples(image: Tensor, depth: int = 8) -> np.ndarray:
    """Return an image (1, C, H, W) as samples (H, W, C): clamped, and rounded half up."""
    raised = image.detach()[0].float().clamp(0, 1).mul_(PEAKS[depth]).add_(0.5).permute(1, 2, 0)
    return raised.cpu().numpy().astype(np.uint8 if depth == 8 else np.uint16, order="C")  # truncates


def quantise(image: Tensor, depth: int = 8) -> Tensor:
    """Return the image as it reads back from a file of ``depth`` bits, still in [0, 1]."""
    return _levels(image, depth) / PEAKS[depth]


def rgb(image: Tensor) -> Tensor:
    """Return the image with three channels: grey is replicated."""
    return image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image


def _levels(image: Tensor, depth: int) -> Tensor:
    return (image.clamp(0, 1) * PEAKS[depth] + 0.5).floor()


def check_target(path: str | Path, picture: Picture) -> None:
    """Refuse a file whose format cannot be written or would lose the picture's transparency."""
    suffix, alpha = Path(path).suffix.lower(), picture.alpha_samples
    if suffix not in WRITERS:
        raise ImageError(f"{path}: cannot write '{suffix}' files; expected one of {' '.join(WRITERS)}")
    if alpha is not None and suffix not in ALPHA_SUFFIXES and (alpha < np.iinfo(alpha.dtype).max).any():
        raise ImageError(
            f"{path}: {suffix} holds no transparency; expected one of {' '.join(ALPHA_SUFFIXES)}"
        )


def _with_alpha(path: Path, picture: Picture) -> np.ndarray:
    alpha = picture.alpha_samples
    if alpha is None or path.suffix.lower() not in ALPHA_SUFFIXES:
        return picture.samples
    return np.concatenate([picture.samples, alpha], -1)


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[tuple[ImageFile, IO[bytes]]]:
    """Yield the image with its header read and checked; whatever is wrong with the file becomes one line."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from None
    with stream, PILLOW_SETTINGS:
        try:
            image = Image.open(stream, formats=FORMATS)
            _check(path, image, max_pixels)
            yield image, stream
        except ImageError:
            raise
        except Unsupported as error:
            raise ImageError(f"{path}: {error}") from None
        except DAMAGE as error:
            raise ImageError(f"{path}: not a readable image ({unreadable(path, error)})") from None


def _check(path: Path, image: Image.Image, max_pixels: int) -> None:
    pixels = math.prod(image.size)
    if pixels > max_pixels:
        raise ImageError(
            f"{path}: {image.width}x{image.height} by its header, {pixels / 1e6:.1f} megapixels; "
            f"expected at most {max_pixels / 1e6:g} (apply: --max-pixels)"
        )
    # a phone's MPO is a JPEG followed by previews and depth maps: its first picture is the photograph
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise ImageError(f"{path}: holds {frames} frames; expected one still picture")


def _picture(decoded: Decoded, name: str) -> Picture:
    samples = decoded.samples
    colours = 1 if samples.shape[2] < 3 else 3
    alpha = np.ascontiguousarray(samples[..., colours:]) if samples.shape[2] > colours else None
    return Picture(
        np.ascontiguousarray(samples[..., :colours]), alpha, decoded.palette,
        decoded.icc, decoded.exif, decoded.dpi, name, decoded.lossless,
    )  # fmt: skip
