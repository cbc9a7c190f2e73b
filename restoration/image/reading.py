"""Files to pictures: checked by their headers first, then decoded frame by frame."""

import errno
import math
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from restoration.errors import ImageError
from restoration.formats import apng, tiff_reading
from restoration.formats.declared import shown, unreadable
from restoration.image.decoding import (
    DAMAGE,
    FORMATS,
    PILLOW_SETTINGS,
    Decoded,
    Unsupported,
    decode,
    decode_page,
)
from restoration.image.picture import Picture

MAX_PIXELS = 512_000_000
MAX_FRAMES = 100_000


@dataclass
class _File:
    """An opened file whose header was read: by Pillow, and TIFF by its own directories too."""

    path: Path
    stream: IO[bytes]
    image: ImageFile | None
    pages: list[tiff_reading.Page]
    frames: Iterator[tuple[np.ndarray, float]] | None = None  # of an animated PNG, one after the other

    @property
    def size(self) -> tuple[int, int]:
        """Return (height, width) of the first frame or page, as stored."""
        if self.image is None:
            return self.pages[0].size
        return self.image.height, self.image.width

    @property
    def count(self) -> int:
        """Return how many frames or pages there are.

        A phone's MPO is a JPEG followed by previews and depth maps: its first picture is the photograph.
        """
        if self.pages:
            return len(self.pages)
        return 1 if self.format in ("JPEG", "PPM") else getattr(self.image, "n_frames", 1)

    @property
    def format(self) -> str:
        """Return Pillow's name of the format."""
        name = "TIFF" if self.image is None else str(self.image.format)
        return "JPEG" if name == "MPO" else name

    def picture(self, number: int) -> Picture:
        """Return one frame or page; frames are asked for in their order."""
        if self.pages:
            return _picture(decode_page(self.stream, self.pages[number], self.image), self.format)
        assert self.image is not None
        if self.frames is not None:
            samples, duration = next(self.frames, (None, 0.0))
            if samples is None:
                raise OSError("image file is truncated")
            picture = _picture(decode(self.image, self.stream, samples), self.format)
            return replace(picture, duration=duration, loop=self.image.info.get("loop"))
        if self.count > 1:
            first = self.size
            self.image.seek(number)
            if self.size != first:  # before anything of that size is made
                raise ValueError("frame {} is {}x{}, the first {}x{}".format(number, *self.size, *first))
        picture = _picture(decode(self.image, self.stream), self.format)
        further = getattr(self.image, "n_frames", 1) - 1
        if further and self.format == "JPEG":
            return replace(picture, notes=(*picture.notes, f"{further} further pictures were left out"))
        if self.count == 1:
            return picture
        info = self.image.info
        return replace(picture, duration=float(info.get("duration") or 0), loop=info.get("loop"))


def read(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Return the still picture in a file; its size is checked by the header, before anything is decoded."""
    with _opened(Path(path), max_pixels) as file:
        if file.count > 1:
            raise ImageError(f"{shown(path)}: holds {file.count} frames; expected one still picture")
        return file.picture(0)


def read_all(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Return the picture in a file with every further frame or page, which count for ``max_pixels`` together."""
    with _opened(Path(path), max_pixels) as file:
        if file.count > MAX_FRAMES:
            raise ImageError(
                f"{shown(path)}: holds more than {MAX_FRAMES} frames or pages, the most that is read"
            )
        if not file.pages and file.count > 1 and file.count * math.prod(file.size) > max_pixels:
            raise ImageError(_too_large(file, max_pixels, file.count * math.prod(file.size)))
        total = sum(math.prod(page.size) for page in file.pages)
        if total > max_pixels:
            raise ImageError(_too_large(file, max_pixels, total))
        first, *others = (file.picture(i) for i in range(file.count))
        return replace(first, following=tuple(others))


def stored_size(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (height, width) by a file's header, as stored: an orientation tag may exchange them."""
    with _opened(Path(path), max_pixels) as file:
        return file.size


def read_samples(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return a file's upright samples, (H, W, 1 or 3) of uint8, uint16 or float32; alpha is dropped."""
    return read(path, max_pixels=max_pixels).samples


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[_File]:
    """Yield the file with its header read and checked; whatever is wrong with it becomes one line."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFDIR):  # a pipe would be waited for, a device may never end
            raise ImageError(f"{shown(path)}: cannot be read (no regular file)")
        stream = path.open("rb")
    except OSError as error:
        raise ImageError(f"{shown(path)}: cannot be read ({error.strerror})") from None
    with stream, PILLOW_SETTINGS:
        try:
            file = _file(path, stream)
            if math.prod(file.size) > max_pixels:
                raise ImageError(_too_large(file, max_pixels))
            yield file
        except ImageError:
            raise
        except Unsupported as error:
            raise ImageError(f"{shown(path)}: {error}") from None
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # of the temporary file's folder
                room = f"no room for its samples in {tempfile.gettempdir()}"
                raise ImageError(f"{shown(path)}: {room} ({error.strerror})") from None
            if isinstance(error, OSError) and error.errno:
                raise ImageError(f"{shown(path)}: cannot be read ({error.strerror})") from None
            reason = unreadable(path, error, FORMATS)
            raise ImageError(f"{shown(path)}: not a readable image ({reason})") from None


def _file(path: Path, stream: IO[bytes]) -> _File:
    pages = tiff_reading.pages(stream, MAX_FRAMES + 1)
    if pages and (what := tiff_reading.unread(pages[0])):
        raise Unsupported(what)
    stream.seek(0)
    try:
        image = Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError:  # Pillow knows no RGB of floats, nor planes of 16 bits
        if not (pages and pages[0].readable):
            raise
        return _File(path, stream, None, pages)
    animated = image.format == "PNG" and getattr(image, "n_frames", 1) > 1
    return _File(path, stream, image, pages, apng.frames(stream) if animated else None)


def _too_large(file: _File, max_pixels: int, total: int | None = None) -> str:
    height, width = file.size
    many, pixels = f"{file.count} frames of " if total else "", total or height * width
    small = max_pixels < 100_000
    size = f"{pixels} pixels" if small else f"{pixels / 1e6:.1f} megapixels"
    return (
        f"{shown(file.path)}: {many}{width}x{height} by its header, {size}; "
        f"expected at most {max_pixels if small else max_pixels / 1e6:g} (apply: --max-pixels)"
    )


def _picture(decoded: Decoded, name: str) -> Picture:
    return Picture(
        _contiguous(decoded.samples), None if decoded.alpha is None else _contiguous(decoded.alpha),
        decoded.palette, decoded.icc, decoded.exif, decoded.dpi, name, decoded.lossless, decoded.xmp,
        decoded.iptc, decoded.stored, decoded.notes,
    )  # fmt: skip


def _contiguous(samples: np.ndarray) -> np.ndarray:
    """Return the samples in reading order; those in a file stay there, turned or not."""
    place: object = samples
    while isinstance(place, np.ndarray):
        if isinstance(place, np.memmap):
            return samples
        place = place.base
    return np.ascontiguousarray(samples)
