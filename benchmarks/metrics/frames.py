"""What changes from frame to frame: flicker, and what is left after a frame is warped onto the one before."""

import importlib.util

import numpy as np
import torch
from torch import Tensor

from restoration.benchmarks.metrics.metric import Metric, Seen
from restoration.errors import WeightsError
from restoration.image import to_samples
from restoration.losses.features import shared
from restoration.losses.temporal import flicker, warp

FLOW = "flow of the clean frames by DIS (Kroeger et al., 2016), OpenCV, medium preset"
KNOWN = "known flow"
ROOT = "root mean square"
AGREES = (
    0.01,
    0.5,
)  # of squared lengths, and pixels²: what forward and backward flow may differ by (Sundaram, 2010)


class BetweenFrames(Metric):
    """A number for each frame and the one before it; the first frame of a clip has none."""

    better = "lower"
    unit = "levels"
    places = 3
    rough = 3
    kind = "frames"
    convention = FLOW
    given_flow = KNOWN
    floor = 0.0
    smallest = 32

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the value of clips (T, C, H, W) of which each frame follows the one before: (T,), the first of 0."""
        pairs = zip(
            restored.split(1)[1:], clean.split(1)[1:], restored.split(1), clean.split(1), strict=False
        )
        values = [
            self.between(ours, truth, (before, truth_before)) for ours, truth, before, truth_before in pairs
        ]
        return torch.cat([restored.new_zeros(1), *values])

    def lacks(self, seen: Seen) -> str:
        """Return why there can be no value, or nothing."""
        if seen.clean is None:
            return "there is no clean frame, of which the flow is estimated"
        return "" if seen.before else "the images are no frames of a clip: the one before is not known"

    def measure(self, seen: Seen) -> Tensor:
        """Return the value of one frame: (1,)."""
        assert seen.clean is not None and seen.before is not None, "lacks() has refused a frame without them"
        return self.between(seen.restored, seen.clean, seen.before, seen.flow)

    def between(
        self,
        restored: Tensor,
        clean: Tensor,
        before: tuple[Tensor, Tensor],
        known: Tensor | None = None,
    ) -> Tensor:
        """Return the value of one frame, given the restored and the clean one before it, and the flow if known: (1,).

        Pixels whose known flow leads out of the frame, as one without a value does, do not count.
        """
        error, following = before[0] - before[1], restored - clean
        return 255 * flicker(error, following, leading(before[1], clean, known))


class Flicker(BetweenFrames):
    """Change of luma between frames, along the clean clip's flow, that the clean clip lacks; lower is better."""


class WarpingError(BetweenFrames):
    """RMS of luma, next frame warped less this one, where both show; after Lai (2018), MSE there; lower is better."""

    convention = f"{ROOT}, {FLOW}"
    given_flow = f"{ROOT}, {KNOWN}, back by DIS"

    def between(
        self,
        restored: Tensor,
        clean: Tensor,
        before: tuple[Tensor, Tensor],
        known: Tensor | None = None,
    ) -> Tensor:
        """Return the root over the pixels that both frames show: (1,); NaN where there are none."""
        there, back = leading(before[1], clean, known), flow(clean, before[1])
        warped, inside = warp(restored, there)
        returned, _ = warp(back, there)
        apart = (there + returned).square().sum(1, keepdim=True)
        lengths = there.square().sum(1, keepdim=True) + returned.square().sum(1, keepdim=True)
        shown = inside * (apart <= AGREES[0] * lengths + AGREES[1])
        errors = ((warped - before[0]).square() * shown).flatten(1).sum(1)
        return 255 * (errors / (shown.flatten(1).sum(1) * restored.shape[1])).sqrt()


def leading(first: Tensor, second: Tensor, known: Tensor | None) -> Tensor:
    """Return the known flow from one frame to another, or else an estimate: (1, 2, H, W)."""
    return flow(first, second) if known is None else known.to(first)


def flow(first: Tensor, second: Tensor) -> Tensor:
    """Return the flow from one frame (1, C, H, W) to another: ``second(x + flow(x)) ≈ first(x)``, (1, 2, H, W).

    Within `shared_passes` it is estimated once, whatever restorers and metrics ask for it.
    """
    return shared(first, second, lambda: _estimated(first, second))


def _estimated(first: Tensor, second: Tensor) -> Tensor:
    if importlib.util.find_spec("cv2") is None:
        raise WeightsError(
            'the flow of frames needs OpenCV, which is not here: pip install "restoration-suite[classical]"'
        )
    import cv2

    estimate = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    frames = [
        np.ascontiguousarray(to_samples(f.mean(1, keepdim=True).float())[..., 0]) for f in (first, second)
    ]
    found = estimate.calc(frames[0], frames[1], None)
    return torch.from_numpy(found).permute(2, 0, 1)[None].to(first)
