"""The orthonormal Haar transform, one level (Haar, 1910): images to four bands of half the size, and back."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def haar(image: Tensor) -> Tensor:
    """Return the bands of every channel, (N, C, H, W) to (N, C, 4, H/2, W/2): LL, LH, HL, HH.

    Of the block a b / c d they are (a+b+c+d)/2, (a+b−c−d)/2, (a−b+c−d)/2, (a−b−c+d)/2. Odd sides are refused: see
    `even`.
    """
    height, width = image.shape[-2:]
    if height % 2 or width % 2:
        raise ValueError(f"haar: images are {height}x{width}; expected even sides")
    top, bottom = image[..., ::2, :], image[..., 1::2, :]
    a, b, c, d = top[..., ::2], top[..., 1::2], bottom[..., ::2], bottom[..., 1::2]
    rows, steps, tilts, checks = a + b, c + d, a - b, c - d
    return torch.stack([rows + steps, rows - steps, tilts + checks, tilts - checks], 2) / 2


def unhaar(bands: Tensor) -> Tensor:
    """Return the image of four bands, (N, C, 4, H, W) to (N, C, 2H, 2W): the transform is its own inverse."""
    ll, lh, hl, hh = bands.unbind(2)
    a, b, c, d = ll + lh + hl + hh, ll + lh - hl - hh, ll - lh + hl - hh, ll - lh - hl + hh
    top, bottom = torch.stack([a, b], -1).flatten(-2), torch.stack([c, d], -1).flatten(-2)
    return torch.stack([top, bottom], -2).flatten(-3, -2) / 2


def details(image: Tensor) -> Tensor:
    """Return the three detail bands of every channel: (N, 3C, H/2, W/2), per channel LH, HL, HH."""
    return haar(even(image))[:, :, 1:].flatten(1, 2)


def even(image: Tensor) -> Tensor:
    """Return the image with its last row and column mirrored on where a side is odd."""
    height, width = image.shape[-2:]
    return pad(image, [0, width % 2, 0, height % 2], mode="reflect") if height % 2 or width % 2 else image
