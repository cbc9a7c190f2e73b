"""Fidelity inside the holes that were filled, and in a band along their edges, where seams show."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from restoration.benchmarks.metrics.metric import Metric, Seen
from restoration.losses.separable import filtered, gaussian

BAND = 8  # pixels to either side of a hole's edge
WINDOW, SIGMA = 11, 1.5  # of SSIM
C1, C2 = 0.01**2, 0.03**2  # of SSIM, for images in [0, 1]
FLOOR = 1e-10  # of the mean squared error: equal parts have 100 dB
Region = Literal["hole", "band"]


class InRegion(Metric):
    """A fidelity averaged over a part of the image that the mask of its holes tells."""

    kind = "holes"
    region: Region = "hole"

    def lacks(self, seen: Seen) -> str:
        """Return why there is no such part, or nothing."""
        if seen.clean is None:
            return "there is no clean image, with which this metric compares"
        if seen.mask is None:
            return "there is no mask: this task has no holes"
        if not _region(self.region, seen.mask).any():
            return "the mask has no hole within what is scored"
        return ""

    def measure(self, seen: Seen) -> Tensor:
        """Return the value of one image: (1,)."""
        assert seen.clean is not None and seen.mask is not None, "lacks() has refused an image without them"
        return self.within(seen.restored, seen.clean, _region(self.region, seen.mask))

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the value of images that are holes throughout: (N,)."""
        return self.within(restored, clean, torch.ones_like(clean[:, :1], dtype=torch.bool))

    @abstractmethod
    def within(self, restored: Tensor, clean: Tensor, region: Tensor) -> Tensor:
        """Return the value over the pixels of ``region`` (N, 1, H, W), of bool: (N,)."""


class PsnrIn(InRegion):
    """PSNR in dB over the pixels of a part of the image."""

    unit = "dB"
    rough = 2
    ceiling = 100.0

    def within(self, restored: Tensor, clean: Tensor, region: Tensor) -> Tensor:
        """Return the ratio, its error averaged over the part's pixels and their channels; equal parts give 100."""
        error = _mean((restored - clean).square(), region)
        return -10 * torch.log10(error.clamp(min=FLOOR))


class SsimIn(InRegion):
    """SSIM, averaged over the windows whose centres lie in a part of the image."""

    ceiling = 1.0
    floor = -1.0
    places = 5
    smallest = WINDOW

    def within(self, restored: Tensor, clean: Tensor, region: Tensor) -> Tensor:
        """Return the similarity, at most 1; NaN where no window has its centre there."""
        edge = WINDOW // 2
        return _mean(ssim_map(restored, clean), region[..., edge:-edge, edge:-edge])


class PsnrYHole(PsnrIn):
    """PSNR of luma over the pixels of holes alone, in dB; higher is better, what was known does not count."""

    convention = "pixels of holes"


class PsnrRgbHole(PsnrIn):
    """PSNR of colours over the pixels of holes alone, in dB; higher is better, what was known does not count."""

    plane = "rgb"
    convention = "pixels of holes"


class SsimYHole(SsimIn):
    """SSIM of luma, mean over the windows whose centres lie in holes (Wang et al., 2004); at most 1."""

    convention = "windows centred in holes"


class PsnrYBoundary(PsnrIn):
    """PSNR of luma within 8 pixels of a hole's edge, on both sides, in dB; higher is better."""

    region = "band"
    convention = f"within {BAND} pixels of a hole's edge"


class PsnrRgbBoundary(PsnrIn):
    """PSNR of colours within 8 pixels of a hole's edge, on both sides, in dB; higher is better."""

    plane = "rgb"
    region = "band"
    convention = f"within {BAND} pixels of a hole's edge"


class SsimYBoundary(SsimIn):
    """SSIM of luma, mean over windows centred within 8 pixels of a hole's edge (Wang et al., 2004); at most 1."""

    region = "band"
    convention = f"windows centred within {BAND} pixels of a hole's edge"


def band(mask: Tensor, reach: int = BAND) -> Tensor:
    """Return which pixels lie within ``reach`` pixels of a hole's edge, rows and columns counted alike: bool.

    They are known pixels that a hole is near to, and pixels of holes that known ones are near to; the image's own edge
    is no edge of a hole.
    """
    hole, known = ((m > 0.5).to(torch.float32) for m in (mask, 1 - mask))
    near_hole, near_known = (max_pool2d(m, 2 * reach + 1, 1, reach) > 0.5 for m in (hole, known))
    return near_hole & near_known


def ssim_map(restored: Tensor, clean: Tensor) -> Tensor:
    """Return SSIM in every window (Wang et al., 2004, eq. 13): (N, C, H − 10, W − 10)."""
    taps = gaussian(WINDOW, SIGMA)

    def blurred(image: Tensor) -> Tensor:
        return filtered(image, taps)

    x, y = blurred(restored), blurred(clean)
    variances = blurred(restored.square()) - x.square() + blurred(clean.square()) - y.square()
    together = blurred(restored * clean) - x * y
    return (2 * x * y + C1) * (2 * together + C2) / ((x.square() + y.square() + C1) * (variances + C2))


def _region(region: Region, mask: Tensor) -> Tensor:
    return mask > 0.5 if region == "hole" else band(mask)


def _mean(values: Tensor, region: Tensor) -> Tensor:
    chosen = region.to(values.dtype)
    return (values * chosen).flatten(1).sum(1) / (chosen.flatten(1).sum(1) * values.shape[1])
