"""The start-up probe: measured right, said once, and advice that follows from what was measured."""

import time
from dataclasses import replace

import pytest
import torch

from restoration.data import Feeding, Pairs, build_source, feed
from restoration.data.probe import STEPS, Measured, Situation, advice
from restoration.degradations.degraded import Degradation, Degraded
from restoration.degradations.resize import Bicubic

SITUATION = Situation(
    workers=2, worker="thread", ahead=4, degrades_here=False, gpu=True, processors=16, packed=False, fits=False, images=369
)  # fmt: skip
READS = Measured(waiting=0.43, computing=0.57, reading=3.0, degrading=0.1, busy=0.1)
DEGRADES = Measured(waiting=0.43, computing=0.57, reading=0.1, degrading=3.0, busy=2.9)


@pytest.mark.parametrize(
    ("measured", "changes", "line"),
    [
        (replace(READS, waiting=0.04, computing=0.96), {}, "data: 4 % of the time is waiting"),
        # 3.1 s of work for a step of 0.57 s: six workers keep up
        (READS, {}, "data: 43 % of the time is waiting for crops; try data.workers = 6 (now 2)"),
        (READS, {"processors": 4}, "data: 43 % of the time is waiting for crops; pack the images (restoration data pack)"),
        (READS, {"processors": 4, "packed": True}, "data: 43 % of the time is waiting for crops; try data.workers = 4 (now 2)"),
        (READS, {"processors": 2, "packed": True}, "data: 43 % of the time is waiting for crops; all 2 processors make them: "
         "a smaller data.crop or more processors help"),
        (READS, {"fits": True}, "data: 43 % of the time is waiting for crops, until each of the 369 images has been decoded once"),
        (READS, {"workers": 8}, "data: 43 % of the time is waiting for crops, though workers keep up on average; "
         "try data.ahead = 8 (now 4)"),
        (DEGRADES, {"processors": 4}, 'data: 43 % of the time is waiting for crops; try data.degrade_on = "device"'),
        (DEGRADES, {"processors": 4, "gpu": False}, "data: 43 % of the time is waiting for crops; try data.workers = 4 (now 2)"),
        (replace(DEGRADES, busy=1.0), {}, 'data: 43 % of the time is waiting for crops; try data.worker = "process": '
         "the threads wait for each other"),
    ],
)  # fmt: skip
def test_advice_follows_from_what_was_measured(measured, changes, line):
    assert advice(measured, replace(SITUATION, **changes)) == line


class Slow(Degradation):
    """Takes a known time, and leaves the image as it is."""

    scale = 1

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, clean, keys):
        time.sleep(self.seconds)
        return Degraded(clean)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("making", "computing", "least", "most"), [(0.08, 0.01, 50, 85), (0.001, 0.03, 0, 25)]
)
def test_the_share_is_that_of_the_time_and_said_once(photos, data, making, computing, least, most):
    # two workers make a batch every 0.04 s, so of a step's 0.04 s a quarter is computing and three quarters waiting
    pairs, lines = Pairs(build_source(data(photos(), cache=0.0)), Slow(making), 16, 4, 0), []
    for _ in feed(pairs, range(6 + STEPS + 10), Feeding(), note=lines.append):
        time.sleep(computing)
    assert len(lines) == 1 and lines[0].startswith("data: ") and " % of the time is waiting" in lines[0]
    assert least <= int(lines[0].split()[1]) <= most
    assert ('data.worker = "process"' in lines[0]) == (
        making > computing
    )  # sleeping threads seem to wait for a lock


def test_a_short_run_is_not_measured_and_nothing_changes(photos, data):
    pairs, lines = Pairs(build_source(data(photos())), Bicubic(2), 16, 4, 0), []
    found = [batch for _, batch in feed(pairs, range(12), Feeding(), note=lines.append)]
    assert not lines and torch.equal(found[11].clean, pairs.batch(11).clean)
