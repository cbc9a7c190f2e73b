"""Pictures to files: depth, alpha, frames and metadata as far as the format has a place for them."""

import logging
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from restoration.errors import ImageError
from restoration.files import atomic
from restoration.formats.bands import Joined, Samples, empty_samples
from restoration.formats.declared import shown
from restoration.formats.exif import resized, with_resolution
from restoration.formats.metadata import Metadata, xmp_resized
from restoration.image import encoding
from restoration.image.colour import to_srgb
from restoration.image.decoding import FORMATS
from restoration.image.picture import DTYPES, Picture, opaque, to_float, to_samples

LOGGER = logging.getLogger("restoration.image")
Writer = Callable[[IO[bytes], Samples, Metadata], str | None]  # what could not be kept
FrameWriter = Callable[[IO[bytes], Sequence[Samples], Metadata, Sequence[float], int | None], str | None]

TIFF_SUFFIXES = (".tif", ".tiff")
PNG_SUFFIXES = (".apng", ".png")
LOSSY_SUFFIXES = (".avif", ".jpeg", ".jpg", ".webp")  # whose quality can be chosen
DEEP_SUFFIXES = (".apng", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff")  # hold 16 bits; the others get 8
ALPHA_SUFFIXES = (".apng", ".avif", ".bmp", ".gif", ".png", ".tif", ".tiff", ".webp")
WRITERS: dict[str, Writer] = {
    ".apng": encoding.write_png,
    ".avif": encoding.write_avif,
    ".bmp": encoding.write_bmp,
    ".gif": encoding.write_gif,
    ".jpeg": encoding.write_jpeg,
    ".jpg": encoding.write_jpeg,
    ".pbm": encoding.write_pbm,
    ".pgm": encoding.write_ppm,
    ".png": encoding.write_png,
    ".pnm": encoding.write_ppm,
    ".ppm": encoding.write_ppm,
    ".tif": encoding.write_tiff,
    ".tiff": encoding.write_tiff,
    ".webp": encoding.write_webp,
}
FRAME_WRITERS: dict[str, FrameWriter | None] = {
    ".apng": encoding.write_png_frames,
    ".avif": encoding.write_avif_frames,
    ".gif": encoding.write_gif_frames,
    ".png": encoding.write_png_frames,
    ".tif": None,  # pages, each with metadata of its own
    ".tiff": None,
    ".webp": encoding.write_webp_frames,
}
if "AVIF" not in FORMATS:  # Pillow was built without it
    del WRITERS[".avif"], FRAME_WRITERS[".avif"]
# what each format has a place for; the resolution of WebP and AVIF is in their EXIF
PLACES = {
    ".apng": "icc exif xmp iptc dpi", ".avif": "icc exif xmp dpi", ".bmp": "dpi", ".gif": "icc xmp",
    ".jpeg": "icc exif xmp iptc dpi",
    ".jpg": "icc exif xmp iptc dpi", ".pbm": "", ".pgm": "", ".png": "icc exif xmp iptc dpi", ".pnm": "", ".ppm": "",
    ".tif": "icc exif xmp iptc dpi", ".tiff": "icc exif xmp iptc dpi", ".webp": "icc exif xmp dpi",
}  # fmt: skip
FAILURES = (OSError, ValueError, struct.error, MemoryError)
BAND_ROWS = 256


def write_with(writers: Mapping[str, Writer], path: Path, picture: Picture, quality: int | None) -> None:
    """Write a picture whose target was checked, by the writer of its suffix."""
    suffix = path.suffix.lower()
    try:
        with atomic(path) as stream:
            if picture.following:
                note = _write_frames(stream, suffix, picture, quality)
            else:
                metadata = metadata_for(suffix, picture, quality)
                note = writers[suffix](stream, samples_for(suffix, picture), metadata)
    except FAILURES as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{shown(path)}: could not be written ({reason}); nothing was left behind") from None
    warn(path, picture, note)


def metadata_for(suffix: str, picture: Picture, quality: int | None = None) -> Metadata:
    """Return what is written beside the samples, sizes brought up to date."""
    height, width = picture.samples.shape[:2]
    places = PLACES[suffix].split()
    exif, xmp = picture.exif, picture.xmp
    if exif is None and picture.dpi and suffix in (".webp", ".avif"):
        exif = with_resolution(picture.dpi)
    kept = {
        "icc": picture.icc,
        "exif": resized(exif, width, height) if exif else None,
        "xmp": xmp_resized(xmp, width, height) if xmp else None,
        "iptc": picture.iptc,
        "dpi": picture.dpi,
    }
    return Metadata(
        lossless=picture.lossless, stored=picture.stored, quality=quality,
        **{name: value for name, value in kept.items() if name in places},  # type: ignore[arg-type]
    )  # fmt: skip


def samples_for(suffix: str, picture: Picture, with_alpha: bool = False) -> Samples:
    """Return the samples that a format holds: fewer bits, sRGB where it has no place for the profile, alpha last."""
    depth = depth_for(suffix, picture.depth)
    samples, alpha = picture.samples, picture.alpha_samples
    profile = picture.icc if "icc" not in PLACES[suffix].split() else None
    if depth != picture.depth or profile:
        samples = _changed(samples, depth, profile)
        alpha = None if alpha is None else _changed(alpha, depth, None)
    if suffix not in ALPHA_SUFFIXES or (alpha is None and not with_alpha):
        return samples
    if alpha is None:
        alpha = np.full((*samples.shape[:2], 1), 1 if depth == 32 else 2**depth - 1, samples.dtype)
    if suffix == ".bmp" and opaque(alpha) and not with_alpha:
        return samples  # few readers know that it has alpha
    return Joined(samples, alpha)


def depth_for(suffix: str, depth: int) -> int:
    """Return the bits per sample with which a format holds samples of ``depth``."""
    if suffix in TIFF_SUFFIXES:
        return depth
    return min(depth, 16 if suffix in DEEP_SUFFIXES else 8)


def warn(path: Path, picture: Picture, note: str | None = None) -> None:
    """Log what reading or writing could not keep."""
    suffix = path.suffix.lower()
    notes = [*picture.notes, *([note] if note else [])]
    names = {"icc": "its profile", "exif": "EXIF", "xmp": "XMP", "iptc": "IPTC", "dpi": "resolution"}
    held = {
        "icc": picture.icc,
        "exif": picture.exif,
        "xmp": picture.xmp,
        "iptc": picture.iptc,
        "dpi": picture.dpi,
    }
    lost = [names[k] for k, value in held.items() if value and k not in PLACES[suffix].split()]
    if lost:
        notes.append(f"{suffix} has no place for {', '.join(lost)}")
    integers = picture.stored.integers
    if integers and integers.lowest and suffix not in TIFF_SUFFIXES:
        notes.append(f"{suffix} holds no sign: black is {integers.lowest} in the source")
    depth = depth_for(suffix, picture.depth)
    if depth < picture.depth:
        notes.append(f"{picture.depth} bits were written as {depth}, {suffix} holds no more")
    for note in notes:
        LOGGER.warning("%s: %s", shown(path), note)


def _changed(samples: np.ndarray, depth: int, profile: bytes | None) -> np.ndarray:
    """Return samples of another depth, and in sRGB where a profile is given."""
    changed = empty_samples(samples.shape, DTYPES[depth])
    for top in range(0, len(samples), BAND_ROWS):
        image = to_srgb(to_float(samples[top : top + BAND_ROWS]), profile)
        changed[top : top + BAND_ROWS] = to_samples(image, depth)
    return changed


def _write_frames(stream: IO[bytes], suffix: str, picture: Picture, quality: int | None) -> str | None:
    if suffix in TIFF_SUFFIXES:
        pages = [samples_for(suffix, page) for page in picture.frames]
        about = [metadata_for(suffix, page, quality) for page in picture.frames]
        return encoding.write_tiff_pages(stream, pages, about)
    frames = picture.frames
    alpha = any(frame.alpha_samples is not None for frame in frames)
    colour = any(frame.samples.shape[2] == 3 for frame in frames)
    if colour:
        frames = tuple(
            replace(f, samples=np.broadcast_to(f.samples, (*f.samples.shape[:2], 3))) for f in frames
        )
    samples = [samples_for(suffix, frame, alpha) for frame in frames]
    writer = FRAME_WRITERS[suffix]
    assert writer is not None
    durations = [frame.duration or 0.0 for frame in frames]
    return writer(stream, samples, metadata_for(suffix, picture, quality), durations, picture.loop)
