"""The degradations of PMRF (Ohayon, Michaeli & Elad, 2025, section 5 and appendix)."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from restoration.degradations.blur import Blur
from restoration.degradations.chain import Chain, OneOf, Sometimes
from restoration.degradations.codecs import JPEG
from restoration.degradations.degraded import STEPS, Degraded, check_scale
from restoration.degradations.draws import Keys, Range, check_probability, check_range, ends
from restoration.degradations.mask import Pixels
from restoration.degradations.noise import Noise
from restoration.degradations.plain import Clip, Grey
from restoration.degradations.published import Published
from restoration.degradations.rescale import Fit, Rescale, Resize


@dataclass(frozen=True)
class PmrfSr(Published):
    """PMRF's super-resolution: bicubic to 1/``factor``, noise of ``sigma`` (of 1), nearest back to full size.

    The reduction is PyTorch's antialiased interpolate, as in the authors' code: at the border it weighs what lies
    within the image, where MATLAB's mirrors it.
    """

    scale: ClassVar[int] = 1

    factor: int = 8
    sigma: float = 0.05

    def _check(self) -> None:
        check_scale(self.factor, "factor")
        _check_sigma(self.sigma)

    @cached_property
    def chain(self) -> Chain:
        """The whole chain."""
        back = Fit(scale=1, kernels=("nearest",))
        return Chain(of=(Resize(scale=self.factor, edges="cut"), Clip(), _noise(self.sigma), back, Clip()))


@dataclass(frozen=True)
class PmrfDenoise(Published):
    """PMRF's denoising: Gaussian noise of ``sigma`` (of 1), clipped."""

    scale: ClassVar[int] = 1

    sigma: float = 0.35

    def _check(self) -> None:
        _check_sigma(self.sigma)

    @cached_property
    def chain(self) -> Chain:
        """The whole chain."""
        return Chain(of=(_noise(self.sigma), Clip()))


@dataclass(frozen=True)
class PmrfInpaint(Published):
    """PMRF's inpainting: pixels set to 0 with probability ``ratio``, then noise of ``sigma`` (of 1) on all.

    The authors' code sets exactly that share of the pixels to 0.
    """

    scale: ClassVar[int] = 1

    ratio: float = 0.9
    sigma: float = 0.1

    def _check(self) -> None:
        check_probability("ratio", self.ratio)
        _check_sigma(self.sigma)

    @cached_property
    def chain(self) -> Chain:
        """The whole chain."""
        return Chain(of=(Pixels(ratio=self.ratio), _noise(self.sigma), Clip()))


@dataclass(frozen=True)
class PmrfColourise(Published):
    """PMRF's colourisation: the mean of the channels with one noise of ``sigma`` (of 1), clipped, in equal channels."""

    scale: ClassVar[int] = 1

    sigma: float = 0.25

    def _check(self) -> None:
        _check_sigma(self.sigma)

    @cached_property
    def chain(self) -> Chain:
        """The whole chain."""
        return Chain(of=(Grey(weights="mean"), _noise(self.sigma, grey=1.0), Clip()))


@dataclass(frozen=True)
class PmrfBlindFace(Published):
    """PMRF's blind faces: blur, bilinear to 1/U[0.8, 32], noise, JPEG, bilinear back to full size, 8 bits.

    For faces of 512 pixels; ``sigma``, the blur's in pixels, and ``divisor`` of the size suit smaller images where
    they are smaller. A share ``grey`` is turned grey: the degraded image within the chain, and beside it what
    restorers shall reach.
    """

    scale: ClassVar[int] = 1

    grey: float = 0.01
    sigma: Range = (0.1, 15.0)
    divisor: Range = (0.8, 32.0)

    def _check(self) -> None:
        check_probability("grey", self.grey)
        check_range("sigma", self.sigma)
        check_range("divisor", self.divisor, 0.1, 100.0)

    @property
    def aims(self) -> bool:
        """Always: some of what restorers shall reach is grey."""
        return True

    @cached_property
    def chain(self) -> Chain:
        """The whole chain; what restorers shall reach is turned grey beside it."""
        rotation = (-math.pi, math.pi)
        blur = OneOf(
            of=(
                Blur(sigma=self.sigma, size=41),
                Blur(sigma=self.sigma, size=41, isotropic=False, rotation=rotation),
            )
        )
        least, most = ends(self.divisor)
        down = Rescale(
            factor=(1 / most, 1 / least), uniform_in="divisor", kernels=("bilinear",), antialias=False
        )
        back = Fit(scale=1, kernels=("bilinear",), antialias=False)
        files = (Noise(sigma=(0.0, 20.0)), JPEG(quality=(30.0, 100.0)))
        grey = Sometimes(of=Grey(), probability=self.grey)
        return Chain(of=(blur, down, *files, back, grey, Clip(levels=STEPS)))

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the degraded image, and the clean one, grey where that is; the draw holds ``grey``."""
        made = super().__call__(clean, keys)
        drawn = made.draw["5.applied"]
        chosen = torch.tensor(drawn, device=clean.device).view(-1, 1, 1, 1)
        aim = torch.where(chosen, Grey()(clean, keys).image, clean)
        return replace(made, clean=aim, draw=made.draw | {"grey": drawn})


def _check_sigma(sigma: float) -> None:
    if not 0 <= sigma <= 1:
        raise ValueError(
            f"sigma = {sigma:g}; expected a number from 0 to 1, white being 1: of 8-bit steps it is σ/255"
        )


def _noise(sigma: float, grey: float = 0.0) -> Noise:
    return Noise(sigma=sigma * STEPS, grey=grey)
