"""Gaussian smoothing in bounded memory, and smooth random fields."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

Rows = Callable[[Tensor], Tensor]  # the rows (C, n, W) that an index (n,) names, each within the image

# rows and columns of one matrix product: with fewer it reads more taps than samples, with more it adds more zeros
LEAST = 64


def gaussian(sigma: float, radius: int, centre: float = 0.0) -> np.ndarray:
    """Return the ``2 radius + 1`` taps of a Gaussian of ``sigma`` pixels, which sum to 1; for 0 the middle one is 1.

    ``centre`` is its mean, in pixels from the middle tap.
    """
    place = np.arange(-radius, radius + 1) - centre
    taps = np.exp(-(place**2) / (2 * sigma**2)) if sigma > 0 else (place == 0).astype(float)
    return taps / taps.sum()


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Return one image (C, H, W) after a Gaussian of ``sigma`` pixels, cut off at 3σ; mirrored about border pixels."""
    result = torch.empty_like(image)
    blur_into(result, lambda index: image.index_select(1, index), gaussian(sigma, math.ceil(3 * sigma)))
    return result


def blur_into(result: Tensor, rows: Rows, taps: np.ndarray) -> None:
    """Fill ``result`` (C, H, W) with the image that ``rows`` gives, filtered by ``taps`` along both axes.

    Beyond the border the image is mirrored about the border pixel, as OpenCV does. Bands of rows are made one after the
    other, so that beside the result only two of them are in memory.
    """
    height, width = result.shape[1:]
    radius, block = len(taps) // 2, max(LEAST, len(taps))
    down = _banded(taps, min(block, height)).to(result)
    along = _banded(taps, min(block, width)).to(result)
    columns = mirrored(torch.arange(-radius, _up(width, len(along)) + radius), width).to(result.device)
    for top in range(0, height, len(down)):
        bottom = min(top + len(down), height)
        index = mirrored(torch.arange(top - radius, bottom + radius), height).to(result.device)
        band = down[: bottom - top, : len(index)] @ rows(index)
        windows = band.index_select(2, columns).unfold(2, along.shape[1], len(along))
        filtered = windows.flatten(0, 2) @ along.T
        result[:, top:bottom] = filtered.view(len(result), bottom - top, -1)[..., :width]


def mirrored(index: Tensor, length: int) -> Tensor:
    """Return the pixel that stands for each index where an image goes on mirrored about its border pixels."""
    index = index.abs() % max(2 * length - 2, 1)
    return torch.minimum(index, 2 * length - 2 - index)


def random_field(rng: np.random.Generator, size: tuple[int, int], cells: int) -> Tensor:
    """Return a smooth random field (1, H, W) from 0 to 1, both taken, with ``cells`` hills along the longer side."""
    longest = max(size)
    coarse = rng.standard_normal([max(2, round(cells * n / longest) + 1) for n in size])
    field = interpolate(torch.from_numpy(coarse)[None, None], size=size, mode="bicubic", align_corners=True)[
        0
    ]
    field -= field.min()
    return (field / field.max().clamp(min=1e-12)).float()


def _banded(taps: np.ndarray, outputs: int) -> Tensor:
    """Return the matrix (outputs, outputs + taps − 1) that filters a stretch of samples."""
    matrix = np.zeros((outputs, outputs + len(taps) - 1))
    place = np.arange(outputs)[:, None]
    matrix[place, place + np.arange(len(taps))] = taps
    return torch.from_numpy(matrix)


def _up(length: int, multiple: int) -> int:
    return math.ceil(length / multiple) * multiple
