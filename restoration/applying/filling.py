"""Samples to samples by tiles: only one window at a time is an image of floats, and what is done leaves memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from restoration import distributed, memory
from restoration.applying import sharing
from restoration.applying.planning import Plan, planned, replanned, tiling_of
from restoration.applying.running import CROP, Runner
from restoration.errors import RestorationError
from restoration.formats.bands import Releasing
from restoration.image import around, to_float, to_samples
from restoration.image.colour import profile_of
from restoration.tiling import Fetch, Function, Share, Tiling, Window, by_parts, continued
from restoration.tiling.memory import Ceiling
from restoration.tiling.parts import Again, alone
from restoration.tiling.windows import up

BICUBIC = 2  # pixels that bicubic enlargement sees


def restored_by_tiles(
    restored: np.ndarray,
    runner: Runner,
    samples: np.ndarray,
    icc: bytes | None,
    share: Share | None = None,
    on_window: Callable[[int, int], None] = lambda pixels, of: None,
) -> Plan:
    """Fill ``restored`` with what the restorer makes of samples (H, W, C), and return how they were cut.

    Channels beyond the colours of ``restored`` are conditions. The restorer sees sRGB in [0, 1].
    """
    colours = restored.shape[2]
    with torch.inference_mode(), memory.kept():
        plan = _plan(runner, samples, colours, icc, share is not None)

        def again(side: int) -> Tiling:
            nonlocal plan
            reach, fetch = _reach(runner, samples, icc, colours), _unwrapped(runner, samples)
            height, width, channels = samples.shape
            plan = replanned(runner, fetch, height, width, side, channels, reach)
            return plan.tiling

        function = _in_srgb(runner, icc, colours) if _changes(samples, icc, colours) else runner
        fill(restored, function, samples, plan.tiling, runner.device, share or alone, on_window, again)
    return replace(plan, decibels=runner.decibels)


def restored_together(
    runner: Runner, samples: Sequence[np.ndarray], icc: bytes | None
) -> tuple[list[np.ndarray], Plan]:
    """Return what the restorer makes of small samples of one size, all of them at once, and how they were cut."""
    height, width, colours = samples[0].shape
    function = _in_srgb(runner, icc, colours) if _changes(samples[0], icc, colours) else runner
    scale = runner.restorer.scale
    made = [np.empty((height * scale, width * scale, colours), one.dtype) for one in samples]
    with torch.inference_mode():
        plan = _plan(runner, samples[0], colours, icc, False)
        fetches = [fetch_from(one, plan.tiling) for one in samples]

        def fetch(window: Window) -> Tensor:
            return torch.cat([one(window) for one in fetches])

        def again(side: int) -> Tiling:
            raise MemoryError(
                f"not enough memory for {len(samples)} pictures at once"
            )  # they are made one by one

        parts = by_parts(function, fetch, height, width, plan.tiling, runner.device, again=again)
        for window, part in parts:
            for result, image in zip(made, part.split(1), strict=True):
                result[window.slices(scale)] = to_samples(image, samples[0].itemsize * 8)
    return made, replace(plan, decibels=runner.decibels)


def fill(
    restored: np.ndarray,
    function: Function,
    samples: np.ndarray,
    tiling: Tiling,
    device: torch.device,
    share: Share = alone,
    on_window: Callable[[int, int], None] = lambda pixels, of: None,
    again: Again | None = None,
) -> None:
    """Write what the function makes of samples."""
    height, width, _ = samples.shape
    depth, ceiling, releasing = samples.itemsize * 8, Ceiling(device), Releasing(restored, samples)
    fetch = fetch_from(samples, tiling)
    for window, part in by_parts(function, fetch, height, width, tiling, device, share, again):
        restored[window.slices(tiling.scale)] = to_samples(part, depth)
        on_window(window.height * window.width, height * width)
        ceiling.hold()
        releasing.used(part.numel() * samples.itemsize)


def fetch_from(samples: np.ndarray, tiling: Tiling) -> Fetch:
    """Return the windows of samples as images, continued beyond their edges."""
    height, width, _ = samples.shape

    def fetch(window: Window) -> Tensor:
        if window == window.within(height, width):
            return to_float(samples[window.top : window.bottom, window.left : window.right])
        rows = continued(window.top, window.bottom, height, tiling.rows_wrap, tiling.edge).numpy()
        columns = continued(window.left, window.right, width, tiling.columns_wrap, tiling.edge).numpy()
        return to_float(samples[rows[:, None], columns])

    return fetch


def with_hidden_filled(samples: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return samples whose colours under full transparency are means of visible colours near by."""
    visible = torch.from_numpy(alpha != 0).permute(2, 0, 1)[None].float()
    filled = to_samples(_filled(to_float(samples), visible), samples.itemsize * 8)
    return np.where(alpha == 0, filled, samples)


def _filled(colour: Tensor, visible: Tensor) -> Tensor:
    """Return colour where visible, elsewhere the mean over the smallest block of 2^k² pixels that shows any."""
    if visible.all() or max(colour.shape[-2:]) == 1:
        return colour
    pool = lambda image: functional.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)  # noqa: E731
    weight = pool(visible)
    coarse = pool(colour * visible) / weight.clamp(min=1e-6)
    coarse = _filled(coarse, (weight > 0).float())
    spread = coarse.repeat_interleave(2, -1).repeat_interleave(2, -2)[
        ..., : colour.shape[-2], : colour.shape[-1]
    ]
    return torch.where(visible > 0, colour, spread)


def _plan(runner: Runner, samples: np.ndarray, colours: int, icc: bytes | None, shared: bool) -> Plan:
    """Return how samples are cut; ranks that share tiles do as the first of them does."""
    height, width, channels = samples.shape
    reach, fetch = _reach(runner, samples, icc, colours), _unwrapped(runner, samples)
    if not shared:
        return planned(runner, fetch, height, width, channels, reach)
    plan, failure = None, ""
    if distributed.rank() == 0:
        try:
            plan = planned(runner, fetch, height, width, channels, reach)
            step = runner.restorer.multiple
            runner.bfloat16(fetch(Window(0, up(min(height, CROP), step), 0, up(min(width, CROP), step))))
        except Exception as error:  # the others wait for it
            failure = str(error) or type(error).__name__
    plan, runner.known.decibels, failure = sharing.agreed((plan, runner.known.decibels, failure))
    if plan is None:
        raise RestorationError(failure)
    return plan


def _unwrapped(runner: Runner, samples: np.ndarray) -> Fetch:
    """Return the windows of samples that nothing joins beyond their edges, to be measured on."""
    return fetch_from(samples, replace(tiling_of(runner.restorer, runner.inference), wrap="off"))


def _reach(runner: Runner, samples: np.ndarray, icc: bytes | None, colours: int) -> int:
    """Return how far what is done to tiles beside the restorer sees."""
    return BICUBIC if runner.restorer.scale > 1 and _changes(samples, icc, colours) else 0


def _changes(samples: np.ndarray, icc: bytes | None, colours: int) -> bool:
    """Return whether what a restorer sees is not all that there is: another colour space, values beyond white."""
    return samples.dtype.kind == "f" or profile_of(icc, colours) is not None


def _in_srgb(runner: Runner, icc: bytes | None, colours: int) -> Function:
    """Return the function of tiles in the file's colours; conditions that follow them go past."""

    def function(tile: Tensor) -> Tensor:
        colour, conditions = tile[:, :colours], tile[:, colours:]

        def seen(image: Tensor) -> Tensor:
            return runner(torch.cat((image, conditions), 1) if conditions.shape[1] else image)

        return around(seen, icc, colours, runner.restorer.scale)(colour)

    return function
