"""Haze: the law of scattering in closed form, depths from 0 to 1, draws as said."""

import numpy as np
import pytest
import torch

from restoration.degradations.haze import Haze, hazed


def keys(count: int) -> list[tuple[int, int]]:
    return [(0, sample) for sample in range(count)]


@pytest.mark.parametrize("depth", ["gradient", "field", "both"])
def test_the_layer_recomposes_the_image(depth):
    clean = torch.rand(4, 3, 30, 40)
    degraded = Haze(depth=depth)(clean, keys(4))
    seen, light = degraded.layers["transmittance"], torch.tensor(degraded.draw["light"]).view(-1, 1, 1, 1)
    assert seen.shape == (4, 1, 30, 40)
    torch.testing.assert_close(degraded.image, clean * seen + light * (1 - seen))
    depths = -seen.log() / torch.tensor(degraded.draw["beta"]).view(-1, 1, 1, 1)
    assert depths.min() >= -1e-6 and depths.max() <= 1 + 1e-6 and depths.std() > 0.1


def test_a_gradient_is_clear_below_and_far_above():
    clean = torch.rand(1, 3, 21, 5)
    degraded = Haze(depth="gradient", beta=1.5, light=0.8)(clean, keys(1))
    torch.testing.assert_close(degraded.image[..., -1, :], clean[..., -1, :])
    at_top = 0.8 + (clean[..., 0, :] - 0.8) * np.exp(-1.5)
    torch.testing.assert_close(degraded.image[..., 0, :], at_top.float())
    middle = degraded.layers["transmittance"][0, 0, 10]
    assert middle.tolist() == pytest.approx([np.exp(-0.75)] * 5)


def test_fields_take_both_ends_and_differ_from_key_to_key():
    seen = Haze(depth="field", beta=1.0)(torch.rand(5, 1, 40, 40), keys(5)).layers["transmittance"]
    depths = -seen.log().flatten(1)
    torch.testing.assert_close(depths.amin(1), torch.zeros(5), rtol=0, atol=1e-6)
    torch.testing.assert_close(depths.amax(1), torch.ones(5), rtol=0, atol=1e-6)
    assert (torch.corrcoef(depths) - torch.eye(5)).abs().max() < 0.9


def test_no_scattering_is_the_identity():
    clean = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(Haze(beta=0.0)(clean, keys(1)).image, clean)


def test_known_depths_make_the_same_haze():
    clean, depth = torch.rand(2, 3, 4, 5), torch.rand(2, 1, 4, 5)
    image = hazed(clean, torch.exp(-0.9 * depth), torch.tensor([0.8, 0.9]))
    expected = clean[1] * (-0.9 * depth[1]).exp() + 0.9 * (1 - (-0.9 * depth[1]).exp())
    torch.testing.assert_close(image[1], expected)


def test_draws_are_uniform_over_1000_keys():
    draw = Haze(depth="gradient")(torch.rand(1000, 1, 2, 2), keys(1000)).draw
    for name, (low, high) in {"beta": (0.6, 1.8), "light": (0.7, 1.0)}.items():
        values = np.array(draw[name])
        assert low <= values.min() and values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=4 * (high - low) / 12**0.5 / 1000**0.5)


def test_refusals():
    with pytest.raises(ValueError) as error:
        Haze(light=(0.7, 1.2))
    assert (
        str(error.value) == "light = [0.7, 1.2]; expected a number from 0 to 1, or [lowest, highest] of such"
    )
