"""How far two restorers are apart: by images, over seeds, and of whole sets by leaving out groups of images."""

import numpy as np
import pytest

from restoration.benchmarks.intervals import images_needed, mean_interval, set_interval
from restoration.benchmarks.matrix import advice, matrices
from restoration.benchmarks.pairing import by_restorer, difference, images_in_words, seedless
from restoration.benchmarks.result import Result, Row, compare, make_row
from restoration.benchmarks.seeds import over_seeds, with_pooled

KID = "kid-efficientnet-lite0"


def row(restorer, values, metric="psnr-y"):
    named = {f"{i:02d}.png": float(v) for i, v in enumerate(values)}
    return make_row("set14-x4", restorer, metric, "convention", named)


def of_set(restorer, value, without, n=24, metric=KID, sizes=None):
    left_out = tuple(zip(sizes or [n // 8] * 8, without, strict=True)) if len(without) else ()
    return Row("set14-x4", restorer, metric, "convention", value, None, None, n, {}, 1.0, 2.0, {}, left_out)


def spread(seed, size=0.001):
    return size * np.random.default_rng(seed).normal(size=8)


def test_names_lose_their_seed_and_nothing_else():
    assert seedless("a[steps=5,seed=1]") == "a[steps=5]" and seedless("a[seed=1]") == "a"
    assert seedless("a") == "a" and seedless("a[steps=5]") == "a[steps=5]"


def test_restorers_are_one_over_their_seeds_but_a_single_seed_keeps_its_name():
    rows = [row(name, [1.0]) for name in ("a[seed=0]", "a[seed=1]", "b[seed=0]", "c")]
    assert {name: list(seeds) for name, seeds in by_restorer(rows).items()} == {
        "a": ["0", "1"], "b[seed=0]": ["0"], "c": [""]
    }  # fmt: skip


def test_a_difference_over_seeds_is_that_of_all_images_and_all_seeds():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(30, 2, (3, 24)), rng.normal(30, 2, 24)
    found = difference(
        {str(i): row(f"a[seed={i}]", values) for i, values in enumerate(ours)}, {"": row("b", theirs)}, "psnr-y"
    )  # fmt: skip
    x = ours - theirs
    assert (found.n, found.seeds) == (24, 3) and found.mean == pytest.approx(x.mean())
    assert found.interval == pytest.approx(mean_interval(x)) and found.needed == images_needed(x.mean(0))


def test_comparisons_of_a_result_are_over_seeds_too():
    rng = np.random.default_rng(1)
    base = rng.normal(30, 2, 24)
    rows = [row("b", base)]
    rows += [row(f"a[seed={i}]", base + 0.2 + shift) for i, shift in enumerate((-0.3, 0.0, 0.3))]
    (found,) = compare(rows)
    assert (found.restorer, found.baseline, found.seeds, found.n) == ("a", "b", 3, 24)
    assert found.difference == pytest.approx(0.2) and found.verdict == "not significant"
    (alone,) = compare([rows[0], rows[2]])
    assert (alone.restorer, alone.seeds, alone.verdict) == ("a[seed=1]", 1, "significant")
    (turned,) = compare(rows, "a")
    assert (turned.restorer, turned.baseline) == ("b", "a") and turned.difference == pytest.approx(-0.2)
    assert compare(rows, "a[seed=2]") == [turned], "one seed stands for all"


def test_rows_over_seeds_follow_their_seeds():
    base = np.arange(10.0)
    rows = [row("a[seed=0]", base), row("a[seed=1]", base + 1), row("b", base)]
    found = with_pooled(rows)
    assert [r.restorer for r in found] == ["a[seed=0]", "a[seed=1]", "a", "b"]
    assert found[2].mean == pytest.approx(base.mean() + 0.5) and found[2] in over_seeds(rows)
    assert with_pooled(rows[1:]) == rows[1:], "a single seed is no mean over seeds"


def test_numbers_of_sets_are_compared_by_what_they_are_without_groups_of_images():
    common = spread(0, 0.05)  # which images are hard is the same for both
    ours = of_set("a", 0.5, 0.5 + common + spread(1))
    theirs = of_set("b", 0.45, 0.45 + common + spread(2))
    (found,) = compare([theirs, ours])
    left_out = [[(3, a - b) for (_, a), (_, b) in zip(ours.left_out, theirs.left_out, strict=True)]]
    assert (found.low, found.high) == pytest.approx(set_interval([0.05], left_out))
    assert (found.n, found.verdict) == (24, "significant") and found.difference == pytest.approx(0.05)
    alone = set_interval([0.5], [ours.left_out])
    assert alone.high - alone.low > 10 * (found.high - found.low), "what both share is not counted"


def test_the_matrix_has_numbers_of_sets_with_verdict_law_and_advice():
    rows = [of_set("a", 0.5, 0.5 + spread(1)), of_set("b", 0.45, 0.45 + spread(2))]
    rows.append(of_set("c", 0.452, 0.452 + spread(3)))
    (found,) = matrices(Result("", {}, rows))
    assert found.pairing("a", "b").verdict == "worse", "lower is better"
    assert found.pairing("b", "c").verdict == "not significant"
    assert found.correction.startswith("P values of the jackknife over 8 groups of images, ")
    (said,) = advice(found)
    assert said.startswith(f"b and c, {KID}: ") and "to tell these two apart you need about" in said


def test_below_eight_images_nothing_is_said_of_sets():
    rows = [of_set("a", 0.5, [], n=7), of_set("b", 0.1, [], n=7)]
    (found,) = compare(rows)
    assert (found.low, found.high, found.verdict, found.needed) == (None, None, "too few images", None)
    (matrix,) = matrices(Result("", {}, rows))
    assert matrix.pairing("a", "b").verdict == "too few images" and advice(matrix) == []


def test_sets_of_other_images_are_not_compared():
    whole = of_set("a", 0.5, 0.5 + spread(1))
    lacking = of_set("b", 0.4, [], n=20)
    fewer = of_set("c", 0.4, 0.4 + spread(2), n=23, sizes=[3] * 7 + [2])
    assert compare([whole, lacking]) == [] and compare([whole, fewer]) == []


def test_sets_over_seeds_have_the_interval_of_both():
    shifts = (0.0, 0.02, -0.02)
    seeds = [of_set(f"a[seed={i}]", 0.5 + s, 0.5 + s + spread(i)) for i, s in enumerate(shifts)]
    other = of_set("b", 0.49, 0.49 + spread(9))
    (found,) = compare([other, *seeds])
    assert (found.restorer, found.seeds, found.verdict) == ("a", 3, "not significant")
    assert found.difference == pytest.approx(0.01)
    (alone,) = compare([other, seeds[0]])
    assert alone.verdict == "significant"
    pooled = over_seeds(seeds)[0]
    assert (pooled.low, pooled.high) == set_interval([0.5, 0.52, 0.48], [r.left_out for r in seeds])


def test_how_many_images_it_takes_in_words():
    assert images_in_words(120, 24) == "about 120 images" and images_in_words(9, 24) == "about 25 images"
    assert images_in_words(200_000, 24) == "more than 100,000 images"


def test_a_comparison_and_the_matrix_say_the_same():
    """Verdicts of both hold for all pairs at once; of metrics that are best at 1 both compare the distances to 1."""
    base = np.random.default_rng(0).normal(30, 1, 14)
    noise = [0.05 * np.random.default_rng(seed).normal(size=14) for seed in (5, *range(10, 16))]
    rows = [row("a", base), row("b", base + 0.036 + noise[0])]
    rows += [row(f"c{i}", base + far) for i, far in enumerate(noise[1:])]
    (matrix,) = matrices(Result("", {}, rows))
    for found in compare(rows):
        pair = matrix.pairing(found.restorer, found.baseline)
        assert (found.difference, found.low, found.high, found.needed) == (
            pair.difference, pair.low, pair.high, pair.needed
        )  # fmt: skip
        assert (found.verdict == "significant") == (pair.verdict in ("better", "worse"))
    (alone,) = compare(rows[:2])
    (crowd,) = [c for c in compare(rows) if c.restorer == "b"]
    assert (alone.verdict, crowd.verdict) == ("significant", "not significant")


def test_what_is_best_at_one_is_compared_by_its_distance_to_one():
    noise = 0.01 * np.random.default_rng(6).normal(size=12)
    rows = [
        row("a", 0.5 + noise, "high-frequency-ratio"),
        row("b", 1.5 - noise[::-1], "high-frequency-ratio"),
    ]
    (found,) = compare(rows)
    assert found.difference == pytest.approx(0, abs=0.02) and found.verdict == "not significant"
    near = row("c", 1.1 + noise, "high-frequency-ratio")
    (found,) = compare([rows[0], near])
    assert (
        found.difference == pytest.approx(-0.4, abs=0.02) and found.verdict == "significant" and found.better
    )
    (turned,) = compare([near, rows[0]])
    assert not turned.better


def test_frames_of_few_clips_are_too_few_images():
    rng = np.random.default_rng(7)
    names = [f"clip{i % 2}/{i:02}.png" for i in range(22)]
    clusters = {name: name.split("/")[0] for name in names}
    values = {name: 30 + rng.normal() for name in names}
    ours = make_row("vid4", "a", "psnr-y", "c", values, clusters=clusters)
    theirs = make_row("vid4", "b", "psnr-y", "c", {n: v + 1 for n, v in values.items()}, clusters=clusters)
    (found,) = compare([ours, theirs])
    assert (found.n, found.verdict, found.difference) == (2, "too few images", pytest.approx(1))
    assert ours.n == 22 and ours.clusters == clusters
    apart = make_row("vid4", "a", "psnr-y", "c", values)
    assert ours.high - ours.low != pytest.approx(apart.high - apart.low)
    own = make_row("vid4", "a", "psnr-y", "c", values, clusters={name: name for name in names})
    assert own == apart, "who shares nothing has no cluster"


def test_shares_of_sets_are_no_surer_than_their_number_of_images_allows():
    """Where no image tells two restorers apart, one in n/3 might: the rule of three."""
    metric = "precision-efficientnet-lite0"
    rows = [of_set(name, 1.0, [1.0] * 8, metric=metric) for name in "ab"]
    (found,) = compare(rows)
    assert found.difference == 0 and (found.low, found.high) == pytest.approx((-0.1248, 0.1248), abs=1e-3)
    assert found.verdict == "not significant"
    rows[1] = of_set("b", 0.9, [0.9] * 8, metric=metric)
    (near,) = compare(rows)
    rows[1] = of_set("b", 0.8, [0.8] * 8, metric=metric)
    (far,) = compare(rows)
    assert (near.verdict, far.verdict) == ("not significant", "significant")


def test_over_seeds_numbers_of_sets_stay_within_their_range_and_shares_are_no_surer_than_their_images():
    """By the rule of three: where no image of 24 lies outside, −ln(5 %) / 24 of all images may."""
    seeds = [of_set(f"a[seed={i}]", 1.0, [1.0] * 8, metric="precision-efficientnet-lite0") for i in range(3)]
    (share,) = over_seeds(seeds)
    assert (share.mean, share.high) == (1.0, 1.0) and share.low == pytest.approx(1 + np.log(0.05) / 24)
    near = [of_set(f"a[seed={i}]", 0.1, 0.1 + spread(i, 0.2), metric="fd-efficientnet-lite0") for i in (1, 2)]
    (distance,) = over_seeds(near)
    assert distance.low == 0.0 < distance.high
