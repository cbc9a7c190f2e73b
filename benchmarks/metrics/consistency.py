"""Whether a restored image, reduced again, is the image that it was made from: no reference is needed for that."""

from fractions import Fraction

from torch import Tensor

from restoration.benchmarks.metrics.metric import Metric, Seen
from restoration.degradations.resize import resize
from restoration.image import PEAKS, quantise
from restoration.losses.pixel import psnr

LEVELS = PEAKS[8]


class Reduced(Metric):
    """What compares the restored image, reduced as MATLAB reduces 8-bit images, with the degraded one."""

    plane = "whole"
    reference = False
    kind = "degraded"
    convention = "reduced by MATLAB's bicubic in 8 bits, against the degraded image in 8 bits"

    def lacks(self, seen: Seen) -> str:
        """Return why the two cannot be compared, or nothing."""
        if seen.scale == 1:
            return "the scale is 1: nothing was reduced"
        if seen.degraded is None:
            return "there is no degraded image to compare with"
        sides = [-(-n // seen.scale) for n in seen.restored.shape[-2:]]
        if sides != list(seen.degraded.shape[-2:]):
            width, height = seen.degraded.shape[-1], seen.degraded.shape[-2]
            return f"the degraded image is {width}x{height}; expected {sides[1]}x{sides[0]} at scale {seen.scale}"
        if seen.degraded.shape[1] != seen.restored.shape[1]:
            return f"the degraded image has {seen.degraded.shape[1]} channels, the restored {seen.restored.shape[1]}"
        return ""

    def measure(self, seen: Seen) -> Tensor:
        """Return the value of one image: (1,)."""
        assert seen.degraded is not None, "lacks() has refused an image without one"
        reduced = resize(seen.restored, scale=Fraction(1, seen.scale), levels=LEVELS)
        return self(reduced, quantise(seen.degraded.to(reduced)))


class Consistency(Reduced):
    """Down-scaling consistency: PSNR of the restored image reduced by MATLAB's bicubic, against the degraded one."""

    unit = "dB"
    rough = 2
    ceiling = 100.0

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the ratio in decibels over all samples, given the reduced and the degraded image."""
        return psnr(restored, clean)


class ConsistencyMax(Reduced):
    """Largest error of the restored image reduced by MATLAB's bicubic, against the degraded one, in levels of 255."""

    better = "lower"
    unit = "levels"
    places = 1
    rough = 1
    floor = 0.0

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the largest difference of a sample, given the reduced and the degraded image."""
        return LEVELS * (restored - clean).abs().flatten(1).amax(1)
