"""Masks of pictures, by name or one for all: where a restorer has to make up what is not known."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from restoration.errors import ImageError, RequestError
from restoration.image import IMAGE_SUFFIXES, PEAKS, find_images, read_samples

Hole = Literal["white", "black"]


@dataclass(frozen=True)
class Masks:
    """The masks of one file, for every picture, or of a folder, by name; ``hole`` is the colour of what is missing.

    In a folder, the mask of ``photos/a/b.jpg`` is ``a/b`` or else ``b``, with the suffix of any image.
    """

    source: Path
    hole: Hole = "white"

    def __post_init__(self) -> None:
        if self.hole not in get_args(Hole):
            raise RequestError(f"--hole {self.hole}: expected {' or '.join(get_args(Hole))}")
        if not self.source.exists():
            raise RequestError(f"--mask {self.source}: no such file or folder")
        if self.source.is_dir() and not find_images(self.source):
            raise RequestError(f"--mask {self.source}: no images in this folder")

    def of(self, picture: Path, height: int, width: int) -> np.ndarray:
        """Return where the picture of this file and size has holes: (height, width, 1) of bool."""
        path = self._file(picture) if self.source.is_dir() else self.source
        samples = read_samples(path)
        if samples.shape[:2] != (height, width):
            found = f"{samples.shape[1]}x{samples.shape[0]}"
            raise ImageError(f"{picture}: {width}x{height} pixels, but its mask {path} has {found}")
        bright = samples.mean(2, keepdims=True) >= _full(samples) / 2
        return bright if self.hole == "white" else ~bright

    def _file(self, picture: Path) -> Path:
        parts = picture.absolute().with_suffix("").parts[1:]
        for first in range(len(parts)):
            place = self.source.joinpath(*parts[first:])
            # not by a pattern: names may hold brackets and stars
            beside = sorted(place.parent.iterdir()) if place.parent.is_dir() else []
            found = [p for p in beside if p.stem == place.name and p.suffix.lower() in IMAGE_SUFFIXES]
            if len(found) > 1:
                names = ", ".join(p.name for p in found)
                raise ImageError(f"{picture}: several masks in {place.parent} ({names}); expected one")
            if found:
                return found[0]
        raise ImageError(f"{picture}: no mask in {self.source}; expected {picture.stem}.png there")


def check_masked(conditions: tuple[str, ...], name: str, masks: Masks | None) -> None:
    """Refuse a mask for a restorer that takes none, none for one that needs it, and what applying cannot give."""
    if set(conditions) & {"neighbour", "flow"}:
        raise RequestError(f"'{name}' restores frames by those around them: expected videos alone")
    if conditions not in ((), ("mask",)):
        raise RequestError(f"'{name}' needs more than an image: {', '.join(dict.fromkeys(conditions))}")
    if conditions and masks is None:
        raise RequestError(f"'{name}' needs a mask beside the image: expected --mask FILE or folder")
    if masks is not None and not conditions:
        raise RequestError(f"--mask {masks.source}: '{name}' takes no mask")


def with_holes(samples: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Return samples as a restorer sees them: black in holes, and the mask as a further channel, full in holes."""
    mask = (hole * _full(samples)).astype(samples.dtype)
    return np.concatenate([np.where(hole, samples.dtype.type(0), samples), mask], -1)


def keep_known(restored: np.ndarray, degraded: np.ndarray, hole: np.ndarray) -> None:
    """Put back, in place, the samples outside holes."""
    np.copyto(restored, degraded, where=~hole)


def _full(samples: np.ndarray) -> int:
    return PEAKS[samples.itemsize * 8]
