"""How far the colours of a restored picture have moved from those of the degraded one."""

from dataclasses import dataclass

import numpy as np
import torch

from restoration.image import PEAKS
from restoration.losses.colour import delta_e_2000, lab

BLOCKS = 32  # along the longer side
SMALLEST = 32  # pixels of the degraded picture: smaller blocks would measure noise
VISIBLE = 2.0  # ΔE of CIEDE2000: from 1 to 2 a difference begins to be seen


@dataclass(frozen=True)
class Drift:
    """ΔE of CIEDE2000 between means of blocks, in the mean and at most; each channel's mean shift, of a range of 1."""

    mean: float
    largest: float
    shift: tuple[float, ...]

    @property
    def visible(self) -> bool:
        """Return whether the mean ΔE is one that is seen."""
        return self.mean >= VISIBLE

    def __str__(self) -> str:
        names = "RGB" if len(self.shift) == 3 else ("grey",)
        shifts = ", ".join(f"{name} {shift:+.3f}" for name, shift in zip(names, self.shift, strict=True))
        return f"colours drift by ΔE {self.mean:.1f} in the mean, {self.largest:.1f} at most ({shifts})"


def drift(degraded: np.ndarray, restored: np.ndarray, weight: np.ndarray | None = None) -> Drift:
    """Return the drift from samples (H, W, C) to samples (H·scale, W·scale, C) of the same type.

    Both are compared as means of the same blocks, at most 32 along a side, which no detail changes. ``weight``
    (H, W, 1) leaves out of both the pixels where it is 0: those that are hidden, or made up. Colours are taken as sRGB.
    """
    scale = len(restored) // len(degraded)
    side = max(SMALLEST, -(-max(degraded.shape[:2]) // BLOCKS))
    before, seen = _means(degraded, side, weight)
    if weight is not None and scale > 1:
        weight = weight.repeat(scale, 0).repeat(scale, 1)
    after, _ = _means(restored, side * scale, weight)
    if not seen.any():
        return Drift(0.0, 0.0, (0.0,) * degraded.shape[2])
    share = seen / seen.sum()
    difference = delta_e_2000(_lab(before), _lab(after))[0].numpy()
    shift = ((after - before) * share).sum((0, 1))
    largest = difference[seen[..., 0] > 0].max()
    return Drift(float((difference * share[..., 0]).sum()), float(largest), tuple(map(float, shift)))


def _means(samples: np.ndarray, side: int, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each block, (rows, columns, C) of a range of 1, and the pixels that count in it."""
    height, width, _ = samples.shape
    lefts = np.arange(0, width, side)
    sums, counts = [], []
    for top in range(0, height, side):
        strip = samples[top : top + side]
        if weight is None:
            down = strip.sum(0, dtype=np.float64)
            count = np.full((width, 1), float(len(strip)))
        else:
            used = weight[top : top + side] != 0
            down = strip.sum(0, dtype=np.float64, where=used)
            count = used.sum(0, dtype=np.float64)
        sums.append(np.add.reduceat(down, lefts))
        counts.append(np.add.reduceat(count, lefts))
    counted = np.stack(counts)
    return np.stack(sums) / np.maximum(counted, 1) / PEAKS[samples.itemsize * 8], counted


def _lab(means: np.ndarray) -> torch.Tensor:
    image = torch.from_numpy(means).permute(2, 0, 1)[None]
    return lab(image.expand(-1, 3, -1, -1))
