"""Focal frequency, Fourier and wavelet losses against full spectra in numpy and closed forms."""

import math

import numpy as np
import pytest
import torch

from restoration.losses.frequency import FocalFrequency, Fourier, Wavelet
from restoration.losses.haar import even, haar


@pytest.fixture(params=[(12, 14), (11, 15), (9, 8)], ids=str)
def pair(request):
    rng = torch.Generator().manual_seed(0)
    return tuple(torch.rand(2, 3, *request.param, generator=rng, dtype=torch.float64) for _ in range(2))


def spectra(pair):
    return [np.fft.fft2(image.numpy(), norm="ortho") for image in pair]


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_focal_frequency_is_the_papers_formula_on_the_whole_spectrum(pair, alpha):
    restored, clean = spectra(pair)
    weights = np.abs(restored - clean) ** alpha
    weights /= weights.max((-2, -1), keepdims=True)
    expected = (weights * np.abs(restored - clean) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(FocalFrequency(alpha)(*pair), expected, rtol=1e-12)


def test_focal_frequency_with_equal_weights_is_the_mean_square(pair):
    expected = (pair[0] - pair[1]).square().mean((1, 2, 3))
    torch.testing.assert_close(FocalFrequency(alpha=0.0)(*pair), expected)


def test_one_wave_is_weighted_fully():
    """``a cos(2πkx/W)`` has its power in two coefficients of equal size, so all weights that count are 1."""
    columns = torch.arange(16, dtype=torch.float64)
    wave = (0.3 * (2 * math.pi * 3 * columns / 16).cos()).expand(1, 1, 12, -1)
    torch.testing.assert_close(
        FocalFrequency()(wave, torch.zeros_like(wave)), torch.tensor([0.3**2 / 2]).double()
    )


def test_the_weights_of_focal_frequency_are_constants_to_the_gradient(pair):
    restored, clean = pair[0].clone().requires_grad_(), pair[1]
    (found,) = torch.autograd.grad(FocalFrequency()(restored, clean).sum(), restored)
    difference = torch.fft.fft2(pair[0] - clean, norm="ortho")
    weights = difference.abs() / difference.abs().amax((-2, -1), keepdim=True)
    expected = 2 * torch.fft.ifft2(weights * difference, norm="ortho").real / clean[0].numel()
    torch.testing.assert_close(found, expected)


def test_fourier_is_amplitudes_and_cosines_on_the_whole_spectrum(pair):
    restored, clean = spectra(pair)
    amplitudes = np.abs(np.abs(restored) - np.abs(clean)).mean((1, 2, 3))
    phases = (1 - np.cos(np.angle(restored) - np.angle(clean))).mean((1, 2, 3))
    np.testing.assert_allclose(Fourier(phase=0.0)(*pair), amplitudes, rtol=1e-12)
    np.testing.assert_allclose(Fourier(amplitude=0.0, epsilon=1e-9)(*pair), phases, rtol=1e-9)
    np.testing.assert_allclose(Fourier(0.5, 2.0, 1e-9)(*pair), 0.5 * amplitudes + 2 * phases, rtol=1e-9)


def test_a_shift_changes_phases_alone_and_a_gain_amplitudes_alone():
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 16, 16, generator=rng, dtype=torch.float64)
    shifted = image.roll(1, -1)
    assert Fourier(phase=0.0)(shifted, image) < 1e-12
    turns = 2 * math.pi * torch.arange(16, dtype=torch.float64) / 16
    expected = (1 - turns.cos()).mean()
    torch.testing.assert_close(
        Fourier(amplitude=0.0, epsilon=1e-9)(shifted, image), expected[None], rtol=1e-6, atol=0
    )
    assert Fourier(amplitude=0.0, epsilon=1e-9)(1.5 * image, image) < 1e-12


def test_phases_either_side_of_half_a_turn_are_close():
    """Angles 3.1 and −3.1 differ by 6.2 on the line and by 0.083 on the circle."""
    columns = torch.arange(16, dtype=torch.float64)
    first, second = (
        (2 * math.pi * 2 * columns / 16 + angle).cos().expand(1, 1, 16, -1) for angle in (3.1, -3.1)
    )
    found = Fourier(amplitude=0.0)(first, second) * 16 * 16 / 2  # two of 256 coefficients are not 0
    assert found.item() == pytest.approx(1 - math.cos(2 * math.pi - 6.2), rel=1e-4)


def test_slopes_stay_finite_where_an_amplitude_is_0():
    clean = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    restored = torch.full_like(clean, 0.5).requires_grad_()
    (slope,) = torch.autograd.grad(Fourier()(restored, clean).sum(), restored)
    assert bool(slope.isfinite().all()) and slope.abs().max() < 1 / 1e-3


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_wavelet_is_the_weighted_mean_over_the_bands(pair, levels):
    weights = (0.5, 1.0, 2.0, 3.0)
    first, second = pair
    expected = torch.zeros(2, dtype=torch.float64)
    for _ in range(levels):
        a, b = haar(even(first)), haar(even(second))
        for band in (1, 2, 3):
            expected += weights[band] * (a - b)[:, :, band].abs().mean((1, 2, 3))
        first, second = a[:, :, 0], b[:, :, 0]
    expected += weights[0] * (first - second).abs().mean((1, 2, 3))
    torch.testing.assert_close(Wavelet(levels, weights)(*pair), expected)


def test_wavelet_bands_of_known_patterns():
    zero = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    rows = torch.tensor([1.0, -1.0]).double().repeat(4)
    checks = rows[:, None] * rows
    for image, band in ((rows[:, None].expand(8, 8), 1), (rows.expand(8, 8), 2), (checks, 3)):
        for place in range(4):
            weights = tuple(float(i == place) for i in range(4))
            expected = 2.0 if place == band else 0.0
            assert Wavelet(2, weights)(zero + image, zero).item() == pytest.approx(expected)
    assert Wavelet(3, (1.0, 0.0, 0.0, 0.0))(zero + 0.25, zero).item() == pytest.approx(0.25 * 2**3)


def test_a_deep_wavelet_names_the_size_that_it_needs():
    image = torch.rand(1, 3, 16, 40)
    with pytest.raises(ValueError) as error:
        Wavelet(levels=5)(image, image)
    assert str(error.value) == "wavelet of 5 levels: images are 16x40; expected at least 17 pixels a side"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FocalFrequency(alpha=-1.0), "alpha = -1; expected at least 0"),
        (lambda: Fourier(0.0, 0.0), "amplitude = 0, phase = 0; expected one of them above 0"),
        (lambda: Fourier(phase=math.nan), "phase = nan; expected at least 0"),
        (lambda: Fourier(epsilon=0.0), "epsilon = 0; expected more than 0"),
        (lambda: Wavelet(levels=0), "levels = 0; expected at least 1"),
        (lambda: Wavelet(weights=(1.0, 1.0)), "weights = [1.0, 1.0]; expected four numbers: ll, lh, hl, hh"),
        (lambda: Wavelet(weights=(1.0, -1.0, 0.0, 0.0)), "weights: lh = -1; expected at least 0"),
        (lambda: Wavelet(weights=(0.0,) * 4), "weights = [0.0, 0.0, 0.0, 0.0]; expected one of them above 0"),
    ],
)
def test_other_settings_are_refused(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
