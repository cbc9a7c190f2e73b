"""Holes of simple shapes, and of files: what an inpainting network has to fill."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from restoration.degradations.degraded import Degradation, Degraded, Draw, one_per_image
from restoration.degradations.draws import Keys, Range, check_range, generator, uniform
from restoration.degradations.pictures import pictures_in, read_mask

Fill = float | tuple[float, float, float]  # what holes are painted with: a number, or one per channel
Count = int | tuple[int, int]  # a whole number, or (lowest, highest)
SIDES = ("left", "right", "top", "bottom")


def hole_ratio(mask: Tensor) -> Tensor:
    """Return the share of each mask (N, 1, H, W) that is hole: (N,) in float64."""
    return mask.flatten(1).double().mean(1)


def ratio_bin(mask: Tensor) -> Tensor:
    """Return the number (N,) of the 10-% bin that each mask's hole ratio lies in: b for b/10 < ratio ≤ (b + 1)/10.

    The bins of Liu et al. (2018); a mask without holes is in bin 0. Counted in whole pixels, so that no ratio is
    rounded into the next bin.
    """
    holes = (mask != 0).flatten(1).sum(1)
    pixels = mask[0].numel()
    return (-(-10 * holes // pixels) - 1).clamp(min=0)


def masked(clean: Tensor, holes: Sequence[np.ndarray], fill: Fill, draw: Draw | None = None) -> Degraded:
    """Return ``clean`` with ``fill`` in the holes, bool (H, W) per image, and the mask, 1 in holes."""
    mask = torch.from_numpy(np.stack(holes)).unsqueeze(1).to(clean.device)
    paint = torch.as_tensor(fill, dtype=clean.dtype, device=clean.device).reshape(1, -1, 1, 1)
    if paint.shape[1] not in (1, clean.shape[1]):
        raise ValueError(f"fill has {paint.shape[1]} values for {clean.shape[1]} channel(s)")
    return Degraded(torch.where(mask, paint, clean), mask.to(clean.dtype), draw=draw or {})


class Holes(Degradation):
    """A degradation that cuts holes: the mask of an image that it leaves whole has none."""

    scale: ClassVar[int] = 1

    fill: Fill

    @property
    def channels(self) -> int | None:
        """How many channels are filled: three if ``fill`` is a colour."""
        return len(self.fill) if isinstance(self.fill, tuple) else None

    def untouched(self, image: Tensor) -> Degraded:
        """Return whole images, with their masks."""
        return Degraded(image, torch.zeros_like(image[:, :1]))


@dataclass(frozen=True)
class Pixels(Holes):
    """Single pixels dropped, each by itself with probability ``ratio``, from all channels at once.

    PMRF's inpainting drops nine of ten and adds noise after (Ohayon et al., 2025). Holes are painted with ``fill``.
    """

    ratio: Range = 0.9
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        check_range("ratio", self.ratio, most=1)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image with holes, the mask, and each image's share of holes."""
        one_per_image(clean, keys)
        holes = []
        for rng in (generator(key, "mask-pixels") for key in keys):
            ratio = uniform(rng, self.ratio)
            holes.append(rng.random(clean.shape[-2:], dtype=np.float32) < ratio)
        return masked(clean, holes, self.fill, {"ratio": [float(h.mean()) for h in holes]})


@dataclass(frozen=True)
class Boxes(Holes):
    """Upright rectangles anywhere inside the image; ``count`` of them, sides as shares of the image's sides."""

    count: Count = (1, 4)
    side: Range = (0.1, 0.4)
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        check_range("count", self.count, least=1)
        check_range("side", self.side, most=1)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image with holes, the mask, and each image's boxes (top, left, height, width) in pixels."""
        one_per_image(clean, keys)
        size = clean.shape[-2:]
        boxes = [self._boxes(generator(key, "mask-boxes"), size) for key in keys]
        return masked(clean, [_filled(size, of) for of in boxes], self.fill, {"boxes": boxes})

    def _boxes(self, rng: np.random.Generator, size: Sequence[int]) -> list[list[int]]:
        boxes = []
        for _ in range(whole(rng, self.count)):
            sides = [max(1, round(uniform(rng, self.side) * n)) for n in size]
            corner = [int(rng.integers(n - side + 1)) for n, side in zip(size, sides, strict=True)]
            boxes.append([*corner, *sides])
        return boxes


@dataclass(frozen=True)
class Centre(Holes):
    """One rectangle in the middle, with ``side`` times the image's height and width: 0.5 is 128² of 256²."""

    side: float = 0.5
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        check_range("side", self.side, most=1)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image with its hole, and the mask."""
        one_per_image(clean, keys)
        size = clean.shape[-2:]
        sides = [round(self.side * n) for n in size]
        box = [*((n - side) // 2 for n, side in zip(size, sides, strict=True)), *sides]
        return masked(clean, [_filled(size, [box])] * len(clean), self.fill)


@dataclass(frozen=True)
class Half(Holes):
    """The left, right, top or bottom half of the image; any of them, drawn anew for each image, by default."""

    side: Literal["left", "right", "top", "bottom", "any"] = "any"
    fill: Fill = 0.0

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image with its hole, the mask, and each image's side; of odd lengths the hole is the smaller."""
        one_per_image(clean, keys)
        height, width = clean.shape[-2:]
        boxes = {
            "left": [0, 0, height, width // 2],
            "right": [0, width - width // 2, height, width // 2],
            "top": [0, 0, height // 2, width],
            "bottom": [height - height // 2, 0, height // 2, width],
        }
        anywhere = self.side == "any"
        sides = [SIDES[generator(k, "mask-half").integers(4)] if anywhere else self.side for k in keys]
        return masked(
            clean, [_filled((height, width), [boxes[s]]) for s in sides], self.fill, {"side": sides}
        )


@dataclass(frozen=True)
class Lines(Holes):
    """All but every second line, or every ``every``-th: rows, columns, or both, which keeps a grid of pixels."""

    every: int = 2
    lines: Literal["rows", "columns", "both"] = "rows"
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        if self.every < 2:
            raise ValueError(f"every = {self.every}; expected a whole number from 2")

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image with holes, and the mask; line 0 is kept."""
        one_per_image(clean, keys)
        rows, columns = (np.arange(n) % self.every != 0 for n in clean.shape[-2:])
        none = {"rows": columns, "columns": rows}.get(self.lines)
        if none is not None:
            none[:] = False
        return masked(clean, [rows[:, None] | columns] * len(clean), self.fill)


@dataclass(frozen=True)
class MaskFiles(Holes):
    """Masks of the pictures below a folder, fitted by nearest neighbour; ``hole`` says which of their colours is hole.

    ``augment`` turns and mirrors each one at random: the eight symmetries of the square.
    """

    folder: str
    hole: Literal["white", "black"]
    augment: bool = True
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        try:
            pictures_in(self.folder)
        except ValueError as error:
            raise ValueError(f"folder = {error}") from None

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image with holes, the mask, and each image's file, symmetry (0 is none) and share of holes."""
        one_per_image(clean, keys)
        names, holes, turns = [], [], []
        for rng in (generator(key, "mask-files") for key in keys):
            files = pictures_in(self.folder)
            names.append(files[rng.integers(len(files))])
            turns.append(int(rng.integers(8)) if self.augment else 0)
            bright = read_mask(Path(self.folder).expanduser() / names[-1])
            holes.append(_fitted(bright if self.hole == "white" else ~bright, turns[-1], clean.shape[-2:]))
        ratios = [float(h.mean()) for h in holes]
        return masked(clean, holes, self.fill, {"file": names, "turn": turns, "ratio": ratios})


def whole(rng: np.random.Generator, count: Count) -> int:
    """Return one whole number of a range, both ends among them; a number is itself."""
    low, high = count if isinstance(count, tuple) else (count, count)
    return int(rng.integers(low, high + 1))


def _filled(size: Sequence[int], boxes: Sequence[Sequence[int]]) -> np.ndarray:
    holes = np.zeros(size, bool)
    for top, left, height, width in boxes:
        holes[top : top + height, left : left + width] = True
    return holes


def _fitted(holes: np.ndarray, turn: int, size: Sequence[int]) -> np.ndarray:
    turned = np.rot90(holes.T if turn >= 4 else holes, turn % 4)
    nearest = interpolate(
        torch.from_numpy(turned.astype(np.float32))[None, None], size=tuple(size), mode="nearest-exact"
    )
    return nearest[0, 0].numpy() > 0.5
