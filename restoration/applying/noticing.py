"""What files cannot keep, which reading and writing log: shown when it happens, and kept in the report."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from restoration.applying.pace import Pace
from restoration.image import LOGGER
from restoration.outcome import Report


class Notices(logging.Handler):
    """Adds what is logged to a report's ``lost``, and prints it beside the display unless that is quiet.

    What is said of many files is printed of the first, and counted of the others.
    """

    def __init__(self, report: Report, pace: Pace) -> None:
        super().__init__(logging.WARNING)
        self.report, self.pace = report, pace
        self.said: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of one line, whose last argument is what it says of a file."""
        line = record.getMessage()
        self.report.lost.append(line)
        what = str(record.args[-1]) if isinstance(record.args, tuple) and record.args else line
        self.said[what] += 1
        if self.said[what] == 1:
            self.pace.note(line)

    def sum_up(self) -> None:
        """Print of how many more files what was said holds."""
        for what, count in self.said.items():
            if count > 1:
                self.pace.note(f"{count - 1} more: {what}")


@contextmanager
def noticed(report: Report, pace: Pace) -> Iterator[None]:
    """Take note, inside the block, of what is logged about image files."""
    handler = Notices(report, pace)
    LOGGER.addHandler(handler)
    try:
        yield
        handler.sum_up()
    finally:
        LOGGER.removeHandler(handler)
