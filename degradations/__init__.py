"""Pure degradations, keyed by (seed, sample)."""

from restoration.degradations.blur import Blur, Defocus, MotionBlur, Sinc
from restoration.degradations.camera import Camera
from restoration.degradations.chain import Chain, OneOf, Sometimes
from restoration.degradations.codecs import AVIF, JPEG, WebP
from restoration.degradations.correlated import CorrelatedNoise
from restoration.degradations.degraded import Degradation, Degraded
from restoration.degradations.haze import Haze
from restoration.degradations.jpeg import DifferentiableJPEG
from restoration.degradations.kernel_files import KernelFiles
from restoration.degradations.lowlight import LowLight
from restoration.degradations.mask import Boxes, Centre, Half, Lines, MaskFiles, Pixels
from restoration.degradations.mosaic import Mosaic
from restoration.degradations.noise import Noise, Poisson, SaltPepper, Speckle, VaryingNoise
from restoration.degradations.plain import Clip, Grey
from restoration.degradations.published import Bsrgan, RealEsrgan, ResShift
from restoration.degradations.published_pmrf import (
    PmrfBlindFace,
    PmrfColourise,
    PmrfDenoise,
    PmrfInpaint,
    PmrfSr,
)
from restoration.degradations.rain import Rain, RainDrops
from restoration.degradations.reduction import BlurDown
from restoration.degradations.reflection import Reflection
from restoration.degradations.rescale import Fit, Rescale, Resize
from restoration.degradations.resize import Bicubic
from restoration.degradations.sharpen import Sharpen
from restoration.degradations.shuffle import Shuffle
from restoration.degradations.strokes import Strokes
from restoration.degradations.video import MovingClip

DEGRADATIONS: dict[str, type[Degradation]] = {
    "avif": AVIF,
    "bicubic": Bicubic,
    "blur": Blur,
    "blur-down": BlurDown,
    "bsrgan": Bsrgan,
    "camera": Camera,
    "chain": Chain,
    "clip": Clip,
    "correlated-noise": CorrelatedNoise,
    "defocus": Defocus,
    "fit": Fit,
    "grey": Grey,
    "haze": Haze,
    "jpeg": JPEG,
    "jpeg-differentiable": DifferentiableJPEG,
    "kernel-files": KernelFiles,
    "low-light": LowLight,
    "mask": Strokes,
    "mask-boxes": Boxes,
    "mask-centre": Centre,
    "mask-files": MaskFiles,
    "mask-half": Half,
    "mask-lines": Lines,
    "mask-pixels": Pixels,
    "mosaic": Mosaic,
    "motion-blur": MotionBlur,
    "moving-clip": MovingClip,
    "noise": Noise,
    "one-of": OneOf,
    "pmrf-blind-face": PmrfBlindFace,
    "pmrf-colorize": PmrfColourise,
    "pmrf-denoise": PmrfDenoise,
    "pmrf-inpaint": PmrfInpaint,
    "pmrf-sr": PmrfSr,
    "poisson": Poisson,
    "rain": Rain,
    "rain-drops": RainDrops,
    "real-esrgan": RealEsrgan,
    "reflection": Reflection,
    "rescale": Rescale,
    "resize": Resize,
    "resshift": ResShift,
    "salt-pepper": SaltPepper,
    "sharpen": Sharpen,
    "shuffle": Shuffle,
    "sinc": Sinc,
    "sometimes": Sometimes,
    "speckle": Speckle,
    "varying-noise": VaryingNoise,
    "webp": WebP,
}

__all__ = ["DEGRADATIONS", "Degradation", "Degraded"]
