"""Degradations of papers, as chains of this package's parts with the papers' numbers."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from restoration.degradations.blur import Blur, Sinc
from restoration.degradations.chain import Chain, OneOf, Sometimes
from restoration.degradations.codecs import JPEG
from restoration.degradations.correlated import CorrelatedNoise
from restoration.degradations.degraded import STEPS, Degradation, Degraded, check_scale, one_per_image
from restoration.degradations.draws import Keys
from restoration.degradations.jpeg import DifferentiableJPEG
from restoration.degradations.noise import Noise, Poisson
from restoration.degradations.plain import Clip
from restoration.degradations.reduction import BlurDown
from restoration.degradations.rescale import Fit, Rescale
from restoration.degradations.sharpen import Sharpen
from restoration.degradations.shuffle import Shuffle

Sizes = tuple[int, int]
Ends = tuple[float, float]


class Published(Degradation):
    """A chain with a name; ``chain`` is what it is made of, and what may be written out and changed."""

    def __post_init__(self) -> None:
        self._check()
        _ = self.chain  # built here, so that whatever it refuses is refused at once

    def _check(self) -> None:
        """Refuse fields with a line in their own words."""
        check_scale(self.scale)

    @property
    @abstractmethod
    def chain(self) -> Chain:
        """Return the chain."""

    @property
    def multiple(self) -> int:
        """Of what the height and width of clean have to be multiples."""
        return self.chain.multiple

    @property
    def channels(self) -> int | None:
        """How many channels some part needs."""
        return self.chain.channels

    @property
    def aims(self) -> bool:
        """Whether the chain says what restorers shall reach."""
        return self.chain.aims

    def untouched(self, image: Tensor) -> Degraded:
        """Return images that no part acted on."""
        return self.chain.untouched(image)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image after the chain."""
        one_per_image(clean, keys)
        return self.chain(clean, keys)


@dataclass(frozen=True)
class RealEsrgan(Published):
    """Second-order chain of Real-ESRGAN (Wang et al., 2021): twice blur, resize, noise and JPEG, then a sinc filter.

    ``sharpen`` first sharpens the image, which then also is what restorers shall reach, for every term of a loss; the
    authors' L1 and perceptual terms take the sharpened image too, but their adversarial one the image as it was. Where
    their code draws once per batch, every image draws here for itself.
    """

    scale: int = 4
    sharpen: bool = True

    @cached_property
    def chain(self) -> Chain:
        """The whole chain."""
        sizes = (7, 21)
        sharpened = (Sharpen(target=True),) if self.sharpen else ()
        return Chain(
            of=(
                *sharpened,
                _kernels((0.2, 3.0), sizes),
                Rescale(factor=(0.15, 1.5), up=0.2, down=0.7, keep=0.1, antialias=False),
                _noise((1.0, 30.0), (0.05, 3.0)),
                DifferentiableJPEG(quality=(30.0, 95.0), convention="diffjpeg"),
                Sometimes(of=_kernels((0.2, 1.5), sizes), probability=0.8),
                Rescale(factor=(0.3, 1.2), up=0.3, down=0.4, keep=0.3, against=self.scale, antialias=False),
                _noise((1.0, 25.0), (0.05, 2.5)),
                *_finish(self.scale, sizes),
            )
        )


@dataclass(frozen=True)
class ResShift(Published):
    """Chain of ResShift (Yue et al., 2023): Real-ESRGAN's with smaller kernels, second order for half of the images."""

    scale: int = 4

    @cached_property
    def chain(self) -> Chain:
        """The whole chain."""
        first, second = (3, 19), (3, 13)
        return Chain(
            of=(
                _kernels((0.2, 3.0), first),
                Rescale(factor=(0.15, 1.5), up=0.2, down=0.7, keep=0.1, antialias=False),
                _noise((1.0, 30.0), (0.05, 3.0)),
                DifferentiableJPEG(quality=(30.0, 95.0), convention="diffjpeg"),
                Sometimes(
                    of=Chain(
                        of=(
                            Sometimes(of=_kernels((0.2, 1.5), second), probability=0.8),
                            Rescale(
                                factor=(0.3, 1.2),
                                up=0.3,
                                down=0.4,
                                keep=0.3,
                                against=self.scale,
                                antialias=False,
                            ),
                            _noise((1.0, 25.0), (0.05, 2.5)),
                        )
                    ),
                    probability=0.5,
                ),
                *_finish(self.scale, second),
            )
        )


@dataclass(frozen=True)
class Bsrgan(Published):
    """Chain of BSRGAN (Zhang et al., 2021): two blurs, two reductions, noise and JPEG in random order, then JPEG.

    At scale 4 a quarter of the images is halved first. The camera noise of the paper needs its authors' raw images and
    is left out, as in their released code; noise levels are real numbers here and whole ones there.
    """

    scale: int = 4

    def _check(self) -> None:
        if self.scale not in (2, 3, 4):
            raise ValueError(f"scale = {self.scale}; expected 2, 3 or 4")

    @cached_property
    def chain(self) -> Chain:
        """The whole chain."""
        last = (JPEG(quality=(30.0, 95.0)),)
        direct = Chain(of=(self._shuffled(self.scale), *last))
        if self.scale != 4:
            return direct
        halved = Chain(of=(_half(), Clip(), self._shuffled(2), *last))
        return Chain(of=(OneOf(of=(direct, halved), weights=(0.75, 0.25)),))

    def _shuffled(self, scale: int) -> Shuffle:
        """Return the shuffled part for a remaining ``scale``; its last reduction is to the chain's own."""
        blur = OneOf(
            of=(
                Blur(sigma=(1e-3, (4 + scale) ** 0.5), isotropic=False, uniform_in="variance", size=(7, 25)),
                Blur(sigma=(1e-3, 2 + 0.2 * scale), size=(7, 25)),
            )
        )
        reduction = OneOf(
            of=(
                _any_kernel((1 / (2 * scale), 1.0)),
                BlurDown(scale=scale, sigma=(0.1, 0.6 * scale)),
            ),
            weights=(0.75, 0.25),
        )
        return Shuffle(
            of=(
                blur,
                blur,
                Chain(of=(reduction, Clip())),
                Chain(of=(_last(self.scale), Clip())),
                OneOf(
                    of=(
                        Noise(sigma=(2.0, 25.0), clip=True),
                        Noise(sigma=(2.0, 25.0), clip=True, grey=1.0),
                        CorrelatedNoise(sigma=25.0, clip=True),
                    ),
                    weights=(0.4, 0.4, 0.2),
                ),
                Sometimes(of=JPEG(quality=(30.0, 95.0)), probability=0.9),
            ),
            ordered=(2, 3),
        )


def _kernels(sigma: Ends, size: Sizes) -> OneOf:
    """Return Real-ESRGAN's mixture: one sinc filter in ten, else one of six families of Gaussian kernels."""
    families = [
        (0.45, Blur(sigma=sigma, size=size)),
        (0.25, Blur(sigma=sigma, size=size, isotropic=False)),
        (0.12, Blur(sigma=sigma, size=size, shape="generalised", beta=(0.5, 4.0))),
        (0.03, Blur(sigma=sigma, size=size, shape="generalised", beta=(0.5, 4.0), isotropic=False)),
        (0.12, Blur(sigma=sigma, size=size, shape="plateau", beta=(1.0, 2.0))),
        (0.03, Blur(sigma=sigma, size=size, shape="plateau", beta=(1.0, 2.0), isotropic=False)),
    ]
    return OneOf(
        of=(Sinc(size=size), *(blur for _, blur in families)),
        weights=(0.1, *(round(0.9 * share, 4) for share, _ in families)),
    )


def _noise(sigma: Ends, strength: Ends) -> OneOf:
    return OneOf(
        of=(Noise(sigma=sigma, clip=True, grey=0.4), Poisson(strength=strength, clip=True, grey=0.4)),
    )


def _finish(scale: int, sizes: Sizes) -> tuple[Degradation, ...]:
    """Return how both chains end: fitted with a sinc filter before or after JPEG, then rounded to 8 bits."""
    fitted = (
        Fit(scale=scale, antialias=False),
        Sometimes(of=Sinc(size=sizes, cutoff=(math.pi / 3, math.pi)), probability=0.8),
    )
    jpeg = (Clip(), DifferentiableJPEG(quality=(30.0, 95.0), convention="diffjpeg"))
    return OneOf(of=(Chain(of=(*fitted, *jpeg)), Chain(of=(*jpeg, *fitted)))), Clip(levels=STEPS)


def _any_kernel(factor: Ends) -> OneOf:
    """Return OpenCV's three kernels, all as likely: of them only the area's widens when it shrinks."""
    return OneOf(
        of=(
            Rescale(factor=factor, uniform_in="divisor", kernels=("bilinear", "bicubic"), antialias=False),
            Rescale(factor=factor, uniform_in="divisor", kernels=("area",)),
        ),
        weights=(2.0, 1.0),
    )


def _last(scale: int) -> OneOf:
    """Return the reduction to the size in the end, by OpenCV's kernels as well."""
    kernels = ("bilinear", "bicubic")
    return OneOf(
        of=(Fit(scale=scale, kernels=kernels, antialias=False), Fit(scale=scale, kernels=("area",))),
        weights=(2.0, 1.0),
    )


def _half() -> OneOf:
    """Return a halving: by MATLAB's bicubic for half of the images, else by one of OpenCV's kernels.

    At exactly one half OpenCV's linear kernel and its area are the same mean of four pixels.
    """
    return OneOf(
        of=(
            Fit(scale=2, kernels=("bicubic",)),
            Fit(scale=2, kernels=("area",)),
            Fit(scale=2, kernels=("bicubic",), antialias=False),
        ),
        weights=(3.0, 2.0, 1.0),
    )
