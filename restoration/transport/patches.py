"""Overlapping patches of latents: their moments, added up, and a map of every patch folded back into an image."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from restoration.transport.gaussian import Affine, Gaussian

BAND = 1 << 25  # bytes of patches that are there at a time, beside their maps
Draw = Callable[
    [int, int, int, int], Tensor
]  # channels, first row, rows, columns → (channels, rows, columns)


@dataclass(frozen=True)
class Moments:
    """Of patches as vectors z: how many, the sums of z and of z zᵀ. The sums of parts are those of the whole."""

    count: int
    total: Tensor
    products: Tensor

    @classmethod
    def none(cls, size: int) -> "Moments":
        """Return those of no patches, of ``size`` numbers each."""
        return cls(0, torch.zeros(size, dtype=torch.double), torch.zeros(size, size, dtype=torch.double))

    def __add__(self, other: "Moments") -> "Moments":
        """Return those of both sets of patches."""
        return Moments(self.count + other.count, self.total + other.total, self.products + other.products)

    def gaussian(self) -> Gaussian:
        """Return mean and unbiased covariance; that of a single patch is 0."""
        if self.count < 1:
            raise ValueError("no patches; expected latents of at least the size of a patch")
        mean = self.total / self.count
        spread = self.products - self.count * torch.outer(mean, mean)
        return Gaussian(mean, (spread + spread.T) / (2 * max(1, self.count - 1)))


def moments(latents: Tensor, patch: int) -> Moments:
    """Return the moments of all patches that lie within (N, C, H, W) latents, of C·patch² numbers each."""
    count, channels, height, width = latents.shape
    size = channels * patch**2
    found = Moments.none(size)
    if width < patch:
        return found
    for top, bottom in _bands(height - patch + 1, 8 * size * count * (width - patch + 1)):
        slab = latents[:, :, top : bottom + patch - 1].detach().cpu().double()
        columns = functional.unfold(slab, patch).transpose(0, 1).flatten(1)
        found += Moments(columns.shape[1], columns.sum(1), columns @ columns.T)
    return found


def mapped(
    latents: Tensor, affine: Affine, patch: int, draw: Draw | None = None, weighting: float = 0.0
) -> Tensor:
    """Return latents whose patches were mapped: one around every pixel, folded back by the mean of all that overlap.

    Beyond its borders an image goes on as its last pixels. ``weighting`` is the σ, in pixels, of Gaussian weights of
    a patch's pixels in that mean; 0 gives all the same.

    ``draw`` gives the independent normal numbers of the noise, which is left out without it. The mean of overlapping
    patches would make noise fainter by up to the number of patches: it is folded by sums over the root of the sum of
    squared weights instead. So a pixel's variance is the mean of those that the patches over it have there.
    """
    reach, (count, channels, height, width) = patch // 2, latents.shape
    matrix, shift = affine.matrix.to(latents), affine.shift.to(latents)[:, None]
    root = None if affine.root is None or draw is None else affine.root.to(latents)
    profile = _profile(patch, weighting, latents)
    weights = torch.outer(profile, profile).flatten().repeat(channels)[:, None]
    rows, columns = _totals(profile, height), _totals(profile, width)
    row_squares, column_squares = _totals(profile.square(), height), _totals(profile.square(), width)
    padded = functional.pad(latents, (reach,) * 4, mode="replicate")
    made = []
    for top, bottom in _bands(height, 8 * channels * patch**2 * count * width):
        first, last = max(0, top - reach), min(height, bottom + reach)
        kept = (slice(top - first + reach, bottom - first + reach), slice(reach, reach + width))
        shape = (last - first + 2 * reach, width + 2 * reach)
        patches = functional.unfold(padded[:, :, first : last + 2 * reach], patch)
        folded = functional.fold(weights * (matrix @ patches + shift), shape, patch)
        band = folded[:, :, kept[0], kept[1]] / torch.outer(rows[top:bottom], columns)
        if root is not None and draw is not None:
            drawn = draw(root.shape[1], first, last - first, width).to(latents).flatten(1)
            folded = functional.fold((weights * (root @ drawn))[None], shape, patch)
            noise = folded[:, :, kept[0], kept[1]]
            band = band + noise / torch.outer(row_squares[top:bottom], column_squares).sqrt()
        made.append(band)
    return torch.cat(made, -2)


def means(channels: int, patch: int, of: tuple[int, ...]) -> Tensor:
    """Return orthonormal directions (C·patch², k) of patches: the mean of each channel that ``of`` names."""
    directions = torch.zeros(channels, patch**2, len(of), dtype=torch.double)
    for k, channel in enumerate(of):
        directions[channel, :, k] = 1 / patch
    return directions.flatten(0, 1)


def _bands(rows: int, bytes_of_a_row: int) -> list[tuple[int, int]]:
    step = max(1, BAND // max(1, bytes_of_a_row))
    return [(top, min(rows, top + step)) for top in range(0, rows, step)]


def _profile(patch: int, weighting: float, like: Tensor) -> Tensor:
    offsets = torch.arange(patch, dtype=like.dtype, device=like.device) - patch // 2
    return (-offsets.square() / (2 * weighting**2)).exp() if weighting else torch.ones_like(offsets)


def _totals(profile: Tensor, length: int) -> Tensor:
    """Return along one axis the sum of the weights with which patches cover each pixel."""
    centres = profile.new_ones(1, 1, length)
    return functional.conv1d(centres, profile[None, None], padding=len(profile) // 2)[0, 0]
