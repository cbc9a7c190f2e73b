"""Smoothing: equal to OpenCV's, the same in bands of any height, fields from 0 to 1."""

import math

import numpy as np
import pytest
import torch

from restoration.degradations import smooth
from restoration.degradations.smooth import blur_into, blurred, gaussian, mirrored, random_field


def test_taps_are_a_gaussian_of_that_variance():
    taps = gaussian(3.0, 20)
    place = np.arange(-20, 21)
    assert taps.sum() == pytest.approx(1) and (taps * place**2).sum() == pytest.approx(9, rel=1e-6)
    np.testing.assert_array_equal(gaussian(0.0, 2), [0, 0, 1, 0, 0])


@pytest.mark.parametrize("size", [(48, 60), (1, 7), (5, 3), (130, 200)])
@pytest.mark.parametrize("sigma", [0.7, 5.0])
def test_blur_is_opencvs_gaussian(size, sigma):
    cv2 = pytest.importorskip("cv2")
    image, radius = torch.rand(3, *size), math.ceil(2 * sigma)
    result = torch.empty_like(image)
    blur_into(result, lambda index: image.index_select(1, index), gaussian(sigma, radius))
    side = 2 * radius + 1
    expected = cv2.GaussianBlur(image.permute(1, 2, 0).numpy(), (side, side), sigma)
    np.testing.assert_allclose(result.permute(1, 2, 0), expected.reshape(*size, 3), atol=1e-6)


def test_a_blur_is_a_loop_over_taps_on_a_mirrored_image():
    image, taps = torch.rand(2, 9, 11, dtype=torch.float64), gaussian(1.5, 4)
    padded = np.pad(image.numpy(), ((0, 0), (4, 4), (4, 4)), "reflect")
    expected = np.zeros(image.shape)
    for i, down in enumerate(taps):
        for j, across in enumerate(taps):
            expected += down * across * padded[:, i : i + 9, j : j + 11]
    result = torch.empty_like(image)
    blur_into(result, lambda index: image.index_select(1, index), taps)
    np.testing.assert_allclose(result, expected, atol=1e-12)


def test_bands_do_not_show(monkeypatch):
    image = torch.rand(1, 150, 90, dtype=torch.float64)
    whole = blurred(image, 2.0)
    monkeypatch.setattr(smooth, "LEAST", 16)
    torch.testing.assert_close(blurred(image, 2.0), whole, rtol=0, atol=1e-12)


def test_rows_are_asked_for_within_the_image_and_a_band_at_a_time():
    image, asked = torch.rand(1, 1000, 8), []

    def rows(index):
        asked.append(len(index))
        return image.index_select(1, index)

    blur_into(torch.empty_like(image), rows, gaussian(2.0, 4))
    assert max(asked) <= smooth.LEAST + 8


def test_mirrored_is_numpys_reflect():
    for length in (1, 2, 5):
        index = torch.arange(-7, length + 7)
        np.testing.assert_array_equal(
            mirrored(index, length), np.pad(np.arange(length), (7, 7), "reflect") if length > 1 else 0 * index
        )


def test_fields_are_smooth_and_take_both_ends():
    field = random_field(np.random.default_rng(0), (90, 120), 3)
    assert field.shape == (1, 90, 120) and field.min() == 0 and field.max() == 1
    assert field.diff(dim=1).abs().max() < 0.08 and field.diff(dim=2).abs().max() < 0.08
    assert field.std() > 0.1
