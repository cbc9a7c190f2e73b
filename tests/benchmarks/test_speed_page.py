"""Timing a page: every moment has a time, in the order in which they come."""

import pytest

from restoration.benchmarks.browser import chromium
from restoration.benchmarks.speed_page import METRICS, RESTORERS, full_page, timed


@pytest.mark.slow
@pytest.mark.skipif(chromium() is None, reason="no Chromium or Chrome on the path")
def test_the_moments_of_a_page_come_in_their_order(data_root, tmp_path, monkeypatch):
    monkeypatch.setenv("RESTORATION_DATA", str(data_root))
    text, what = full_page(1)
    assert what["images"] == what["images with pictures"] == 1
    assert (what["restorers"], what["metrics"]) == (len(RESTORERS), len(METRICS))
    assert what["mib"] == pytest.approx(len(text.encode()) / 2**20, abs=0.01)
    path = tmp_path / "report.html"
    path.write_text(text, encoding="utf-8")
    found = timed(path, 1)
    assert found["first paint"]["median"] > 0 and found["opened"]["median"] > 0
    assert all(moment["median"] <= moment["largest"] for moment in found.values())
    assert found["pictures of the next image"]["median"] > 0


def test_too_few_photographs_are_said(tmp_path, monkeypatch):
    (tmp_path / "bsds500" / "train").mkdir(parents=True)
    monkeypatch.setenv("RESTORATION_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="0 images; expected 3"):
        full_page(3)
