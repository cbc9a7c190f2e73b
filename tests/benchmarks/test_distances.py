"""Distances of sets: against closed forms, plain sums over pairs, and what they do as sets grow."""

import numpy as np
import pytest

from restoration.benchmarks import distances
from restoration.benchmarks.distances import (
    Moments,
    frechet,
    frechet_of,
    gaussian_distance,
    gaussian_without,
    kernel_distance,
    kernel_without,
    share_within,
    share_within_without,
)


def features(count, dimensions=6, mean=0.0, scale=1.0, seed=0):
    return mean + scale * np.random.default_rng(seed).standard_normal((count, dimensions))


def from_standard(mean, variance, dimensions=6):
    """Return the squared MMD of N(mean, variance) in every dimension from N(0, 1), under the cubic kernel.

    By the first three moments of x·x′, x·y and y·y′.
    """
    m, v, d = dimensions * mean**2, variance, dimensions
    squares = [(m**2 + 2 * v * m + v**2 * d) / d**2, (m + v * d) / d**2, 1 / d]
    third = (m**3 + 6 * v * m**2 + v**2 * (3 * d + 6) * m) / d**3
    return 3 * m / d + third + 3 * (squares[0] - 2 * squares[1] + squares[2])


def test_moments_of_parts_are_those_of_the_whole_in_any_order():
    whole = features(101, mean=1000.0)
    parts = [Moments.of(part) for part in np.array_split(whole, 7)]
    for order in (parts, parts[::-1]):
        joined = sum(order[1:], order[0])
        assert joined.count == 101
        np.testing.assert_allclose(joined.mean, whole.mean(0), rtol=1e-12)
        np.testing.assert_allclose(joined.covariance, np.cov(whole.T), atol=1e-9)
    with pytest.raises(ValueError, match="1 images: expected at least 2"):
        _ = Moments.of(whole[:1]).covariance


def test_frechet_distance_of_gaussians_is_the_closed_form():
    first = Moments(100, np.zeros(3), 99 * np.diag([1.0, 4.0, 9.0]))
    second = Moments(100, np.array([1.0, 2.0, 2.0]), 99 * np.diag([4.0, 4.0, 0.0]))
    assert frechet(first, second) == pytest.approx(
        9 + 1 + 0 + 9, abs=1e-9
    )  # means, then (σ₁ − σ₂)² of each axis
    turn, _ = np.linalg.qr(features(3, 3))
    turned = [Moments(100, turn @ m.mean, turn @ m.products @ turn.T) for m in (first, second)]
    assert frechet(*turned) == pytest.approx(19, abs=1e-6)  # roots of what is nil
    assert frechet(first, first) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_needs_more_images_than_features_while_the_kernel_distance_does_not():
    few, many = ([features(n, 64, seed=s) for s in (1, 2)] for n in (80, 1200))
    distance = [frechet(*map(Moments.of, pair)) for pair in (few, many)]
    assert distance[0] > 5 * distance[1] > 0  # of one distribution
    for pair in (few, many):
        assert abs(kernel_distance(*pair)) < 0.05


def test_kernel_distance_is_the_plain_sum_over_pairs():
    first, second = features(9), features(7, mean=0.5, seed=1)

    def plain(a, b):
        k = [[[(x @ y / 6 + 1) ** 3 for y in q] for x in p] for p, q in ((a, a), (b, b), (a, b))]
        m, n = len(a), len(b)
        own = [sum(k[i][r][c] for r in range(s) for c in range(s) if r != c) for i, s in ((0, m), (1, n))]
        return own[0] / (m * (m - 1)) + own[1] / (n * (n - 1)) - 2 * np.sum(k[2]) / (m * n)

    assert kernel_distance(first, second) == pytest.approx(plain(first, second), rel=1e-12)
    with pytest.raises(ValueError, match="1 images: expected at least 2"):
        kernel_distance(first[:1], second)


def test_of_pairs_no_image_meets_its_own_restoration():
    first, second = features(9), features(9, mean=0.5, seed=1)

    def plain(keep):
        x, y = first[keep], second[keep]
        n = len(x)
        apart = [(i, j) for i in range(n) for j in range(n) if i != j]
        kernels = [(1, x, x), (1, y, y), (-2, x, y)]
        return sum(c * (p[i] @ q[j] / 6 + 1) ** 3 for c, p, q in kernels for i, j in apart) / len(apart)

    whole = np.arange(9)
    assert kernel_distance(first, second, paired=True) == pytest.approx(plain(whole), rel=1e-12)
    labels = np.arange(9) % 3
    without = kernel_without(first, second, (labels, labels), paired=True)
    assert without == pytest.approx([plain(whole[labels != group]) for group in range(3)], rel=1e-12)
    with pytest.raises(ValueError, match="9 and 8 images: expected pairs"):
        kernel_distance(first, second[:8], paired=True)


def test_equal_sets_are_nothing_apart_as_pairs():
    same = features(100, 64)
    assert kernel_distance(same, same, paired=True) == pytest.approx(0, abs=1e-12)
    assert gaussian_distance(same, same, paired=True) == pytest.approx(0, abs=1e-9)
    assert kernel_distance(same, same) < -0.1, "the sum of sets that have nothing to do with each other"


def test_the_distance_of_pairs_is_unbiased():
    """Images with what a restorer makes of them, moved and noisy: the true value is that of independent sets."""

    def pair(count, seed, move):
        clean = features(count, seed=seed)
        return move + 0.9 * clean + 0.3 * features(count, seed=10_000 + seed), clean

    truth = from_standard(0.4, 0.9)
    values = np.array([kernel_distance(*pair(60, seed, 0.4), paired=True) for seed in range(300)])
    assert abs(values.mean() - truth) < 3 * values.std() / np.sqrt(300)
    biased = np.array([kernel_distance(*pair(60, seed, 0.4)) for seed in range(300)])
    assert biased.mean() < truth - 10 * biased.std() / np.sqrt(300), (
        "where each image meets its own restoration"
    )


def test_kernel_distance_is_unbiased():
    """Over Gaussians of one distribution the mean is nil; of two it is the closed form."""
    equal = [kernel_distance(features(40, seed=2 * s), features(40, seed=2 * s + 1)) for s in range(300)]
    apart = [kernel_distance(features(60, seed=s), features(60, mean=0.5, seed=999 + s)) for s in range(300)]
    for values, truth in ((equal, 0.0), (apart, from_standard(0.5, 1.0))):
        assert abs(np.mean(values) - truth) < 3 * np.std(values) / np.sqrt(300)


def test_gaussian_distance_is_the_plain_sum_over_unit_vectors():
    first, second = features(5), features(4, mean=0.5, seed=1)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second))
    kernel = lambda x, y: np.exp(-((x - y) ** 2).sum() / 200)  # noqa: E731
    own = [np.sum([kernel(x, y) for i, x in enumerate(p) for j, y in enumerate(p) if i != j]) for p in (a, b)]
    expected = own[0] / 20 + own[1] / 12 - 2 * np.mean([[kernel(x, y) for y in b] for x in a])
    assert gaussian_distance(first, second) == pytest.approx(1000 * expected, rel=1e-9)


def test_precision_falls_with_what_is_made_up_and_recall_with_what_is_missing():
    clean = features(300, 2)
    assert share_within(features(300, 2, seed=1), clean) > 0.9
    spread = features(300, 2, scale=3.0, seed=1)
    assert share_within(spread, clean) < 0.7 and share_within(clean, spread) > 0.9
    spread = features(300, 2, scale=0.2, seed=1)
    assert share_within(spread, clean) > 0.95 and share_within(clean, spread) < 0.4
    with pytest.raises(ValueError, match="3 images: expected more than 3"):
        share_within(clean[:3], clean)


def test_precision_is_that_of_balls_around_every_feature():
    clean, restored = features(12, 2), features(10, 2, seed=1)
    gaps = [sorted(np.linalg.norm(x - y) for y in clean)[3] for x in clean]
    inside = [any(np.linalg.norm(p - x) <= gap for x, gap in zip(clean, gaps, strict=True)) for p in restored]
    assert share_within(restored, clean) == pytest.approx(np.mean(inside))


def labels(*counts):
    """Return the groups of sets of so many features."""
    return tuple(np.arange(count) % 4 for count in counts)


def test_frechet_distance_of_features_is_that_of_their_moments():
    first, second = features(40, 6), features(30, 6, mean=0.5, scale=2.0, seed=1)
    assert frechet_of(first, second) == pytest.approx(
        frechet(Moments.of(first), Moments.of(second)), rel=1e-9
    )
    few, others = features(5, 60), features(7, 60, seed=1)  # fewer than dimensions
    assert frechet_of(few, others) == pytest.approx(frechet(Moments.of(few), Moments.of(others)), rel=1e-4)
    assert frechet_of(few, few) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="1 images: expected at least 2"):
        frechet_of(few[:1], others)


@pytest.mark.parametrize(
    "whole, without",
    [
        (lambda a, b: kernel_distance(a, b), kernel_without),
        (lambda a, b: gaussian_distance(a, b), gaussian_without),
        (share_within, share_within_without),
    ],
)
@pytest.mark.parametrize("counts", [(21, 21), (19, 23)])
def test_leaving_groups_out_is_measuring_without_them(whole, without, counts, monkeypatch):
    monkeypatch.setattr(distances, "BLOCK", 8)  # several blocks, the last one shorter
    first, second = features(counts[0], 3), features(counts[1], 3, mean=0.4, seed=1)
    ours, theirs = labels(*counts)
    expected = [whole(first[ours != g], second[theirs != g]) for g in range(4)]
    assert without(first, second, (ours, theirs)) == pytest.approx(expected, rel=1e-9, abs=1e-12)
