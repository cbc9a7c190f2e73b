"""Arms run side by side, each in a process of one thread, behind those that they need."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from restoration.benchmarks.studies.perception_distortion.arms import ARMS

POLL = 0.5  # seconds
PATIENCE = 10.0  # seconds that a process has to end itself


class Job(NamedTuple):
    """One arm of one task with one seed."""

    task: str
    arm: str
    seed: int

    @property
    def needs(self) -> list["Job"]:
        """Return the jobs that must have ended well before."""
        return [Job(self.task, name, 0) for name in ARMS[self.arm].needs]

    def __str__(self) -> str:
        return f"{self.task} {self.arm}" + (f" seed {self.seed}" if self.seed else "")


def with_needs(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs, each once and behind all that it needs."""
    found: dict[Job, None] = {}
    for job in jobs:
        found |= dict.fromkeys(with_needs(job.needs)) | {job: None}
    return list(found)


def run_all(
    jobs: Sequence[Job],
    command: Callable[[Job], Sequence[str]],
    at_once: int,
    end: float,
    say: Callable[[str], None] = print,
) -> list[Job]:
    """Run jobs ``at_once`` at a time; return those that did not end well.

    What needs one that failed is not begun. At the time ``end``, of `time.monotonic`, what runs is stopped; asked for
    again, it goes on.
    """
    waiting, running, done = list(jobs), dict[Job, tuple[subprocess.Popen, float]](), set[Job]()
    failed: list[Job] = []
    try:
        while (waiting or running) and time.monotonic() < end:
            ready = [job for job in waiting if all(need in done or need not in jobs for need in job.needs)]
            for job in ready[: at_once - len(running)]:
                waiting.remove(job)
                running[job] = (_started(command(job)), time.monotonic())
                say(f"{job}: begins")
            for job, (process, started) in list(running.items()):
                if (code := process.poll()) is not None:
                    del running[job]
                    (done.add if code == 0 else failed.append)(job)
                    say(
                        f"{job}: {'done' if code == 0 else 'failed'} after {(time.monotonic() - started) / 60:.1f} min"
                    )
            if not running and not any(all(n in done or n not in jobs for n in j.needs) for j in waiting):
                break
            time.sleep(POLL)
    finally:
        _stop([process for process, _ in running.values()])
    return [*failed, *running, *waiting]


def _started(command: Sequence[str]) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", *command], env=environment, start_new_session=True)


def _stop(processes: Sequence[subprocess.Popen]) -> None:
    """Ask processes, and those that they began, to end; kill what has not after a while."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        alive = [process for process in processes if process.poll() is None]
        for process in alive:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, sent)
        for process in alive:
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
