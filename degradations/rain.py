"""Rain: streaks of falling drops, and drops on the lens."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from restoration.degradations.degraded import Degradation, Degraded, Draw, of_each, one_per_image
from restoration.degradations.draws import Key, Keys, Range, check_range, ends, generator, uniform
from restoration.degradations.kernels import WIDEST
from restoration.degradations.mask import Count, whole
from restoration.degradations.smooth import blurred

TURN = 3.0  # degrees: standard deviation of a streak's direction from that of the rain
EDGE = 0.15  # of a drop's radius, over which it fades out
POINTS = 2**18  # of streaks, that are drawn at a time


@dataclass(frozen=True)
class Rain(Degradation):
    """Streaks: drops that fall while the shutter is open, as many as ``density`` times the pixels.

    ``length`` and ``width`` are pixels, ``angle`` degrees from the vertical, ``intensity`` the brightness of a streak,
    of which each has from half to one and a half. So the mean of the layer "rain", but for what exceeds 1, is density ·
    length · width · intensity. ``blend`` = "screen" adds as light does that a bright place hides, 1 − (1 − J)(1 − R);
    "add" is J + R, limited to 1.
    """

    scale: ClassVar[int] = 1

    density: Range = (0.001, 0.004)
    length: Range = (10.0, 40.0)
    width: Range = (1.0, 2.0)
    angle: Range = (-30.0, 30.0)
    intensity: Range = (0.2, 0.7)
    blend: Literal["screen", "add"] = "screen"

    def __post_init__(self) -> None:
        for name, most in (("length", WIDEST), ("width", WIDEST // 4), ("intensity", math.inf)):
            check_range(name, getattr(self, name), most=most)
        check_range("density", self.density, most=1)
        check_range("angle", self.angle, least=-90, most=90)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image in the rain, the layer "rain" (N, C, H, W), and each image's rain."""
        one_per_image(clean, keys)
        size = tuple(clean.shape[-2:])
        drawn = [self._draw(generator(key, "rain"), size) for key in keys]
        rain = torch.stack([layer for layer, _ in drawn]).to(clean).expand_as(clean).contiguous()
        screened = clean + rain * (1 - clean) if self.blend == "screen" else (clean + rain).clamp(max=1)
        return Degraded(screened, None, {"rain": rain}, of_each([draw for _, draw in drawn]))

    def untouched(self, image: Tensor) -> Degraded:
        """Return images without rain."""
        return Degraded(image, layers={"rain": torch.zeros_like(image)})

    def _draw(self, rng: np.random.Generator, size: tuple[int, int]) -> tuple[Tensor, Draw]:
        """Return the layer (1, H, W) and what it was drawn with."""
        names = ("density", "length", "width", "angle", "intensity")
        draw = {name: uniform(rng, getattr(self, name)) for name in names}
        # an effective width w, area over peak, is a Gaussian of σ = w/√2π; beyond the border there is rain as within
        sigma = draw["width"] / math.sqrt(2 * math.pi)
        blur, reach = math.ceil(3 * sigma), math.ceil(draw["length"] / 2) + 1
        canvas = np.array(size) + 2 * blur
        area = canvas + 2 * reach
        count = int(rng.poisson(draw["density"] * area.prod()))
        middles = rng.uniform(0, 1, (2, count)) * area[:, None] - reach - 0.5
        angles = np.radians(draw["angle"] + rng.normal(0, TURN, count))
        light = draw["intensity"] * rng.uniform(0.5, 1.5, count)
        lines = torch.from_numpy(_lines(tuple(canvas), middles, angles, draw["length"], light))
        layer = blurred(lines[None], sigma)[:, blur : blur + size[0], blur : blur + size[1]] * draw["width"]
        return layer.clamp(0, 1), draw | {"streaks": count}


@dataclass(frozen=True)
class RainDrops(Degradation):
    """Drops on the lens or a pane before it: each shows the scene around it shrunken, blurred and upside down.

    ``count`` drops of ``radius`` times the shorter side, of uneven outline and fading at their edge; a drop shows
    ``view`` times the image's height and width. The mask is 1 where a drop has any part in a pixel.
    """

    scale: ClassVar[int] = 1

    count: Count = (5, 25)
    radius: Range = (0.02, 0.08)
    view: Range = (0.5, 0.9)

    def __post_init__(self) -> None:
        check_range("count", self.count)
        check_range("radius", self.radius, least=1e-3, most=1)
        check_range("view", self.view, most=1)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image seen through drops, the mask of them, and each image's count and view."""
        one_per_image(clean, keys)
        image, mask = clean.clone(), torch.zeros_like(clean[:, :1])
        draws = [self._drop(clean[i], key, image[i], mask[i]) for i, key in enumerate(keys)]
        return Degraded(image, mask, {}, of_each(draws))

    def untouched(self, image: Tensor) -> Degraded:
        """Return images without drops."""
        return Degraded(image, torch.zeros_like(image[:, :1]))

    def _drop(self, clean: Tensor, key: Key, image: Tensor, mask: Tensor) -> Draw:
        """Draw drops into an image (C, H, W) and the mask of it; a later one lies on the earlier."""
        rng = generator(key, "rain-drops")
        size = np.array(clean.shape[1:])
        count, view = whole(rng, self.count), uniform(rng, self.view)
        shrunk = view * size.max() / (sum(ends(self.radius)) * size.min())  # of a drop of the mean radius
        scene = blurred(clean, 0.5 * max(shrunk, 1.0))[None]
        for _ in range(count):
            drop = _Drop.drawn(rng, size, uniform(rng, self.radius) * size.min(), view)
            window, share, place = drop.seen(size)
            if share.size == 0:
                continue
            share, place = (torch.from_numpy(part).to(clean) for part in (share, place))
            seen = grid_sample(scene, place[None], padding_mode="border", align_corners=True)[0]
            image[:, *window] = torch.lerp(image[:, *window], seen, share)
            mask[:, *window] = torch.maximum(mask[:, *window], (share > 0).to(mask))
        return {"count": count, "view": view}


@dataclass(frozen=True)
class _Drop:
    """One drop: its centre, the radius of its outline as a Fourier series, and the middle and half size of its view."""

    centre: np.ndarray
    radius: float
    waves: np.ndarray  # (3, 2): amplitude and phase of 2, 3 and 4 waves around
    middle: np.ndarray
    half: np.ndarray

    @classmethod
    def drawn(cls, rng: np.random.Generator, size: np.ndarray, radius: float, view: float) -> "_Drop":
        """Return a drop anywhere on an image of ``size``, whose view lies within the image."""
        centre = rng.uniform(0, size) - 0.5
        waves = np.stack([rng.uniform(0, 0.2 / np.arange(2, 5)), rng.uniform(0, 2 * np.pi, 3)], 1)
        half = view * (size - 1) / 2
        return cls(centre, radius, waves, centre.clip(half, size - 1 - half), half)

    def seen(self, size: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
        """Return the window (rows, columns) around the drop, its share (h, w) of each pixel, and what is seen there.

        The places that are seen are (h, w, 2), horizontal then vertical, from −1 to 1 between the outermost pixels.
        """
        reach = self.radius * (1 + self.waves[:, 0].sum())
        first = np.ceil(self.centre - reach).clip(0, size).astype(int)
        last = np.floor(self.centre + reach + 1).clip(first, size).astype(int)
        y, x = (np.arange(a, b) - c for a, b, c in zip(first, last, self.centre, strict=True))
        angle = np.arctan2(y[:, None], x)[..., None]
        ripple = self.waves[:, 0] * np.cos(np.arange(2, 5) * angle + self.waves[:, 1])
        outline = self.radius * (1 + ripple.sum(-1))
        share = ((1 - np.hypot(y[:, None], x) / outline) / EDGE).clip(0, 1)
        down = self.middle[0] - y[:, None] / outline * self.half[0]
        across = self.middle[1] - x / outline * self.half[1]
        place = np.stack([across, down], -1) * 2 / np.maximum(size[::-1] - 1, 1) - 1
        return tuple(map(slice, first, last)), share, place


def _lines(
    size: tuple[int, int], middles: np.ndarray, angles: np.ndarray, length: float, light: np.ndarray
) -> np.ndarray:
    """Return straight lines (H, W) of ``length`` and, per unit of it, ``light``: float32, bilinear between pixels.

    ``middles`` (2, n) are (row, column); an angle of 0 is vertical, and positive ones lean to the right at the top.
    Groups of lines are drawn one after the other, so that no more than a few times the canvas is in memory.
    """
    points = max(1, math.ceil(2 * length))
    along = ((np.arange(points) + 0.5) / points - 0.5) * length
    canvas = np.zeros(math.prod(size))
    group = math.ceil(max(POINTS, canvas.size) / points)
    for first in range(0, len(light), group):
        of = slice(first, first + group)
        _draw_lines(canvas, size, middles[:, of], angles[of], along, light[of] * length / points)
    return canvas.reshape(size).astype(np.float32)


def _draw_lines(
    canvas: np.ndarray,
    size: tuple[int, int],
    middles: np.ndarray,
    angles: np.ndarray,
    along: np.ndarray,
    light: np.ndarray,
) -> None:
    """Add the points ``along`` each line, of its ``light`` each, to a canvas (H · W,)."""
    y = (middles[0][:, None] - along * np.cos(angles)[:, None]).ravel()
    x = (middles[1][:, None] + along * np.sin(angles)[:, None]).ravel()
    each = np.repeat(light, len(along))
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    height, width = size
    for down in (0, 1):
        for right in (0, 1):
            row, column = top + down, left + right
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            weight = each * np.abs(1 - down - (y - top)) * np.abs(1 - right - (x - left))
            place = row[inside] * width + column[inside]
            canvas += np.bincount(place, weight[inside], minlength=height * width)
