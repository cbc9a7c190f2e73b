"""Intervals cover what they promise to cover, also for few and skewed values."""

import numpy as np
import pytest

from restoration.benchmarks.intervals import mean_interval, verdict

DRAWS = {
    "normal": (lambda rng, n: rng.normal(30, 4, n), 30.0),
    "skewed": (lambda rng, n: rng.gamma(4, 1, n), 4.0),
    "similarity": (lambda rng, n: rng.beta(8, 2, n), 0.8),
    "heavy tails": (lambda rng, n: rng.standard_t(5, n), 0.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("n", [14, 24, 100])
def test_ninety_five_of_a_hundred_intervals_hold_the_true_mean(name, n):
    draw, truth = DRAWS[name]
    rng, studies = np.random.default_rng([n, len(name)]), 1500
    hits = 0
    for _ in range(studies):
        low, high = mean_interval(draw(rng, n))
        hits += low <= truth <= high
    assert 0.93 <= hits / studies <= 0.97


def test_an_interval_is_the_same_every_time_and_symmetric_about_the_mean():
    values = [28.1, 31.7, 24.9, 35.2, 30.0, 27.7, 26.0, 33.3, 29.5]
    low, high = mean_interval(values)
    assert (low, high) == mean_interval(values)
    assert (low + high) / 2 == pytest.approx(np.mean(values))


def test_an_interval_moves_and_stretches_with_the_values():
    values = np.array([28.1, 31.7, 24.9, 35.2, 30.0, 27.7, 26.0, 33.3, 29.5])
    low, high = mean_interval(values)
    assert mean_interval(10 * values + 3) == pytest.approx((10 * low + 3, 10 * high + 3))


def test_large_samples_give_the_textbook_interval():
    values = np.random.default_rng(0).normal(size=2000)
    low, high = mean_interval(values)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std(ddof=1) / 2000**0.5, rel=0.03)


def test_equal_values_have_an_interval_of_no_width_and_a_ceiling_is_kept():
    assert mean_interval([0.5] * 6) == mean_interval([0.5] * 9) == (0.5, 0.5)
    assert mean_interval([0.9, 0.95, 0.99, 0.2, 0.999], ceiling=1.0).high == 1.0


def test_few_values_have_students_interval_and_a_single_one_has_none():
    low, high = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (low, high) == pytest.approx((3 - 2.776 * 2.5**0.5 / 5**0.5, 3 + 2.776 * 2.5**0.5 / 5**0.5))
    assert mean_interval([1.0]) == (None, None)
    assert mean_interval([]) == (None, None)


@pytest.mark.parametrize(
    "interval, n, words",
    [
        ((0.1, 0.2), 8, "significant"),
        ((-0.2, -0.1), 14, "significant"),
        ((-0.1, 0.2), 14, "not significant"),
        ((0.0, 0.0), 14, "not significant"),
        ((0.1, 0.2), 7, "too few images"),
        ((None, None), 3, "too few images"),
    ],
)
def test_a_verdict_in_words(interval, n, words):
    from restoration.benchmarks.intervals import Interval

    assert verdict(Interval(*interval), n) == words
