"""What a metric is: a number for each image pair, or for each restored image alone."""

from abc import ABC, abstractmethod
from typing import Literal

from torch import Tensor


class Metric(ABC):
    """A number per image pair, computed in the precision of its input."""

    plane: Literal["y", "rgb"] = "y"  # what it looks at: luma, or the one channel there is; or all colours
    better: Literal["higher", "lower", "one"] = "higher"  # "one": a ratio, best at 1
    unit: str = ""
    places: int = 4  # digits after the point of a value
    rough: int = 4  # and of an interval or a difference
    smallest: int = 1  # pixels that the shorter side must have
    reference: bool = True  # whether the clean image is looked at
    ceiling: float = float("inf")

    @abstractmethod
    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return one value per image: (N,)."""

    @classmethod
    def rank(cls, value: float) -> float:
        """Return a number that is higher for a better value."""
        return -abs(value - 1) if cls.better == "one" else value if cls.better == "higher" else -value

    @classmethod
    def improves(cls, value: float, than: float) -> bool:
        """Return whether a value is better than another."""
        return cls.rank(value) > cls.rank(than)
