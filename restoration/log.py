"""A run's figures on disk: CSV files, and TensorBoard's events where it is installed."""

import csv
from collections.abc import Mapping
from pathlib import Path

from restoration.files import atomic


class Log:
    """``log.csv``, ``validation.csv`` and, where tensorboard is installed, its events; rows after ``start`` go."""

    def __init__(self, folder: Path, start: int) -> None:
        self.folder = folder
        for name in ("log", "validation"):
            _truncate(folder / f"{name}.csv", start)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.board = None
        else:
            self.board = SummaryWriter(str(folder), purge_step=start + 1)

    def row(self, name: str, step: int, values: Mapping[str, float]) -> None:
        """Append one row to NAME.csv and to the events; a value of a new name becomes a new last column."""
        path = self.folder / f"{name}.csv"
        columns = _columns(path)
        new = [key for key in values if key not in columns]
        if new:
            columns += new if columns else ["step", *new]
            _rewrite(path, columns)
        row = {"step": step} | {key: _number(value) for key, value in values.items()}
        with path.open("a", newline="") as file:
            csv.writer(file).writerow([row.get(column, "") for column in columns])
        if self.board:
            for key, value in values.items():
                self.board.add_scalar(f"{name}/{key}", value, step)
            self.board.flush()


def _number(value: float) -> str:
    """Return eight digits, or tenths of what is larger, such as the time."""
    return f"{value:.1f}" if 1e8 <= abs(value) < 1e15 else f"{value:.8g}"


def _columns(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return next(csv.reader(file), [])


def _rewrite(path: Path, columns: list[str]) -> None:
    """Put a new line of column names above the rows there are; a short row ends in empty cells."""
    rows = path.read_text().splitlines(keepends=True)[1:] if path.exists() else []
    with atomic(path) as stream:
        stream.write((",".join(columns) + "\n" + "".join(rows)).encode())


def _truncate(path: Path, start: int) -> None:
    """Drop rows of steps after ``start``, which the resumed run writes again, and a row cut short by a crash."""
    if not path.exists():
        return
    lines = path.read_text().splitlines(keepends=True)
    kept = lines[:1] + [row for row in lines[1:] if row.endswith("\n") and _step(row) <= start]
    with atomic(path) as stream:
        stream.write("".join(kept).encode())


def _step(row: str) -> float:
    first = row.split(",", 1)[0]
    return int(first) if first.isdecimal() else float("inf")
