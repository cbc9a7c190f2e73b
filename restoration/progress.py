"""What a training run shows: a live bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from restoration.experiment import Experiment

PLAIN_EVERY = 30.0  # seconds between lines where there is no terminal


class Progress:
    """Counts steps, shows the rate and the time left, and remembers the last validation."""

    def __init__(self, experiment: Experiment, quiet: bool) -> None:
        self.total = experiment.schedule.steps
        self.quiet = quiet
        self.live = not quiet and sys.stderr.isatty()
        self.bar: Bar | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> "Progress":
        self.started = self.shown = time.monotonic()
        self.first: int | None = None
        self.losses = ""
        if self.live:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            beside = (TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[losses]}"))
            self.bar = Bar(*columns, *beside, console=Console(stderr=True))
            self.task = self.bar.add_task("training", total=self.total, losses="", rate="")
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def __call__(self, done: int, logs: Mapping[str, float]) -> None:
        """Take note of a finished step; ``logs`` may hold losses or ``validation/…`` scores."""
        if self.first is None:
            self.first = done - 1
        scores = {k.removeprefix("validation/"): v for k, v in logs.items() if k.startswith("validation/")}
        if scores:
            self.note(f"step {done}: " + "  ".join(f"{k} {v:.4f}" for k, v in scores.items()))
        elif logs:
            self.losses = "  ".join(f"{k} {v:.4g}" for k, v in logs.items() if "." not in k)
        if self.bar and self.task is not None:
            self.bar.update(
                self.task, completed=done, losses=self.losses, rate=f"{self.rate(done):.2f} steps/s"
            )
        elif not self.quiet and time.monotonic() - self.shown > PLAIN_EVERY:
            self.shown = time.monotonic()
            self.note(
                f"step {done}/{self.total}  {self.rate(done):.2f} steps/s  {self._left(done)} left  {self.losses}"
            )

    def note(self, line: str) -> None:
        """Print one line beside the bar."""
        if self.bar:
            self.bar.console.print(line, highlight=False)
        elif not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def rate(self, done: int) -> float:
        """Return steps per second since the start."""
        return (done - (self.first or 0)) / max(1e-9, time.monotonic() - self.started)

    def _left(self, done: int) -> str:
        seconds = (self.total - done) / max(1e-9, self.rate(done))
        return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min"
