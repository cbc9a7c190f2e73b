"""Noise by places: a tile's is the part of its image's noise that lies there, if its network is told where it lies."""

import math
from fractions import Fraction

import torch
from torch import Tensor, nn

BITS = 0xFFFFFFFF
HALF = 1 << 63  # words of 64 bits, as tensors hold them, are from −HALF to HALF − 1
ENDLESS = 1 << 40  # pixels after which the noise of an image that does not wrap begins anew


class Place(nn.Module):
    """Where the images at hand begin within a larger one, at its beginning unless told otherwise, and their draw.

    Both are tensors that no file holds: a compiled network takes any place and any draw without being compiled again.
    """

    at: Tensor
    moved: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("at", torch.tensor([0, 0, ENDLESS, ENDLESS]), persistent=False)
        self.register_buffer("moved", torch.tensor(0), persistent=False)

    def tell(self, top: int = 0, left: int = 0, rows: int = ENDLESS, columns: int = ENDLESS) -> None:
        """Set row and column in pixels of the degraded image, and after how many of both it is repeated."""
        self.at.copy_(torch.tensor([top, left, rows, columns]))

    def move(self, by: int = 0) -> None:
        """Set what is added to every seed."""
        self.moved.fill_(_word_of_64(by))

    def seeded(self, seed: int) -> Tensor:
        """Return a seed with what is added to it, modulo 2⁶⁴."""
        return self.moved + _word_of_64(seed)

    def noise(self, seed: int, like: Tensor, ratio: Fraction | int = 1) -> Tensor:
        """Return the noise of this place, of the size of ``like``, which has ``ratio`` times the degraded's pixels."""
        ratio = Fraction(ratio)
        return placed_noise(self.seeded(seed), like, self.at * ratio.numerator // ratio.denominator)


def placed_noise(seed: int | Tensor, like: Tensor, at: Tensor | None = None) -> Tensor:
    """Return ε ~ N(0, 1) of the size of ``like``, a function of seed, channel, row and column alone.

    So it depends on neither batch nor device nor image size, and is made of operations that every backend and
    compiler has: a 32-bit hash (Wellons' lowbias32, 2018) and the transform of Box and Muller (1958). ``at`` holds
    the first row and column, and how many of both there are before they are repeated.
    """
    channels, height, width = like.shape[1:]
    rows, columns = (torch.arange(count, device=like.device) for count in (height, width))
    if at is not None:
        at = at.to(like.device)
        rows, columns = (rows + at[0]) % at[2], (columns + at[1]) % at[3]
    word = _word(seed.to(like.device) if isinstance(seed, Tensor) else seed)
    state = _hashed(torch.arange(channels, device=like.device) ^ word)[:, None]
    state = _hashed(rows ^ state)[..., None]
    first = _hashed(columns ^ state)
    second = _hashed(first ^ 0x9E3779B9)
    radius = (-2 * ((first + 0.5) / 2**32).log()).sqrt()
    drawn = radius * (2 * math.pi / 2**32 * second).cos()
    return drawn.to(like.dtype).expand_as(like)


def _hashed(words: Tensor) -> Tensor:
    """Return 32-bit words mixed; products may wrap around, their low 32 bits are right."""
    words = ((words ^ (words >> 16)) * 0x7FEB352D) & BITS
    words = ((words ^ (words >> 15)) * 0x846CA68B) & BITS
    return words ^ (words >> 16)


def _word(seed: int | Tensor) -> int | Tensor:
    return (seed ^ (seed >> 32)) * 0x9E3779B9 & BITS


def _word_of_64(seed: int) -> int:
    return (seed + HALF) % (2 * HALF) - HALF
