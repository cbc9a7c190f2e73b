"""The drift of colours: nothing for what only adds detail, the right number for a cast."""

import numpy as np
import pytest
import torch

from restoration.dials.drift import drift
from restoration.losses.colour import delta_e_2000, lab


def samples(height, width, channels=3, dtype=np.uint8, low=60, high=190):
    rng = np.random.default_rng(height + width)
    factor = np.iinfo(dtype).max // 255
    return (rng.integers(low, high, (height, width, channels)) * factor).astype(dtype)


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (7, 300), (65, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_keeps_the_means_of_pixels_has_no_drift(scale, size, channels):
    degraded = samples(*size, channels)
    enlarged = degraded.repeat(scale, 0).repeat(scale, 1)
    if scale == 3:  # detail around the same mean
        enlarged[::3, ::3] += 50
        enlarged[1::3, 1::3] -= 50
    found = drift(degraded, enlarged)
    assert found.mean < 1e-6 and found.largest < 1e-6 and not found.visible
    assert found.shift == pytest.approx((0.0,) * channels, abs=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cast_is_measured_per_channel_and_as_a_difference_of_colours(dtype):
    degraded = np.full((40, 56, 3), 128 * (np.iinfo(dtype).max // 255), dtype)
    peak = np.iinfo(dtype).max
    step = np.array([10, 0, -20]) * (peak // 255)
    restored = (degraded.repeat(2, 0).repeat(2, 1).astype(int) + step).astype(dtype)
    found = drift(degraded, restored)
    assert found.shift == pytest.approx((10 / 255, 0, -20 / 255), abs=1e-9)
    colours = [torch.tensor(a[0, 0] / peak).view(1, 3, 1, 1) for a in (degraded, restored)]
    expected = float(delta_e_2000(*map(lab, colours)))
    assert found.mean == pytest.approx(expected, rel=1e-6) == found.largest
    assert found.visible
    assert str(found).startswith(
        f"colours drift by ΔE {expected:.1f} in the mean, {expected:.1f} at most (R +0.039"
    )


def test_pixels_without_weight_have_no_part():
    degraded = samples(64, 64)
    restored = degraded.repeat(2, 0).repeat(2, 1)
    weight = np.ones((64, 64, 1), np.uint8)
    weight[10:50, 20:60] = 0
    restored[20:100, 40:120] = 255
    assert drift(degraded, restored).visible
    assert drift(degraded, restored, weight).largest < 1e-6
    assert drift(degraded, restored, np.zeros_like(weight)).mean == 0


def test_mean_counts_pixels_not_blocks():
    degraded = samples(33, 8, low=100, high=101)  # one block of 32 rows, one of a single row
    restored = degraded.copy()
    restored[32] += 30
    found = drift(degraded, restored)
    assert found.mean == pytest.approx(found.largest / 33, rel=1e-6)


def test_noise_that_is_taken_out_is_no_drift():
    clean = np.full((256, 256, 3), 128, np.uint8)
    noisy = clean + np.random.default_rng(0).normal(0, 50, clean.shape)
    assert not drift(noisy.clip(0, 255).round().astype(np.uint8), clean).visible
