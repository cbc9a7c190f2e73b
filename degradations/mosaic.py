"""The mosaic of a colour sensor, and what simple interpolation makes of it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from restoration.degradations.degraded import Degradation, Degraded, one_per_image
from restoration.degradations.draws import Keys

Pattern = Literal["rggb", "bggr", "grbg", "gbrg"]

# Kernels in eighths: green at red and blue; a colour at the other; a colour at green, in its row and in its column.
BILINEAR = {
    "green": ((0, 0, 0, 0, 0), (0, 0, 2, 0, 0), (0, 2, 0, 2, 0), (0, 0, 2, 0, 0), (0, 0, 0, 0, 0)),
    "across": ((0, 0, 0, 0, 0), (0, 2, 0, 2, 0), (0, 0, 0, 0, 0), (0, 2, 0, 2, 0), (0, 0, 0, 0, 0)),
    "row": ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 4, 0, 4, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
}
MALVAR = {
    "green": ((0, 0, -1, 0, 0), (0, 0, 2, 0, 0), (-1, 2, 4, 2, -1), (0, 0, 2, 0, 0), (0, 0, -1, 0, 0)),
    "across": (
        (0, 0, -1.5, 0, 0),
        (0, 2, 0, 2, 0),
        (-1.5, 0, 6, 0, -1.5),
        (0, 2, 0, 2, 0),
        (0, 0, -1.5, 0, 0),
    ),
    "row": ((0, 0, 0.5, 0, 0), (0, -1, 0, -1, 0), (-1, 4, 5, 4, -1), (0, -1, 0, -1, 0), (0, 0, 0.5, 0, 0)),
}
KERNELS = {"bilinear": BILINEAR, "malvar": MALVAR}


@dataclass(frozen=True)
class Mosaic(Degradation):
    """One colour per pixel, in Bayer's ``pattern`` of two by two, named from left to right and from top to bottom.

    ``demosaic`` = "none" leaves the other channels 0; "bilinear" is the mean of the nearest samples of a colour,
    "malvar" the linear filters of Malvar, He and Cutler (2004), limited to [0, 1].
    """

    scale: ClassVar[int] = 1
    channels: ClassVar[int | None] = 3

    pattern: Pattern = "rggb"
    demosaic: Literal["none", "bilinear", "malvar"] = "bilinear"

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image (N, 3, H, W) as the sensor and the interpolation have it."""
        one_per_image(clean, keys)
        if clean.shape[1] != 3:
            raise ValueError(f"clean has {clean.shape[1]} channel(s); expected 3, a mosaic is of colours")
        if self.demosaic == "none":
            return Degraded(clean * sites(self.pattern, tuple(clean.shape[-2:])).to(clean))
        return Degraded(demosaiced(mosaicked(clean, self.pattern), self.pattern, self.demosaic).clamp_(0, 1))


def mosaicked(image: Tensor, pattern: Pattern) -> Tensor:
    """Return the one sample (N, 1, H, W) that a sensor has of each pixel of ``image`` (N, 3, H, W)."""
    return (image * sites(pattern, tuple(image.shape[-2:])).to(image)).sum(1, keepdim=True)


def demosaiced(mosaic: Tensor, pattern: Pattern, how: Literal["bilinear", "malvar"] = "bilinear") -> Tensor:
    """Return the colours (N, 3, H, W) that linear interpolation gives to a mosaic (N, 1, H, W), not limited.

    Beyond the border the mosaic is mirrored about the border pixel, which keeps every colour in its place; height and
    width are at least 3.
    """
    size = tuple(mosaic.shape[-2:])
    if min(size) < 3:
        raise ValueError(f"the mosaic is {size[0]}x{size[1]}; expected at least 3x3")
    kernels = KERNELS[how]
    stack = [kernels["green"], kernels["across"], kernels["row"], tuple(zip(*kernels["row"], strict=True))]
    weights = torch.tensor(stack, device=mosaic.device).to(mosaic.dtype).unsqueeze(1) / 8
    green, across, row, column = conv2d(pad(mosaic, (2, 2, 2, 2), "reflect"), weights).unbind(1)
    at_red, at_green, at_blue = sites(pattern, size).to(mosaic.device)
    with_red = at_red.any(1, keepdim=True)  # rows that hold red; the others hold blue
    own = mosaic[:, 0]

    def colour(at: Tensor, other: Tensor, in_row: Tensor) -> Tensor:
        return torch.where(at, own, torch.where(other, across, torch.where(in_row, row, column)))

    red, blue = colour(at_red, at_blue, with_red), colour(at_blue, at_red, ~with_red)
    return torch.stack([red, torch.where(at_green, own, green), blue], 1)


def sites(pattern: Pattern, size: tuple[int, int]) -> Tensor:
    """Return where a sensor of ``size`` (height, width) has red, green and blue, bool (3, H, W)."""
    height, width = size
    letters = torch.tensor(["rgb".index(letter) for letter in pattern]).view(2, 2)
    tile = letters == torch.arange(3).view(3, 1, 1)
    return tile.repeat(1, -(-height // 2), -(-width // 2))[:, :height, :width]
