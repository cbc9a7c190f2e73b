"""Metrics without weights: against published pairs, closed forms and the plain definition in loops."""

import numpy as np
import pytest
import torch

from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.metrics.colour import ciede2000, lab
from restoration.benchmarks.metrics.statistics import DIRECTIONS, _directions

# Sharma, Wu & Dalal (2005), table 1: pairs that implementations get wrong
PAIRS = [
    ((50.0000, 2.6772, -79.7751), (50.0000, 0.0000, -82.7485), 2.0425),
    ((50.0000, 3.1571, -77.2803), (50.0000, 0.0000, -82.7485), 2.8615),
    ((50.0000, 2.8361, -74.0200), (50.0000, 0.0000, -82.7485), 3.4412),
    ((50.0000, -1.3802, -84.2814), (50.0000, 0.0000, -82.7485), 1.0000),
    ((50.0000, 0.0000, 0.0000), (50.0000, -1.0000, 2.0000), 2.3669),
    ((50.0000, 2.4900, -0.0010), (50.0000, -2.4900, 0.0009), 7.1792),
    ((50.0000, 2.4900, -0.0010), (50.0000, -2.4900, 0.0011), 7.2195),
    ((50.0000, 2.5000, 0.0000), (50.0000, 0.0000, -2.5000), 4.3065),
    ((50.0000, 2.5000, 0.0000), (73.0000, 25.0000, -18.0000), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def images(seed=0, channels=3, size=(48, 40), count=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, *size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("first", "second", "expected"), PAIRS)
def test_colour_difference_is_that_of_the_published_pairs(first, second, expected):
    one, two = (torch.tensor([c], dtype=torch.float64) for c in (first, second))
    assert ciede2000(one, two).item() == pytest.approx(expected, abs=6e-5)
    assert ciede2000(two, one).item() == pytest.approx(expected, abs=6e-5)


def test_colour_difference_of_images_is_that_of_scikit_image():
    colour = pytest.importorskip("skimage.color", reason="scikit-image: the extra `classical`")
    restored, clean = images(0), images(1)
    first, second = (colour.rgb2lab(image[0].permute(1, 2, 0).numpy()) for image in (restored, clean))
    expected = colour.deltaE_ciede2000(first, second).mean()
    assert METRICS["delta-e-2000"]()(restored, clean).item() == pytest.approx(expected, rel=1e-3)
    assert np.abs(lab(clean)[0].permute(1, 2, 0).numpy() - second).max() < 0.02  # its white has fewer digits


def test_high_frequency_ratio_is_one_for_equals_less_for_blur_more_for_noise():
    metric, clean = METRICS["high-frequency-ratio"](), images(channels=1, size=(64, 50))
    assert metric(clean, clean).item() == 1
    blurred = torch.nn.functional.avg_pool2d(
        torch.nn.functional.pad(clean, (1, 1, 1, 1), mode="reflect"), 3, 1
    )
    assert metric(blurred, clean).item() < 0.3
    assert metric(clean + 0.3 * images(7, 1, (64, 50)), clean).item() > 1.05
    # twice the contrast about the mean is four times the energy
    assert metric(2 * clean, clean).item() == pytest.approx(4, rel=1e-3)
    flat = torch.full_like(clean, 0.5)
    assert metric(flat, flat).item() == 1


def test_radial_spectrum_error_of_twice_the_contrast_is_six_decibels():
    metric, clean = METRICS["spectrum-error"](), images(channels=1, size=(64, 50))
    assert metric(clean, clean).item() == 0
    assert metric(2 * clean, clean).item() == pytest.approx(20 * np.log10(2), abs=0.02)


def test_spectra_are_those_of_a_plain_sum_over_rings():
    clean, restored = images(2, 1, (24, 20)), images(3, 1, (24, 20))
    window = np.outer(np.hanning(26)[1:-1], np.hanning(22)[1:-1])

    def power(image):
        grey = image[0, 0].numpy()
        centred = (grey - (grey * window).sum() / window.sum()) * window
        return np.abs(np.fft.fft2(centred)) ** 2 / (window**2).sum()

    floor, errors, high = 1 / (12 * 255**2), [], ([], [])
    ours, truth = power(restored), power(clean)
    radius = [[np.hypot(u, v) for v in np.fft.fftfreq(20)] for u in np.fft.fftfreq(24)]
    for ring in range(1, 11):
        inside = [(i, j) for i in range(24) for j in range(20) if round(radius[i][j] * 20) == ring]
        mean = [np.mean([p[at] for at in inside]) + floor for p in (ours, truth)]
        errors.append(abs(10 * np.log10(mean[0] / mean[1])))
    for i in range(24):
        for j in range(20):
            if radius[i][j] > 0.25:
                high[0].append(ours[i, j])
                high[1].append(truth[i, j])
    found = METRICS["spectrum-error"]()(restored, clean).item()
    assert found == pytest.approx(np.mean(errors), rel=1e-9)
    ratio = (np.mean(high[0]) + floor) / (np.mean(high[1]) + floor)
    assert METRICS["high-frequency-ratio"]()(restored, clean).item() == pytest.approx(ratio, rel=1e-9)


def test_gradient_histograms_are_compared_by_the_earth_movers_distance():
    stats = pytest.importorskip("scipy.stats")
    restored, clean = images(4, 1), images(5, 1)

    def magnitudes(image):
        grey = image[0, 0].numpy()
        return np.hypot(np.diff(grey, axis=0)[:, :-1], np.diff(grey, axis=1)[:-1]).ravel()

    expected = 255 * stats.wasserstein_distance(magnitudes(restored), magnitudes(clean))
    assert METRICS["gradient-histogram"]()(restored, clean).item() == pytest.approx(expected, rel=1e-9)


def test_sliced_wasserstein_is_the_mean_over_directions_and_blind_to_places_and_means():
    stats = pytest.importorskip("scipy.stats")
    restored, clean = images(4), images(5)
    kernels = _directions(3).flatten(1).numpy()
    assert kernels.shape == (DIRECTIONS, 147)
    np.testing.assert_allclose(np.linalg.norm(kernels, axis=1), 1)
    patches = [
        np.lib.stride_tricks.sliding_window_view(image[0].numpy(), (7, 7), (1, 2))
        .transpose(1, 2, 0, 3, 4).reshape(-1, 147) @ kernels.T
        for image in (restored, clean)
    ]  # fmt: skip
    expected = 255 * np.mean(
        [stats.wasserstein_distance(a, b) for a, b in zip(*(p.T for p in patches), strict=True)]
    )
    metric = METRICS["sliced-wasserstein"]()
    assert metric(restored, clean).item() == pytest.approx(expected, rel=1e-9)
    assert metric(clean + 0.1, clean).item() < 1e-9
    assert (
        metric(images(6, size=(400, 300)), images(7, size=(400, 300))).item() < 1.0
    )  # the same texture elsewhere


@pytest.mark.parametrize(
    ("name", "value", "than", "expected"),
    [("psnr-y", 31, 30, True), ("gmsd", 0.1, 0.2, True), ("high-frequency-ratio", 1.1, 0.8, True),
     ("high-frequency-ratio", 1.3, 0.8, False)],
)  # fmt: skip
def test_a_value_improves_on_another_by_the_metrics_direction(name, value, than, expected):
    assert METRICS[name].improves(value, than) is expected
    assert METRICS[name].improves(than, value) is not expected
