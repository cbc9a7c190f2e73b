"""Files restored one after the other: the next is read and the last is written while one is computed."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from restoration import distributed
from restoration.applying import sharing
from restoration.applying.manifest import Manifest, noted
from restoration.applying.pace import Pace
from restoration.applying.picturing import restore_picture, restore_together
from restoration.applying.planning import Plan
from restoration.applying.running import Inference
from restoration.dials.masks import Masks
from restoration.dials.measuring import measure
from restoration.errors import ImageError, RestorationError
from restoration.formats.declared import shown
from restoration.image import MAX_PIXELS, Picture, check_target, finite, read_all, write
from restoration.outcome import Report
from restoration.restorers.network import Restorer
from restoration.targets import Job
from restoration.tiling import Share

# what files, memory and foreign networks raise
FAILURES = (
    RestorationError, OSError, RuntimeError, MemoryError, AssertionError, LookupError, TypeError, ValueError,
)  # fmt: skip
Status = Literal["written", "kept", "failed"]
OnFile = Callable[[Path, Status], None]
Read = tuple[Picture, np.ndarray | None]  # with the hole that its mask leaves, if it has one
AHEAD_BYTES = 1 << 22  # of files that are read ahead, beside one
AHEAD, BEHIND = 16, 2  # files read ahead at most, and written behind
SMALL, TOGETHER = 256, 512**2  # sides of pictures that are restored at once, and their pixels together


@dataclass
class Work:
    """What is done with the files of one request, and what became of them."""

    restorer: Restorer
    inference: Inference
    manifest: Manifest
    report: Report
    masks: Masks | None = None
    max_pixels: int = MAX_PIXELS
    on_file: OnFile = lambda path, status: None
    pace: Pace = field(default_factory=Pace)
    quality: int | None = None
    facts: dict[str, object] = field(default_factory=dict, init=False)

    def keep(self, job: Job) -> None:
        """Report an output that was there before."""
        keep(job, self.manifest, self.report)
        self.tell(job.target, "kept")

    def run(self, jobs: Sequence[Job]) -> None:
        """Restore every job's file; one that fails is reported and stops nothing."""
        readers = ThreadPoolExecutor(1, thread_name_prefix="read")
        writers = ThreadPoolExecutor(1, thread_name_prefix="write")
        pending: deque[tuple[Job, Future[None]]] = deque()
        with readers, writers:
            for jobs_at_once in self._groups(self._ahead(jobs, readers)):
                for job, made in self._computed(jobs_at_once):
                    pending.append(
                        (job, _failed(made) if isinstance(made, BaseException) else writers.submit(made))
                    )
                    while len(pending) > BEHIND or (pending and pending[0][1].done()):
                        self._finish(*pending.popleft())
            while pending:
                self._finish(*pending.popleft())

    def run_together(self, jobs: Sequence[Job]) -> None:
        """Restore every job's file on all ranks, which share its tiles; rank 0 writes and reports."""
        first = distributed.rank() == 0
        for job in jobs:
            failure: BaseException | None = None
            try:
                degraded, hole = self._read(job)
            except FAILURES as error:
                failure = error
            lines = sharing.gathered(None if failure is None else str(failure))
            if failure is None and any(lines):
                failure = RestorationError(next(line for line in lines if line))
            outcome: Future[None] = Future()
            try:
                if failure is not None:
                    raise failure
                restored = self._restored(job, degraded, hole, share=sharing.share)
                if first:
                    self._write(job, degraded, restored, hole)
                outcome.set_result(None)
            except FAILURES as error:
                outcome.set_exception(error)
            if first:
                self._finish(job, outcome)

    def _ahead(self, jobs: Sequence[Job], pool: ThreadPoolExecutor) -> Iterator[tuple[Job, Future[Read]]]:
        """Yield each job with its picture, while the next ones are being read: one, and more where they are small."""
        coming: deque[tuple[Job, Future[Read], int]] = deque()
        for job in chain(jobs, [None]):
            while coming and (
                job is None
                or len(coming) > AHEAD
                or (len(coming) > 1 and sum(size for *_, size in coming) > AHEAD_BYTES)
            ):
                yield coming.popleft()[:2]
            if job is not None:
                size = os.path.getsize(job.source) if os.path.exists(job.source) else 0
                coming.append((job, pool.submit(self._read, job), size))

    def _groups(self, coming: Iterator[tuple[Job, Future[Read]]]) -> Iterator[list[tuple[Job, Future[Read]]]]:
        """Yield jobs one by one, and those that follow each other with small pictures of one size together."""
        group: list[tuple[Job, Future[Read]]] = []
        alike: tuple[Any, ...] | None = None
        for job, reading in coming:
            kind = self._kind(reading)
            if group and (kind is None or kind != alike or kind[0] * kind[1] * (len(group) + 1) > TOGETHER):
                yield group
                group = []
            group, alike = [*group, (job, reading)], kind
        if group:
            yield group

    def _kind(self, reading: Future[Read]) -> tuple[Any, ...] | None:
        """Return what small pictures must have in common to be restored at once; None for any other."""
        if reading.exception() is not None:
            return None
        picture, hole = reading.result()
        samples = picture.samples
        if hole is not None or picture.following or picture.alpha_samples is not None:
            return None
        if max(samples.shape[:2]) > SMALL:
            return None
        return (*samples.shape, str(samples.dtype), picture.icc)

    def _computed(
        self, group: list[tuple[Job, Future[Read]]]
    ) -> Iterator[tuple[Job, Callable[[], None] | BaseException]]:
        """Yield each job with what writes its result, or with what went wrong."""
        together: list[Picture] | None = None
        if len(group) > 1:
            try:
                pictures = [reading.result()[0] for _, reading in group]
                together = restore_together(self.restorer, pictures, self.inference, self._planned)
                for height, width, _ in (picture.samples.shape for picture in pictures):
                    self.pace.window(height * width, height * width)
            except FAILURES:  # one by one, to see which it was
                together = None
        for i, (job, reading) in enumerate(group):
            try:
                degraded, hole = reading.result()
                restored = together[i] if together else self._restored(job, degraded, hole)
            except FAILURES as error:
                yield job, error
            else:
                yield job, partial(self._write, job, degraded, restored, hole)

    def _read(self, job: Job) -> Read:
        degraded = read_all(job.source, max_pixels=self.max_pixels)
        if not all(finite(frame.samples) for frame in degraded.frames):
            raise ImageError(f"{shown(job.source)}: holds samples that are infinite or not numbers")
        check_target(job.target, degraded)
        hole = None if self.masks is None else self.masks.of(job.source, *degraded.samples.shape[:2])
        return degraded, hole

    def _restored(
        self, job: Job, degraded: Picture, hole: np.ndarray | None, share: Share | None = None
    ) -> Picture:
        folder = next((place for place in job.target.parents if place.is_dir()), None)
        return restore_picture(
            self.restorer, degraded, self.inference, job.target.suffix, hole,
            share=share, folder=folder, on_plan=self._planned, on_window=self.pace.window,
        )  # fmt: skip

    def _planned(self, plan: Plan) -> None:
        self.facts = plan.facts
        self.report.tiling = plan.facts
        self.report.notes += [note for note in plan.notes if note not in self.report.notes]

    def _write(self, job: Job, degraded: Picture, restored: Picture, hole: np.ndarray | None) -> None:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        source = self.manifest.identity(job.source)
        write(job.target, restored, quality=self.quality)
        noted(self.manifest, self.report, job, self.facts, source)
        measure(self.report, job.target, degraded, restored, hole, self.inference.consistent)

    def _finish(self, job: Job, outcome: Future[None]) -> None:
        """Report a job whose result was written, or wait until it is."""
        try:
            outcome.result()
        except FAILURES as error:
            self.report.failed[job.source] = f"{_one_line(job.source, error)}; skipped"
            self.tell(job.source, "failed")
        else:
            self.report.written.append(job.target)
            self.tell(job.target, "written")

    def tell(self, path: Path, status: Status) -> None:
        """Let the caller and the display know of a file."""
        self.on_file(path, status)
        self.pace.file(path, status)


def keep(job: Job, manifest: Manifest, report: Report) -> None:
    """Report an output that was there before, and how it was made if not as asked for."""
    report.kept.append(job.target)
    if difference := manifest.differs(job):
        report.notes.append(f"{shown(job.target)}: kept, but {difference}; --overwrite makes it again")


def _failed(error: BaseException) -> Future[None]:
    future: Future[None] = Future()
    future.set_exception(error)
    return future


def _one_line(path: Path, error: BaseException) -> str:
    """Return what went wrong with a file; image errors name it themselves."""
    if isinstance(error, ImageError):
        return str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{shown(path)}: could not be restored ({shown(error.filename)}: {error.strerror})"
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"{shown(path)}: could not be restored ({text})"
