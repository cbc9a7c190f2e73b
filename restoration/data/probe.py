"""How much of a run's first steps is waiting for data, and which setting would change that."""

import math
import os
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from restoration.pool import processors

if TYPE_CHECKING:
    from restoration.data.feeding import Feeding, Prepared
    from restoration.data.pairs import Pairs

STEPS = 20  # that are measured
WARMUP = 5  # steps before, at least: compilation, memory, and the first batches of all workers
WORTH = 0.1  # waiting below this share of the time is not worth a change


@dataclass(frozen=True)
class Measured:
    """Seconds of one step, on average: waiting, computing, and a worker's for reading and for degrading one batch.

    ``busy`` is the processor's time in a worker's own thread while it degrades.
    """

    waiting: float
    computing: float
    reading: float
    degrading: float
    busy: float

    @property
    def share(self) -> float:
        """Return which share of the time is waiting."""
        return self.waiting / max(1e-9, self.waiting + self.computing)


@dataclass(frozen=True)
class Situation:
    """What a run could change: the settings of feeding, where it computes, and what its images are."""

    workers: int
    worker: str
    ahead: int
    degrades_here: bool  # on the device, not in workers
    gpu: bool
    processors: int  # for this rank
    packed: bool
    fits: bool  # in memory, decoded, and not all of it has been
    images: int


def advice(measured: Measured, situation: Situation) -> str:
    """Return one line: how much of the time is waiting, and what to try.

    Workers keep up if one batch's work over the number of workers takes no longer than a step computes. So the
    number that would is tried first, then to take the larger part of the work off them: degrading to the GPU, or
    decoding by packing. Threads whose processor is idle for more than half of the time in which they degrade wait for
    each other: degrading reads nothing.
    """
    share, now = f"data: {measured.share:.0%}".replace("%", " %"), situation
    if measured.share < WORTH:
        return f"{share} of the time is waiting"
    told = f"{share} of the time is waiting for crops"
    if now.fits:
        return f"{told}, until each of the {now.images} images has been decoded once"
    degrades = measured.degrading > measured.reading
    needed = math.ceil((measured.reading + measured.degrading) / max(1e-9, measured.computing))
    if now.worker == "thread" and now.workers > 1 and degrades and measured.busy < measured.degrading / 2:
        return f'{told}; try data.worker = "process": the threads wait for each other'
    if needed <= now.workers:
        return (
            f"{told}, though workers keep up on average; try data.ahead = {2 * now.ahead} (now {now.ahead})"
        )
    if needed <= now.processors:
        return f"{told}; try data.workers = {needed} (now {now.workers})"
    if degrades and now.gpu and not now.degrades_here:
        return f'{told}; try data.degrade_on = "device"'
    if not degrades and not now.packed:
        return f"{told}; pack the images (restoration data pack)"
    if now.workers < now.processors:
        return f"{told}; try data.workers = {now.processors} (now {now.workers})"
    return f"{told}; all {now.processors} processors make them: a smaller data.crop or more processors help"


class Probe:
    """Measures STEPS steps after a warm-up, once; a GPU's work is waited for while it measures, and never after."""

    def __init__(self, pairs: "Pairs", feeding: "Feeding", share: int, device: torch.device | None) -> None:
        self.pairs, self.feeding, self.share, self.device = pairs, feeding, share, device
        self.first = max(WARMUP, feeding.ahead + feeding.workers)
        self.waits: list[float] = []
        self.steps: list[float] = []
        self.work: list[tuple[float, float, float]] = []
        self.seen, self.begun = 0, 0.0

    def waited(self, seconds: float, prepared: "Prepared") -> None:
        """Take note of a batch that has come, and of how long the loop waited for it."""
        self.seen += 1
        if self.first < self.seen <= self.first + STEPS:
            self.waits.append(seconds)
            self.work.append((prepared.reading, prepared.degrading, prepared.busy))
        self.begun = time.perf_counter()

    def stepped(self) -> str:
        """Take note that the step is done; return the line, once, else nothing."""
        if not self.first <= self.seen <= self.first + STEPS:
            return ""
        if self.device is not None and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        if self.seen > self.first:
            self.steps.append(time.perf_counter() - self.begun)
        return advice(self._measured(), self._situation()) if self.seen == self.first + STEPS else ""

    def _measured(self) -> Measured:
        # the median: a validation or a checkpoint among the steps is none
        return Measured(
            statistics.fmean(self.waits),
            statistics.median(self.steps),
            *(statistics.fmean(seconds) for seconds in zip(*self.work, strict=True)),
        )

    def _situation(self) -> Situation:
        source, feeding = self.pairs.source, self.feeding
        return Situation(
            workers=feeding.workers,
            worker=feeding.worker,
            ahead=feeding.ahead,
            degrades_here=feeding.degrade_on == "device",
            gpu=self.device is not None and self.device.type == "cuda",
            processors=max(1, processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))),
            packed=source.packed,
            fits=source.fits and self.seen * self.share < len(source),
            images=len(source),
        )
