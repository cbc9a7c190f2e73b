"""The cosine transform of 8 x 8 blocks as matrix products: exact, or with the roundings of libjpeg's integers."""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

# Row k is √8 · 2¹³ times the k-th cosine of length 8, as libjpeg's "slow" integer transform has it when its products
# of 13-bit constants (Loeffler, Ligtenberg and Moschytz, 1989) are multiplied out; left halves, the right ones mirror.
_HALVES = np.array(
    [
        [8192, 8192, 8192, 8192],
        [11363, 9633, 6437, 2260],
        [10703, 4433, -4433, -10703],
        [9633, -2259, -11362, -6436],
        [8192, -8192, -8192, 8192],
        [6437, -11362, 2261, 9633],
        [4433, -10704, 10704, -4433],
        [2260, -6436, 9633, -11363],
    ]
)
_SIGNS = np.array([[1], [-1]] * 4)
INTEGER = np.concatenate([_HALVES, _HALVES[:, ::-1] * _SIGNS], 1) / 2**13
ORTHONORMAL = np.array(
    [
        [math.cos((2 * x + 1) * k * math.pi / 16) / (2 if k else math.sqrt(8)) for x in range(8)]
        for k in range(8)
    ]
)


def dct(planes: Tensor) -> Tensor:
    """Return the coefficients of each 8 x 8 block in its place; planes are (..., H, W) of float64, H and W by 8."""
    matrix = _matrix("orthonormal", planes.device)
    return _columns(_rows(planes, matrix), matrix)


def inverse_dct(coefficients: Tensor) -> Tensor:
    """Return the planes of orthonormal coefficients."""
    matrix = _matrix("orthonormal", coefficients.device).T
    return _rows(_columns(coefficients, matrix), matrix)


def integer_dct(planes: Tensor) -> Tensor:
    """Return 8 times the coefficients, whole numbers, of planes of whole numbers from -128 to 127, as libjpeg does.

    Every sum is a multiple of 2⁻¹⁵ below 2¹⁵ and so exact in double, whatever its order: the same on every device.
    """
    matrix = _matrix("integer", planes.device)
    return half_up(_columns(half_up(_rows(planes, matrix * 4)), matrix / 4))


def integer_inverse_dct(coefficients: Tensor) -> Tensor:
    """Return the planes, whole numbers, of coefficients that are whole numbers, as libjpeg does; not limited."""
    matrix = _matrix("integer", coefficients.device).T
    return half_up(_rows(half_up(_columns(coefficients, matrix * 4)), matrix / 32))


class _Straight(torch.autograd.Function):
    """The second argument, with the gradient of the first."""

    @staticmethod
    def forward(ctx: object, value: Tensor, other: Tensor) -> Tensor:
        return other.view_as(other)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def straight_through(value: Tensor, other: Tensor) -> Tensor:
    """Return ``other`` exactly, with the gradient of ``value``."""
    return _Straight.apply(value, other) if value.requires_grad else other


def half_up(value: Tensor) -> Tensor:
    """Return ``value``, which is overwritten, to the nearest whole number, halves upwards; the gradient passes."""
    if not value.requires_grad:
        return value.add_(0.5).floor_()
    return straight_through(value, (value.detach() + 0.5).floor_())


def _rows(planes: Tensor, matrix: Tensor) -> Tensor:
    return (planes.reshape(-1, 8) @ matrix.T).view(planes.shape)


def _columns(planes: Tensor, matrix: Tensor) -> Tensor:
    return (matrix @ planes.reshape(-1, 8, planes.shape[-1])).view(planes.shape)


@lru_cache(maxsize=16)
def _matrix(name: str, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(INTEGER if name == "integer" else ORTHONORMAL, dtype=torch.float64, device=device)
