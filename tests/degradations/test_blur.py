"""Blurs: kernels as drawn, draws as configured, over many keys."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from restoration.degradations import DEGRADATIONS, kernels
from restoration.degradations.blur import Blur, Defocus, MotionBlur, Sinc
from restoration.degradations.degraded import Degradation
from restoration.degradations.draws import generator

MANY = [(0, sample) for sample in range(1000)]


def drawn(degradation: Degradation, name: str) -> np.ndarray:
    """Return one value of the draws of 1,000 images."""
    return np.array(degradation(torch.zeros(1000, 1, 1, 1), MANY).draw[name])


def response(degradation: Degradation, size: int, key: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Return what becomes of a single pixel of 1: the kernel, turned by 180°."""
    pixel = torch.zeros(1, 1, size, size, dtype=torch.float64)
    pixel[..., size // 2, size // 2] = 1
    return degradation(pixel, [key]).image[0, 0].numpy()


def assert_uniform(values: np.ndarray, low: float, high: float) -> None:
    """Assert that values lie in a range and that their mean and variance are within 4 standard errors of uniform."""
    n, width = len(values), high - low
    assert low <= values.min() and values.max() <= high
    assert values.mean() == pytest.approx((low + high) / 2, abs=4 * width / (12 * n) ** 0.5)
    assert values.var() == pytest.approx(width**2 / 12, abs=4 * width**2 / (180 * n) ** 0.5)


def share(truth: np.ndarray, probability: float) -> bool:
    """Return whether a share is within 4 standard errors of its probability."""
    return abs(truth.mean() - probability) < 4 * (probability * (1 - probability) / len(truth)) ** 0.5


def test_sigmas_rotations_and_sizes_are_uniform():
    blur = Blur(sigma=(0.2, 3.0), isotropic=False, size=(7, 21))
    x, y, rotation = drawn(blur, "sigma_x"), drawn(blur, "sigma_y"), drawn(blur, "rotation")
    assert_uniform(x, 0.2, 3.0)
    assert_uniform(y, 0.2, 3.0)
    assert_uniform(rotation, -math.pi, math.pi)
    assert np.abs(np.corrcoef([x, y, rotation])[np.triu_indices(3, 1)]).max() < 4 / 1000**0.5
    sizes = drawn(blur, "size")
    assert set(sizes) == set(range(7, 22, 2))
    assert all(share(sizes == size, 1 / 8) for size in range(7, 22, 2))


def test_variances_may_be_uniform_instead():
    assert_uniform(drawn(Blur(sigma=(0.5, 3.0), uniform_in="variance"), "sigma_x") ** 2, 0.25, 9.0)


def test_a_beta_around_one_is_below_and_above_it_by_halves():
    beta = drawn(Blur(sigma=1.0, shape="generalised", beta=(0.5, 4.0), size=7), "beta")
    assert share(beta < 1, 0.5)
    assert_uniform(beta[beta < 1], 0.5, 1.0)
    assert_uniform(beta[beta >= 1], 1.0, 4.0)
    plateau = drawn(Blur(sigma=1.0, shape="plateau", beta=(1.0, 2.0), size=7), "beta")
    assert share(plateau == 1, 0.5)
    assert_uniform(drawn(Blur(sigma=1.0, shape="plateau", beta=(2.0, 3.0), size=7), "beta"), 2.0, 3.0)


@pytest.mark.parametrize(
    ("arguments", "family"),
    [
        ({}, kernels.gaussian),
        ({"shape": "generalised", "beta": (0.5, 4.0)}, kernels.generalised_gaussian),
        ({"shape": "plateau", "beta": (1.0, 2.0)}, kernels.plateau),
    ],
)
@pytest.mark.parametrize("isotropic", [True, False])
def test_the_kernel_is_that_of_the_draw(arguments, family, isotropic):
    blur = Blur(sigma=(0.5, 3.0), isotropic=isotropic, size=(7, 13), edges="zero", **arguments)
    for key in MANY[:5]:
        draw = {name: values[0] for name, values in blur(torch.zeros(1, 1, 1, 1), [key]).draw.items()}
        assert isotropic == (draw["sigma_x"] == draw["sigma_y"])
        beta = {"beta": draw["beta"]} if arguments else {}
        expected = family(draw["size"], draw["sigma_x"], draw["sigma_y"], draw["rotation"], **beta)[0]
        np.testing.assert_allclose(
            response(blur, 31, key), kernels.padded(expected[::-1, ::-1], 31), atol=1e-12
        )


def test_sigma_is_in_pixels_and_the_kernel_wide_enough_for_it():
    kernel = response(Blur(sigma=2.5), 61)
    y, x = np.mgrid[-30:31, -30:31]
    assert (kernel * x**2).sum() == pytest.approx(2.5**2, rel=3e-3)
    assert (kernel * y**2).sum() == pytest.approx(2.5**2, rel=3e-3)
    assert np.count_nonzero(kernel > 1e-12) == 21**2  # 2⌈4σ⌉ + 1


def test_blurs_in_a_row_add_their_variances():
    y = np.mgrid[-40:41, -40:41][0]
    pixel = torch.from_numpy(response(Blur(sigma=3.0), 81))[None, None]
    twice = Blur(sigma=4.0)(pixel, [(0, 0)]).image[0, 0].numpy()
    assert (twice * y**2).sum() == pytest.approx(25, rel=3e-3)


def test_sinc_draws_as_real_esrgan_does():
    sinc = Sinc()
    sizes, cutoffs = drawn(sinc, "size"), drawn(sinc, "cutoff")
    assert set(sizes) == set(range(7, 22, 2)) and all(share(sizes == n, 1 / 8) for n in range(7, 22, 2))
    assert_uniform(cutoffs[sizes < 13], math.pi / 3, math.pi)
    assert_uniform(cutoffs[sizes >= 13], math.pi / 5, math.pi)
    assert_uniform(drawn(Sinc(cutoff=(1.0, 2.0), size=9), "cutoff"), 1.0, 2.0)
    expected = kernels.low_pass(11, 1.5)[0]
    np.testing.assert_allclose(response(Sinc(cutoff=1.5, size=11, edges="zero"), 11), expected, atol=1e-12)


def test_sinc_rings_at_edges():
    edge = torch.zeros(1, 3, 32, 64)
    edge[..., 32:] = 1
    rung = Sinc(cutoff=1.0, size=21)(edge, [(0, 0)]).image
    assert rung.min() < -0.03 and rung.max() > 1.03


def test_defocus_is_a_disk():
    assert_uniform(drawn(Defocus(radius=(1.0, 6.0)), "radius"), 1.0, 6.0)
    np.testing.assert_allclose(
        response(Defocus(radius=3.0, edges="zero"), 9), kernels.disk(9, 3.0)[0], atol=1e-12
    )


def test_motion_is_along_its_angle():
    motion = MotionBlur(length=(5.0, 40.0), angle=(0.5, 2.0), shake=(0.0, 0.01))
    for name, low, high in (("length", 5.0, 40.0), ("angle", 0.5, 2.0), ("shake", 0.0, 0.01)):
        assert_uniform(drawn(motion, name), low, high)
    stripes = torch.zeros(1, 1, 32, 32)
    stripes[..., ::4, :] = 1
    along = MotionBlur(length=12.0, angle=0.0)(stripes, [(0, 0)]).image
    across = MotionBlur(length=12.0, angle=math.pi / 2)(stripes, [(0, 0)]).image
    torch.testing.assert_close(along, stripes, atol=1e-5, rtol=0)
    assert across.std() < 0.2 * stripes.std()


def test_shaken_motion_follows_the_keys_own_path():
    motion = MotionBlur(length=20.0, angle=1.0, shake=0.004, edges="zero")
    path = kernels.shaken_path(generator((0, 7), "motion-blur"), 20.0, 1.0, 0.004)
    expected = kernels.rasterised(31, path[None])[0][::-1, ::-1]
    np.testing.assert_allclose(response(motion, 31, (0, 7)), expected, atol=1e-12)
    assert np.abs(response(motion, 31, (0, 8)) - expected).max() > 0.01


@pytest.mark.parametrize("name", ["blur", "sinc", "defocus", "motion-blur"])
def test_flat_images_stay_flat(name, flat=0.37):
    arguments = {"blur": {"sigma": 2.0}, "defocus": {"radius": 3.5}, "motion-blur": {"length": 9.0}}
    degradation = DEGRADATIONS[name](**arguments.get(name, {}))
    image: Tensor = torch.full((2, 3, 40, 30), flat)
    result = degradation(image, MANY[:2]).image
    torch.testing.assert_close(result, image, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Blur, {"sigma": -1.0}, "sigma = -1; expected a number from 0 to 511, or [lowest, highest] of such"),
        (
            Blur,
            {"sigma": (3.0, 1.0)},
            "sigma = [3, 1]; expected a number from 0 to 511, or [lowest, highest] of such",
        ),
        (
            Blur,
            {"sigma": 1.0, "beta": 0.0},
            "beta = 0; expected a number from 0.01, or [lowest, highest] of such",
        ),
        (
            Blur,
            {"sigma": 1.0, "size": 8},
            "size = 8; expected an odd number from 1 to 4095, or [least, greatest] of such",
        ),
        (
            Blur,
            {"sigma": 1.0, "size": (7, 20)},
            "size = [7, 20]; expected an odd number from 1 to 4095, or [least, greatest] of such",
        ),
        (
            Sinc,
            {"size": (21, 7)},
            "size = [21, 7]; expected an odd number from 1 to 4095, or [least, greatest] of such",
        ),
        (
            Sinc,
            {"cutoff": 4.0},
            "cutoff = 4; expected a number from 0.01 to 3.14159, or [lowest, highest] of such",
        ),
        (
            Defocus,
            {"radius": -2.0},
            "radius = -2; expected a number from 0 to 2047, or [lowest, highest] of such",
        ),
        (
            Blur,
            {"sigma": 1e6},
            "sigma = 1e+06; expected a number from 0 to 511, or [lowest, highest] of such",
        ),
        (
            Blur,
            {"sigma": 1.0, "size": 4097},
            "size = 4097; expected an odd number from 1 to 4095, or [least, greatest] of such",
        ),
        (
            MotionBlur,
            {"length": 1e6},
            "length = 1e+06; expected a number from 0 to 4092, or [lowest, highest] of such",
        ),
        (
            MotionBlur,
            {"length": 9.0, "shake": 2.0},
            "shake = 2; expected a number from 0 to 1, or [lowest, highest] of such",
        ),
    ],
)
def test_bad_values_are_refused(kind, arguments, message):
    with pytest.raises(ValueError) as error:
        kind(**arguments)
    assert str(error.value) == message
