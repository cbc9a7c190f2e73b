"""Intervals cover what they promise to cover, also for few and skewed values; p values and advice agree with them."""

import json
from importlib.resources import files

import numpy as np
import pytest

from restoration.benchmarks import coverage, coverage_sets
from restoration.benchmarks.intervals import (
    ENOUGH,
    by_cluster,
    holm,
    images_needed,
    mean_interval,
    set_images_needed,
    set_interval,
    set_p_value,
    student,
    studied,
)


def p_value(values, **options):
    return studied(values, **options)[1]


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
    seeded = committed["shares"]["with seeds"]
    assert list(seeded) == list(coverage.SEEDED)
    assert all(0.93 <= share <= 0.985 for shares in seeded.values() for share in shares.values())


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
    "freedom, level, expected",
    [(1, 0.95, 12.706), (4, 0.95, 2.776), (4, 0.99, 4.604), (30, 0.95, 2.042), (1e6, 0.95, 1.960)],
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
        p = p_value(values)
        assert (p < 0.0502) == (not low <= 0 <= high) or abs(p - 0.05) < 0.0005


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


def groups(values, size=1):
    """Return the mean, and without each group of so many values, as what a set's number is told by."""
    x = np.asarray(values, dtype=float)
    labels = np.arange(len(x)) // size
    return x.mean(), [(int((labels == g).sum()), x[labels != g].mean()) for g in range(labels[-1] + 1)]


def test_leaving_out_single_values_of_a_mean_gives_students_interval():
    values = np.random.default_rng(0).normal(3, 2, 12)
    mean, left_out = groups(values)
    low, high = set_interval([mean], [left_out])
    half = student(11) * values.std(ddof=1) / 12**0.5
    assert (low, high) == pytest.approx((mean - half, mean + half))


def test_groups_of_unequal_size_count_by_their_size():
    """A mean's error by groups of 3, 3, …, 2 values is about that by single ones, on average over studies."""
    errors = []
    for seed in range(400):
        mean, left_out = groups(np.random.default_rng(seed).normal(size=29), 3)
        low, high = set_interval([mean], [left_out])
        errors.append(((high - low) / 2 / student(9)) ** 2)
    assert [size for size, _ in left_out] == [3] * 9 + [2]
    assert np.mean(errors) == pytest.approx(1 / 29, rel=0.1)


def test_an_interval_of_a_set_is_cut_where_the_number_ends():
    mean, left_out = groups([0.0, 0.0, 0.0, 0.1, 1.0, 0.0, 0.0, 0.0])
    assert set_interval([mean], [left_out], 0.0, 1.0).low == 0.0 > set_interval([mean], [left_out]).low


def test_below_eight_groups_nothing_is_said_of_a_set():
    mean, left_out = groups([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert set_interval([mean], [left_out]) == (None, None) == set_interval([mean], [[]])
    assert set_p_value([mean], [left_out]) is None and set_images_needed([mean], [left_out], 7) is None


def test_p_values_and_advice_of_sets_agree_with_the_interval():
    for shift in (0.0, 0.3, 0.6, 0.9, 1.2):
        mean, left_out = groups(np.random.default_rng(1).normal(shift, 1, 24), 3)
        low, high = set_interval([mean], [left_out])
        outside = not low <= 0 <= high
        assert (set_p_value([mean], [left_out]) < 0.05) == outside
        needed = set_images_needed([mean], [left_out], 24)
        assert not outside or needed < 2 * 24
    assert set_images_needed([0.0], [[(3, 0.1), (3, -0.1)] * 4], 24) is None


def test_seeds_that_differ_widen_the_interval_of_a_set():
    values = np.random.default_rng(2).normal(1, 0.1, 16)
    alike = [groups(values + shift) for shift in (0.0, 0.001, -0.001)]
    apart = [groups(values + shift) for shift in (0.0, 0.5, -0.5)]
    widths = []
    for seeds in (alike, apart):
        low, high = set_interval([mean for mean, _ in seeds], [left_out for _, left_out in seeds])
        assert (low + high) / 2 == pytest.approx(values.mean())
        widths.append(high - low)
    assert widths[1] > 10 * widths[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", coverage_sets.COMPARED)
def test_intervals_of_differences_of_sets_hold_the_truth(name):
    """Equal restorers are called different in about one of twenty studies at most, whatever the number."""
    assert coverage_sets.coverage(name, "equal restorers", 8, 300, seed=1) >= 0.92
    assert coverage_sets.coverage(name, "equal restorers", 24, 300, seed=1) >= 0.92
    assert coverage_sets.coverage(name, "one shifted further", 24, 300, seed=1) >= 0.90


def test_images_of_one_clip_are_no_witnesses_of_their_own():
    rng = np.random.default_rng(0)
    clips = rng.normal(30, 1, 9)
    frames = np.repeat(clips, 11) + 0.01 * rng.normal(size=99)
    labels = [f"clip{i}" for i in range(9) for _ in range(11)]
    low, high = mean_interval(by_cluster(frames, labels))
    by_clip = mean_interval(frames.reshape(9, 11).mean(1))
    assert (low, high) == pytest.approx(by_clip), "of equal size they are means of clips"
    assert (low + high) / 2 == pytest.approx(frames.mean())
    alone = mean_interval(frames)
    assert high - low > 3 * (alone.high - alone.low)
    assert mean_interval(by_cluster(frames[:11], labels[:11])) == (None, None), (
        "one clip says nothing of others"
    )


def test_clusters_of_unequal_size_keep_the_mean_of_all_images_and_each_image_alone_changes_nothing():
    values = np.array([[1.0, 2.0, 3.0, 10.0], [2.0, 3.0, 4.0, 12.0]])
    found = by_cluster(values, ["a", "a", "a", "b"])
    assert found.shape == (2, 2) and found.mean(1) == pytest.approx(values.mean(1))
    assert by_cluster(values, ["a", "b", "c", "d"]) is not None
    assert np.array_equal(by_cluster(values, ["a", "b", "c", "d"]), values)


@pytest.mark.slow
def test_intervals_over_clips_hold_the_truth():
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(1000):
        sizes = rng.integers(5, 40, 12)
        values = np.concatenate([30 + rng.normal() + 0.3 * rng.normal(size=size) for size in sizes])
        labels = [str(i) for i, size in enumerate(sizes) for _ in range(size)]
        low, high = mean_interval(by_cluster(values, labels))
        hits += low <= 30 <= high
    assert 920 <= hits <= 980


def test_an_interval_ends_where_values_do():
    values = [0.0, 0.01, 0.02, 0.0, 0.9, 0.01, 0.0, 0.02]
    assert mean_interval(values).low < 0 == mean_interval(values, floor=0.0).low


def test_memory_does_not_grow_with_the_number_of_images():
    """Resamples are drawn some at a time: the result is that of all at once."""
    import tracemalloc

    from restoration.benchmarks import resampling

    values = np.random.default_rng(0).gamma(4, 1, 3000)
    tracemalloc.start()
    found = mean_interval(values, resamples=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 6 * resampling.HELD
    whole = np.random.default_rng(0).multinomial(3000, np.full(3000, 1 / 3000), 1000) / 3000
    assert np.array_equal(np.concatenate(list(resampling.shares(3000, 1000))), whole)
    centred = values - values.mean()
    means = whole @ centred
    t = np.abs(means) / np.sqrt((whole @ centred**2 - means**2) / 2999)
    half = np.quantile(t, 0.95) * values.std(ddof=1) / 3000**0.5
    assert found == pytest.approx((values.mean() - half, values.mean() + half))


def test_two_seeds_that_differ_leave_an_interval_that_says_how_little_is_known():
    images = np.random.default_rng(0).normal(30, 1, 24)
    low, high = mean_interval(np.stack([images, images + 1]))
    alone = mean_interval(images)
    assert high - low > 10 and high - low > 5 * (alone.high - alone.low)
    alike = mean_interval(np.stack([images, images]))
    assert alike == pytest.approx(alone, abs=0.02), "equal seeds add nothing"


def test_p_values_over_seeds_agree_with_the_interval():
    rng = np.random.default_rng(4)
    for shift in (0.0, 0.2, 0.4, 0.8):
        x = shift + rng.normal(size=(1, 16)) + 0.2 * rng.normal(size=(3, 1)) + 0.1 * rng.normal(size=(3, 16))
        low, high = mean_interval(x)
        assert (p_value(x) < 0.05) == (not low <= 0 <= high)


def test_the_committed_coverage_of_sets_keeps_what_is_said_of_it():
    """Each interval holds the truth in 92 of 100 studies at least, shares in nearly all."""
    path = files("restoration.benchmarks") / "results" / "coverage_sets.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["studies"] >= 400 and list(found["shares"]) == list(coverage_sets.COMPARED)
    for laws in found["shares"].values():
        assert list(laws) == list(coverage_sets.LAWS)
        for shares in laws.values():
            assert list(shares) == [str(n) for n in coverage_sets.IMAGES]
            assert all(share >= 0.92 for share in shares.values())


@pytest.mark.slow
def test_the_committed_coverage_of_sets_comes_again():
    path = files("restoration.benchmarks") / "results" / "coverage_sets.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    share = coverage_sets.coverage("kid-efficientnet-lite0", "equal restorers", 8, found["studies"])
    assert share == pytest.approx(
        found["shares"]["kid-efficientnet-lite0"]["equal restorers"]["8"], abs=0.005
    )
