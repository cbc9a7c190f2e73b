"""All restorers against each other: who wins, by how many comparisons, and how many images it would take."""

import numpy as np
import pytest

from restoration.benchmarks.intervals import mean_interval
from restoration.benchmarks.matrix import advice, matrices, matrix_table
from restoration.benchmarks.report_scores import scores as scores_of
from restoration.benchmarks.result import Result, compare, make_row
from restoration.benchmarks.seeds import over_seeds
from restoration.benchmarks.table import run_table

CONVENTION = "y-float,border=4,uint8-output"


def row(restorer, values, metric="psnr-y", convention=CONVENTION):
    named = {f"{i:02d}.png": float(v) for i, v in enumerate(values)}
    return make_row("set14-x4", restorer, metric, convention, named)


def matrix(*rows):
    (found,) = matrices(Result("restoration benchmark", {}, rows))
    return found


def scores(seed=0, n=14):
    return 28 + np.random.default_rng(seed).normal(size=n)


def noise(seed, n=14, spread=0.05):
    return spread * np.random.default_rng(seed).normal(size=n)


def test_who_is_better_wins_and_the_same_is_said_from_the_other_side():
    base = scores()
    found = matrix(row("a", base), row("b", base + 0.5 + noise(1)), row("c", base + 0.5 + noise(2)))
    assert found.pairing("b", "a").verdict == "better" and found.pairing("a", "b").verdict == "worse"
    assert found.pairing("a", "b").difference == -found.pairing("b", "a").difference
    ours, theirs = found.pairing("a", "b"), found.pairing("b", "a")
    assert (ours.low, ours.high) == (-theirs.high, -theirs.low)
    assert found.pairing("b", "c").verdict == "not significant"
    assert found.tally("a") == {"wins": 0, "losses": 2, "not significant": 0}
    assert found.tally("b") == {"wins": 1, "losses": 0, "not significant": 1}


@pytest.mark.parametrize(
    "metric, first, second, verdict",
    [
        ("niqe", 5, 4, "worse"),
        ("high-frequency-ratio", 0.7, 1.1, "worse"),
        ("high-frequency-ratio", 1.2, 0.5, "better"),
    ],
)
def test_better_is_what_the_metric_says(metric, first, second, verdict):
    found = matrix(row("a", first + noise(1), metric), row("b", second + noise(2), metric))
    assert found.pairing("a", "b").verdict == verdict


def test_of_many_comparisons_one_must_be_surer():
    base = scores()
    pair = [row("a", base), row("b", base + 0.036 + noise(5))]
    alone = matrix(*pair).pairing("b", "a")
    crowd = matrix(*pair, *(row(f"c{i}", base + noise(10 + i)) for i in range(6))).pairing("b", "a")
    assert alone.p == pytest.approx(alone.corrected) and alone.p < 0.05 < crowd.corrected
    assert alone.verdict == "better" and crowd.verdict == "not significant"
    assert (alone.low, alone.high) == (crowd.low, crowd.high)


def test_the_law_by_which_wins_are_called_is_stated():
    base = scores()
    found = matrix(row("a", base), row("b", base + noise(1)), row("c", base + noise(2)))
    assert "corrected by Holm's method for the 3 comparisons of this table" in found.correction
    text = matrix_table(found)
    assert found.correction in text and text.count("\n| ") == 5
    assert "| restorer | wins | losses | not significant | against a | against b | against c |" in text


def test_of_many_restorers_some_can_still_win():
    rows = [row(f"r{i}", scores() + i * 0.3 + noise(i, spread=0.01)) for i in range(24)]
    found = matrix(*rows)
    assert len(found.pairings) == 276 and all(p.verdict == "worse" for p in found.pairings)


def test_below_eight_images_nobody_wins():
    found = matrix(row("a", scores(n=7)), row("b", scores(n=7) + 5))
    assert found.pairing("a", "b").verdict == "too few images" and found.pairing("a", "b").p is None
    (sentence,) = advice(found)
    assert "too few images; to tell these two apart you need about 8 images" in sentence


def test_advice_names_the_number_of_images_that_would_do():
    base = scores()
    gain = 0.02 + noise(3)
    found = matrix(row("a", base), row("b", base + gain))
    (sentence,) = advice(found)
    needed = found.pairings[0].needed
    assert needed > 14 and f"you need about {needed:,} images" in sentence
    assert "a and b, psnr-y: −" in sentence and "over 14 images, not significant" in sentence


def test_equal_restorers_are_told_to_be_equal():
    found = matrix(row("a", scores()), row("b", scores()))
    assert found.pairing("a", "b").verdict == "not significant"
    assert advice(found) == ["a and b, psnr-y: no difference over 14 images"]


def test_only_images_that_both_have_are_compared_and_conventions_never_mix():
    rows = [row("a", scores()), row("b", scores(1), convention="rgb,border=0,uint8-output")]
    assert matrices(Result("", {}, rows)) == []
    found = matrix(row("a", scores(n=14)), row("b", scores(n=10)))
    assert found.pairing("a", "b").n == 10 and found.pairing("a", "a") is None


def test_seeds_are_one_restorer_and_widen_its_interval():
    base, shifts = scores(n=24), (-0.3, 0.0, 0.3)
    seeded = [row(f"a[seed={i}]", base + s + noise(i, 24)) for i, s in enumerate(shifts)]
    other = row("b", base - 0.05)
    found = matrix(*seeded, other)
    assert found.restorers == ("a", "b")
    pairing = found.pairing("a", "b")
    assert (pairing.n, pairing.seeds) == (24, 3) and pairing.verdict == "not significant"
    single = matrix(seeded[1], other).pairing("a[seed=1]", "b")
    assert single.verdict == "better" and pairing.high - pairing.low > 5 * (single.high - single.low)


def test_seeds_of_the_same_name_are_paired():
    base, shifts = scores(n=24), (-3.0, 0.0, 3.0)  # what a seed does, it does to both
    ours = [row(f"a[seed={i}]", base + s) for i, s in enumerate(shifts)]
    theirs = [row(f"b[seed={i}]", base + s + 0.5 + noise(i, 24)) for i, s in enumerate(shifts)]
    pairing = matrix(*ours, *theirs).pairing("b", "a")
    assert pairing.seeds == 3 and pairing.verdict == "better"
    assert pairing.difference == pytest.approx(0.5, abs=0.05)


def test_rows_over_seeds_have_the_mean_and_interval_of_both():
    base = scores(n=10)
    rows = [row(f"a[steps=5,seed={i}]", base + i * 0.1) for i in range(3)] + [row("b", base)]
    pooled, other = over_seeds(rows)
    assert pooled.restorer == "a[steps=5]" and other is rows[-1]
    assert pooled.mean == pytest.approx(base.mean() + 0.1) and pooled.n == 10
    assert (pooled.low, pooled.high) == mean_interval(np.stack([base + i * 0.1 for i in range(3)]))
    assert pooled.per_image["00.png"] == pytest.approx(base[0] + 0.1)


@pytest.mark.parametrize(
    "convention, clip, counted, units",
    [
        (f"{CONVENTION},mean=clips", "", "4 clips", "clips"),
        (CONVENTION, "clip", "4 independent groups of images", "independent groups of images"),
        (CONVENTION, "", "44 images", "images"),
    ],
)
def test_what_counts_as_one_is_named(convention, clip, counted, units):
    names = [f"{i % 4}/{i:02}.png" for i in range(44)]
    clusters = {name: f"{clip}{name[0]}" for name in names} if clip else None

    def frames(restorer, values):
        named = dict(zip(names, values, strict=True))
        return make_row("vid4-x4", restorer, "psnr-y", convention, named, clusters=clusters)

    base = scores(n=44)
    rows = [frames("a", base), frames("b", base), frames("c", base + 0.001 + noise(1, 44))]
    found = matrix(*rows)
    assert f"the paired bootstrap over {units}, corrected" in found.correction
    equal, *apart = advice(found)
    assert equal == f"a and b, psnr-y: no difference over {counted}" and len(apart) == 2
    for said in apart:
        assert f" over {counted}, " in said and said.partition(" (in 80 of")[0].endswith(f" {units}")
    result = Result("", {}, rows, compare(rows))
    assert f" {units} would tell them apart" in run_table(result)
    cells = scores_of(result, "vid4-x4").cells
    assert cells["c", ("psnr-y", convention)].needed.endswith(f" {units}")
