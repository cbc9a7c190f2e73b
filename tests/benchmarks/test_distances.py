"""Distances of sets: against closed forms, plain sums over pairs, and what they do as sets grow."""

import numpy as np
import pytest

from restoration.benchmarks.distances import (
    Moments,
    frechet,
    gaussian_distance,
    kernel_distance,
    precision_recall,
)


def features(count, dimensions=6, mean=0.0, scale=1.0, seed=0):
    return mean + scale * np.random.default_rng(seed).standard_normal((count, dimensions))


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
        value, (low, high) = kernel_distance(*pair)
        assert low < 0 < high and abs(value) < 0.05


def test_kernel_distance_is_the_plain_sum_over_pairs_and_its_error_that_of_leaving_one_out():
    first, second = features(9), features(7, mean=0.5, seed=1)

    def plain(a, b):
        k = [[[(x @ y / 6 + 1) ** 3 for y in q] for x in p] for p, q in ((a, a), (b, b), (a, b))]
        m, n = len(a), len(b)
        own = [sum(k[i][r][c] for r in range(s) for c in range(s) if r != c) for i, s in ((0, m), (1, n))]
        return own[0] / (m * (m - 1)) + own[1] / (n * (n - 1)) - 2 * np.sum(k[2]) / (m * n)

    value, (low, high) = kernel_distance(first, second)
    assert value == pytest.approx(plain(first, second), rel=1e-12)
    left = [plain(np.delete(first, i, 0), second) for i in range(9)]
    right = [plain(first, np.delete(second, i, 0)) for i in range(7)]
    error = np.sqrt(
        8 / 9 * np.sum((left - np.mean(left)) ** 2) + 6 / 7 * np.sum((right - np.mean(right)) ** 2)
    )
    assert (high - low) / 2 == pytest.approx(1.959964 * error, rel=1e-9)
    assert (low + high) / 2 == pytest.approx(value)
    assert kernel_distance(first[:2], second).interval == (None, None)
    with pytest.raises(ValueError, match="1 images: expected at least 2"):
        kernel_distance(first[:1], second)


def test_kernel_distance_is_unbiased_and_its_intervals_cover():
    """Over Gaussians of one distribution: the mean is nil, and 95 % intervals hold nil nearly always."""
    found = [kernel_distance(features(40, seed=2 * s), features(40, seed=2 * s + 1)) for s in range(300)]
    values = np.array([value for value, _ in found])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(300)
    assert np.mean([low <= 0 <= high for _, (low, high) in found]) > 0.93
    # of two that differ: the true value by a closed form in the limit, here by many draws
    truth = kernel_distance(features(4000, seed=1), features(4000, mean=0.5, seed=2)).value
    found = [kernel_distance(features(60, seed=s), features(60, mean=0.5, seed=999 + s)) for s in range(300)]
    covered = np.mean([low <= truth <= high for _, (low, high) in found])
    assert 0.90 <= covered <= 0.99


def test_gaussian_distance_is_the_plain_sum_over_unit_vectors():
    first, second = features(5), features(4, mean=0.5, seed=1)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second))
    kernel = lambda x, y: np.exp(-((x - y) ** 2).sum() / 200)  # noqa: E731
    own = [np.sum([kernel(x, y) for i, x in enumerate(p) for j, y in enumerate(p) if i != j]) for p in (a, b)]
    expected = own[0] / 20 + own[1] / 12 - 2 * np.mean([[kernel(x, y) for y in b] for x in a])
    assert gaussian_distance(first, second).value == pytest.approx(1000 * expected, rel=1e-9)


def test_precision_falls_with_what_is_made_up_and_recall_with_what_is_missing():
    clean = features(300, 2)
    assert precision_recall(features(300, 2, seed=1), clean)[0] > 0.9
    precision, recall = precision_recall(features(300, 2, scale=3.0, seed=1), clean)
    assert precision < 0.7 and recall > 0.9
    precision, recall = precision_recall(features(300, 2, scale=0.2, seed=1), clean)
    assert precision > 0.95 and recall < 0.4
    with pytest.raises(ValueError, match="3 images: expected more than 3"):
        precision_recall(clean[:3], clean)


def test_precision_is_that_of_balls_around_every_feature():
    clean, restored = features(12, 2), features(10, 2, seed=1)
    gaps = [sorted(np.linalg.norm(x - y) for y in clean)[3] for x in clean]
    inside = [any(np.linalg.norm(p - x) <= gap for x, gap in zip(clean, gaps, strict=True)) for p in restored]
    assert precision_recall(restored, clean)[0] == pytest.approx(np.mean(inside))
