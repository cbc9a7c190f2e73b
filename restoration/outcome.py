"""What became of the files of a command."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Report:
    """What became of the files: ``failed`` has one line for each, ``measured`` what was measured of those written.

    ``notes`` are lines about files that a user should read; ``tiling`` is how pictures were cut, and what it costs.
    """

    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    measured: dict[Path, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tiling: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Return 0 if no file failed, else 1."""
        return 1 if self.failed else 0
