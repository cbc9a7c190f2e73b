"""Fidelity: peak signal-to-noise ratio and structural similarity; each calls the loss of the same name."""

from torch import Tensor

from restoration.benchmarks.metrics.metric import Metric
from restoration.losses.pixel import psnr
from restoration.losses.ssim import ms_ssim, ssim


class Psnr(Metric):
    """Peak signal-to-noise ratio: 10·log10(1 / MSE) in dB, the error averaged over pixels and channels."""

    unit = "dB"
    rough = 2
    ceiling = 100.0

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the ratio in decibels."""
        return psnr(restored, clean)


class PsnrY(Psnr):
    """PSNR of BT.601 luma, or of the only channel, in dB; higher is better, equal images give 100."""


class PsnrRgb(Psnr):
    """PSNR over the three colours together, in dB; higher is better, equal images give 100."""

    plane = "rgb"


class Ssim(Metric):
    """Structural similarity (Wang et al., 2004): 11×11 Gaussian, σ 1.5, valid region, mean over channels."""

    places = 5
    smallest = 11
    ceiling = 1.0
    floor = -1.0

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the similarity, at most 1."""
        return ssim(restored, clean)


class SsimY(Ssim):
    """SSIM of BT.601 luma, or of the only channel (Wang et al., 2004; Gaussian σ 1.5, valid region); at most 1."""


class SsimRgb(Ssim):
    """SSIM of each colour, averaged (Wang et al., 2004; Gaussian σ 1.5, valid region); at most 1."""

    plane = "rgb"


class MsSsim(Metric):
    """Multi-scale SSIM of luma, five scales (Wang, Simoncelli, Bovik, 2003); at most 1, sides of 161 pixels or more."""

    smallest = 161  # the 11-pixel window must fit into the fifth scale: (11 − 1)·2⁴ + 1
    ceiling = 1.0
    floor = 0.0
    convention = "five scales of 2x2 means, gaussian-11, valid"

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the similarity, at most 1."""
        return ms_ssim(restored, clean)


class MsSsimRgb(MsSsim):
    """Multi-scale SSIM of each colour, averaged (Wang, Simoncelli, Bovik, 2003); at most 1, sides from 161."""

    plane = "rgb"
