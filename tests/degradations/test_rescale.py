"""Changes of size: shares, ranges and sizes as configured, and PyTorch's interpolation where that is asked for."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from restoration.degradations.chain import Chain
from restoration.degradations.noise import Noise
from restoration.degradations.rescale import Fit, Rescale, Resize
from restoration.degradations.resize import Bicubic, resize

MANY = [(0, sample) for sample in range(1000)]
KEYS = [(0, 0), (0, 1), (0, 2)]


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def drawn(rescale: Rescale, name: str) -> np.ndarray:
    """Return one value of the draws of 1,000 images, which are fitted to one size."""
    return np.array(Chain(of=(rescale, Fit(scale=1)))(torch.zeros(1000, 1, 4, 4), MANY).draw[f"0.{name}"])


def assert_uniform(values: np.ndarray, low: float, high: float) -> None:
    """Assert that values lie in a range and that their mean and variance are within 4 standard errors of uniform."""
    n, width = len(values), high - low
    assert low <= values.min() and values.max() <= high
    assert values.mean() == pytest.approx((low + high) / 2, abs=4 * width / (12 * n) ** 0.5)
    assert values.var() == pytest.approx(width**2 / 12, abs=4 * width**2 / (180 * n) ** 0.5)


def share(truth: np.ndarray, probability: float) -> bool:
    """Return whether a share is within 4 standard errors of its probability."""
    return abs(truth.mean() - probability) < 4 * (probability * (1 - probability) / len(truth)) ** 0.5


def test_resize_is_matlabs_bicubic_the_mean_of_a_block_and_a_pixel_of_it():
    clean = images(3, 3, 24, 36)
    assert torch.equal(Resize(scale=3, levels=255)(clean, KEYS).image, Bicubic(scale=3)(clean, KEYS).image)
    blocks = clean.unflatten(3, (-1, 3)).unflatten(2, (-1, 3))
    area = Resize(scale=3, kernel="area")(clean, KEYS).image
    torch.testing.assert_close(area, blocks.mean((3, 5)))
    assert torch.equal(Resize(scale=3, kernel="nearest")(clean, KEYS).image, blocks[:, :, :, 1, :, 1])
    bilinear = Resize(scale=2, kernel="bilinear")(clean, KEYS).image
    theirs = interpolate(clean, scale_factor=0.5, mode="bilinear", antialias=True)
    torch.testing.assert_close(bilinear[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1])
    levels = Resize(scale=2, kernel="bilinear", levels=15)(clean, KEYS).image * 15
    torch.testing.assert_close(levels, levels.round())


def test_shares_and_factors_are_those_of_the_configuration():
    rescale = Rescale(factor=(0.15, 1.5), up=0.2, keep=0.1, down=0.7)
    factors, chosen = drawn(rescale, "factor"), drawn(rescale, "kernel")
    assert share(factors > 1, 0.2) and share(factors == 1, 0.1) and share(factors < 1, 0.7)
    assert_uniform(factors[factors > 1], 1.0, 1.5)
    assert_uniform(factors[factors < 1], 0.15, 1.0)
    assert all(share(chosen == kernel, 1 / 3) for kernel in ("area", "bilinear", "bicubic"))
    assert_uniform(drawn(Rescale(factor=(0.5, 2.0)), "factor"), 0.5, 2.0)
    divided = Rescale(factor=(1 / 32, 1 / 0.8), uniform_in="divisor")
    assert_uniform(1 / drawn(divided, "factor"), 0.8, 32)


@pytest.mark.parametrize("kernel", ["area", "bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("shares", [{"down": 1.0}, {"up": 1.0}, {"keep": 1.0}])
def test_without_antialias_it_is_pytorchs_interpolation(kernel, shares):
    clean = images(1, 3, 37, 50)
    rescale = Rescale(factor=(0.15, 1.5), kernels=(kernel,), antialias=False, **shares)
    for key in MANY[:8]:
        made = rescale(clean, [key])
        expected = interpolate(clean, scale_factor=made.draw["factor"][0], mode=kernel)
        assert torch.equal(made.image, expected)
    fitted = Fit(scale=2, kernels=(kernel,), antialias=False)(images(3, 3, 40, 50), KEYS).image
    assert torch.equal(fitted, interpolate(images(3, 3, 40, 50), size=(20, 25), mode=kernel))


def test_with_antialias_it_is_resize():
    clean = images(1, 3, 37, 50)
    for key in MANY[:8]:
        made = Rescale(factor=(0.3, 1.4))(clean, [key])
        factor, kernel = made.draw["factor"][0], made.draw["kernel"][0]
        size = math.floor(37 * factor), math.floor(50 * factor)
        expected = resize(clean, size=size, kernel=kernel)
        assert torch.equal(made.image, expected)


def test_against_counts_from_where_the_chain_began():
    clean = images(1, 3, 64, 96)
    second = Rescale(factor=(0.3, 1.2), against=4, antialias=False)
    assert second.scale == 4 and second.absolute and second.varies
    for key in MANY[:8]:
        made = Chain(of=(Rescale(factor=(0.15, 1.5)), second))(clean, [key])
        factor = made.draw["1.factor"][0]
        assert made.image.shape == (1, 3, int(16 * factor), int(24 * factor))


def test_fit_ends_at_the_size_that_the_chain_needs():
    clean = images(5, 3, 48, 60)
    chain = Chain(of=(Bicubic(scale=2), Rescale(factor=(0.2, 1.5)), Noise(sigma=5.0), Fit(scale=4)))
    assert chain.scale == 4 and chain.absolute and not chain.varies
    made = chain(clean, MANY[:5])
    assert made.image.shape == (5, 3, 12, 15)
    assert len(set(made.draw["1.factor"])) == 5
    nested = Chain(of=(Bicubic(scale=2), Chain(of=(Noise(sigma=5.0), Fit(scale=4)))))
    assert nested.scale == 4 and nested(clean, MANY[:5]).image.shape == (5, 3, 12, 15)


def test_tiny_images_keep_a_pixel():
    for antialias in (True, False):
        rescale = Rescale(factor=(0.01, 0.02), antialias=antialias)
        assert rescale(images(1, 3, 9, 9), [(0, 0)]).image.shape == (1, 3, 1, 1)


def test_images_that_get_sizes_of_their_own_make_no_batch():
    with pytest.raises(
        ValueError, match=r"^images of one batch came out as (\d+x\d+, )+\d+x\d+; expected a part"
    ):
        Rescale(factor=(0.2, 0.9))(images(3, 3, 40, 40), KEYS)
    assert Rescale(factor=(0.5, 0.5))(images(3, 3, 40, 40), KEYS).image.shape == (3, 3, 20, 20)


@pytest.mark.parametrize("part", [Resize(scale=4), Fit(scale=4)])
def test_sizes_that_are_no_multiple_are_refused(part):
    with pytest.raises(ValueError, match=r"^clean is 42x40; expected multiples of the scale 4$"):
        part(images(3, 3, 42, 40), KEYS)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Resize, {"scale": 0}, "scale = 0; expected a whole number from 1"),
        (
            Resize,
            {"scale": 2, "levels": -1},
            "levels = -1; expected a whole number from 0, which rounds nothing",
        ),
        (Fit, {"scale": -2}, "scale = -2; expected a whole number from 1"),
        (Fit, {"scale": 2, "kernels": ()}, "kernels = []; expected at least one"),
        (
            Rescale,
            {"factor": (0.0, 1.0)},
            "factor = [0, 1]; expected a number from 0.001, or [lowest, highest] of such",
        ),
        (
            Rescale,
            {"factor": (0.5, 1.5), "up": 0.5},
            "up, keep, down = [0.5, 0.0, 0.0]; expected shares of sum 1, or all 0",
        ),
        (
            Rescale,
            {"factor": (0.2, 0.9), "up": 0.5, "down": 0.5},
            "factor = [0.2, 0.9]; expected a range around 1 for up, keep and down",
        ),
        (Rescale, {"factor": (0.2, 0.9), "against": -1}, "against = -1; expected a whole number from 0"),
    ],
)
def test_bad_values_are_refused(kind, arguments, message):
    with pytest.raises(ValueError) as error:
        kind(**arguments)
    assert str(error.value) == message
