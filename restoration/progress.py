"""What a training run shows: a live bar on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from typing import Self

from restoration.experiment import Experiment
from restoration.live import Live


class Progress(Live):
    """Counts steps, shows the rate and the time left, and remembers the last validation."""

    def __init__(self, experiment: Experiment, quiet: bool) -> None:
        super().__init__("training", experiment.schedule.steps, quiet, ("rate", "losses"))

    def __enter__(self) -> Self:
        self.first: int | None = None
        self.losses = ""
        return super().__enter__()

    def __call__(self, done: int, logs: Mapping[str, float]) -> None:
        """Take note of a finished step; ``logs`` may hold losses or ``validation/…`` scores."""
        if self.first is None:
            self.first = done - 1
        scores = {k.removeprefix("validation/"): v for k, v in logs.items() if k.startswith("validation/")}
        if scores:
            self.note(f"step {done}: " + "  ".join(f"{k} {v:.4f}" for k, v in scores.items()))
        elif logs:
            self.losses = "  ".join(f"{k} {v:.4g}" for k, v in logs.items() if "." not in k)
        rate = f"{self.rate(done):.2f} steps/s"
        line = f"step {done}/{self.total}  {rate}  {self._left(done)} left  {self.losses}"
        self.show(done, line, rate=rate, losses=self.losses)

    def rate(self, done: int) -> float:
        """Return steps per second since the start."""
        return (done - (self.first or 0)) / self.seconds

    def _left(self, done: int) -> str:
        seconds = (self.total - done) / max(1e-9, self.rate(done))
        return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min"
