"""What files cannot keep, which reading and writing log: shown when it happens, and kept in the report."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from restoration.applying.pace import Pace
from restoration.image import LOGGER
from restoration.outcome import Report


class Notices(logging.Handler):
    """Adds what is logged to a report's ``lost``, and prints it beside the display unless that is quiet."""

    def __init__(self, report: Report, pace: Pace) -> None:
        super().__init__(logging.WARNING)
        self.report, self.pace = report, pace

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of one line."""
        line = record.getMessage()
        self.report.lost.append(line)
        self.pace.note(line)


@contextmanager
def noticed(report: Report, pace: Pace) -> Iterator[None]:
    """Take note, inside the block, of what is logged about image files."""
    handler = Notices(report, pace)
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
