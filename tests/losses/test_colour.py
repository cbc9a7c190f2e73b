"""BT.601 luma, blurred differences and CIE ΔE: published values, closed forms, kornia."""

import kornia
import pytest
import torch

from restoration.losses.colour import Colour, delta_e_76, delta_e_2000, lab, luma

# Sharma, Wu & Dalal, "The CIEDE2000 color-difference formula", 2005, table 1: L*a*b*, L*a*b*, ΔE₀₀
# fmt: off
PUBLISHED = torch.tensor([
    (50.0, 2.6772, -79.7751, 50.0, 0.0, -82.7485, 2.0425),
    (50.0, 3.1571, -77.2803, 50.0, 0.0, -82.7485, 2.8615),
    (50.0, 2.8361, -74.02, 50.0, 0.0, -82.7485, 3.4412),
    (50.0, -1.3802, -84.2814, 50.0, 0.0, -82.7485, 1.0),
    (50.0, -1.1848, -84.8006, 50.0, 0.0, -82.7485, 1.0),
    (50.0, -0.9009, -85.5211, 50.0, 0.0, -82.7485, 1.0),
    (50.0, 0.0, 0.0, 50.0, -1.0, 2.0, 2.3669),
    (50.0, -1.0, 2.0, 50.0, 0.0, 0.0, 2.3669),
    (50.0, 2.49, -0.001, 50.0, -2.49, 0.0009, 7.1792),
    (50.0, 2.49, -0.001, 50.0, -2.49, 0.001, 7.1792),
    (50.0, 2.49, -0.001, 50.0, -2.49, 0.0011, 7.2195),
    (50.0, 2.49, -0.001, 50.0, -2.49, 0.0012, 7.2195),
    (50.0, -0.001, 2.49, 50.0, 0.0009, -2.49, 4.8045),
    (50.0, -0.001, 2.49, 50.0, 0.001, -2.49, 4.8045),
    (50.0, -0.001, 2.49, 50.0, 0.0011, -2.49, 4.7461),
    (50.0, 2.5, 0.0, 50.0, 0.0, -2.5, 4.3065),
    (50.0, 2.5, 0.0, 73.0, 25.0, -18.0, 27.1492),
    (50.0, 2.5, 0.0, 61.0, -5.0, 29.0, 22.8977),
    (50.0, 2.5, 0.0, 56.0, -27.0, -3.0, 31.903),
    (50.0, 2.5, 0.0, 58.0, 24.0, 15.0, 19.4535),
    (50.0, 2.5, 0.0, 50.0, 3.1736, 0.5854, 1.0),
    (50.0, 2.5, 0.0, 50.0, 3.2972, 0.0, 1.0),
    (50.0, 2.5, 0.0, 50.0, 1.8634, 0.5757, 1.0),
    (50.0, 2.5, 0.0, 50.0, 3.2592, 0.335, 1.0),
    (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
    (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.263),
    (61.2901, 3.7196, -5.3901, 61.4292, 2.248, -4.962, 1.8731),
    (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
    (22.7233, 20.0904, -46.694, 23.0331, 14.973, -42.5619, 2.0373),
    (36.4612, 47.858, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
    (90.8027, -2.0831, 1.441, 91.1528, -1.6435, 0.0447, 1.4441),
    (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
    (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
    (2.0776, 0.0795, -1.135, 0.9033, -0.0636, -0.5514, 0.9082),
], dtype=torch.float64)
# fmt: on


@pytest.mark.parametrize(
    ("colour", "y"),
    [
        ((0, 0, 0), 16),
        ((1, 1, 1), 235),
        ((1, 0, 0), 81.481),
        ((0, 1, 0), 144.553),
        ((0, 0, 1), 40.966),
        ((1, 1, 0), 210.034),
    ],
)
def test_corners_of_the_cube(colour, y):
    image = torch.tensor(colour, dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    torch.testing.assert_close(luma(image) * 255, torch.full((1, 1, 2, 2), y, dtype=torch.float64))


def test_eight_bit_values_are_the_papers_formula():
    """``Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255`` for R, G, B in 0..255."""
    steps = torch.randint(0, 256, (2, 3, 5, 7), generator=torch.Generator().manual_seed(0)).double()
    expected = 16 + (65.481 * steps[:, :1] + 128.553 * steps[:, 1:2] + 24.966 * steps[:, 2:]) / 255
    torch.testing.assert_close(luma(steps / 255) * 255, expected)


def test_grey_passes_through():
    image = torch.rand(2, 1, 4, 4)
    assert luma(image) is image


def test_other_channel_counts_are_refused():
    with pytest.raises(ValueError) as error:
        luma(torch.rand(1, 4, 2, 2))
    assert str(error.value) == "luma: the image has 4 channels; expected 1 or 3"


def published() -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(PUBLISHED[:, i : i + 3].T[None, :, :, None] for i in (0, 3))


def image(seed: int, *size: int) -> torch.Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_ciede2000_gives_every_published_value_either_way_round():
    first, second = published()
    for a, b in ((first, second), (second, first)):
        found = delta_e_2000(a, b)[0, :, 0]
        torch.testing.assert_close(found, PUBLISHED[:, 6], rtol=0, atol=0.5001e-4)  # four places are printed


def test_ciede2000_in_float32_agrees_where_hues_are_not_opposite():
    first, second = published()
    found = delta_e_2000(first.float(), second.float())[0, :, 0].double()
    opposite = torch.zeros(34, dtype=torch.bool)
    opposite[8:15] = True  # the published pairs 9 to 15 stand either side of the formula's jump
    torch.testing.assert_close(found[~opposite], PUBLISHED[~opposite, 6], rtol=0, atol=1e-3)


def test_ciede2000_slopes_are_its_derivatives():
    first, second = lab(image(0, 1, 3, 3, 3)), lab(image(1, 1, 3, 3, 3))
    assert torch.autograd.gradcheck(delta_e_2000, (first.requires_grad_(), second.requires_grad_()))


@pytest.mark.parametrize("measure", ["delta-e-76", "delta-e-2000"])
def test_delta_e_at_equality_in_grey_and_far_outside(measure):
    loss = Colour(measure)
    colour = image(0, 2, 3, 6, 6).float()
    grey = colour[:, :1].expand(-1, 3, -1, -1).contiguous()
    for restored, clean in (
        (colour, colour),
        (grey, grey),
        (grey, colour),
        (colour, grey),
        (torch.zeros_like(grey), torch.zeros_like(grey)),
        (50 * colour - 25, colour),
        (-1e3 * colour, 1e3 * grey),
    ):
        given = restored.clone().requires_grad_()
        value = loss(given, clean)
        (slope,) = torch.autograd.grad(value.sum(), given)
        assert bool(value.isfinite().all()) and bool(slope.isfinite().all())
        if restored is clean:
            assert value.max() == 0 and torch.count_nonzero(slope) == 0


@pytest.mark.parametrize("measure", ["delta-e-76", "delta-e-2000"])
def test_delta_e_from_black_to_white_is_100_and_is_averaged_over_pixels(measure):
    restored, clean = torch.zeros(1, 3, 4, 4).double(), torch.zeros(1, 3, 4, 4).double()
    restored[..., 0] = 1
    torch.testing.assert_close(
        Colour(measure)(restored, clean), torch.tensor([25.0]).double(), rtol=0, atol=1e-3
    )


def test_delta_e_76_is_the_distance_in_kornias_lab():
    restored, clean = image(0, 2, 3, 7, 9), image(1, 2, 3, 7, 9)
    expected = (kornia.color.rgb_to_lab(restored) - kornia.color.rgb_to_lab(clean)).norm(dim=1)
    torch.testing.assert_close(Colour("delta-e-76")(restored, clean), expected.mean((1, 2)))
    torch.testing.assert_close(delta_e_76(lab(restored), lab(clean)), expected)


def test_delta_e_2000_is_the_mean_of_ciede2000_of_lab():
    restored, clean = image(0, 2, 3, 7, 9), image(1, 2, 3, 7, 9)
    expected = delta_e_2000(lab(restored), lab(clean)).mean((1, 2))
    torch.testing.assert_close(Colour("delta-e-2000")(restored, clean), expected)


@pytest.mark.parametrize("sigma", [0.8, 3.0])
def test_blurred_l1_is_l1_of_kornias_blur(sigma):
    restored, clean = image(0, 2, 3, 24, 31), image(1, 2, 3, 24, 31)
    reach = -int(-3 * sigma // 1)
    size = (2 * reach + 1, 2 * reach + 1)
    first, second = (kornia.filters.gaussian_blur2d(i, size, (sigma, sigma)) for i in (restored, clean))
    torch.testing.assert_close(Colour(sigma=sigma)(restored, clean), (first - second).abs().mean((1, 2, 3)))


def test_blurred_l1_of_a_constant_difference_is_that_difference_and_of_a_checkerboard_almost_none():
    clean = image(0, 1, 3, 24, 24)
    torch.testing.assert_close(Colour()(clean - 0.3, clean), torch.tensor([0.3]).double())
    signs = torch.tensor([1.0, -1.0]).double().repeat(12)
    assert Colour()(clean + 0.3 * signs[:, None] * signs, clean) < 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Colour("cie94"), 'measure = "cie94"; expected blurred-l1 or delta-e-76 or delta-e-2000'),
        (lambda: Colour(sigma=0.0), "sigma = 0; expected more than 0"),
        (
            lambda: Colour()(torch.rand(1, 3, 9, 20), torch.rand(1, 3, 9, 20)),
            "colour: a blur of sigma 3: images are 9x20; expected at least 10 pixels a side",
        ),
        (
            lambda: Colour("delta-e-2000")(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)),
            "delta-e-2000: the image has 1 channels; expected 3",
        ),
    ],
)
def test_what_colour_refuses(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == message
