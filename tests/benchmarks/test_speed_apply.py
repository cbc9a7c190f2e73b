"""The speed comparison: both ways do the same work, and the table says what was measured."""

import numpy as np
import torch

from restoration.benchmarks.speed_apply import (
    SETS,
    away_from_seams,
    described,
    mirrored,
    ours,
    plain,
    restorer_of,
    table,
)
from restoration.image import Picture
from restoration.restorers import baseline


def test_both_ways_agree_where_margins_do_not_matter():
    samples = np.random.default_rng(0).integers(0, 256, (520, 30, 3)).astype(np.uint8)
    restorer = baseline("nearest-x2")
    expected = samples.repeat(2, 0).repeat(2, 1)
    assert np.array_equal(plain(restorer, Picture(samples)).samples, expected)
    assert np.array_equal(ours(restorer, Picture(samples)).samples, expected)


def test_mirroring_continues_without_a_seam():
    samples = torch.arange(6).view(2, 3, 1).numpy()
    assert mirrored(samples, 7, 3)[..., 0].tolist() == [
        [0, 1, 2, 2, 1, 0, 0],
        [3, 4, 5, 5, 4, 3, 3],
        [3, 4, 5, 5, 4, 3, 3],
    ]


def test_table_has_ratio_and_growth():
    record = {
        "median": {"ours": 2.0, "plain": 5.0},
        "memory": {"peak_mib": {"ours": 700.0, "plain": 900.0}, "taken_mib": {"ours": 100.0, "plain": 300.0}},
        "ratio": 2.5,
        "growth": {"0.75": {"restore": 1.5, "seconds_per_megapixel": 2.0, "peak_mib": 600.0}},
    }
    assert table(record).splitlines() == [
        "| way | seconds | peak MiB | beyond the loaded network |",
        "|---|---|---|---|",
        "| ours | 2.0 | 700 | 100 |",
        "| plain | 5.0 | 900 | 300 |",
        "",
        "ours is 2.50 times as fast",
        "",
        "| megapixels | seconds | seconds per megapixel | peak MiB |",
        "|---|---|---|---|",
        "| 0.75 | 1.5 | 2.00 | 600 |",
    ]


def test_table_has_the_other_ways_where_they_were_measured():
    record = {
        "median": {"ours": 2.0, "plain": 5.0, "ours-bf16": 1.0},
        "memory": {key: {"ours": 7.0, "plain": 9.0, "ours-bf16": 6.0} for key in ("peak_mib", "taken_mib")},
        "ratio": 2.5,
        "agreement": {"ours": {"largest": 1, "mean": 1e-4}, "ours-bf16": None},
        "growth": {},
    }
    lines = table(record).splitlines()
    assert "in bfloat16 it is 5.00 times as fast" in lines
    assert "ours differs from plain by 1 levels at most, 1.0e-04 in the mean" in lines


def test_results_are_compared_where_seams_do_not_reach():
    expected = np.zeros((1024, 1024, 1), np.uint8)
    found = expected.copy()
    found[508:516] = 200  # at a seam of the plain tiles
    found[100, 100] = 3
    difference = away_from_seams(found, expected, 1, 8)
    assert difference["largest"] == 3 and difference["mean"] == 3 / (2 * (512 - 16)) ** 2
    assert (
        away_from_seams(found, expected, 1, 256) is None and away_from_seams(found, expected, 1, None) is None
    )


def test_the_peer_is_spandrel_where_it_knows_the_network():
    image = torch.rand(1, 3, 24, 16)
    for name, known in (("swinir-small-x4", True), ("msrresnet-x4", False)):
        restorer = restorer_of(name)
        with torch.inference_mode():
            expected = restorer(image).clamp(0, 1)
            found = described(restorer)(image).clamp(0, 1)
        assert (type(described(restorer)).__name__ == "ImageModelDescriptor") == known
        assert (found - expected).abs().max() < 1e-6


def test_networks_of_sets_are_the_same_every_time():
    for name in SETS:
        first, second = restorer_of(name), restorer_of(name)
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
        assert first.scale == 4
