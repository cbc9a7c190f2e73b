"""Image files and their samples: read and written without loss; the only place that knows 255 and 65535."""

import os
from pathlib import Path

import numpy as np
from torch import Tensor

from restoration.errors import ImageError
from restoration.formats.bands import empty_samples
from restoration.formats.declared import shown
from restoration.image.colour import around, to_srgb
from restoration.image.picture import (
    DTYPES,
    PEAKS,
    Picture,
    each_frame,
    finite,
    opaque,
    quantise,
    rgb,
    to_float,
    to_samples,
)
from restoration.image.reading import MAX_PIXELS, read, read_all, read_samples, stored_size
from restoration.image.rows import Rows, RowsWriter, rows_of, rows_to
from restoration.image.writing import (
    ALPHA_SUFFIXES,
    DEEP_SUFFIXES,
    FRAME_WRITERS,
    LOGGER,
    LOSSY_SUFFIXES,
    WRITERS,
    write_with,
)

__all__ = [
    "ALPHA_SUFFIXES", "DEEP_SUFFIXES", "DTYPES", "FRAME_WRITERS", "IMAGE_SUFFIXES", "LOGGER",
    "LOSSY_SUFFIXES", "MAX_PIXELS", "PEAKS", "WRITERS", "Picture", "Rows", "RowsWriter", "around", "blank_samples",
    "check_target", "each_frame", "find_images", "finite", "quantise", "read", "read_all", "read_samples", "rgb",
    "rows_of", "rows_to", "stored_size", "to_float", "to_samples", "to_srgb", "write", "write_image",
]  # fmt: skip

IMAGE_SUFFIXES = tuple(WRITERS)


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
    raise ImageError(f"{shown(error.filename)}: cannot be read ({error.strerror})")


def write(path: str | Path, picture: Picture, *, quality: int | None = None) -> None:
    """Write a picture in the format of the name's suffix: the file appears whole or not at all.

    ``quality`` (1 to 100) is that of lossy formats; without it a JPEG keeps the one that it was read with. What the
    format has no place for is logged as a warning, one line for each.
    """
    check_target(path, picture)
    write_with(WRITERS, Path(path), picture, quality)


def write_image(path: str | Path, image: Tensor, depth: int = 8) -> None:
    """Write an image (1, C, H, W) on its own, as ``write`` does."""
    write(path, Picture(to_samples(image, depth)))


def blank_samples(
    height: int, width: int, channels: int, depth: int = 8, suffix: str = ".png", folder: Path | None = None
) -> np.ndarray:
    """Return samples to fill, laid out so that ``write`` needs no copy of them for a file of this suffix.

    Large ones lie in an unnamed file in ``folder``, else TMPDIR, and not in memory.
    """
    if channels == 3 and depth == 8 and suffix.lower() in (".jpg", ".jpeg"):
        return empty_samples((height, width, 4), np.uint8, folder)[..., :3]  # as Pillow keeps colour
    return empty_samples((height, width, channels), DTYPES[depth], folder)


def check_target(path: str | Path, picture: Picture) -> None:
    """Refuse a file whose format cannot be written or would lose the picture's transparency or frames."""
    suffix, path = Path(path).suffix.lower(), shown(path)
    if suffix not in WRITERS:
        raise ImageError(f"{path}: cannot write '{suffix}' files; expected one of {' '.join(WRITERS)}")
    alphas = [f.alpha_samples for f in picture.frames if f.alpha_samples is not None]
    if suffix not in ALPHA_SUFFIXES and not all(opaque(alpha) for alpha in alphas):
        raise ImageError(
            f"{path}: {suffix} holds no transparency; expected one of {' '.join(ALPHA_SUFFIXES)}"
        )
    if not picture.following:
        return
    count, pages = len(picture.frames), (".tif", ".tiff")
    if suffix not in FRAME_WRITERS:
        expected = " ".join(FRAME_WRITERS)
        raise ImageError(f"{path}: {suffix} holds one picture, not {count}; expected one of {expected}")
    if suffix not in pages and picture.duration is None:
        raise ImageError(f"{path}: {suffix} holds no pages ({count}); expected one of {' '.join(pages)}")
    if suffix not in pages and len({frame.samples.shape[:2] for frame in picture.frames}) > 1:
        raise ImageError(f"{path}: {suffix} holds frames of one size; expected one of {' '.join(pages)}")
