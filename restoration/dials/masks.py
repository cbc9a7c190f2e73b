"""Masks of pictures, by name or one for all: where a restorer has to make up what is not known."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from restoration.errors import ImageError, RequestError
from restoration.finding import find_videos, is_video
from restoration.image import IMAGE_SUFFIXES, PEAKS, find_images, read_samples

Hole = Literal["white", "black"]


@dataclass(frozen=True)
class Masks:
    """The masks of one file, for every picture, or of a folder, by name; ``hole`` is the colour of what is missing.

    In a folder, the mask of ``photos/a/b.jpg`` is ``a/b`` or else ``b``, with the suffix of any image. What videos
    find there says `restoration.video.masks`.
    """

    source: Path
    hole: Hole = "white"

    def __post_init__(self) -> None:
        if self.hole not in get_args(Hole):
            raise RequestError(f"--hole {self.hole}: expected {' or '.join(get_args(Hole))}")
        if not self.source.exists():
            raise RequestError(f"--mask {self.source}: no such file or folder")
        if self.source.is_dir() and not (find_images(self.source) or find_videos(self.source)):
            raise RequestError(f"--mask {self.source}: no images in this folder")

    def of(self, picture: Path, height: int, width: int) -> np.ndarray:
        """Return where the picture of this file and size has holes: (height, width, 1) of bool."""
        path = self.named(picture, is_image) if self.source.is_dir() else self.source
        if path is None:
            raise ImageError(f"{picture}: no mask in {self.source}; expected {picture.stem}.png there")
        return self.read(path, picture, height, width)

    def read(self, path: Path, picture: Path, height: int, width: int) -> np.ndarray:
        """Return the holes of one mask, which is of that picture and must have its size."""
        if is_video(path):
            raise ImageError(f"{picture}: its mask {path} is a video; expected an image")
        samples = read_samples(path)
        if samples.shape[:2] != (height, width):
            found = f"{samples.shape[1]}x{samples.shape[0]}"
            raise ImageError(f"{picture}: {width}x{height} pixels, but its mask {path} has {found}")
        return self.hole_in(samples.mean(2, keepdims=True), _full(samples))

    def hole_in(self, grey: np.ndarray, white: float) -> np.ndarray:
        """Return where grey values (H, W, 1) from 0 to ``white`` are holes."""
        bright = grey >= white / 2
        return bright if self.hole == "white" else ~bright

    def named(self, picture: Path, fits: Callable[[Path], bool]) -> Path | None:
        """Return what of the folder has a picture's name and fits; None where nothing does."""
        parts = picture.absolute().with_suffix("").parts[1:]
        for first in range(len(parts)):
            place = self.source.joinpath(*parts[first:])
            # not by a pattern: names may hold brackets and stars
            beside = sorted(place.parent.iterdir()) if place.parent.is_dir() else []
            named = (p for p in beside if (p.name if p.is_dir() else p.stem) == place.name)
            found = [p for p in named if fits(p)]
            if len(found) > 1:
                names = ", ".join(p.name for p in found)
                raise ImageError(f"{picture}: several masks in {place.parent} ({names}); expected one")
            if found:
                return found[0]
        return None


def is_image(path: Path) -> bool:
    """Return whether a file's name is that of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def check_masked(conditions: tuple[str, ...], name: str, masks: Masks | None, pictures: bool = True) -> None:
    """Refuse a mask for a restorer that takes none, none for one that needs it, and what applying cannot give.

    ``pictures`` says that there are others than frames of videos.
    """
    if set(conditions) & {"neighbour", "flow"}:
        if pictures:
            raise RequestError(f"'{name}' restores frames by those around them: expected videos alone")
        if masks is not None:
            raise RequestError(f"--mask {masks.source}: '{name}' takes no mask")
        return
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
