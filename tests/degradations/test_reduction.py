"""Blur and subsampling in one step."""

import numpy as np
import pytest
import torch

from restoration.degradations.reduction import BlurDown

KEYS = [(0, 0), (0, 1)]


def test_it_is_a_blur_and_every_nth_pixel():
    clean = torch.rand(2, 3, 24, 16, dtype=torch.float64)
    made = BlurDown(scale=4, sigma=1.6, centred=False)(clean, KEYS).image
    taps = np.exp(-0.5 * (np.arange(-11, 12) / 1.6) ** 2)
    taps /= taps.sum()
    rows = np.pad(clean.numpy(), [(0, 0), (0, 0), (11, 11), (11, 11)], mode="reflect")
    window = np.lib.stride_tricks.sliding_window_view(rows, (23, 23), axis=(2, 3))[:, :, ::4, ::4]
    expected = np.einsum("nchwyx,y,x->nchw", window, taps, taps)
    np.testing.assert_allclose(made.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_centred_samples_stay_aligned(scale):
    """A ramp is a line again, through the centres of blocks, away from the borders."""
    ramp = torch.arange(20 * scale, dtype=torch.float64).expand(2, 1, 20 * scale, -1)
    made = BlurDown(scale=scale, sigma=(0.5, 1.0))(ramp, KEYS).image
    expected = scale * torch.arange(20, dtype=torch.float64) + (scale - 1) / 2
    torch.testing.assert_close(made[0, 0, 10, 8:-8], expected[8:-8], rtol=0, atol=1e-9)
    constant = BlurDown(scale=scale, sigma=3.0)(torch.full((2, 1, 12 * scale, 12 * scale), 0.3), KEYS).image
    torch.testing.assert_close(constant, torch.full((2, 1, 12, 12), 0.3))


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"^clean is 9x8; expected multiples of the scale 4$"):
        BlurDown(scale=4)(torch.rand(2, 3, 9, 8), KEYS)


def test_wider_blurs_than_any_image_are_refused():
    with pytest.raises(ValueError, match=r"^sigma = 1000; expected a number from 0.001 to 512, or "):
        BlurDown(scale=4, sigma=1000.0)
