"""Losses on differences between pixels: total variation, gradient fields, the Laplacian pyramid."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn.functional import pad

from restoration.losses.checks import one_of, positive
from restoration.losses.loss import Loss, large_enough, per_image, same_shape
from restoration.losses.separable import expanded, filtered

BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


@dataclass(frozen=True)
class TotalVariation(Loss):
    """``mean |∂ₕ x| + mean |∂_w x|`` of the restored image alone, anisotropic (Rudin, Osher & Fatemi, 1992).

    The differences of neighbours within rows and within columns are averaged each over their own number. ``squared``
    takes ``2 (mean (∂ₕ x)² + mean (∂_w x)²)``, the form of iSeeBetter (Chadha et al., 2020). Images in [0, data_range].
    """

    compares: ClassVar = "restored"
    minimum_size: ClassVar = 2

    squared: bool = False
    data_range: float = 1.0

    def __post_init__(self) -> None:
        positive("data_range", self.data_range)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        same_shape(restored, clean)
        large_enough(restored, self.minimum_size, "total-variation")
        steps = _differences(restored)
        if self.squared:
            return sum(per_image(step.square()) for step in steps) * (2 * self.data_range**2)
        return sum(per_image(step.abs()) for step in steps) * self.data_range


@dataclass(frozen=True)
class Gradient(Loss):
    """``mean |Dₕ(restored − clean)| + mean |D_w(restored − clean)|``: the L1 distance of the gradient fields.

    ``kind`` is the derivative D: "difference" of neighbours (Mathieu, Couprie & LeCun, 2016, but of
    signed differences), "sobel" (3×3, of unit gain on a ramp), or "laplacian", the one field of second differences over
    four neighbours, an edge loss. The last two repeat the border.
    """

    minimum_size: ClassVar = 2

    kind: Literal["difference", "sobel", "laplacian"] = "difference"

    def __post_init__(self) -> None:
        one_of("kind", self.kind, FIELDS)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        difference = restored - same_shape(restored, clean)
        large_enough(difference, self.minimum_size, "gradient")
        return sum(per_image(component.abs()) for component in FIELDS[self.kind](difference))


@dataclass(frozen=True)
class LaplacianPyramid(Loss):
    """``Σⱼ growthʲ mean |Lʲ(restored) − Lʲ(clean)|`` over the levels of a Laplacian pyramid, j = 0 the finest.

    The pyramid is Burt & Adelson's (1983; taps 1 4 6 4 1), its last level the low-pass. ``growth`` = 2 weights the
    levels as matting does (Hou & Liu, 2019); 1 is Lap₁ (Bojanowski et al., 2018), whose factors 2²ʲ multiply sums over
    levels that are a quarter as large each. ``levels`` need sides of ``2^(levels − 1) + 1`` pixels.
    """

    minimum_size: ClassVar = 17

    levels: int = 5
    growth: float = 2.0

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise ValueError(f"levels = {self.levels}; expected at least 1")
        positive("growth", self.growth)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        difference = restored - same_shape(restored, clean)
        smallest = 2 ** (self.levels - 1) + 1 if self.levels > 1 else 1
        large_enough(difference, smallest, f"laplacian-pyramid of {self.levels} levels")
        bands = laplacian_pyramid(difference, self.levels)
        return sum(self.growth**j * per_image(band.abs()) for j, band in enumerate(bands))


def laplacian_pyramid(image: Tensor, levels: int) -> Iterator[Tensor]:
    """Yield the bands of Burt & Adelson's pyramid, finest first, the low-pass last: sides halve, rounded up."""
    for _ in range(levels - 1):
        coarse = filtered(image, BINOMIAL, mirrored=True, stride=2)
        yield image - expanded(coarse, image.shape[-2:])
        image = coarse
    yield image


class _Differences(torch.autograd.Function):
    """Differences of neighbours within columns and within rows; its own slope saves a copy of the image per operand."""

    @staticmethod
    def forward(ctx: FunctionCtx, image: Tensor) -> tuple[Tensor, Tensor]:
        return image[..., 1:, :] - image[..., :-1, :], image[..., 1:] - image[..., :-1]

    @staticmethod
    def backward(ctx: FunctionCtx, rows: Tensor, columns: Tensor) -> Tensor:
        slope = pad(rows, [0, 0, 1, 0])
        slope[..., :-1, :] -= rows
        slope[..., 1:] += columns
        slope[..., :-1] -= columns
        return slope


def _differences(image: Tensor) -> tuple[Tensor, Tensor]:
    return _Differences.apply(image)


def _sobel(image: Tensor) -> tuple[Tensor, Tensor]:
    image = pad(image, [1, 1, 1, 1], mode="replicate")
    below, beside = image[..., 2:, :] - image[..., :-2, :], image[..., 2:] - image[..., :-2]
    rows = below[..., :-2] + 2 * below[..., 1:-1] + below[..., 2:]
    columns = beside[..., :-2, :] + 2 * beside[..., 1:-1, :] + beside[..., 2:, :]
    return rows / 8, columns / 8


def _laplacian(image: Tensor) -> tuple[Tensor]:
    # the border repeated: the difference across it is 0
    rows, columns = _differences(image)
    rows, columns = pad(rows, [0, 0, 1, 1]), pad(columns, [1, 1])
    return (rows[..., 1:, :] - rows[..., :-1, :] + columns[..., 1:] - columns[..., :-1],)


FIELDS = {"difference": _differences, "laplacian": _laplacian, "sobel": _sobel}
