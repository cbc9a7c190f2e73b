"""How a way of reducing images agrees with given degraded ones, sample by sample; called by ``identify``."""

import math
from dataclasses import dataclass, replace

import numpy as np

from restoration.curation.reductions import Reduction, Size

PROBE_SIDE = 128  # degraded pixels of the part that is looked at first
REACH = 8  # degraded pixels from a cut that a reduction may see beyond it
EDGE = 3  # degraded pixels from the border that the rule beyond it may change


@dataclass(frozen=True)
class Difference:
    """How many samples of some images differ, and the sum of their squared differences, of [0, 1]."""

    samples: int = 0
    differing: int = 0
    error: float = 0.0

    @property
    def psnr(self) -> float:
        """Return the peak signal-to-noise ratio, dB."""
        if not self.samples:
            return -math.inf
        return 10 * math.log10(self.samples / self.error) if self.error else math.inf

    def __add__(self, other: "Difference") -> "Difference":
        return Difference(
            self.samples + other.samples, self.differing + other.differing, self.error + other.error
        )


@dataclass(frozen=True)
class Agreement:
    """How one way agrees with some images: ``whole`` ones, and ``inside``, away from the border."""

    images: int = 0
    exact: int = 0
    whole: Difference = Difference()
    inside: Difference = Difference()
    most: int = 0  # largest difference, steps
    inexact: tuple[str, ...] = ()  # names of images

    @property
    def rank(self) -> tuple[float, float, float]:
        """Return what sorts the best way first; what is near the border decides last."""
        return -self.exact / max(1, self.images), -self.inside.psnr, -self.whole.psnr

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(
            self.images + other.images, self.exact + other.exact, self.whole + other.whole,
            self.inside + other.inside, max(self.most, other.most), self.inexact + other.inexact,
        )  # fmt: skip


@dataclass(frozen=True)
class Probe:
    """A degraded image and its clean one, samples (H, W, C); of a ``cut`` part the lower right is not compared."""

    name: str
    degraded: np.ndarray
    clean: np.ndarray
    scale: int
    cut: bool = False

    @property
    def covered(self) -> bool:
        """Whether clean, cropped, can be ``scale`` times as large."""
        return all(
            n >= s * self.scale for n, s in zip(self.clean.shape[:2], self.degraded.shape[:2], strict=True)
        )

    def cropped(self) -> "Probe":
        """Return the probe with clean cropped at the bottom and right to a multiple of the scale."""
        height, width = (side * self.scale for side in self.degraded.shape[:2])
        return replace(self, clean=self.clean[:height, :width])

    def part(self) -> "Probe":
        """Return the upper left part, where clean is large enough to say where a degraded pixel comes from."""
        if not self.covered or max(self.degraded.shape[:2]) <= PROBE_SIDE:
            return self
        degraded = self.degraded[:PROBE_SIDE, :PROBE_SIDE]
        return replace(self, degraded=degraded, cut=True)


@dataclass(frozen=True)
class Way:
    """A reduction of clean images as they are (``whole``), or cropped to a multiple of the scale."""

    reduction: Reduction
    whole: bool = False

    def name(self, scale: int) -> str:
        """Return the way in words."""
        return self.reduction.name.format(scale) + (
            ", of clean images as they are, uncropped" if self.whole else ""
        )

    def applies(self, probe: Probe) -> bool:
        """Whether this way can have made an image of such a size and depth."""
        return (self.whole or probe.covered) and (self.reduction.deep or probe.clean.dtype == np.uint8)


def compared(way: Way, probe: Probe) -> Agreement:
    """Return how what the way makes of the clean image agrees with the degraded one; not at all where it cannot."""
    if not way.applies(probe):
        return Agreement(1, inexact=(probe.name,))
    probe = probe if way.whole else probe.cropped()
    size: Size = probe.degraded.shape[:2]
    made = way.reduction.make(probe.clean, size, probe.scale)
    if made.shape != probe.degraded.shape:
        return Agreement(1, inexact=(probe.name,))
    rows, columns = (slice(0, n - REACH if probe.cut and n >= PROBE_SIDE else n) for n in size)
    difference = np.abs(made[rows, columns].astype(np.int32) - probe.degraded[rows, columns])
    exact, peak = not difference.any(), np.iinfo(probe.degraded.dtype).max
    inside = difference[EDGE:-EDGE, EDGE:-EDGE]
    return Agreement(
        1, int(exact), _counted(difference, peak), _counted(inside, peak), int(difference.max(initial=0)),
        () if exact else (probe.name,),
    )  # fmt: skip


def _counted(difference: np.ndarray, peak: int) -> Difference:
    steps = difference.ravel() / peak
    return Difference(difference.size, int(np.count_nonzero(difference)), float(steps @ steps))
