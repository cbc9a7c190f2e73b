"""The mean over flips and quarter turns."""

from collections.abc import Callable

from torch import Tensor

from restoration.tiling.windows import Function


def self_ensemble(function: Function, on_turn: Callable[[int], None] = lambda which: None) -> Function:
    """Return the mean of the function's results on the image's eight flips and turns, each turned back.

    (Timofte et al., 2016.) The mean is a pairwise sum over a power of two: exact for functions that commute. At most
    four results are there at a time. ``on_turn`` is told which of the eight comes next.
    """

    def summed(image: Tensor, first: int, count: int) -> Tensor:
        if count == 1:
            on_turn(first)
            return turned_back(function(turned(image, first)), first)
        half = count // 2
        return summed(image, first, half) + summed(image, first + half, half)

    return lambda image: summed(image, 0, 8) / 8


def turned(image: Tensor, which: int) -> Tensor:
    """Return one of the eight flips and quarter turns of an image."""
    image = image.flip(-1) if which & 1 else image
    image = image.flip(-2) if which & 2 else image
    return image.transpose(-1, -2) if which & 4 else image


def turned_back(image: Tensor, which: int) -> Tensor:
    """Return the image whose flip or turn this is."""
    image = image.transpose(-1, -2) if which & 4 else image
    image = image.flip(-2) if which & 2 else image
    return image.flip(-1) if which & 1 else image
