"""Mean squared error and W₂ of patches: closed forms, the metric's laws, and the bound that joins them."""

import pytest
import torch

from restoration.benchmarks.distances import Moments, frechet
from restoration.benchmarks.metrics.patches import PATCHES, PatchMse, PatchW2, patches, w2


def image(seed, size=(40, 33), count=1):
    return torch.rand(count, 1, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_patches_are_all_whole_ones_of_a_small_image():
    found = patches(image(0, (7, 8)))
    assert found.shape == (1, 12, 25)
    assert torch.equal(found[0, 1], image(0, (7, 8))[0, 0, :5, 1:6].flatten())


def test_large_images_have_no_more_patches_than_the_grid_allows():
    assert patches(image(0, (600, 601))).shape[1] <= PATCHES


def test_a_shift_of_brightness_is_measured_by_both():
    clean = image(0)
    assert PatchMse()(clean + 0.1, clean).item() == pytest.approx(0.01)
    assert PatchW2()(clean + 0.1, clean).item() == pytest.approx(0.1)


def test_less_contrast_is_the_difference_of_spreads():
    clean = image(1)
    cut = patches(clean)[0]
    spread = (cut - cut.mean(0)).square().mean().sqrt()
    restored = clean.mean() + 0.5 * (clean - clean.mean())
    moved = (0.5 * (cut.mean(0) - clean.mean())).square().mean()
    expected = ((0.5 * spread) ** 2 + moved).sqrt()
    assert PatchW2()(restored, clean).item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_distance_is_that_of_the_other_implementation():
    first, second = patches(image(0))[0], patches(image(1).sqrt())[0]
    n = len(first)
    other = frechet(*(Moments(n + 1, (m := Moments.of(s.numpy())).mean, m.products) for s in (first, second)))
    assert w2(first, second).item() == pytest.approx((other / 25) ** 0.5, rel=1e-9)


def test_positions_play_no_part_and_equal_images_are_at_zero():
    vectors = patches(image(0))[0]
    turned = vectors[torch.randperm(len(vectors), generator=torch.Generator().manual_seed(1))]
    assert w2(vectors, turned).item() == pytest.approx(0, abs=1e-6)
    assert PatchW2()(image(0), image(0)).item() == pytest.approx(0, abs=1e-6)


def test_values_are_each_images_own():
    ours, truth = image(0, count=3), image(1, count=3)
    whole = PatchW2()(ours, truth)
    assert torch.allclose(whole[1], PatchW2()(ours[1:2], truth[1:2])[0])


@pytest.mark.parametrize("seed", range(6))
def test_no_pair_of_images_is_nearer_than_w2_and_the_triangle_holds(seed):
    first, second, third = image(seed), image(seed + 10) * 0.6, image(seed + 20) ** 2
    one, two = PatchW2()(first, second).item(), PatchW2()(second, third).item()
    assert one**2 <= PatchMse()(first, second).item() + 1e-12
    assert PatchW2()(first, third).item() <= one + two + 1e-12
