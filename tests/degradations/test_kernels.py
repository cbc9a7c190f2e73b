"""Blur kernels: closed forms, symmetries, and BasicSR's of the same parameters."""

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from restoration.benchmarks.peers import basicsr
from restoration.degradations import kernels
from restoration.degradations.draws import generator

SIGMA_X, SIGMA_Y = np.array([0.6, 2.0, 3.0, 1.1]), np.array([2.5, 0.3, 3.0, 4.0])
ROTATION, BETA = np.array([0.3, -2.0, 1.0, 3.1]), np.array([0.5, 4.0, 1.0, 1.7])


def line(size: int, length: float, angle: float = 0.0) -> np.ndarray:
    """Return steady motion along a straight line, (1, k, k)."""
    path = kernels.shaken_path(generator((0, 0), "path"), length, angle, 0.0)
    return kernels.rasterised(size, path[None])


FAMILIES = {
    "gaussian": kernels.gaussian(21, SIGMA_X, SIGMA_Y, ROTATION),
    "generalised": kernels.generalised_gaussian(21, SIGMA_X, SIGMA_Y, ROTATION, BETA),
    "plateau": kernels.plateau(21, SIGMA_X, SIGMA_Y, ROTATION, BETA),
    "low-pass": kernels.low_pass(21, np.array([0.7, 1.5, 2.2, math.pi])),
    "disk": kernels.disk(21, np.array([0.2, 1.0, 4.7, 9.5])),
    "line": np.concatenate(
        [line(21, length, angle) for length, angle in zip((0.0, 3.0, 10.5, 17.0), ROTATION, strict=True)]
    ),
}


@pytest.fixture
def degradations():
    """BasicSR's module of degradations."""
    if find_spec("basicsr") is None:
        pytest.skip("needs the extra 'basicsr'")
    return basicsr("data.degradations")


def moments(kernel: np.ndarray) -> tuple[float, float, float, float, float]:
    """Return means of x and y, their variances and covariance."""
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    x_mean, y_mean = (kernel * x).sum(), (kernel * y).sum()
    return (
        x_mean,
        y_mean,
        (kernel * x**2).sum() - x_mean**2,
        (kernel * y**2).sum() - y_mean**2,
        (kernel * x * y).sum() - x_mean * y_mean,
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_kernels_sum_to_one_and_are_symmetric_about_their_centre(name):
    family = FAMILIES[name]
    assert family.shape == (4, 21, 21)
    np.testing.assert_allclose(family.sum((1, 2)), 1, atol=1e-12)
    np.testing.assert_allclose(family, family[:, ::-1, ::-1], atol=1e-12)
    assert len(np.unique(family.round(6), axis=0)) == 4


def test_a_kernel_does_not_depend_on_those_beside_it():
    alone = [kernels.plateau(21, *of)[0] for of in zip(SIGMA_X, SIGMA_Y, ROTATION, BETA, strict=True)]
    np.testing.assert_allclose(FAMILIES["plateau"], np.stack(alone), rtol=1e-14)


def test_gaussians_have_the_variance_and_the_direction_of_their_parameters():
    kernel = kernels.gaussian(81, 3.0, 6.0, 0.4)[0]
    along, across = 3.0**2, 6.0**2
    cos, sin = math.cos(0.4), math.sin(0.4)
    expected = (
        0,
        0,
        along * cos**2 + across * sin**2,
        along * sin**2 + across * cos**2,
        (along - across) * cos * sin,
    )
    assert moments(kernel) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("family", [kernels.gaussian, kernels.generalised_gaussian, kernels.plateau])
def test_a_quarter_turn_is_the_transpose(family):
    straight, turned = family(15, 1.0, 3.0, 0.0)[0], family(15, 1.0, 3.0, math.pi / 2)[0]
    np.testing.assert_allclose(turned, straight.T, atol=1e-15)
    np.testing.assert_allclose(family(15, 3.0, 1.0, 0.0)[0], straight.T, atol=1e-15)
    np.testing.assert_allclose(family(15, 2.0, 2.0, 0.7)[0], family(15, 2.0)[0], atol=1e-15)


def test_beta_one_is_the_gaussian_and_more_is_flatter():
    np.testing.assert_array_equal(kernels.generalised_gaussian(9, 2.0), kernels.gaussian(9, 2.0))
    flat = kernels.generalised_gaussian(21, 4.0, beta=40.0)[0]
    y, x = np.mgrid[-10:11, -10:11]
    inside, outside = flat[np.hypot(x, y) < 3.9], flat[np.hypot(x, y) > 4.5]
    assert np.ptp(inside) < 1e-3 and outside.max() < 1e-6
    plateau = kernels.plateau(3, 1.0, beta=2.0)[0]  # 1, 1/2 and 1/5 at distances 0, 1 and √2
    assert plateau[1] / plateau[1, 1] == pytest.approx([0.5, 1, 0.5])
    assert plateau[0] / plateau[1, 1] == pytest.approx([0.2, 0.5, 0.2])


def test_no_blur_is_a_single_pixel():
    pixel = np.zeros((5, 5))
    pixel[2, 2] = 1
    for made in (
        kernels.gaussian(5, 0.0),
        kernels.plateau(5, 0.0),
        kernels.disk(5, 0.0),
        line(5, 0.0),
    ):
        np.testing.assert_allclose(made[0], pixel, atol=1e-9)


def test_the_low_pass_passes_below_its_cutoff_and_nothing_above():
    cutoff = math.pi / 2
    response = np.abs(np.fft.fft2(kernels.low_pass(127, cutoff)[0], (256, 256)))
    frequency = 2 * np.pi * np.fft.fftfreq(256)
    radial = np.hypot(frequency[:, None], frequency[None, :])
    passed, stopped = np.abs(response[radial < 0.9 * cutoff] - 1), response[radial > 1.1 * cutoff]
    assert passed.max() < 0.06 and passed.mean() < 0.015
    assert stopped.max() < 0.04 and stopped.mean() < 0.005


@pytest.mark.parametrize("radius", [0.4, 1.0, 2.5, 7.3])
def test_disks_hold_the_area_that_they_cover(radius):
    size = 2 * math.ceil(radius) + 1
    kernel = kernels.disk(size, radius)[0]
    fine = (np.arange(size * 200) + 0.5) / 200 - size / 2
    inside = (np.hypot(fine[:, None], fine[None, :]) < radius).reshape(size, 200, size, 200)
    np.testing.assert_allclose(kernel * math.pi * radius**2, inside.mean((1, 3)), atol=2e-3)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-14)
    if radius > 2:  # of a whole pixel no more than all is covered: the inside is flat
        assert kernel[size // 2, size // 2] == pytest.approx(1 / (math.pi * radius**2), rel=1e-12)


def test_lines_are_as_long_and_steep_as_asked_for():
    for length, angle in ((12.0, 0.0), (20.0, 0.5), (15.0, math.pi / 2)):
        x_mean, y_mean, xx, yy, xy = moments(line(41, length, angle)[0])
        assert abs(x_mean) < 1e-12 and abs(y_mean) < 1e-12
        # along a line the variance is length²/12; sharing each place among pixels adds at most 1/4 per axis
        cos, sin = math.cos(angle), math.sin(angle)
        assert -1e-9 < xx - (length * cos) ** 2 / 12 < 0.25 and -1e-9 < yy - (length * sin) ** 2 / 12 < 0.25
        assert xy == pytest.approx(length**2 * cos * sin / 12, abs=0.05)
    falling = line(9, 8.0, math.pi / 4)[0]
    assert falling[2, 2] > 0.05 and falling[2, 6] == 0  # towards y, which is downwards


def test_places_between_pixels_are_shared_out_bilinearly():
    path = np.array([[[0.25, 0.0], [-1.0, 0.5], [9.0, 0.0]]])  # the last is outside
    expected = np.zeros((3, 3))
    expected[1, 1], expected[1, 2], expected[1, 0], expected[2, 0] = 0.75, 0.25, 0.5, 0.5
    np.testing.assert_allclose(kernels.rasterised(3, path)[0], expected / 2, atol=1e-15)


def test_shaken_paths_have_their_length_and_stay_within_half_of_it():
    for sample in range(200):
        path = kernels.shaken_path(generator((0, sample), "path"), 30.0, 1.0, 0.005)
        steps = np.hypot(*np.diff(path, axis=0).T)
        assert steps.max() <= 30 / kernels.STEPS + 1e-9  # half steps around a jerk are shorter
        assert np.hypot(*path.T).max() <= 15
        np.testing.assert_allclose(path.mean(0), 0, atol=1e-12)
    straight = kernels.shaken_path(generator((0, 0), "path"), 30.0, 1.0, 0.0)
    place = (np.arange(kernels.STEPS) + 0.5) / kernels.STEPS * 30 - 15
    np.testing.assert_allclose(straight, np.stack([place * math.cos(1), place * math.sin(1)], 1), atol=1e-9)


def test_more_shake_bends_paths_more():
    def reach(shake: float) -> float:
        paths = [kernels.shaken_path(generator((0, i), "path"), 30.0, 0.0, shake) for i in range(100)]
        return float(np.mean([np.hypot(*(path[-1] - path[0])) for path in paths]))

    reached = [reach(shake) for shake in (0.0, 0.0005, 0.002, 0.01)]
    assert reached == sorted(reached, reverse=True)
    assert reached[0] == pytest.approx(30, rel=0.01) and reached[-1] < 10


def test_sizes_are_odd():
    for size in (4, 0, -3):
        with pytest.raises(ValueError, match=rf"^size = {size}; expected an odd number$"):
            kernels.gaussian(size, 1.0)


@pytest.mark.parametrize("size", [7, 13, 21])
def test_basicsr_makes_the_same_kernels(degradations, size):
    for x, y, rotation, beta in zip(SIGMA_X, SIGMA_Y, ROTATION, BETA, strict=True):
        pairs = [
            (
                kernels.gaussian(size, x, y, rotation),
                degradations.bivariate_Gaussian(size, x, y, rotation, isotropic=False),
            ),
            (kernels.gaussian(size, x), degradations.bivariate_Gaussian(size, x, x, 0)),
            (
                kernels.generalised_gaussian(size, x, y, rotation, beta),
                degradations.bivariate_generalized_Gaussian(size, x, y, rotation, beta, isotropic=False),
            ),
            (
                kernels.plateau(size, x, y, rotation, beta),
                degradations.bivariate_plateau(size, x, y, rotation, beta, isotropic=False),
            ),
            (kernels.plateau(size, x, beta=beta), degradations.bivariate_plateau(size, x, x, 0, beta)),
        ]
        for ours, theirs in pairs:
            np.testing.assert_allclose(ours[0], theirs, atol=1e-6)
    for cutoff in (math.pi / 5, 1.3, math.pi):
        ours = kernels.padded(kernels.low_pass(size, cutoff)[0], 25)
        theirs = degradations.circular_lowpass_kernel(cutoff, size, pad_to=25)
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_bessels_function_is_scipys():
    special = pytest.importorskip("scipy.special")
    x = np.linspace(0, 60, 10_000)
    np.testing.assert_allclose(torch.special.bessel_j1(torch.from_numpy(x)), special.j1(x), atol=1e-6)
