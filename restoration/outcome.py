"""What became of the files of a command."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Report:
    """What became of the files: ``failed`` has one line for each, ``measured`` what was measured of those written.

    ``lost`` has a line for whatever a file could not keep. ``notes`` are lines about files that a user should read;
    ``tiling`` is how pictures were cut, and what it costs.
    """

    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    measured: dict[Path, dict[str, Any]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tiling: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    pixels: int = 0  # of inputs, where what was done is known by pixels

    @classmethod
    def joined(cls, reports: "Iterable[Report]") -> "Report":
        """Return one report of what became of the files of several; a note that several have is there once."""
        whole = cls()
        for report in reports:
            whole.written += report.written
            whole.kept += report.kept
            whole.failed |= report.failed
            whole.measured |= report.measured
            whole.lost += report.lost
            whole.notes += [note for note in report.notes if note not in whole.notes]
            whole.tiling = report.tiling or whole.tiling
            whole.seconds = max(whole.seconds, report.seconds)
            whole.pixels += report.pixels
        return whole

    @property
    def exit_code(self) -> int:
        """Return 0 if no file failed, else 1."""
        return 1 if self.failed else 0
