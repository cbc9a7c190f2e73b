"""The timing of metrics at a tiny size: both ways agree, files are many or few, two ranks find what one finds."""

import json

import pytest
import torch

from restoration.benchmarks import speed_metrics
from restoration.benchmarks.speed_metrics import (
    METRICS,
    agreement,
    make_pairs,
    memory,
    one_by_one,
    ours,
    package_calls,
    ranks,
    speed,
)
from restoration.errors import RestorationError

SIZE = (168, 176)  # five scales of an 11-pixel window


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    make_pairs(folder, 2, SIZE)
    return folder


@pytest.mark.slow
def test_both_ways_find_the_same_and_are_timed_in_turn(root):
    found, theirs = ours(root, METRICS), one_by_one(root, METRICS, package_calls(torch.float64))
    assert set(found) == set(theirs) == set(METRICS)
    assert all(list(values) == ["0000.png", "0001.png"] for values in found.values())
    assert set(agreement(found, theirs)) == set(METRICS)
    row = speed(root, ["psnr-y", "gmsd"], 1)
    assert set(row["seconds"]) == {"ours", "one by one"} and row["ratio"] > 0


def test_values_that_differ_are_not_timed():
    with pytest.raises(RestorationError, match=r"^gmsd: values differ by 0\.1, over 1e-05$"):
        agreement({"gmsd": {"a": 0.2}}, {"gmsd": {"a": 0.1}})
    with pytest.raises(RestorationError):
        agreement({"gmsd": {"a": float("nan")}}, {"gmsd": {"a": 0.1}})


@pytest.mark.slow
def test_memory_is_of_a_process_that_scores_so_many_files(root):
    found = memory(root, [3])
    assert found["pairs"]["3"]["anonymous_mib"] > 50 and found["metrics"] == ["psnr-y", "ssim-y"]
    assert sorted(path.name for path in root.iterdir()) == ["clean", "restored"]


@pytest.mark.slow
def test_two_ranks_find_what_one_finds(root):
    found = ranks(root, ["psnr-y", "ssim-y"])
    assert found["equal"] and set(found["seconds"]) == {"one", "two"}
    reports = [json.loads((root / f"{name}.json").read_text()) for name in ("one", "two")]
    assert list(reports[1]["values"]["psnr-y"]) == ["0000.png", "0001.png"]
    (root / "one.json").unlink(), (root / "two.json").unlink()


def test_a_missing_value_is_no_time(root, monkeypatch):
    row = type("Row", (), {"metric": "vif", "missing": {"a.png": "too small"}, "per_image": {}})()
    with pytest.raises(RestorationError, match=r"^vif: too small$"):
        speed_metrics._values(type("Result", (), {"rows": [row]})())
