"""Irregular holes: strokes of a brush, free-form."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from restoration.degradations.degraded import Degraded, one_per_image
from restoration.degradations.draws import Keys, Range, check_range, ends, generator, uniform
from restoration.degradations.mask import Count, Fill, Holes, masked, whole

GRID = (64, 128)  # points along a side at which distances to strokes are worked out: at least, at most
MOST = 64  # strokes; then those there are get wider


@dataclass(frozen=True)
class Strokes(Holes):
    """Strokes of a brush, irregular holes that cover a share ``ratio`` of the image, which is met to the pixel.

    Yu et al. (2019), Algorithm 1: each stroke starts anywhere and walks ``vertices`` straight pieces, turning by about
    72° and back; its ``width`` is in shares of the shorter side. Strokes are added until they cover what was drawn, and
    all are then narrowed by the same factor until they cover no more. The default ratios are the bins of Liu et al.
    (2018) from 10 to 60 %, each with the same probability.
    """

    ratio: Range = (0.1, 0.6)
    vertices: Count = (4, 12)
    width: Range = (0.05, 0.15)
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        check_range("ratio", self.ratio, most=1)
        check_range("vertices", self.vertices, least=1)
        check_range("width", self.width, least=1e-3, most=1)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image with holes, the mask, and each image's share of holes and number of strokes."""
        one_per_image(clean, keys)
        drawn = [self._holes(generator(key, "mask"), tuple(clean.shape[-2:])) for key in keys]
        holes, strokes = zip(*drawn, strict=True)
        return masked(
            clean, holes, self.fill, {"ratio": [float(h.mean()) for h in holes], "strokes": list(strokes)}
        )

    def _holes(self, rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, int]:
        """Return the holes (H, W) and how many strokes there are."""
        pixels = size[0] * size[1]
        wanted = _within(uniform(rng, self.ratio) * pixels, *(end * pixels for end in ends(self.ratio)))
        holes = np.zeros(pixels, bool)
        if wanted == 0:
            return holes.reshape(size), 0
        distance, strokes = np.inf, 0
        while strokes < MOST and np.mean(distance <= 1) * pixels < wanted:
            distance = np.minimum(distance, self._stroke(rng, size))
            strokes += 1
        fine = interpolate(
            torch.from_numpy(distance)[None, None], size=size, mode="bilinear", align_corners=True
        )
        holes[np.argpartition(fine.numpy().ravel(), wanted - 1)[:wanted]] = True
        return holes.reshape(size), strokes

    def _stroke(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        """Return how far the points of a grid over the image lie from one stroke, in halves of its width: float32."""
        pieces = whole(rng, self.vertices)
        turn = rng.uniform(2 * np.pi / 5 - 2 * np.pi / 15, 2 * np.pi / 5 + 2 * np.pi / 15, pieces)
        angle = rng.uniform(0, 2 * np.pi) + np.where(np.arange(pieces) % 2, 2 * np.pi - turn, turn)
        reach = np.hypot(*size) / 8
        length = np.clip(rng.normal(reach, reach / 2, pieces), 0, 2 * reach)
        steps = np.stack([length * np.sin(angle), length * np.cos(angle)])
        corners = np.cumsum(np.concatenate([rng.uniform(0, size)[:, None], steps], 1), 1)
        corners = _folded(corners, np.array(size)[:, None])
        half = uniform(rng, self.width) * min(size) / 2
        return np.sqrt(_squared_distance(corners.astype(np.float32), size)) / np.float32(half)


def _within(wanted: float, low: float, high: float) -> int:
    """Return a whole number near ``wanted`` in (low, high], if there is one: bins are open below."""
    least, most = math.floor(low + 1e-6) + 1, math.floor(high + 1e-6)
    return min(max(round(wanted), least), most) if least <= most else round(wanted)


def _folded(place: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Return places folded into [0, length], as if the border were a mirror: a walk that leaves comes back."""
    return length - np.abs(length - place % (2 * length))


def _squared_distance(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return squared distances in pixels from points of a grid over the image to a line through ``corners`` (2, V)."""
    y, x = (np.linspace(0, n - 1, min(n, int(np.clip(n // 4, *GRID))), dtype=np.float32) for n in size)
    (y0, x0), (dy, dx) = corners[:, :-1, None], np.diff(corners)[..., None]
    squared = np.maximum(dx**2 + dy**2, 1e-6)
    # of each piece and point: its place along the piece is along / squared, cut off at the piece's ends
    along = ((y - y0) * dy)[:, :, None] + ((x - x0) * dx)[:, None, :]
    place = (along / squared[..., None]).clip(0, 1)
    distance = ((y - y0) ** 2)[:, :, None] + ((x - x0) ** 2)[:, None, :]
    distance += place * (place * squared[..., None] - 2 * along)
    return np.maximum(distance.min(0), 0)
