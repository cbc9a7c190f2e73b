"""Pictures of a folder that a degradation draws from: masks, scenes that are reflected."""

from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}

KEPT = 2**26  # bytes of masks that stay in memory
_MASKS: OrderedDict[Path, np.ndarray] = OrderedDict()
_LOCK = Lock()


@lru_cache(maxsize=64)
def pictures_in(folder: str) -> tuple[str, ...]:
    """Return the names of all pictures below a folder, sorted; refuses one that is missing or has none."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ValueError(f'"{folder}": no such folder; expected a folder of pictures')
    found = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise ValueError(f'"{folder}": no pictures in this folder')
    return tuple(found)


def read_crop(path: Path, mode: str, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return a random crop of a picture at ``size`` (height, width), uint8 (H, W, C); ``mode`` is Pillow's, L or RGB.

    The crop has the proportions of ``size`` and from half to all of the sides that fit, lies anywhere, and is mirrored
    half of the time.
    """
    from PIL.Image import Resampling
    from PIL.ImageOps import exif_transpose

    height, width = size
    picture = exif_transpose(_decoded(path, (2 * width, 2 * height))).convert(mode)
    share = rng.uniform(0.5, 1) * min(picture.width / width, picture.height / height)
    across, down = share * width, share * height
    left, top = rng.uniform(0, picture.width - across), rng.uniform(0, picture.height - down)
    box = (left, top, min(left + across, picture.width), min(top + down, picture.height))
    samples = np.asarray(picture.resize((width, height), Resampling.BICUBIC, box, reducing_gap=3.0))
    samples = samples if samples.ndim == 3 else samples[..., None]
    return samples[:, ::-1] if rng.random() < 0.5 else samples


def read_mask(path: Path) -> np.ndarray:
    """Return where a picture is brighter than half, bool (H, W); the last ones read are kept, up to ``KEPT`` bytes."""
    with _LOCK:
        if path in _MASKS:
            _MASKS.move_to_end(path)
            return _MASKS[path]
    mask = np.asarray(_decoded(path).convert("L")) >= 128
    mask.setflags(write=False)
    with _LOCK:
        _MASKS[path] = mask
        while sum(kept.nbytes for kept in _MASKS.values()) > KEPT:
            _MASKS.popitem(last=False)
    return mask


def _decoded(path: Path, enough: tuple[int, int] | None = None) -> "Picture":
    """Return a picture of 8 bits; a JPEG is decoded at the smallest of its sizes that is ``enough`` (width, height)."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if enough is not None:
                picture.draft(None, enough)
            picture.load()
            deep = picture.mode.startswith("I")  # 16 bits of grey, which Pillow would cut off at 255
            return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)) if deep else picture
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable picture ({error})") from None
