"""How far a long command is: a live bar on a terminal, plain lines now and then elsewhere, both on stderr."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

PLAIN_EVERY = 30.0  # seconds between lines where there is no terminal


class Live:
    """Shows how many of ``total`` are done, with texts of the names ``beside``; ``quiet`` shows nothing."""

    def __init__(self, what: str, total: int, quiet: bool, beside: tuple[str, ...] = ("rate",)) -> None:
        self.what, self.total, self.quiet, self.beside = what, total, quiet, beside
        self.bar: Progress | None = None
        self.task = TaskID(0)

    def __enter__(self) -> Self:
        self.started = self.shown = time.monotonic()
        if not self.quiet and sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            texts = (TextColumn(f"{{task.fields[{name}]}}") for name in self.beside)
            self.bar = Progress(*columns, *texts, console=Console(stderr=True))
            empty: dict[str, Any] = dict.fromkeys(self.beside, "")
            self.task = self.bar.add_task(self.what, total=self.total, **empty)
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def show(self, done: int, line: str, **beside: Any) -> None:  # noqa: ANN401
        """Show that ``done`` are done: on the bar with texts beside it, else as a plain line, if it is time for one."""
        if self.bar:
            self.bar.update(self.task, completed=done, **beside)
        elif not self.quiet and time.monotonic() - self.shown > PLAIN_EVERY:
            self.shown = time.monotonic()
            self.note(line)

    def note(self, line: str) -> None:
        """Print one line beside the bar."""
        if self.bar:
            self.bar.console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)
        elif not self.quiet:
            print(line, file=sys.stderr, flush=True)

    @property
    def seconds(self) -> float:
        """Return the time since the start, above 0."""
        return max(1e-9, time.monotonic() - self.started)
