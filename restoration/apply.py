"""A restorer applied: to an image by tiles, to a picture with all that belongs to it, to files and folders."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from restoration import distributed
from restoration.degradations.resize import resize
from restoration.errors import ImageError, RequestError, RestorationError
from restoration.image import (
    MAX_PIXELS,
    Picture,
    blank_samples,
    check_target,
    read,
    to_float,
    to_samples,
    write,
)
from restoration.outcome import Report
from restoration.restorers.network import Restorer
from restoration.targets import Job, plan
from restoration.tiling import Function, Tile, Tiling, Window, by_parts, reflected, self_ensemble, tiled

Precision = Literal["auto", "fp32", "bf16"]
# what files, memory and foreign networks raise
FAILURES = (
    RestorationError,
    OSError,
    RuntimeError,
    MemoryError,
    AssertionError,
    LookupError,
    TypeError,
    ValueError,
)
Status = Literal["written", "kept", "failed"]
OnFile = Callable[[Path, Status], None]


@dataclass(frozen=True)
class Inference:
    """How a restorer is run.

    ``precision = "auto"`` is bfloat16 where the processor has instructions for it and the result gets 8 bits, else
    float32. bfloat16 moves samples by a fraction of a level in the mean and by a few levels at sharp edges; a tile
    that it makes non-finite is computed again in float32.
    """

    tile: Tile = "auto"
    precision: Precision = "auto"
    ensemble: bool = False
    device: str | torch.device = "cpu"

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise RequestError(f"--precision {self.precision}: expected {', '.join(get_args(Precision))}")


def restore_image(
    restorer: Restorer,
    image: Tensor,
    *,
    tile: Tile = "auto",
    precision: Precision = "auto",
    ensemble: bool = False,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Return the restored image, on the CPU; only tiles are moved to the device."""
    function = _tile_function(restorer, Inference(tile, precision, ensemble, device))
    with torch.inference_mode():
        return tiled(
            function, image, scale=restorer.scale, multiple=restorer.multiple,
            receptive_field=restorer.receptive_field, tile=tile,
        )  # fmt: skip


def restore_picture(
    restorer: Restorer, picture: Picture, inference: Inference, suffix: str = ".png"
) -> Picture:
    """Return the restored picture, to be written with ``suffix``: depth, profile and metadata are those given.

    Memory beyond the two pictures' samples is bounded by the tile. Alpha is enlarged bicubically; colours that it
    hides entirely are first replaced by their visible neighbours', so that they do not bleed into edges.
    """
    if picture.depth == 16 and inference.precision == "auto":
        inference = replace(inference, precision="fp32")
    samples, alpha = picture.samples, picture.alpha_samples
    if alpha is not None and not alpha.all():
        samples = _with_hidden_filled(samples, alpha)
    function = _tile_function(restorer, inference)
    tiling = Tiling(restorer.scale, restorer.multiple, restorer.receptive_field, inference.tile)
    height, width, colours = samples.shape
    size = (height * restorer.scale, width * restorer.scale)
    restored = blank_samples(*size, colours, picture.depth, suffix)
    _fill(restored, function, samples, tiling, torch.device(inference.device))
    if alpha is not None and restorer.scale != 1:
        enlarged = blank_samples(*size, 1, picture.depth)
        enlarge = Tiling(restorer.scale, receptive_field=2)
        _fill(
            enlarged, lambda image: resize(image, scale=restorer.scale), alpha, enlarge, torch.device("cpu")
        )
        alpha = enlarged
    return replace(picture, samples=restored, alpha_samples=alpha, palette=False)


def apply(
    restorer: Restorer,
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    overwrite: bool = False,
    suffix: str = "",
    format: str = "keep",
    tile: Tile = "auto",
    precision: Precision = "auto",
    ensemble: bool = False,
    device: str | torch.device = "cpu",
    max_pixels: int = MAX_PIXELS,
    shard: tuple[int, int] = (0, 1),
    on_file: OnFile = lambda path, status: None,
) -> Report:
    """Restore files, folders and globs into ``out``; a file that fails is reported and stops nothing."""
    if restorer.conditions:
        raise RequestError(
            f"'{restorer.card.name}' needs more than an image: {', '.join(restorer.conditions)}"
        )
    jobs = plan(inputs, out, suffix=suffix, format=format, shard=shard)
    report, inference = Report(), Inference(tile, precision, ensemble, device)
    kept = set() if overwrite else {job for job in jobs if job.target.exists()}
    for job in (job for job in jobs if job in kept):
        report.kept.append(job.target)
        on_file(job.target, "kept")
    todo = [job for job in jobs if job not in kept]
    for job, reading in _read_ahead(todo, max_pixels):
        try:
            picture = reading.result()
            check_target(job.target, picture)
            picture = restore_picture(restorer, picture, inference, job.target.suffix)
            job.target.parent.mkdir(parents=True, exist_ok=True)
            write(job.target, picture)
        except FAILURES as error:
            report.failed[job.source] = f"{_one_line(job.source, error)}; skipped"
            on_file(job.source, "failed")
        else:
            report.written.append(job.target)
            on_file(job.target, "written")
    return report


def _tile_function(restorer: Restorer, inference: Inference) -> Function:
    """Return the function of one tile: to the device, through the restorer, back, checked."""
    device = torch.device(inference.device)
    restorer.eval().to(device).to(memory_format=torch.channels_last)
    bfloat16 = _uses_bfloat16(restorer, inference.precision, device)
    forward = self_ensemble(restorer) if inference.ensemble else restorer

    def restored(tile: Tensor, bfloat16: bool) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            return forward(tile).float()

    def function(tile: Tensor) -> Tensor:
        tile = tile.to(device).contiguous(memory_format=torch.channels_last)
        result = restored(tile, bfloat16)
        if bfloat16 and not result.sum().isfinite():
            result = restored(tile, False)
        _check(tile, result, restorer.scale)
        return result.cpu()

    return function


def _uses_bfloat16(restorer: Restorer, precision: Precision, device: torch.device) -> bool:
    if precision == "auto":
        # without parameters there is little to speed up, and all of the result to round
        return distributed.fast_bfloat16(device) and any(True for _ in restorer.parameters())
    return precision == "bf16"


def _check(tile: Tensor, result: Tensor, scale: int) -> None:
    size = [side * scale for side in tile.shape[-2:]]
    if list(result.shape[-2:]) != size:
        got = "x".join(str(side) for side in result.shape[-2:])
        raise RestorationError(
            f"the restorer made {got} pixels; expected {size[0]}x{size[1]}, its scale is {scale}"
        )
    if not result.sum().isfinite():
        raise RestorationError("the restored image is not finite")


def _fill(
    restored: np.ndarray, function: Function, samples: np.ndarray, tiling: Tiling, device: torch.device
) -> None:
    """Write what the function makes of samples; only one window at a time is an image of floats."""
    height, width, _ = samples.shape
    depth = samples.itemsize * 8

    def fetch(window: Window) -> Tensor:
        rows = reflected(window.top, window.bottom, height).numpy()
        columns = reflected(window.left, window.right, width).numpy()
        return to_float(samples[rows[:, None], columns])

    with torch.inference_mode():
        for window, part in by_parts(function, fetch, height, width, tiling, device):
            restored[window.slices(tiling.scale)] = to_samples(part, depth)


def _with_hidden_filled(samples: np.ndarray, alpha: np.ndarray) -> np.ndarray:
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


def _read_ahead(jobs: Sequence[Job], max_pixels: int) -> Iterator[tuple[Job, Future[Picture]]]:
    """Yield each job with its picture, while the next one is being read."""
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        following: Future[Picture] | None = None
        for i, job in enumerate(jobs):
            current = following or pool.submit(read, job.source, max_pixels=max_pixels)
            following = (
                pool.submit(read, jobs[i + 1].source, max_pixels=max_pixels) if i + 1 < len(jobs) else None
            )
            yield job, current


def _one_line(path: Path, error: BaseException) -> str:
    """Return what went wrong with a file; image errors name it themselves."""
    if isinstance(error, ImageError):
        return str(error)
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"{path}: could not be restored ({text})"
