"""Jobs run behind what they need, beside each other, and stop in time."""

import math
import time

import pytest

from restoration.benchmarks.studies.perception_distortion import schedule
from restoration.benchmarks.studies.perception_distortion.schedule import Job, run_all, with_needs

MEAN, GAN = Job("denoise", "posterior-mean", 0), Job("denoise", "gan", 0)
PMRF, LAST = Job("denoise", "pmrf", 1), Job("denoise", "transport-gan", 0)
FINE, WRONG = ["json.tool", "--help"], ["json.tool", "--nothing"]


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(schedule, "POLL", 0.02)


def run(jobs, commands, at_once=2, end=math.inf):
    said = []
    left = run_all(jobs, lambda job: commands.get(job, FINE), at_once, end, said.append)
    return left, said


def test_what_is_needed_comes_first_and_once():
    assert with_needs([LAST, PMRF]) == [MEAN, GAN, LAST, PMRF]
    assert with_needs([]) == []


def test_all_is_run_in_order(capfd):
    left, said = run([MEAN, GAN, LAST, PMRF], {}, at_once=1)
    assert left == []
    ends = [line for line in said if "done" in line]
    assert [line.split(":")[0] for line in ends] == [
        "denoise posterior-mean", "denoise gan", "denoise transport-gan", "denoise pmrf seed 1"
    ]  # fmt: skip


def test_what_needs_a_failure_is_not_begun(capfd):
    left, said = run([MEAN, GAN, LAST], {GAN: WRONG})
    assert left == [GAN, LAST] and not any(line.startswith("denoise transport-gan") for line in said)


def test_what_is_needed_and_finished_before_is_not_waited_for(capfd):
    assert run([LAST], {})[0] == []


def test_at_the_end_what_runs_is_stopped(capfd):
    began = time.monotonic()
    left, said = run([MEAN, GAN], {MEAN: ["http.server", "0", "--bind", "127.0.0.1"]}, end=began + 1.5)
    assert left == [MEAN, GAN] and said == ["denoise posterior-mean: begins"]
    assert time.monotonic() - began < 15
