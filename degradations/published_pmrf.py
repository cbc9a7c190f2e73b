"""The degradations of PMRF (Ohayon, Michaeli & Elad, 2025, section 5 and appendix)."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from restoration.degradations.blur import Blur
from restoration.degradations.chain import Chain, OneOf
from restoration.degradations.codecs import JPEG
from restoration.degradations.degraded import Degraded, one_per_image
from restoration.degradations.draws import Keys, check_probability, generator
from restoration.degradations.mask import Pixels
from restoration.degradations.noise import STEPS, Noise
from restoration.degradations.plain import Clip, Grey
from restoration.degradations.published import Published
from restoration.degradations.rescale import Fit, Rescale, Resize


@dataclass(frozen=True)
class PmrfSr(Published):
    """PMRF's super-resolution: bicubic to 1/``factor``, noise of ``sigma`` (of 1), nearest back to full size."""

    scale: ClassVar[int] = 1

    factor: int = 8
    sigma: float = 0.05

    @cached_property
    def chain(self) -> Chain:
        """The whole chain."""
        back = Fit(scale=1, kernels=("nearest",))
        return Chain(of=(Resize(scale=self.factor), Clip(), _noise(self.sigma), back, Clip()))


@dataclass(frozen=True)
class PmrfDenoise(Published):
    """PMRF's denoising: Gaussian noise of ``sigma`` (of 1), clipped."""

    scale: ClassVar[int] = 1

    sigma: float = 0.35

    @cached_property
    def chain(self) -> Chain:
        """The whole chain."""
        return Chain(of=(_noise(self.sigma), Clip()))


@dataclass(frozen=True)
class PmrfInpaint(Published):
    """PMRF's inpainting: pixels set to 0 with probability ``ratio``, then noise of ``sigma`` (of 1) on all."""

    scale: ClassVar[int] = 1

    ratio: float = 0.9
    sigma: float = 0.1

    @cached_property
    def chain(self) -> Chain:
        """The whole chain."""
        return Chain(of=(Pixels(ratio=self.ratio), _noise(self.sigma), Clip()))


@dataclass(frozen=True)
class PmrfColourise(Published):
    """PMRF's colourisation: the mean of the channels with one noise of ``sigma`` (of 1), clipped, in equal channels."""

    scale: ClassVar[int] = 1

    sigma: float = 0.25

    @cached_property
    def chain(self) -> Chain:
        """The whole chain."""
        return Chain(of=(Grey(weights="mean"), _noise(self.sigma, grey=1.0), Clip()))


@dataclass(frozen=True)
class PmrfBlindFace(Published):
    """PMRF's blind faces: blur, bilinear to 1/U[0.8, 32], noise, JPEG, bilinear back to full size, 8 bits.

    For faces of 512 pixels. A share ``grey`` is turned grey, what restorers shall reach as well.
    """

    scale: ClassVar[int] = 1

    grey: float = 0.01

    def __post_init__(self) -> None:
        check_probability("grey", self.grey)

    @cached_property
    def chain(self) -> Chain:
        """The chain before images are turned grey."""
        rotation = (-math.pi, math.pi)
        blur = OneOf(
            of=(
                Blur(sigma=(0.1, 15.0), size=41),
                Blur(sigma=(0.1, 15.0), size=41, isotropic=False, rotation=rotation),
            )
        )
        down = Rescale(factor=(1 / 32, 1 / 0.8), uniform_in="divisor", kernels=("bilinear",), antialias=False)
        back = Fit(scale=1, kernels=("bilinear",), antialias=False)
        return Chain(of=(blur, down, Noise(sigma=(0.0, 20.0)), JPEG(quality=(30.0, 100.0)), back))

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the degraded image, and the clean one, grey where that is; the draw holds ``grey``."""
        one_per_image(clean, keys)
        made = self.chain(clean, keys)
        drawn = [bool(generator(key, "grey").random() < self.grey) for key in keys]
        chosen = torch.tensor(drawn, device=clean.device).view(-1, 1, 1, 1)
        levels = Clip(levels=STEPS)
        image = torch.where(chosen, Grey()(made.image, keys).image, made.image)
        return replace(
            made,
            image=levels(image, keys).image,
            clean=torch.where(chosen, Grey()(clean, keys).image, clean),
            draw=made.draw | {"grey": drawn},
        )


def _noise(sigma: float, grey: float = 0.0) -> Noise:
    return Noise(sigma=sigma * STEPS, grey=grey)
