"""Fidelity where the two photographs of a scene are not quite in register, as behind glass and without it."""

import torch
from torch import Tensor

from restoration.benchmarks.metrics.metric import Metric
from restoration.losses.pixel import psnr
from restoration.losses.ssim import ssim

REACH = 4  # pixels, in every direction
HOW = f"after the shift by at most {REACH} whole pixels with the smallest squared error"


class Shifted(Metric):
    """A fidelity after the shift, by whole pixels, that makes the squared error of luma smallest."""

    convention = HOW

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the value of each image where it fits best: (N,)."""
        pairs = zip(restored.split(1), clean.split(1), strict=True)
        return torch.cat([self.aligned(*in_register(*pair)) for pair in pairs])

    def aligned(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the value of two images in register: (N,)."""
        return psnr(restored, clean)


class PsnrYShift(Shifted):
    """PSNR of luma after the best shift by at most 4 whole pixels, in dB; the clean image's outer 4 are not scored."""

    unit = "dB"
    rough = 2
    ceiling = 100.0
    smallest = 2 * REACH + 1


class SsimYShift(Shifted):
    """SSIM of luma after the shift by at most 4 whole pixels that PSNR likes best (Wang et al., 2004); at most 1."""

    places = 5
    smallest = 2 * REACH + 11
    ceiling = 1.0
    floor = -1.0

    def aligned(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the similarity of two images in register: (N,)."""
        return ssim(restored, clean)


def in_register(restored: Tensor, clean: Tensor, reach: int = REACH) -> tuple[Tensor, Tensor]:
    """Return the part of the restored image (1, C, H, W) that fits best, and the inner part of the clean one.

    The part is ``reach`` pixels narrower at each edge; of equal errors the shift nearest to none is taken.
    """
    height, width = (n - 2 * reach for n in clean.shape[-2:])
    inner = clean[..., reach : reach + height, reach : reach + width]
    steps = range(2 * reach + 1)
    places = sorted(((row, column) for row in steps for column in steps), key=lambda p: _far(p, reach))
    errors = [(restored[..., r : r + height, c : c + width] - inner).square().mean() for r, c in places]
    row, column = places[int(torch.stack(errors).argmin())]
    return restored[..., row : row + height, column : column + width], inner


def _far(place: tuple[int, int], reach: int) -> int:
    return (place[0] - reach) ** 2 + (place[1] - reach) ** 2
