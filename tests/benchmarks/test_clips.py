"""Means over clips: each clip counts once, in rows, in comparisons and where a result is checked."""

import pytest

from restoration.benchmarks.clips import CLIPS, clip_of, unit_means, units
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.result import compare, make_row

FRAMES = {"calendar/0.png": 20.0, "calendar/1.png": 22.0, "calendar/2.png": 24.0, "walk/0.png": 30.0}
CONVENTION = load_protocol("vid4").convention("psnr-y")


def row(restorer, values, convention=CONVENTION):
    return make_row("vid4", restorer, "psnr-y", convention, values)


def test_frames_of_a_clip_count_once():
    assert clip_of("city/0001.png") == "city" and clip_of("0001.png") == "."
    assert units(FRAMES, CONVENTION) == [
        ["calendar/0.png", "calendar/1.png", "calendar/2.png"],
        ["walk/0.png"],
    ]
    assert unit_means(FRAMES, CONVENTION) == [22.0, 30.0]
    assert unit_means(FRAMES, "y-float") == [20.0, 22.0, 24.0, 30.0]


def test_vid4_is_averaged_as_edvr_does_and_says_so():
    assert CLIPS in CONVENTION.split(",")
    found = row("a", FRAMES)
    assert found.mean == 26.0 and found.n == 4
    assert row("a", FRAMES, load_protocol("vid4-crop8").convention("psnr-y")).mean == 24.0
    assert load_protocol("vid4").metric("fid") and CLIPS not in load_protocol("vid4", [], ["fid"]).convention(
        "fid"
    )


def test_restorers_differ_by_what_their_clips_do():
    better = {name: value + (3 if name.startswith("walk") else 1) for name, value in FRAMES.items()}
    (found,) = compare([row("a", FRAMES), row("b", better)])
    assert found.difference == pytest.approx(2.0) and found.verdict == "too few images"
