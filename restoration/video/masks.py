"""The masks of a video's frames: one for all, an image for each, or the frames of another video."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from restoration.catalogue import digest
from restoration.dials.masks import Masks, is_image
from restoration.errors import ImageError
from restoration.finding import is_video
from restoration.video.colour import Conversion
from restoration.video.frames import planes_of
from restoration.video.reading import Film, frames, probe

NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class FrameMasks:
    """The masks of one clip: ``files`` is one image for all frames, one for each, or another video, ``film``."""

    masks: Masks
    clip: Film
    files: tuple[Path, ...]
    film: Film | None = None

    def holes(self, first: int, last: int) -> Iterator[np.ndarray]:
        """Yield where frames from ``first`` to before ``last`` have holes: (H, W, 1) of bool."""
        if self.film is not None:
            conversion = Conversion(self.film.layout, self.film.colour, self.film.height)
            with closing(frames(self.film, first, last)) as coming:  # type: ignore[type-var]
                for frame in coming:
                    image = conversion.picture(planes_of(frame, self.film.layout)).image
                    yield self.masks.hole_in(image[0].mean(0)[..., None].numpy(), 1.0)
        elif len(self.files) == 1:
            yield from repeat(self._read(self.files[0]), last - first)
        else:
            yield from map(self._read, self.files[first:last])

    def described(self) -> list[str]:
        """Return what tells these masks from others, as plain data."""
        contents = [digest(path) for path in self.files]
        return [hashlib.sha256("".join(contents).encode()).hexdigest(), self.masks.hole]

    def _read(self, path: Path) -> np.ndarray:
        return self.masks.read(path, self.clip.path, self.clip.height, self.clip.width)


def masks_of(masks: Masks, clip: Film) -> FrameMasks:
    """Return the masks of a clip.

    A file is that of all clips. In a folder, the masks of ``clips/a/b.mp4`` are ``a/b`` or else ``b``: an image, a
    video or a folder of images, in the order of their numbers; or they are the images that lie in it, where there are
    as many as frames.
    """
    source = masks.source
    itself = clip.path.resolve()
    found = (
        source
        if source.is_file()
        else masks.named(clip.path, lambda path: path.resolve() != itself and _is_mask(path))
    )
    if found is None:
        inside = _images(source)
        if len(inside) == clip.count:
            return FrameMasks(masks, clip, inside)
        stem = clip.path.stem
        raise ImageError(
            f"{clip.path}: no mask in {source}; expected {stem}.png, {stem}.mp4 or a folder {stem} there, or an "
            f"image for each of its {clip.count} frames"
        )
    if found.is_dir():
        files = _images(found)
        _check_count(clip, len(files), f"{found} holds {len(files)} masks")
        return FrameMasks(masks, clip, files)
    if not is_video(found):
        return FrameMasks(masks, clip, (found,))
    film = probe(found)
    _check_count(clip, film.count, f"its mask {found} has {film.count}")
    if (film.height, film.width) != (clip.height, clip.width):
        size = f"{clip.width}x{clip.height}"
        raise ImageError(f"{clip.path}: {size} pixels, but its mask {found} has {film.width}x{film.height}")
    return FrameMasks(masks, clip, (found,), film)


def with_hole(image: Tensor, hole: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return an image as a restorer sees it, black in the hole and the mask as a further channel; and the mask."""
    mask = torch.from_numpy(hole[..., 0])[None, None].to(image.device)
    return torch.cat((image.masked_fill(mask, 0), mask.to(image.dtype)), 1), mask


def _check_count(clip: Film, count: int, found: str) -> None:
    if count != clip.count:
        raise ImageError(f"{clip.path}: {clip.count} frames, but {found}; expected as many")


def _is_mask(path: Path) -> bool:
    return bool(_images(path)) if path.is_dir() else is_image(path) or is_video(path)


def _images(folder: Path) -> tuple[Path, ...]:
    """Return the images that lie in a folder, in the order of the numbers in their names."""
    found = (p for p in folder.iterdir() if is_image(p) and not p.name.startswith("."))
    return tuple(sorted(found, key=lambda p: [int(t) if t.isdecimal() else t for t in NUMBERS.split(p.name)]))
