"""The speed comparison: both ways do the same work, and the table says what was measured."""

import numpy as np
import torch

from restoration.benchmarks.speed_apply import mirrored, ours, plain, table
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
        "peak_mib": {"ours": 700.0, "plain": 900.0},
        "ratio": 2.5,
        "growth": {"0.75": {"restore": 1.5, "seconds_per_megapixel": 2.0, "peak_mib": 600.0}},
    }
    assert table(record).splitlines() == [
        "| way | seconds | peak MiB |",
        "|---|---|---|",
        "| ours | 2.0 | 700 |",
        "| plain | 5.0 | 900 |",
        "",
        "ours is 2.50 times as fast",
        "",
        "| megapixels | seconds | seconds per megapixel | peak MiB |",
        "|---|---|---|---|",
        "| 0.75 | 1.5 | 2.00 | 600 |",
    ]
