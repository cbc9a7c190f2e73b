"""Degradations one after the other, and two of a single line."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from torch import Tensor

from restoration.degradations.degraded import Degradation, Degraded, Draw, one_per_image
from restoration.degradations.draws import Key, Keys, generator

# MATLAB's rgb2gray: the first row of the inverse of NTSC's YIQ matrix (0.299, 0.587, 0.114 to three digits)
GREY = (0.298936021293775, 0.587043074451121, 0.114020904255103)


@dataclass(frozen=True)
class Chain(Degradation):
    """Several degradations in order; each part draws under a key of its own, and its draws are kept under its place."""

    of: tuple[Degradation, ...]

    def __post_init__(self) -> None:
        if not self.of:
            raise ValueError("of = []; expected at least one degradation")

    @property
    def scale(self) -> int:
        """The product of the parts' scales."""
        return prod(part.scale for part in self.of)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image after the last part; mask and layers are those of the last part that made any."""
        one_per_image(clean, keys)
        image, mask, layers, draw = clean, None, {}, Draw()
        for place, part in enumerate(self.of):
            degraded = part(image, [_key_of_part(key, place) for key in keys])
            image = degraded.image
            mask = degraded.mask if degraded.mask is not None else mask
            layers = {**layers, **degraded.layers}
            draw |= {f"{place}.{name}": value for name, value in degraded.draw.items()}
        return Degraded(image, mask, layers, draw)


@dataclass(frozen=True)
class Clip(Degradation):
    """Limited to [0, 1]."""

    scale: ClassVar[int] = 1

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the limited image."""
        one_per_image(clean, keys)
        return Degraded(clean.clamp(0, 1))


@dataclass(frozen=True)
class Grey(Degradation):
    """Grey by the weights of MATLAB's rgb2gray, in as many equal channels as clean has."""

    scale: ClassVar[int] = 1

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the grey image."""
        one_per_image(clean, keys)
        return Degraded(rgb2gray(clean).expand_as(clean).contiguous())


def rgb2gray(image: Tensor) -> Tensor:
    """Return MATLAB's grey of an image, (N, 1, H, W), not rounded; one channel passes as it is."""
    if image.shape[1] == 1:
        return image
    return (image * image.new_tensor(GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _key_of_part(key: Key, place: int) -> Key:
    """Return a key that no other part has, in this chain or in one around it: equal parts must draw differently."""
    return int(generator(key, f"chain.{place}").integers(2**62)), key[1]
