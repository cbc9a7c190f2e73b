"""Low light: moments of photon counts, exposure in closed form, draws as said."""

import numpy as np
import pytest
import torch

from restoration.degradations.lowlight import GAMMA, LowLight


def keys(count: int) -> list[tuple[int, int]]:
    return [(0, sample) for sample in range(count)]


def test_without_noise_it_is_the_exposure_in_linear_light():
    clean = torch.rand(2, 3, 20, 30)
    dark = LowLight(exposure=0.2, gamma=1.3, photons=0.0)(clean, keys(2)).image
    torch.testing.assert_close(dark, (0.2 * clean ** (GAMMA * 1.3)) ** (1 / GAMMA))
    torch.testing.assert_close(LowLight(exposure=1.0, photons=0.0)(clean, keys(2)).image, clean)


@pytest.mark.parametrize(("photons", "read"), [(2000.0, 0.0), (2000.0, 8.0), (500.0, 3.0)])
def test_moments_are_those_of_counts_and_reading(photons, read):
    """Mean L and variance L / photons + (read / photons)², in linear light; only where nothing is cut off at 0."""
    level = 0.7
    light = 0.25 * level**GAMMA
    made = LowLight(exposure=0.25, photons=photons, read=read)(torch.full((1, 3, 200, 200), level), keys(1))
    linear = made.image.double() ** GAMMA
    n, variance = linear.numel(), light / photons + (read / photons) ** 2
    assert linear.mean().item() == pytest.approx(light, abs=4 * (variance / n) ** 0.5)
    assert linear.var().item() == pytest.approx(variance, rel=4 * (2.2 / n) ** 0.5 + 1e-4)
    skew = ((linear - light) ** 3).mean().item()
    assert skew == pytest.approx(light / photons**2, abs=4 * (15 * variance**3 / n) ** 0.5)


def test_noise_is_white():
    made = (
        LowLight(exposure=0.5, photons=1000.0)(torch.full((1, 3, 128, 128), 0.8), keys(1)).image[0].double()
    )
    noise = (made - made.mean()) / made.std()
    for axis in range(3):
        assert (noise * noise.roll(1, axis)).mean().abs().item() < 4 / noise.numel() ** 0.5


def test_a_wrong_balance_is_of_red_and_blue_alone():
    made = LowLight(exposure=0.3, photons=0.0, balance=0.4)(torch.full((300, 3, 2, 2), 0.5), keys(300))
    gains = np.array(made.draw["gains"])
    measured = (made.image[..., 0, 0] ** GAMMA).numpy() / (0.3 * 0.5**GAMMA)
    np.testing.assert_allclose(measured, gains, rtol=1e-4)
    assert set(gains[:, 1]) == {1.0}
    for channel in (0, 2):
        values = gains[:, channel]
        assert values.min() >= 0.6 and values.max() <= 1.4
        assert values.mean() == pytest.approx(1, abs=4 * 0.8 / 12**0.5 / 300**0.5)


def test_draws_are_uniform_over_1000_keys():
    draw = LowLight()(torch.rand(1000, 1, 2, 2), keys(1000)).draw
    for name, (low, high) in {"exposure": (0.05, 0.3), "photons": (500, 5000), "read": (1, 6)}.items():
        values = np.array(draw[name])
        assert low <= values.min() and values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=4 * (high - low) / 12**0.5 / 1000**0.5)


def test_bits_depend_on_no_neighbour():
    clean = torch.rand(3, 3, 31, 37)
    whole = LowLight()(clean, keys(3)).image
    assert torch.equal(LowLight()(clean[1:2], keys(3)[1:2]).image[0], whole[1])


def test_refusals():
    with pytest.raises(ValueError) as error:
        LowLight(exposure=2.0)
    assert str(error.value) == "exposure = 2; expected a number from 0 to 1, or [lowest, highest] of such"


def test_gradients_pass_the_counting():
    clean = torch.rand(1, 3, 8, 8, requires_grad=True)
    made = LowLight()(clean, [(0, 0)]).image
    made.sum().backward()
    assert bool((clean.grad > 0).any()) and bool(clean.grad.isfinite().all())
    assert torch.equal(made.detach(), LowLight()(clean.detach(), [(0, 0)]).image)
