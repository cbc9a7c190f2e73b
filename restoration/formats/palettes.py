"""Pictures of few colours, stored as the file was that they come from: palettes, and grey of few bits."""

import numpy as np
from PIL import Image

from restoration.formats.bands import Samples
from restoration.formats.png_writing import Layout

ROWS = 256


def palette_of(samples: np.ndarray, alpha: np.ndarray | None, most: int = 256) -> Layout | None:
    """Return the palette of 8-bit samples with at most ``most`` colours, and None beyond; see ``indices_of``."""
    keys = np.empty(0, np.uint32)
    for top in range(0, len(samples), ROWS):
        part = _keys(samples[top : top + ROWS], None if alpha is None else alpha[top : top + ROWS])
        keys = np.union1d(keys, part)
        if len(keys) > most:
            return None
    colours = np.stack([keys >> shift & 255 for shift in (0, 8, 16, 24)], -1).astype(np.uint8)
    bits = next(b for b in (1, 2, 4, 8) if len(keys) <= 2**b)
    opacities = None if alpha is None else colours[:, 3]
    return Layout(len(samples), samples.shape[1], bits, 3, colours[:, :3], opacities)


def indices_of(samples: np.ndarray, alpha: np.ndarray | None, layout: Layout) -> np.ndarray:
    """Return the index (H, W, 1) of every pixel's colour in the palette, whose order is that of the keys."""
    palette = layout.palette
    assert palette is not None
    keys = _keys(palette[None], None if layout.opacities is None else layout.opacities[None, :, None])[0]
    return np.searchsorted(keys, _keys(samples, alpha)).astype(np.uint8)[..., None]


def narrowed(samples: Samples, peak: int) -> np.ndarray | None:
    """Return the samples as levels from 0 to ``peak``, or None where that would lose something."""
    white = int(np.iinfo(samples.dtype).max)
    levels = np.empty(samples.shape, samples.dtype)
    for top in range(0, len(samples), ROWS):
        part = samples[top : top + ROWS].astype(np.uint32)
        narrow = (part * peak + white // 2) // white
        if not np.array_equal((narrow * white + peak // 2) // peak, part):
            return None
        levels[top : top + ROWS] = narrow
    return levels


def quantised(samples: np.ndarray, most: int) -> np.ndarray:
    """Return colours (H, W, 3), at most ``most`` different ones, dithered."""
    image = Image.fromarray(np.ascontiguousarray(samples))
    palette = image.quantize(most, Image.Quantize.MEDIANCUT)
    return np.asarray(image.quantize(palette=palette).convert("RGB"))


def _keys(samples: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    wide = samples.astype(np.uint32)
    keys = wide[..., 0] | wide[..., -2 if samples.shape[2] > 2 else 0] << 8 | wide[..., -1] << 16
    return keys if alpha is None else keys | alpha[..., 0].astype(np.uint32) << 24
