"""One image, or an aligned pair, cut into encoded tiles; called by ``restoration.curation.packing``."""

import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from restoration.errors import ImageError, RequestError
from restoration.image import PEAKS, encoding, read_samples

USUAL = (1, 2, 3, 4, 8, 16)  # scales of published sets
Codec = Literal["ppm", "png", "webp", "keep"]
Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Cut:
    """How images become tiles; lengths are pixels of the clean image.

    ``tile = None`` keeps images whole, ``stride`` is the tile's side unless given. Tiles whose detail is below
    ``least_detail`` are left out. ``codec = "keep"`` takes the files as they are, byte for byte.
    """

    tile: int | None = 256
    stride: int | None = None
    codec: Codec = "ppm"
    least_detail: float = 0.0
    scale: int | None = None  # of clean over degraded; None without degraded images

    def __post_init__(self) -> None:
        if self.codec not in get_args(Codec):
            raise RequestError(f"--codec {self.codec}: expected {', '.join(get_args(Codec))}")
        if self.codec == "keep" and (self.tile or self.least_detail):
            raise RequestError(
                "--codec keep takes whole files as they are; expected --tile off and no --least-detail"
            )
        for name, side in (("tile", self.tile), ("stride", self.stride)):
            if side is not None and (side < 1 or side % (self.scale or 1)):
                wanted = f"a multiple of the scale {self.scale}" if (self.scale or 1) > 1 else "at least 1"
                raise RequestError(f"--{name} {side}: expected {wanted}")
        if self.stride and (not self.tile or self.stride > self.tile):
            raise RequestError(
                f"--stride {self.stride}: expected at most the tile's side, or pixels are left out"
            )


@dataclass(frozen=True)
class Item:
    """One image to pack: its name below the folder, the file, and the degraded file of a pair."""

    name: str
    clean: Path
    degraded: Path | None = None


@dataclass(frozen=True)
class Sample:
    """One tile: encoded parts by name, such as ``clean.ppm``, and (height, width) of the clean one."""

    key: str
    parts: dict[str, bytes]
    size: Size


@dataclass(frozen=True)
class Tiles:
    """What became of one image; ``dropped`` tiles had too little detail."""

    samples: list[Sample]
    dropped: int = 0


def tiles(item: Item, number: int, cut: Cut) -> Tiles:
    """Return the tiles of an image, row by row; their keys begin with its ``number`` and hold no dot."""
    clean = read_samples(item.clean)
    degraded = None if item.degraded is None else read_samples(item.degraded)
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(item.name).with_suffix("").as_posix())[-60:]
    key = f"{number:06d}-{stem}"
    whole, clean = clean, clean if degraded is None else _aligned(item, clean, degraded, cut)
    if cut.codec == "keep":
        files = {"clean": item.clean} | ({"degraded": item.degraded} if item.degraded else {})
        parts = {f"{part}{path.suffix.lower()}": path.read_bytes() for part, path in files.items()}
        return Tiles([Sample(key, parts, whole.shape[:2])])
    for path, image in ((item.clean, clean), (item.degraded, degraded)):
        if image is not None and image.dtype.kind == "f":
            raise ImageError(f"{path}: floating point, but shards hold 8 or 16 bits; expected --codec keep")
    samples, dropped = [], 0
    for rows, columns in _windows(clean.shape[:2], cut):
        part = clean[rows, columns]
        if cut.least_detail and detail(part) < cut.least_detail:
            dropped += 1
            continue
        encoded = {f"clean.{cut.codec}": _encoded(item.clean, part, cut.codec)}
        if degraded is not None and item.degraded is not None:
            small = degraded[_reduced(rows, cut), _reduced(columns, cut)]
            encoded[f"degraded.{cut.codec}"] = _encoded(item.degraded, small, cut.codec)
        samples.append(Sample(f"{key}-{rows.start}-{columns.start}", encoded, part.shape[:2]))
    return Tiles(samples, dropped)


def detail(samples: np.ndarray) -> float:
    """Return the mean absolute difference of neighbouring pixels' luma, (H, W, C), in steps of 1/255."""
    grey = samples.mean(2, dtype=np.float32) * (PEAKS[8] / np.iinfo(samples.dtype).max)
    changes = [np.abs(np.diff(grey, axis=axis)) for axis in (0, 1) if grey.shape[axis] > 1]
    return float(np.mean([change.mean() for change in changes])) if changes else 0.0


def whole_scale(clean: Size, degraded: Size) -> int | None:
    """Return the likeliest scale of clean over degraded sizes, (height, width), or None where no whole number fits.

    A degraded side may be rounded down, as after cropping at the bottom and right, or up, as MATLAB rounds. So several
    numbers may fit small images, 8 and 9 for 95 and 11 pixels: those that are usual come first, then the nearest.
    """
    return next(iter(_fitting(clean, degraded)), None)


def usual_scale(sizes: Sequence[tuple[Size, Size]]) -> int | None:
    """Return the scale that fits most of the (clean, degraded) sizes; of several, the likeliest of most."""
    fitting = [_fitting(*pair) for pair in sizes]
    every = Counter(scale for scales in fitting for scale in scales)
    first = Counter(scales[0] for scales in fitting if scales)
    return max(sorted(every), key=lambda scale: (every[scale], first[scale]), default=None)


def fits(clean: Size, degraded: Size, scale: int) -> bool:
    """Whether every degraded side is the clean one divided by the scale, rounded down or up."""
    return all(small in (n // scale, -(-n // scale)) for n, small in zip(clean, degraded, strict=True))


def _fitting(clean: Size, degraded: Size) -> list[int]:
    """Return all scales that fit, the likeliest first."""
    guesses = {side // small for side, small in zip(clean, degraded, strict=True)}
    guesses |= {-(-side // small) for side, small in zip(clean, degraded, strict=True)}
    ratio = (clean[0] * clean[1] / (degraded[0] * degraded[1])) ** 0.5
    found = [guess for guess in guesses if guess and fits(clean, degraded, guess)]
    return sorted(found, key=lambda guess: (guess not in USUAL, abs(guess - ratio)))


def starts(length: int, tile: int, stride: int) -> list[int]:
    """Return where tiles begin along one side: every ``stride``, the last shifted inward to end at the border."""
    if length <= tile:
        return [0]
    return sorted({*range(0, length - tile + 1, stride), length - tile})


def _windows(size: Size, cut: Cut) -> Iterator[tuple[slice, slice]]:
    sides = [min(cut.tile or n, n) for n in size]
    rows, columns = (
        [slice(s, s + side) for s in starts(n, side, cut.stride or side)]
        for n, side in zip(size, sides, strict=True)
    )
    yield from ((row, column) for row in rows for column in columns)


def _aligned(item: Item, clean: np.ndarray, degraded: np.ndarray, cut: Cut) -> np.ndarray:
    """Return clean cropped at the bottom and right to ``scale`` times the degraded image's whole pixels."""
    scale, sizes = cut.scale or 1, [image.shape[1::-1] for image in (clean, degraded)]
    if not fits(clean.shape[:2], degraded.shape[:2], scale):
        found = " against ".join(f"{width}x{height}" for width, height in sizes)
        raise ImageError(f"{item.clean}: {found} pixels of {item.degraded}; expected the scale {scale}")
    height, width = (
        min(n // scale, small) * scale for n, small in zip(clean.shape, degraded.shape[:2], strict=False)
    )
    return clean[:height, :width]


def _reduced(window: slice, cut: Cut) -> slice:
    scale = cut.scale or 1
    return slice(window.start // scale, window.stop // scale)


def _encoded(path: Path, samples: np.ndarray, codec: Codec) -> bytes:
    """Return a tile as a file without metadata; grey of the codec ppm is a binary PGM."""
    if codec == "webp" and (samples.dtype != np.uint8 or samples.shape[2] != 3):
        kind = "grey" if samples.shape[2] == 1 else "16 bits"
        raise ImageError(f"{path}: {kind}, but webp holds 8-bit colour alone; expected --codec ppm or png")
    stream = io.BytesIO()
    WRITERS[codec](stream, samples, encoding.Metadata())
    return stream.getvalue()


WRITERS: dict[str, Callable[[io.BytesIO, np.ndarray, encoding.Metadata], None]] = {
    "png": encoding.write_png,
    "ppm": encoding.write_ppm,
    "webp": encoding.write_webp,
}
