"""Per-pixel losses and PSNR against closed forms."""

import math

import numpy as np
import pytest
import torch

from restoration.losses.pixel import L1, L2, Charbonnier, psnr

ZERO = torch.zeros(2, 3, 4, 5)
STEPS = torch.tensor([0.5, -0.25]).view(2, 1, 1, 1).expand_as(ZERO)


def test_values_of_a_constant_difference():
    torch.testing.assert_close(L1()(ZERO + STEPS, ZERO), torch.tensor([0.5, 0.25]))
    torch.testing.assert_close(L2()(ZERO + STEPS, ZERO), torch.tensor([0.25, 0.0625]))
    expected = torch.tensor([math.hypot(0.5, 1e-3), math.hypot(0.25, 1e-3)])
    torch.testing.assert_close(Charbonnier()(ZERO + STEPS, ZERO), expected)


def test_charbonnier_is_epsilon_at_equality_and_l1_far_away():
    torch.testing.assert_close(Charbonnier(epsilon=0.25)(STEPS, STEPS), torch.tensor([0.25, 0.25]))
    assert (Charbonnier()(STEPS * 1e4, ZERO) - L1()(STEPS * 1e4, ZERO)).abs().max() < 1e-3


def test_slopes():
    restored = (ZERO + STEPS).requires_grad_()
    for loss, slope in (
        (L1(), [1, -1]),
        (L2(), [1.0, -0.5]),
        (Charbonnier(), [0.5 / math.hypot(0.5, 1e-3), -0.999992]),
    ):
        (gradient,) = torch.autograd.grad(loss(restored, ZERO).sum(), restored)
        torch.testing.assert_close(gradient[:, 0, 0, 0] * 60, torch.tensor(slope, dtype=torch.float32))


@pytest.mark.parametrize("step", [1, 2, 16, 255])
def test_psnr_of_a_constant_error_is_the_textbooks(step):
    expected = 20 * math.log10(255 / step)  # 48.13 dB for one step of 8 bits
    assert psnr(ZERO + step / 255, ZERO).tolist() == pytest.approx([expected] * 2, abs=1e-4)


def test_psnr_is_the_mean_of_squares_of_each_image():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 3, 3, 17, 19))
    expected = 10 * np.log10(1 / ((a - b) ** 2).mean((1, 2, 3)))
    np.testing.assert_allclose(psnr(torch.from_numpy(a), torch.from_numpy(b)), expected, rtol=1e-12)


def test_psnr_of_equal_images_is_100_db_with_no_slope():
    restored = STEPS.clone().requires_grad_()
    value = psnr(restored, STEPS)
    assert value.tolist() == [100, 100]
    (gradient,) = torch.autograd.grad(value.sum(), restored)
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_a_loss_does_not_broadcast():
    with pytest.raises(ValueError) as error:
        L1()(torch.rand(2, 3, 8, 8), torch.rand(2, 1, 8, 8))
    assert str(error.value) == "restored is 2x3x8x8 but clean is 2x1x8x8; expected equal sizes"


@pytest.mark.parametrize("epsilon", [0.0, -1e-3])
def test_charbonnier_refuses_an_edge(epsilon):
    with pytest.raises(ValueError) as error:
        Charbonnier(epsilon=epsilon)
    assert str(error.value) == f"epsilon = {epsilon:g}; expected more than 0, the root has no slope there"
