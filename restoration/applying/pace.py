"""How far `apply` is: files and the picture at hand, megapixels a second, time left; on stderr."""

from pathlib import Path
from types import TracebackType
from typing import Self

from restoration.formats.declared import shown
from restoration.live import Live

STATUSES = ("written", "kept")


class Pace:
    """Counts finished files and pixels; prints a line for each file, and now and then the rate and the time left."""

    def __init__(self, quiet: bool = True) -> None:
        self.quiet = quiet
        self.live = Live("restoring", 1, quiet)
        self.total = self.files = self.pixels = 0
        self.part = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.__exit__(kind, error, trace)

    def begin(self, total: int) -> None:
        """Start to count: so many files are to be restored."""
        self.total = total
        self.live = Live("restoring", total, self.quiet).__enter__()

    @property
    def seconds(self) -> float:
        """Return the time since `begin`."""
        return self.live.seconds

    def file(self, path: Path, status: str) -> None:
        """Take note of a file that is finished, kept or has failed."""
        if status != "kept":
            self.files, self.part = self.files + 1, 0.0
        if status in STATUSES and not self.quiet:
            self.live.note(f"{status}  {shown(path)}")
        self._show()

    def note(self, line: str) -> None:
        """Print a line, unless this is quiet."""
        if not self.quiet:
            self.live.note(line)

    def window(self, pixels: int, of: int) -> None:
        """Take note of a finished part of the picture at hand, which has ``of`` pixels."""
        self.pixels += pixels
        self.part = min(1.0, self.part + pixels / max(1, of))
        self._show()

    def _show(self) -> None:
        if not self.total:
            return
        rate = f"{self.pixels / 1e6 / self.live.seconds:.2f} megapixels/s"
        done = min(self.files + self.part, self.total)
        self.live.show(
            self.files, f"{self.files}/{self.total} files  {rate}  {self._left(done)} left", rate=rate
        )

    def _left(self, done: float) -> str:
        if not done:
            return "?"
        seconds = (self.total - done) / done * self.live.seconds
        return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.1f} min"
