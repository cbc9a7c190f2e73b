"""Fidelity where two images of a scene are not quite in register: behind glass and without it, or deblurred blindly."""

from itertools import product
from math import inf

import torch
from torch import Tensor

from restoration.benchmarks.metrics.metric import Metric
from restoration.losses.pixel import psnr
from restoration.losses.ssim import ssim

REACH = 4  # whole pixels, in every direction
BLIND_REACH, QUARTERS = 5, 4  # pixels, and steps of each, that tables of blind deblurring search
HOW = f"after the shift by at most {REACH} whole pixels with the smallest squared error"
HOW_BLIND = (
    f"after the shift by at most {BLIND_REACH} pixels in quarters (bilinear) with the smallest squared error"
)


class Shifted(Metric):
    """A fidelity after the shift that makes the squared error over all channels smallest."""

    convention = HOW
    reach: int = REACH
    steps: int = 1  # of a pixel

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the value of each image where it fits best: (N,)."""
        pairs = zip(restored.split(1), clean.split(1), strict=True)
        return torch.cat([self.aligned(*in_register(*pair, self.reach, self.steps)) for pair in pairs])

    def aligned(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the value of two images in register: (N,)."""
        return psnr(restored, clean)


class PsnrYShift(Shifted):
    """PSNR of luma after the best shift by at most 4 whole pixels, in dB; the clean image's outer 4 are not scored."""

    unit = "dB"
    rough = 2
    ceiling = 100.0
    smallest = 2 * REACH + 1


class PsnrRgbShift(PsnrYShift):
    """PSNR of colours after the best shift by at most 4 whole pixels, in dB; the outer 4 are not scored."""

    plane = "rgb"


class PsnrYShiftQuarter(PsnrYShift):
    """PSNR of luma after the best shift by at most 5 pixels in quarters (Levin et al., 2009), in dB; outer 5 cut."""

    convention = HOW_BLIND
    reach, steps = BLIND_REACH, QUARTERS
    smallest = 2 * BLIND_REACH + 1


class SsimYShift(Shifted):
    """SSIM of luma after the shift by at most 4 whole pixels that PSNR likes best (Wang et al., 2004); at most 1."""

    places = 5
    smallest = 2 * REACH + 11
    ceiling = 1.0
    floor = -1.0

    def aligned(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the similarity of two images in register: (N,)."""
        return ssim(restored, clean)


class SsimRgbShift(SsimYShift):
    """SSIM of each colour, averaged, after the shift by at most 4 whole pixels that PSNR likes best; at most 1."""

    plane = "rgb"


class SsimYShiftQuarter(SsimYShift):
    """SSIM of luma after the shift by at most 5 pixels in quarters that PSNR likes best (Levin et al., 2009)."""

    convention = HOW_BLIND
    reach, steps = BLIND_REACH, QUARTERS
    smallest = 2 * BLIND_REACH + 11


def in_register(restored: Tensor, clean: Tensor, reach: int = REACH, steps: int = 1) -> tuple[Tensor, Tensor]:
    """Return the part of the restored image (1, C, H, W) that fits best, and the inner part of the clean one.

    Shifts go up to ``reach`` pixels by 1 / ``steps``, between pixels by bilinear interpolation. The part is ``reach``
    pixels narrower at each edge; of equal errors the shift nearest to none is taken.
    """
    height, width = (n - 2 * reach for n in clean.shape[-2:])
    inner = clean[..., reach : reach + height, reach : reach + width]
    best = (inf, inf, (0, 0), (0, 0))
    for part in product(range(steps), repeat=2):
        between = _between(restored, part, steps)
        rows, columns = (range(2 * reach + (n == 0)) for n in part)
        for row, column in product(rows, columns):
            error = (between[..., row : row + height, column : column + width] - inner).square().mean().item()
            far = sum((steps * (n - reach) + p) ** 2 for n, p in zip((row, column), part, strict=True))
            best = min(best, (error, far, part, (row, column)))
    _, _, part, (row, column) = best
    return _between(restored, part, steps)[..., row : row + height, column : column + width], inner


def _between(image: Tensor, part: tuple[int, int], steps: int) -> Tensor:
    """Return the image at places ``part`` / ``steps`` pixels further down and across."""
    for axis, n in zip((-2, -1), part, strict=True):
        if n:
            length = image.shape[axis] - 1
            image = image.narrow(axis, 0, length).lerp(image.narrow(axis, 1, length), n / steps)
    return image
