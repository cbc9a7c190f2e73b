"""The cosine transform of blocks: its definition, its inverse, and libjpeg's integers."""

import numpy as np
import pytest
import torch

from restoration.degradations.dct import (
    INTEGER,
    ORTHONORMAL,
    dct,
    half_up,
    integer_dct,
    integer_inverse_dct,
    inverse_dct,
    straight_through,
)


def planes(*shape: int) -> torch.Tensor:
    steps = torch.randint(-128, 128, shape, generator=torch.Generator().manual_seed(0))
    return steps.double()


def test_the_matrix_is_orthonormal_and_the_integers_are_near_it():
    np.testing.assert_allclose(ORTHONORMAL @ ORTHONORMAL.T, np.eye(8), atol=1e-15)
    # each product of the flow graph was rounded to 2⁻¹³, up to four to an element
    assert np.abs(INTEGER - ORTHONORMAL * 8**0.5).max() < 2 / 2**13


def test_coefficients_are_the_definition():
    """ITU-T T.81, A.3.3, sum by sum, of the second block of the second plane."""
    image = planes(2, 16, 24)
    block = image[1, 8:, 8:16]
    x = torch.arange(8, dtype=torch.float64)
    for v, u in ((0, 0), (0, 3), (5, 0), (7, 6)):
        waves = torch.outer(((2 * x + 1) * v * torch.pi / 16).cos(), ((2 * x + 1) * u * torch.pi / 16).cos())
        scale = 0.25 * (0.5**0.5 if v == 0 else 1) * (0.5**0.5 if u == 0 else 1)
        expected = scale * (block * waves).sum()
        assert dct(image)[1, 8 + v, 8 + u].item() == pytest.approx(expected.item(), abs=1e-10)


def test_the_inverse_undoes_it():
    image = planes(3, 24, 16)
    torch.testing.assert_close(inverse_dct(dct(image)), image, rtol=0, atol=1e-11)
    difference = integer_inverse_dct(half_up(integer_dct(image) / 8)) - image
    assert difference.abs().max() <= 2 and difference.abs().mean() < 0.5


def test_integers_are_eight_times_the_coefficients():
    image = planes(1, 64, 64)
    result = integer_dct(image)
    assert torch.equal(result, result.round())
    assert (result - 8 * dct(image)).abs().max() < 2


def test_rounding_is_half_up_and_lets_the_gradient_pass():
    values = torch.tensor([-1.5, -0.5, 0.49, 0.5, 2.5])
    assert half_up(values.clone()).tolist() == [-1, 0, 0, 1, 3]
    values.requires_grad_()
    rounded = half_up(values * 1)
    assert rounded.tolist() == [-1, 0, 0, 1, 3]
    (rounded * torch.arange(5)).sum().backward()
    assert values.grad.tolist() == [0, 1, 2, 3, 4]


def test_straight_through_is_the_value_of_one_and_the_gradient_of_the_other():
    value = torch.tensor([0.1, 1 / 3], requires_grad=True)
    other = torch.tensor([1e10, 2.0])
    result = straight_through(value, other)
    assert torch.equal(result, other)
    result.sum().backward()
    assert value.grad.tolist() == [1, 1]
