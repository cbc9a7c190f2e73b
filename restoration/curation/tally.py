"""How far a command over many files is: a live bar on a terminal, plain lines elsewhere, both on stderr."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY = 30.0  # seconds between lines where there is no terminal


class Tally:
    """Counts files that are done and shows their rate; ``quiet`` shows nothing."""

    def __init__(self, what: str, total: int, quiet: bool = False) -> None:
        self.what, self.total, self.quiet = what, total, quiet
        self.bar: Progress | None = None

    def __enter__(self) -> "Tally":
        self.started = self.shown = time.monotonic()
        if not self.quiet and sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self.bar = Progress(*columns, TextColumn("{task.fields[rate]}"), console=Console(stderr=True))
            self.task = self.bar.add_task(self.what, total=self.total, rate="")
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def __call__(self, done: int) -> None:
        """Take note that ``done`` files are done."""
        rate = f"{done / max(1e-9, time.monotonic() - self.started):.1f} files/s"
        if self.bar:
            self.bar.update(self.task, completed=done, rate=rate)
        elif not self.quiet and time.monotonic() - self.shown > PLAIN_EVERY:
            self.shown = time.monotonic()
            self.note(f"{self.what} {done}/{self.total}  {rate}")

    def note(self, line: str) -> None:
        """Print one line beside the bar."""
        if self.bar:
            self.bar.console.print(line, highlight=False)
        elif not self.quiet:
            print(line, file=sys.stderr, flush=True)
