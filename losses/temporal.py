"""Motion: warping along a flow, and flicker, the error that changes from frame to frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from restoration.losses.checks import one_of
from restoration.losses.draws import Keys, one_key_each
from restoration.losses.loss import per_image, same_shape, size_of
from restoration.losses.term import Pair, Partless


def warp(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``image(x + flow(x))``, bilinear, and where x + flow(x) lies within the image: (N, C, H, W), (N, 1, H, W).

    ``flow`` is (N, 2, H, W) in pixels, horizontal then vertical, from the frame that the result is aligned with to the
    frame that is given: ``warp(neighbour, flow)[0]`` looks like the target if ``neighbour(x + flow(x)) ≈ target(x)``.
    Outside, the image goes on as at its border; the second tensor is 1 inside and 0 there.
    """
    height, width = image.shape[-2:]
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype).unsqueeze(1) + flow[:, 1]
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    # −1 and 1 are the centres of the outermost pixels; a side of one pixel has but its centre, 0
    grid = torch.stack([2 * columns / max(width - 1, 1), 2 * rows / max(height - 1, 1)], -1) - 1
    warped = grid_sample(image, grid.to(image), mode="bilinear", padding_mode="border", align_corners=True)
    return warped, inside.unsqueeze(1).to(image)


def flicker(error: Tensor, following: Tensor, flow: Tensor | None) -> Tensor:
    """Return ``mean |(restoredₜ₊₁∘flow − restoredₜ) − (cleanₜ₊₁∘flow − cleanₜ)|`` of each pair of frames: (N,).

    Warping is linear, so it is told by the errors of both frames, restored − clean: ``mean |followingₜ₊₁∘flow −
    errorₜ|``, over the pixels that the flow, from t to t + 1, keeps inside the frame; 0 if there are none. None is the
    flow of what does not move.
    """
    if flow is None:
        return per_image((following - error).abs())
    warped, inside = warp(following, flow)
    change = ((warped - error).abs() * inside).flatten(1).sum(1)
    return change / (inside.flatten(1).sum(1) * error.shape[1]).clamp(min=1)


@dataclass(frozen=True)
class Flicker(Partless):
    """``mean |(restoredₜ₊₁∘flow − restoredₜ) − (cleanₜ₊₁∘flow − cleanₜ)|``: change that the clean clip does not have.

    A restorer gives one image per sample, so the batch holds whole clips: sample number s of a key (seed, s) is frame
    ``s mod frames`` of clip ``s div frames``, in any order of the batch. Every image has the value of its clip, the
    mean over the pairs of consecutive frames. The batch's layer "flow" (N, 2, H, W) leads from each image to the next
    frame, in pixels, horizontal then vertical, ``next(x + flow(x)) ≈ this(x)``; that of a last frame is not looked at.
    ``motion`` = "still" says that nothing moves, and needs no flow. The batch's ``frames``, degraded neighbours that a
    restorer of clips reads, are not looked at: they say nothing of how the neighbours are restored.
    """

    frames: int = 2
    motion: Literal["flow", "still"] = "flow"

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise ValueError(f"frames = {self.frames}; expected at least 2, flicker is between frames")
        one_of("motion", self.motion, ("flow", "still"))

    @property
    def clip(self) -> int:
        """Return how many consecutive samples are one clip."""
        return self.frames

    def of_restored(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the flicker of the clip that each image belongs to: (N,)."""
        one_key_each(batch.keys, len(restored), "flicker")
        order = _in_clips(batch.keys, self.frames)
        error = (restored - same_shape(restored, batch.clean))[order].unflatten(0, (-1, self.frames))
        flow = None
        if self.motion == "flow":
            flow = _flow(restored, batch)[order].unflatten(0, (-1, self.frames))[:, :-1].flatten(0, 1)
        pairs = flicker(error[:, :-1].flatten(0, 1), error[:, 1:].flatten(0, 1), flow)
        clips = pairs.unflatten(0, (-1, self.frames - 1)).mean(1)
        back = sorted(range(len(order)), key=order.__getitem__)
        return clips.repeat_interleave(self.frames)[back]


def _in_clips(keys: Keys, frames: int) -> Sequence[int]:
    """Return the places of the images in the order of (seed, sample), or refuse a batch that cuts a clip."""
    order = sorted(range(len(keys)), key=keys.__getitem__)
    for first in range(0, len(order), frames):
        clip = [keys[place] for place in order[first : first + frames]]
        seed, sample = clip[0]
        if sample % frames or clip != [(seed, sample + n) for n in range(frames)]:
            raise ValueError(
                f"flicker: the batch cuts the clip of sample {sample}; expected all {frames} frames of every clip, "
                f"samples {sample - sample % frames} to {sample - sample % frames + frames - 1}"
            )
    return order


def _flow(restored: Tensor, batch: Pair) -> Tensor:
    number, _, height, width = restored.shape
    if "flow" not in batch.layers:
        raise ValueError("flicker: the batch has no layer 'flow'; expected one, or motion = \"still\"")
    flow = batch.layers["flow"]
    if flow.shape != (number, 2, height, width):
        raise ValueError(f"flicker: the flow is {size_of(flow)}; expected {number}x2x{height}x{width}")
    return flow
