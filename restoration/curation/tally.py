"""How far a command over many files is."""

from restoration.live import Live


class Tally(Live):
    """Counts files that are done and shows their rate; ``quiet`` shows nothing."""

    def __init__(self, what: str, total: int, quiet: bool = False) -> None:
        super().__init__(what, total, quiet)

    def __call__(self, done: int) -> None:
        """Take note that ``done`` files are done."""
        rate = f"{done / self.seconds:.1f} files/s"
        self.show(done, f"{self.what} {done}/{self.total}  {rate}", rate=rate)
