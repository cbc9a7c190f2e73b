"""Chroma of half the luma's size, enlarged and reduced so that reducing what was enlarged gives it back exactly.

Horizontally, chroma samples lie on the even luma samples, as H.264, HEVC, VP9 and MPEG-2 assume where a file says
nothing: the pair is one step of the 5/3 wavelet (Le Gall and Tabatabai, 1988) with details of zero. Vertically they
lie between two luma rows: reducing is the mean of the two, enlarging adds ∓ an eighth of the difference of the
neighbours (Said and Pearlman, 1996), which makes ramps straight and leaves the mean.
"""

import torch
from torch import Tensor


def enlarged(chroma: Tensor, height: int, width: int, down: tuple[int, int]) -> Tensor:
    """Return chroma (…, h, w) at the luma's size; ``down`` holds the log2 of the factors of height and width."""
    for axis, size, steps in ((-2, height, down[0]), (-1, width, down[1])):
        for step in reversed(range(steps)):
            double = _doubled_centred if axis == -2 else _doubled_even
            chroma = double(chroma.movedim(axis, -1), -(-size // 2**step)).movedim(-1, axis)
    return chroma


def reduced(chroma: Tensor, down: tuple[int, int]) -> Tensor:
    """Return chroma (…, H, W) reduced by 2 to the power of ``down``, for height and width; sizes are rounded up."""
    for axis, steps in ((-2, down[0]), (-1, down[1])):
        for _ in range(steps):
            half = _halved_centred if axis == -2 else _halved_even
            chroma = half(chroma.movedim(axis, -1)).movedim(-1, axis)
    return chroma


def _doubled_even(samples: Tensor, size: int) -> Tensor:
    following = torch.cat((samples[..., 1:], samples[..., -1:]), -1)
    return _interleaved(samples, (samples + following) / 2, size)


def _halved_even(samples: Tensor) -> Tensor:
    even, odd = samples[..., ::2], samples[..., 1::2]
    if not odd.shape[-1]:
        return even
    following = torch.cat((even[..., 1:], even[..., -1:]), -1)[..., : odd.shape[-1]]
    detail = odd - (even[..., : odd.shape[-1]] + following) / 2
    before = torch.cat((detail[..., :1], detail), -1)[..., : even.shape[-1]]
    after = torch.cat((detail, detail[..., -1:]), -1)[..., : even.shape[-1]]
    return even + (before + after) / 4


def _doubled_centred(samples: Tensor, size: int) -> Tensor:
    before = torch.cat((samples[..., :1], samples[..., :-1]), -1)
    after = torch.cat((samples[..., 1:], samples[..., -1:]), -1)
    slope = (before - after) / 8
    if size % 2:  # the last luma sample has no partner to share the mean with
        slope[..., -1] = 0
    return _interleaved(samples + slope, samples - slope, size)


def _halved_centred(samples: Tensor) -> Tensor:
    even, odd = samples[..., ::2], samples[..., 1::2]
    if samples.shape[-1] % 2:
        odd = torch.cat((odd, even[..., -1:]), -1)
    return (even + odd) / 2


def _interleaved(even: Tensor, odd: Tensor, size: int) -> Tensor:
    return torch.stack((even, odd), -1).flatten(-2)[..., :size]
