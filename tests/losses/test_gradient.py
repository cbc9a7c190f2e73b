"""Total variation, gradient fields and the Laplacian pyramid: closed forms, loops, kornia and piq."""

import kornia
import numpy as np
import piq
import pytest
import torch

from restoration.losses.gradient import Gradient, LaplacianPyramid, TotalVariation, laplacian_pyramid
from restoration.losses.separable import expanded


@pytest.fixture
def pair():
    rng = torch.Generator().manual_seed(0)
    return tuple(torch.rand(2, 3, 21, 26, generator=rng, dtype=torch.float64) for _ in range(2))


def ramp(down: float, across: float) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    return (down * rows + across * columns).double()[None, None].expand(2, 3, -1, -1)


def test_total_variation_of_a_ramp_is_its_slopes():
    image = ramp(0.01, -0.03)
    torch.testing.assert_close(TotalVariation()(image, image), torch.full((2,), 0.04).double())
    squared = TotalVariation(squared=True)(image, image)
    torch.testing.assert_close(squared, torch.full((2,), 2 * (0.01**2 + 0.03**2)).double())


def test_total_variation_is_kornias_mean_over_channels_and_piqs_squares(pair):
    image, other = pair
    expected = kornia.losses.total_variation(image, reduction="mean").mean(1)
    torch.testing.assert_close(TotalVariation()(image, other), expected)
    square = image[..., :21]  # of equal counts, so that the sums of both directions share a divisor
    sums = piq.total_variation(square, reduction="none", norm_type="l2_squared")
    torch.testing.assert_close(TotalVariation(squared=True)(square, square), 2 * sums / (3 * 20 * 21))


def test_total_variation_scales_with_the_data_range(pair):
    image, _ = pair
    torch.testing.assert_close(
        TotalVariation(data_range=255)(image, image), 255 * TotalVariation()(image, image)
    )
    plain, scaled = TotalVariation(squared=True), TotalVariation(squared=True, data_range=2.0)
    torch.testing.assert_close(scaled(image, image), 4 * plain(image, image))


def test_total_variation_slopes_are_those_of_plain_slices(pair):
    image = pair[0].clone().requires_grad_()
    by_slices = image.diff(dim=-1).square().mean((1, 2, 3)) + image.diff(dim=-2).square().mean((1, 2, 3))
    (expected,) = torch.autograd.grad((2 * by_slices).sum(), image)
    (found,) = torch.autograd.grad(TotalVariation(squared=True)(image, image).sum(), image)
    torch.testing.assert_close(found, expected)
    small = pair[0][:1, :1, :5, :6].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: TotalVariation(squared=True)(x, x), (small,))


def test_gradient_of_differences_is_the_total_variation_of_the_error(pair):
    restored, clean = pair
    torch.testing.assert_close(Gradient()(restored, clean), TotalVariation()(restored - clean, clean))


@pytest.mark.parametrize(("kind", "halves"), [("difference", 0), ("sobel", 1)])
def test_gradient_of_ramps_is_their_slopes(kind, halves):
    """A repeated border halves Sobel's first and last slope: one whole slope of 20 rows or 24 columns is missing."""
    found = Gradient(kind)(ramp(0.05, 0), ramp(0, 0.02))
    expected = 0.05 * (1 - halves / 20) + 0.02 * (1 - halves / 24)
    torch.testing.assert_close(found, torch.full((2,), expected).double())


def test_sobel_is_kornias(pair):
    fields = [kornia.filters.spatial_gradient(image, "sobel") for image in pair]
    expected = (fields[0] - fields[1]).abs().mean((1, 3, 4)).sum(1)
    torch.testing.assert_close(Gradient("sobel")(*pair), expected)


def test_laplacian_is_the_sum_over_four_neighbours_less_four_times_the_pixel(pair):
    difference = np.pad((pair[0] - pair[1]).numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    middle = difference[..., 1:-1, 1:-1]
    neighbours = (
        difference[..., :-2, 1:-1]
        + difference[..., 2:, 1:-1]
        + difference[..., 1:-1, :-2]
        + difference[..., 1:-1, 2:]
    )
    expected = np.abs(neighbours - 4 * middle).mean((1, 2, 3))
    np.testing.assert_allclose(Gradient("laplacian")(*pair), expected, rtol=1e-12)


def test_a_constant_offset_has_no_gradient_but_is_seen_by_the_pyramid(pair):
    image, _ = pair
    assert Gradient()(image + 0.25, image).max() < 1e-15
    torch.testing.assert_close(LaplacianPyramid(3)(image + 0.25, image), torch.full((2,), 4 * 0.25).double())


def test_the_pyramid_is_inverted_by_adding_its_bands(pair):
    bands = list(laplacian_pyramid(pair[0], 4))
    assert [band.shape[-2:] for band in bands] == [(21, 26), (11, 13), (6, 7), (3, 4)]
    image = bands[-1]
    for band in bands[-2::-1]:
        image = band + expanded(image, band.shape[-2:])
    torch.testing.assert_close(image, pair[0])


def test_the_pyramid_loss_is_the_weighted_mean_over_its_bands(pair):
    bands = [list(laplacian_pyramid(image, 4)) for image in pair]
    means = [(a - b).abs().mean((1, 2, 3)) for a, b in zip(*bands, strict=True)]
    torch.testing.assert_close(
        LaplacianPyramid(4)(*pair), means[0] + 2 * means[1] + 4 * means[2] + 8 * means[3]
    )
    torch.testing.assert_close(LaplacianPyramid(4, growth=1.0)(*pair), sum(means))


def test_one_level_is_l1(pair):
    torch.testing.assert_close(LaplacianPyramid(1)(*pair), (pair[0] - pair[1]).abs().mean((1, 2, 3)))


def test_a_deep_pyramid_names_the_size_that_it_needs():
    image = torch.rand(1, 3, 40, 32)
    with pytest.raises(ValueError) as error:
        LaplacianPyramid(levels=6)(image, image)
    assert (
        str(error.value)
        == "laplacian-pyramid of 6 levels: images are 40x32; expected at least 33 pixels a side"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TotalVariation(data_range=0), "data_range = 0; expected more than 0"),
        (lambda: Gradient("prewitt"), 'kind = "prewitt"; expected difference or laplacian or sobel'),
        (lambda: LaplacianPyramid(levels=0), "levels = 0; expected at least 1"),
        (lambda: LaplacianPyramid(growth=-1.0), "growth = -1; expected more than 0"),
    ],
)
def test_other_settings_are_refused(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
