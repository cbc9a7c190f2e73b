"""A restorer applied to a picture, with all that belongs to it: frames, colours, alpha, holes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from restoration import distributed
from restoration.applying.filling import (
    BICUBIC,
    fill,
    restored_by_tiles,
    restored_together,
    with_hidden_filled,
)
from restoration.applying.planning import Plan
from restoration.applying.running import Inference, Runner
from restoration.degradations.resize import resize
from restoration.dials.consistency import back_project
from restoration.dials.masks import keep_known, with_holes
from restoration.formats.bands import release
from restoration.image import Picture, blank_samples, each_frame
from restoration.restorers.network import Restorer
from restoration.tiling import Share, Tiling

OnPlan = Callable[[Plan], None]
OnWindow = Callable[[int, int], None]  # pixels of a finished part, and of the picture


def restore_picture(
    restorer: Restorer,
    picture: Picture,
    inference: Inference,
    suffix: str = ".png",
    hole: np.ndarray | None = None,
    *,
    share: Share | None = None,
    folder: Path | None = None,
    on_plan: OnPlan = lambda plan: None,
    on_window: OnWindow = lambda pixels, of: None,
) -> Picture:
    """Return the restored picture, to be written with ``suffix``: depth, profile and metadata are those given.

    Memory beyond the two pictures' samples is bounded by the tile, and large results lie in a temporary file in
    ``folder``. Alpha is enlarged bicubically; colours that it hides entirely are first replaced by their visible
    neighbours', so that they do not bleed into edges. Outside ``hole``, (H, W, 1) of bool, where there is one,
    samples stay as they are. Every frame or page is restored. Where ranks ``share`` tiles, rank 0 has the result.
    """

    def restored(frame: Picture) -> Picture:
        return _restored(restorer, frame, inference, suffix, hole, share, folder, on_plan, on_window)

    return each_frame(picture, restored)


def restore_together(
    restorer: Restorer,
    pictures: Sequence[Picture],
    inference: Inference,
    on_plan: OnPlan = lambda plan: None,
) -> list[Picture]:
    """Return restored pictures, as `restore_picture` does: stills of one size without alpha, all at once.

    Samples differ from those restored one by one by what the order of sums does in float32, about 1e-7.
    """
    runner = _runner(restorer, pictures[0], inference)
    found, plan = restored_together(runner, [p.samples for p in pictures], pictures[0].icc)
    on_plan(plan)
    if inference.consistent:
        for samples, picture in zip(found, pictures, strict=True):
            back_project(samples, picture.samples, restorer.scale)
    return [replace(p, samples=samples, palette=False) for p, samples in zip(pictures, found, strict=True)]


def _restored(
    restorer: Restorer, picture: Picture, inference: Inference, suffix: str, hole: np.ndarray | None,
    share: Share | None, folder: Path | None, on_plan: OnPlan, on_window: OnWindow,
) -> Picture:  # fmt: skip
    runner = _runner(restorer, picture, inference)
    samples, alpha = picture.samples, picture.alpha_samples
    if alpha is not None and not alpha.all():
        samples = with_hidden_filled(samples, alpha)
    height, width, colours = samples.shape
    size = (height * restorer.scale, width * restorer.scale)
    if share is not None and distributed.rank():  # nothing is filled here
        restored = np.broadcast_to(np.zeros((), samples.dtype), (*size, colours))
    else:
        restored = blank_samples(*size, colours, picture.depth, suffix, folder)
    seen = samples if hole is None else with_holes(samples, hole)
    on_plan(restored_by_tiles(restored, runner, seen, picture.icc, share, on_window))
    if share is not None and distributed.rank():
        return picture
    if inference.consistent:
        back_project(restored, samples, restorer.scale)
    if hole is not None:
        keep_known(restored, picture.samples, hole)
    if alpha is not None and restorer.scale != 1:
        alpha = _enlarged(alpha, restorer.scale, picture.depth, folder)
    release(restored)
    return replace(picture, samples=restored, alpha_samples=alpha, palette=False)


def _enlarged(alpha: np.ndarray, scale: int, depth: int, folder: Path | None) -> np.ndarray:
    height, width, _ = alpha.shape
    enlarged = blank_samples(height * scale, width * scale, 1, depth, folder=folder)
    tiling = Tiling(scale, receptive_field=BICUBIC)
    with torch.inference_mode():
        fill(enlarged, lambda image: resize(image, scale=scale), alpha, tiling, torch.device("cpu"))
    return enlarged


def _runner(restorer: Restorer, picture: Picture, inference: Inference) -> Runner:
    """Return what runs tiles; eight bits of precision are for pictures of eight."""
    if picture.depth > 8 and inference.precision == "auto":
        inference = replace(inference, precision="fp32")
    return Runner(restorer, inference)
