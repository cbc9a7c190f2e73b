"""Memory of the command: measured from outside, on enlarged photographs whose results are compared."""

import json
import sys

import numpy as np
import pytest

from restoration.benchmarks.growth_apply import enlarge, grown, observed, table
from restoration.image import read_samples


def test_photographs_go_on_by_mirroring(tmp_path):
    photograph = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    enlarge(photograph, tmp_path / "large.png", 12, 20)
    both = np.concatenate([photograph, photograph[::-1], photograph])[:12]
    expected = np.concatenate([both, both[:, ::-1], both], 1)[:, :20]
    assert (read_samples(tmp_path / "large.png") == expected).all()


def test_memory_is_that_of_the_command():
    hold = "import time; held = bytearray(300 << 20); time.sleep(0.5)"
    run = observed([sys.executable, "-c", hold])
    assert 300 <= run["anonymous_mib"] <= 400 and run["seconds"] >= 0.5
    with pytest.raises(SystemExit, match="no such thing"):
        observed([sys.executable, "-c", "raise SystemExit('no such thing')"])


@pytest.mark.slow
def test_runs_are_compared_with_bands_restored_alone():
    photograph = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    runs = grown("denoise-color-small", photograph, [0.2], ["png"])
    assert runs[0]["largest_difference"] <= 1 and runs[0]["anonymous_mib"] > 100
    assert "| png | 0.2 |" in table({"runs": runs})
    json.dumps(runs)
