"""Differentiable functions of one pair of images, and the terms of a loss stack that are made of more."""

from collections.abc import Callable

from restoration.losses.adversarial import Adversarial, FeatureMatching
from restoration.losses.colour import Colour
from restoration.losses.contextual import Contextual
from restoration.losses.contrastive import Contrastive, FrequencyContrastive
from restoration.losses.distribution import DistributionJs, MomentMatching, SlicedWasserstein
from restoration.losses.flow import RectifiedFlow
from restoration.losses.frequency import FocalFrequency, Fourier, Wavelet
from restoration.losses.fsim import Fsim
from restoration.losses.gradient import Gradient, LaplacianPyramid, TotalVariation
from restoration.losses.highfrequency import HighFrequencyInn
from restoration.losses.loss import Loss
from restoration.losses.lpips import Dists, Lpips
from restoration.losses.perceptual import Perceptual, Style
from restoration.losses.pixel import L1, L2, Charbonnier, Huber, Psnr
from restoration.losses.scene import Consistency, Exclusion
from restoration.losses.similarity import Gmsd, Haarpsi, Mdsi, Vif
from restoration.losses.ssim import MsSsim, Ssim
from restoration.losses.temporal import Flicker
from restoration.losses.term import Term
from restoration.losses.zhao import ZhaoMix

LOSSES: dict[str, Callable[..., Loss]] = {
    "charbonnier": Charbonnier,
    "colour": Colour,
    "contextual": Contextual,
    "distribution-js": DistributionJs,
    "dists": Dists,
    "focal-frequency": FocalFrequency,
    "fourier": Fourier,
    "fsim": Fsim,
    "gmsd": Gmsd,
    "gradient": Gradient,
    "haarpsi": Haarpsi,
    "high-frequency-inn": HighFrequencyInn,
    "huber": Huber,
    "l1": L1,
    "l2": L2,
    "laplacian-pyramid": LaplacianPyramid,
    "lpips": Lpips,
    "mdsi": Mdsi,
    "moment-matching": MomentMatching,
    "ms-ssim": MsSsim,
    "perceptual": Perceptual,
    "psnr": Psnr,
    "sliced-wasserstein": SlicedWasserstein,
    "ssim": Ssim,
    "style": Style,
    "total-variation": TotalVariation,
    "vif": Vif,
    "wavelet": Wavelet,
    "zhao-mix": ZhaoMix,
}

# every pair function is a term; terms with parts of their own, or with other inputs, stand below
TERMS: dict[str, Callable[..., Loss | Term]] = {
    **LOSSES,
    "adversarial": Adversarial,
    "consistency": Consistency,
    "contrastive": Contrastive,
    "exclusion": Exclusion,
    "feature-matching": FeatureMatching,
    "flicker": Flicker,
    "frequency-contrastive": FrequencyContrastive,
    "rectified-flow": RectifiedFlow,
}
