"""Irregular holes: ratios met to the pixel, bins as drawn, strokes as wide as said."""

from collections import Counter

import numpy as np
import pytest
import torch

from restoration.degradations.mask import hole_ratio, ratio_bin
from restoration.degradations.strokes import Strokes, _folded, _squared_distance


def keys(count: int, seed: int = 0) -> list[tuple[int, int]]:
    return [(seed, sample) for sample in range(count)]


def test_the_ratio_lies_in_a_bin_of_its_range_in_1000_draws_and_each_bin_is_as_likely():
    degraded = Strokes(ratio=(0.1, 0.6))(torch.zeros(1000, 1, 48, 60), keys(1000))
    ratios = hole_ratio(degraded.mask)
    assert bool((ratios > 0.1).all()) and bool((ratios <= 0.6).all())
    assert ratios.tolist() == pytest.approx(degraded.draw["ratio"])
    bins = Counter(ratio_bin(degraded.mask).tolist())
    assert set(bins) == {1, 2, 3, 4, 5}
    assert all(abs(n - 200) < 4 * (1000 * 4 / 25) ** 0.5 for n in bins.values())


@pytest.mark.parametrize("size", [(7, 9), (64, 64), (33, 200)])
@pytest.mark.parametrize("number", range(10))
def test_single_bins_are_never_left(number, size):
    degraded = Strokes(ratio=(number / 10, (number + 1) / 10))(torch.zeros(20, 1, *size), keys(20, number))
    assert ratio_bin(degraded.mask).tolist() == [number] * 20


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.3, 0.85, 1.0])
def test_a_number_is_met_to_the_pixel(ratio):
    masks = Strokes(ratio=ratio)(torch.zeros(3, 1, 100, 130), keys(3)).mask
    assert masks.flatten(1).sum(1).tolist() == [round(ratio * 13000)] * 3


def test_distances_are_those_of_a_loop_over_pieces():
    corners = np.random.default_rng(0).uniform(0, 40, (2, 5)).astype(np.float32)
    corners[:, 2] = corners[:, 1]  # a piece without length
    distance = _squared_distance(corners, (40, 30))
    for row, column in [(0, 0), (39, 29), (12, 20), (33, 3)]:
        point, best = np.array([row, column]), np.inf
        for first, last in zip(corners.T[:-1], corners.T[1:], strict=True):
            for part in np.linspace(0, 1, 20001):
                best = min(best, ((first + part * (last - first) - point) ** 2).sum())
        assert distance[row, column] == pytest.approx(best, abs=1e-2)


def test_walks_come_back_at_the_border():
    np.testing.assert_allclose(
        _folded(np.array([-3.0, 0, 4, 10, 12, 23]), np.array(10.0)), [3, 0, 4, 10, 8, 3]
    )


def test_strokes_are_no_wider_than_their_width():
    """A disk wider than a stroke of one piece fits into no hole: every hole pixel has a kept one near it."""
    side = 200
    degraded = Strokes(ratio=0.02, width=0.1, vertices=1)(torch.zeros(40, 1, side, side), keys(40))
    radius = 12  # half of 0.1 · 200, and the step of the grid of distances
    disk = torch.from_numpy(np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius).float()
    inside = torch.nn.functional.conv2d(degraded.mask, disk[None, None]) >= disk.sum()
    single = torch.tensor(degraded.draw["strokes"]) == 1
    assert single.sum() > 10 and not bool(inside[single].any())


def test_a_larger_image_has_the_same_holes():
    small, large = (Strokes(ratio=0.3)(torch.zeros(5, 1, n, n), keys(5)).mask for n in (128, 512))
    same = (torch.nn.functional.interpolate(small, scale_factor=4) == large).float().mean((1, 2, 3))
    assert same.min() > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": (0.1, 1.2)}, "ratio = [0.1, 1.2]; expected a number from 0 to 1, or [lowest, highest] of such"),
        ({"vertices": 0}, "vertices = 0; expected a number from 1, or [lowest, highest] of such"),
        ({"width": 0.0}, "width = 0; expected a number from 0.001 to 1, or [lowest, highest] of such"),
    ],
)  # fmt: skip
def test_refusals(arguments, message):
    with pytest.raises(ValueError) as error:
        Strokes(**arguments)
    assert str(error.value) == message
