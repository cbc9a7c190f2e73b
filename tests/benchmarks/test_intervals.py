"""Intervals cover what they promise to cover, also for few and skewed values; p values and advice agree with them."""

import json
from importlib.resources import files

import numpy as np
import pytest

from restoration.benchmarks import coverage
from restoration.benchmarks.intervals import (
    ENOUGH,
    Interval,
    holm,
    images_needed,
    mean_interval,
    p_value,
    student,
    verdict,
)


@pytest.fixture(scope="module")
def committed():
    return json.loads(
        (files("restoration.benchmarks") / "results" / "coverage.json").read_text(encoding="utf-8")
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", coverage.LAWS)
@pytest.mark.parametrize("n", coverage.IMAGES)
def test_ninety_five_of_a_hundred_intervals_hold_the_true_mean(name, n):
    share = coverage.coverage(name, coverage.LAWS[name], n, seed=1)
    assert coverage.kept(share), share


@pytest.mark.slow
@pytest.mark.parametrize("name", coverage.SEEDED)
def test_intervals_over_images_and_seeds_hold_it_too(name):
    assert 0.93 <= coverage.coverage(name, coverage.SEEDED[name], 24, 800, seed=1) <= 0.985


def test_the_committed_coverage_is_of_4000_studies_and_keeps_the_promise(committed):
    assert committed["studies"] == 4000 and "restoration.benchmarks.coverage" in committed["command"]
    promised = committed["shares"]["promised"]
    assert list(promised) == list(coverage.LAWS)
    for shares in promised.values():
        assert list(shares) == ["14", "24", "100"]
        assert all(0.93 <= share <= 0.97 for share in shares.values())


@pytest.mark.slow
def test_the_committed_coverage_comes_again(committed):
    name = "normal"
    share = coverage.coverage(name, coverage.LAWS[name], 14)
    assert share == pytest.approx(committed["shares"]["promised"][name]["14"], abs=0.001)


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
    assert verdict(Interval(*interval), n) == words


@pytest.mark.parametrize(
    "freedom, level, expected",
    [(1, 0.95, 12.706), (4, 0.95, 2.776), (4, 0.99, 4.604), (30, 0.95, 2.042), (1e6, 0.95, 1.962)],
)
def test_students_quantiles_are_those_of_the_tables(freedom, level, expected):
    assert student(freedom, level) == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize("freedom", [1, 2.5, 7, 23.4, 400])
def test_students_quantiles_are_scipys(freedom):
    stats = pytest.importorskip("scipy.stats")
    for level in (0.5, 0.95, 0.999):
        assert student(freedom, level) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=2e-3)


def test_a_p_value_is_below_five_per_cent_where_the_interval_leaves_zero_out():
    rng = np.random.default_rng(3)
    for shift in np.linspace(0, 1, 21):
        values = rng.gamma(2, 1, 14) - 2 + shift
        low, high = mean_interval(values)
        assert (p_value(values) < 0.0502) == (not low <= 0 <= high) or abs(p_value(values) - 0.05) < 0.0005


def test_p_values_are_uniform_where_nothing_is_there():
    rng = np.random.default_rng(0)
    found = [p_value(rng.normal(size=12)) for _ in range(400)]
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_p_values_of_few_equal_and_distant_values():
    assert p_value([1.0] * (ENOUGH - 1)) is None
    assert p_value([0.0] * 9) == 1.0
    assert p_value([1.0] * 9) == p_value([100 + i for i in range(9)]) == 1 / 5001
    assert p_value([1.0] * 9, resamples=9999) == 1 / 10000


def test_holms_correction_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0] and holm([]) == [] and holm([0.02]) == [0.02]


def test_holms_correction_keeps_all_of_a_tables_wins_right_together():
    rng, false = np.random.default_rng(1), 0
    for _ in range(200):
        false += min(holm([p_value(rng.normal(size=20)) for _ in range(10)])) < 0.05
    assert false / 200 <= 0.09


def test_as_many_images_as_advised_tell_a_difference_in_eighty_of_a_hundred_studies():
    sample = np.random.default_rng(0).normal(0.1, 0.4, 12)
    mean, spread = sample.mean(), sample.std(ddof=1)
    needed = images_needed(sample)
    rng = np.random.default_rng(1)
    told = [mean_interval(rng.normal(mean, spread, needed)).low > 0 for _ in range(300)]
    if mean < 0:
        told = [mean_interval(rng.normal(mean, spread, needed)).high < 0 for _ in range(300)]
    assert np.mean(told) == pytest.approx(0.8, abs=0.07)


def test_advice_by_the_textbook_and_at_its_ends():
    values = np.array([-1.0, 1.0] * 50) + 0.1  # spread 1.005, difference 0.1
    assert images_needed(values) == pytest.approx((1.962 + 0.8416) ** 2 * 101.01, rel=0.01)
    assert images_needed([0.1] * 20) == ENOUGH and images_needed([1.0, 1.1]) == ENOUGH
    assert images_needed([0.0] * 20) is None and images_needed([1.0]) is None


def test_one_seed_is_no_seed_and_equal_seeds_say_nothing_new():
    values = np.random.default_rng(0).gamma(3, 1, 20)
    assert mean_interval(values[None]) == mean_interval(values)
    low, high = mean_interval(np.stack([values] * 3))
    assert (low, high) == pytest.approx(mean_interval(values), rel=0.02)


def test_seeds_that_differ_make_the_interval_as_wide_as_few_seeds_make_it():
    x = np.array([[0.0], [1.0], [2.0]]) + 1e-6 * np.random.default_rng(0).normal(size=(3, 20))
    low, high = mean_interval(x)
    assert (high - low) / 2 == pytest.approx(4.303 / 3**0.5, rel=1e-3)


def test_many_seeds_are_resampled_as_images_are():
    rng = np.random.default_rng(0)
    x = rng.gamma(1, 1, (12, 1)) + rng.normal(size=(1, 40)) * 0.01
    low, high = mean_interval(x)
    seeds_alone = mean_interval(x.mean(1))
    assert high - low == pytest.approx(seeds_alone.high - seeds_alone.low, rel=0.15)
