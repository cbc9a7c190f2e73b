"""Metrics of one pair of images; each calls the loss of the same name, so that a value exists once."""

from abc import ABC, abstractmethod

from torch import Tensor

from restoration.errors import WeightsError
from restoration.losses import fsim, lpips, similarity
from restoration.losses.loss import Loss
from restoration.losses.pixel import psnr
from restoration.losses.ssim import ms_ssim, ssim


class Metric(ABC):
    """A number per image pair, computed in the precision of its input."""

    plane: str = "y"  # what it looks at: "y" (luma, or the one channel there is) or "rgb"
    better: str = "higher"
    unit: str = ""
    places: int = 4  # digits after the point of a value
    rough: int = 4  # and of an interval or a difference
    smallest: int = 1  # pixels that the shorter side must have
    ceiling: float = float("inf")

    @abstractmethod
    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return one value per image: (N,)."""


class Psnr(Metric):
    """Peak signal-to-noise ratio: 10·log10(1 / MSE) in dB, the error averaged over pixels and channels."""

    unit = "dB"
    rough = 2

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

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the similarity, at most 1."""
        return ms_ssim(restored, clean)


class FeatureDistance(Metric):
    """A distance of features that others trained, in float32 as their weights are; refused where those are missing."""

    plane = "rgb"
    better = "lower"

    def __init__(self) -> None:
        try:
            self.loss = self.made()
        except ValueError as error:
            raise WeightsError(str(error)) from None

    @abstractmethod
    def made(self) -> Loss:
        """Return the loss that is measured."""

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the distance; equal images give 0."""
        return self.loss(restored.float(), clean.float()).to(restored.dtype)


class LpipsAlex(FeatureDistance):
    """LPIPS 0.1 on AlexNet (Zhang et al., 2018) of the colour image at its own size; lower is better, sides from 31."""

    smallest = 31

    def made(self) -> Loss:
        """Return LPIPS on AlexNet."""
        return lpips.Lpips("alex")


class LpipsVgg(FeatureDistance):
    """LPIPS 0.1 on VGG16 (Zhang et al., 2018) of the colour image at its own size; lower is better, sides from 16."""

    smallest = 16

    def made(self) -> Loss:
        """Return LPIPS on VGG16."""
        return lpips.Lpips("vgg")


class Dists(FeatureDistance):
    """DISTS (Ding et al., 2020) of the colour image at its own size, not reduced; lower is better, sides from 16."""

    smallest = 16

    def made(self) -> Loss:
        """Return DISTS of images at their own size."""
        return lpips.Dists()


class Similarity(Metric):
    """What a loss measures of the colour image."""

    plane = "rgb"
    loss: Loss

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return what the loss says of each image, turned into the metric."""
        return self.loss.metric(self.loss(restored, clean))


class Fsim(Similarity):
    """FSIMc of colour images (Zhang et al., 2011; as piq computes it); higher is better, at most 1, sides from 16."""

    loss = fsim.Fsim()
    smallest = loss.minimum_size
    ceiling = 1.0


class Gmsd(Similarity):
    """GMSD of full-swing luma (Xue et al., 2014; as piq computes it); lower is better, from 0, sides from 6."""

    loss = similarity.Gmsd()
    better = "lower"
    smallest = loss.minimum_size


class Haarpsi(Similarity):
    """HaarPSI of colour images (Reisenhofer et al., 2018; as piq); higher is better, at most 1, sides from 16."""

    loss = similarity.Haarpsi()
    smallest = loss.minimum_size
    ceiling = 1.0


class Mdsi(Similarity):
    """MDSI of colour images (Nafchi et al., 2016; as piq computes it); lower is better, from 0, sides from 3."""

    loss = similarity.Mdsi()
    better = "lower"
    smallest = loss.minimum_size


class Vif(Similarity):
    """VIF of pixels, full-swing luma (Sheikh & Bovik, 2006; as piq computes it); higher is better, sides from 41."""

    loss = similarity.Vif()
    smallest = loss.minimum_size


METRICS: dict[str, type[Metric]] = {
    "dists": Dists,
    "fsim": Fsim,
    "gmsd": Gmsd,
    "haarpsi": Haarpsi,
    "lpips-alex": LpipsAlex,
    "lpips-vgg": LpipsVgg,
    "mdsi": Mdsi,
    "ms-ssim": MsSsim,
    "psnr-rgb": PsnrRgb,
    "psnr-y": PsnrY,
    "ssim-rgb": SsimRgb,
    "ssim-y": SsimY,
    "vif": Vif,
}
