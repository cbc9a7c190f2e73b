"""Degradations of a single line: limits and grey."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from restoration.degradations.dct import straight_through
from restoration.degradations.degraded import Degradation, Degraded, one_per_image, over
from restoration.degradations.draws import Keys

# MATLAB's rgb2gray: the first row of the inverse of NTSC's YIQ matrix (0.299, 0.587, 0.114 to three digits)
GREY = (0.298936021293775, 0.587043074451121, 0.114020904255103)


@dataclass(frozen=True)
class Clip(Degradation):
    """Limited to [0, 1]; ``levels`` also rounds half up, to the steps of a file: 255 for 8 bits, 0 rounds nothing.

    Gradients pass the rounding as if there were none.
    """

    scale: ClassVar[int] = 1

    levels: int = 0

    def __post_init__(self) -> None:
        if self.levels < 0:
            raise ValueError(f"levels = {self.levels}; expected a whole number from 0")

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the limited image."""
        one_per_image(clean, keys)
        limited = clean.clamp(0, 1)
        if not self.levels:
            return Degraded(limited)
        rounded = over(limited.detach().mul(self.levels).add_(0.5).floor_(), self.levels)
        return Degraded(straight_through(limited, rounded))


@dataclass(frozen=True)
class Grey(Degradation):
    """Grey, in as many equal channels as clean has; ``weights`` are those of MATLAB's rgb2gray, or equal ones."""

    scale: ClassVar[int] = 1

    weights: Literal["matlab", "mean"] = "matlab"

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the grey image."""
        one_per_image(clean, keys)
        grey = rgb2gray(clean) if self.weights == "matlab" else clean.mean(1, keepdim=True)
        return Degraded(grey.expand_as(clean).contiguous())


def rgb2gray(image: Tensor) -> Tensor:
    """Return MATLAB's grey of an image, (N, 1, H, W), not rounded; one channel passes as it is."""
    if image.shape[1] == 1:
        return image
    return (image * image.new_tensor(GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)
