"""Separable filters against a loop over pixels, both below and above the length of one product."""

import numpy as np
import pytest
import torch

from restoration.losses import separable
from restoration.losses.separable import expanded, filtered, gaussian

TAPS = (0.1, 0.5, 0.2, -0.3, 0.7)


def by_hand(image: np.ndarray, taps: tuple[float, ...], mirrored: bool, stride: int) -> np.ndarray:
    reach = len(taps) // 2
    if mirrored:
        image = np.pad(image, reach, mode="reflect")
    height, width = (n - 2 * reach for n in image.shape)
    result = np.zeros((height, width))
    for i, down in enumerate(taps):
        for j, across in enumerate(taps):
            result += down * across * image[i : i + height, j : j + width]
    return result[::stride, ::stride]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(5, 5), (6, 9), (7, 519), (530, 6)])
def test_filtered_is_the_loop(size, stride, mirrored):
    image = np.random.default_rng(0).random(size)
    expected = by_hand(image, TAPS, mirrored, stride)
    found = filtered(torch.from_numpy(image)[None, None], TAPS, mirrored=mirrored, stride=stride)
    np.testing.assert_allclose(found[0, 0], expected, rtol=0, atol=1e-13)


def test_a_window_wider_than_the_image_is_mirrored_again_and_again():
    image = np.random.default_rng(0).random((3, 4))
    taps = gaussian(19, 3.0)
    found = filtered(torch.from_numpy(image)[None, None], taps, mirrored=True)[0, 0]
    padded = np.pad(image, 9, mode="reflect")
    expected = [[sum(taps[a] * taps[b] * padded[i + a, j + b] for a in range(19) for b in range(19)) for j in range(4)] for i in range(3)]  # fmt: skip
    np.testing.assert_allclose(found, expected, atol=1e-13)


def test_gradients_of_blocks_are_those_of_one_product(monkeypatch):
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(1, 1, 8, 300, generator=rng, dtype=torch.float64).requires_grad_()
    slopes = []
    for whole in (512, 16):
        monkeypatch.setattr(separable, "WHOLE", whole)
        value = filtered(image, TAPS, mirrored=True).square().sum()
        slopes.append(torch.autograd.grad(value, image)[0])
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-12, atol=1e-12)


def test_gaussian_taps_sum_to_one_and_fall_as_the_formula_says():
    taps = gaussian(9, 1.5)
    assert sum(taps) == pytest.approx(1, abs=1e-15)
    assert taps[6] / taps[4] == pytest.approx(np.exp(-4 / (2 * 1.5**2))) and taps == taps[::-1]


@pytest.mark.parametrize("size", [(8, 11), (7, 12)])
def test_expanded_is_zeros_between_the_samples_and_four_times_the_binomial_filter(size):
    coarse = np.random.default_rng(0).random(((size[0] + 1) // 2, (size[1] + 1) // 2))
    sparse = np.zeros((2 * coarse.shape[0] + 4, 2 * coarse.shape[1] + 4))
    sparse[::2, ::2] = np.pad(coarse, 1, mode="edge")
    expected = by_hand(sparse, tuple(np.array([1, 4, 6, 4, 1]) / 8), False, 1)[: size[0], : size[1]]
    found = expanded(torch.from_numpy(coarse)[None, None], torch.Size(size))
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-14)
