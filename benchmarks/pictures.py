"""Which parts of an image are worth showing, how wrong a restored one is there, and both as bytes for a page."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from PIL import Image, features

PEAKS = (5, 10, 20, 50, 100, 200)  # levels of 8 bits at which an error map may end
CLIPPED = 0.995  # share of the errors of an image that its maps' scale takes in
POOLED = 2  # pixels of the image per pixel of an error map, each way
COLOURS = "inferno"  # lightness rises evenly: equal steps of error look equal (van der Walt and Smith, 2015)
STOPS = 9  # colours by which a page draws the scale


@dataclass(frozen=True)
class Window:
    """A part of an image, in pixels of the clean one."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, image: np.ndarray, shrink: int = 1) -> np.ndarray:
        """Return this part of an image (H, W, …) that is 1/``shrink`` as large as the window's."""
        top, left, height, width = (n // shrink for n in (self.top, self.left, self.height, self.width))
        return image[top : top + height, left : left + width]


def interest(restored: Sequence[np.ndarray], clean: np.ndarray | None, border: int = 0) -> np.ndarray:
    """Return how much the restored images (H, W, C) differ at each pixel: the range of their values, channels added.

    Where they are all equal, or there is but one, it is how much they differ from the clean one, and where that is
    nothing either, or there is no clean one, how steep the image itself is. ``border`` pixels at each edge, which are
    not scored, count nothing.
    """
    truth = restored[0] if clean is None else clean
    for images in (restored, [*restored, truth]):
        found = (reduce(np.maximum, images) - reduce(np.minimum, images)).sum(-1, dtype=np.float64)
        if found.any():
            break
    else:
        grey = truth.mean(-1, dtype=np.float64)
        found = np.zeros_like(grey)
        found[1:] += np.abs(np.diff(grey, axis=0))
        found[:, 1:] += np.abs(np.diff(grey, axis=1))
    inside = np.zeros_like(found)
    edge = slice(border, -border or None)
    inside[edge, edge] = found[edge, edge]
    return inside


def windows(
    worth: np.ndarray, view: int, crop: int, count: int, scale: int = 1, fixed: Window | None = None
) -> tuple[Window, list[Window]]:
    """Return the part to show, ``view`` pixels a side, and inside it up to ``count`` disjoint ones to magnify.

    The first of those is where ``worth`` (H, W) adds up to most in the whole image, and the part to show is around it;
    the others follow in order. Where the part to show is ``fixed``, all are inside that. All stand on the pixel grid of
    an image that is 1/``scale`` as large.
    """
    height, width = worth.shape
    side = max(1, min(crop, height, width) // scale) * scale
    sums = _sums(worth, side)[::scale, ::scale]

    def best(where: np.ndarray) -> Window:
        return Window(*(scale * int(i) for i in np.unravel_index(where.argmax(), where.shape)), side, side)

    shown = fixed or _around(best(sums), max(side, view // scale * scale), worth.shape, scale)
    top, left = shown.top // scale, shown.left // scale
    rows, columns = (length // scale - side // scale + 1 for length in (shown.height, shown.width))
    inside = np.full_like(sums, -1.0)
    inside[top : top + rows, left : left + columns] = sums[top : top + rows, left : left + columns]
    found = [best(inside)]
    while len(found) < count:
        row, column = found[-1].top // scale, found[-1].left // scale
        reach = side // scale - 1
        inside[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = -1.0
        if inside.max() <= 0:
            break
        found.append(best(inside))
    return shown, found


def error(restored: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Return the mean absolute difference over channels (H, W), in levels of 8 bits."""
    return np.abs(restored.astype(np.int16) - clean).mean(-1, dtype=np.float32)


def peak(errors: Sequence[np.ndarray]) -> int:
    """Return at which error the maps of one image end, the same for all of them."""
    largest = max((float(np.quantile(e, CLIPPED)) for e in errors), default=0.0)
    return next((p for p in PEAKS if p >= largest), PEAKS[-1])


def error_map(errors: np.ndarray, top: int) -> bytes:
    """Return a picture of errors (H, W), averaged over 2×2 pixels: from 0, dark, to ``top`` and above, light."""
    height, width = (max(POOLED, n - n % POOLED) for n in errors.shape)
    padded = np.pad(errors, [(0, max(0, POOLED - n)) for n in errors.shape], mode="edge")[:height, :width]
    pooled = padded.reshape(height // POOLED, POOLED, width // POOLED, POOLED).mean((1, 3))
    return encoded(_coloured(pooled / top), lossless=False)


def scale_colours() -> list[str]:
    """Return the colours of the error maps' scale from 0 to its end, as ``#rrggbb``."""
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in _coloured(np.linspace(0, 1, STOPS))]


def encoded(samples: np.ndarray, lossless: bool) -> bytes:
    """Return samples (H, W, C) as WebP; where Pillow lacks it, as PNG or JPEG."""
    image = Image.fromarray(samples[..., 0] if samples.shape[-1] == 1 else samples)
    stream = io.BytesIO()
    if features.check("webp"):
        image.save(stream, "WEBP", lossless=lossless, quality=50 if lossless else 88, method=2)
    elif lossless:
        image.save(stream, "PNG", optimize=True)
    else:
        image.save(stream, "JPEG", quality=90, subsampling=0)
    return stream.getvalue()


def _coloured(shares: np.ndarray) -> np.ndarray:
    from matplotlib import colormaps  # half a second that only pages need

    return colormaps[COLOURS](np.clip(shares, 0.0, 1.0), bytes=True)[..., :3]


def _sums(worth: np.ndarray, side: int) -> np.ndarray:
    """Return the sum over every square of ``side`` pixels, by the summed-area table (Crow, 1984)."""
    table = np.pad(worth.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]


def _around(part: Window, side: int, shape: tuple[int, ...], scale: int) -> Window:
    """Return a window of ``side`` pixels, or of the whole image where that is less, with ``part`` in its middle."""
    tall, wide = (min(side, length) for length in shape)
    starts = [
        max(0, min(start + part.width // 2 - length // 2, limit - length)) // scale * scale
        for start, length, limit in zip((part.top, part.left), (tall, wide), shape, strict=True)
    ]
    return Window(*starts, tall, wide)
