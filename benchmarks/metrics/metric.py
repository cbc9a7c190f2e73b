"""What a metric is: a number for each image pair, for each restored image alone, or for two sets of images."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Kind = Literal["pair", "alone", "degraded", "holes", "frames", "set"]


@dataclass(frozen=True)
class Seen:
    """What a metric may look at of one image, (1, C, H, W) in [0, 1] on the metric's plane.

    ``degraded`` is never cut or turned into luma; ``mask`` (1, 1, H, W) is 1 in holes; ``before`` holds the restored
    and the clean frame before this one, and ``flow`` (1, 2, H, W) leads from that one to this one, in pixels, where it
    is known. None stands for what there is not.
    """

    restored: Tensor
    clean: Tensor | None = None
    degraded: Tensor | None = None
    mask: Tensor | None = None
    before: tuple[Tensor, Tensor] | None = None
    scale: int = 1
    flow: Tensor | None = None


class Metric(ABC):
    """A number per image pair, computed in the precision of its input."""

    # what it looks at: luma, or the one channel there is; all colours; all of the image, its border not cut off
    plane: Literal["y", "rgb", "whole"] = "y"
    better: Literal["higher", "lower", "one"] = "higher"  # "one": a ratio, best at 1
    unit: str = ""
    places: int = 4  # digits after the point of a value
    rough: int = 4  # and of an interval or a difference
    smallest: int = 1  # pixels that the shorter side must have
    reference: bool = True  # whether the clean image is looked at
    floor: float = float("-inf")  # no value is lower
    ceiling: float = float("inf")  # nor higher
    kind: Kind = "pair"
    convention: str = ""  # what of it is not told by plane, border and rounding
    given_flow: str = ""  # the same where the flow of frames is known
    makes: str = (
        ""  # what it turns colours into by itself, where that is not its plane: "y-uint8", "y-of-yiq-float"
    )

    @abstractmethod
    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return one value per image: (N,)."""

    def lacks(self, seen: Seen) -> str:
        """Return why there can be no value, or nothing."""
        if self.reference and seen.clean is None:
            return "there is no clean image, with which this metric compares"
        return ""

    def measure(self, seen: Seen) -> Tensor:
        """Return the value of one image: (1,)."""
        return self(seen.restored, seen.restored if seen.clean is None else seen.clean)

    @classmethod
    def rank(cls, value: float) -> float:
        """Return a number that is higher for a better value."""
        return -abs(value - 1) if cls.better == "one" else value if cls.better == "higher" else -value

    @classmethod
    def improves(cls, value: float, than: float) -> bool:
        """Return whether a value is better than another."""
        return cls.rank(value) > cls.rank(than)
