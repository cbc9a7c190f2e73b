"""A restorer applied: to an image by tiles, to files and folders, by one process or by many."""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from restoration import distributed, memory
from restoration.applying import sharing
from restoration.applying.manifest import Manifest, weights_of
from restoration.applying.noticing import noticed
from restoration.applying.pace import Pace
from restoration.applying.picturing import OnPlan, restore_picture
from restoration.applying.planning import planned, replanned, tiling_of
from restoration.applying.running import Inference, Precision, Runner
from restoration.applying.working import FAILURES, OnFile, Status, Work
from restoration.catalogue import digest
from restoration.dials.consistency import consistent as projected
from restoration.dials.consistency import require_enlarging
from restoration.dials.masks import Masks, check_masked
from restoration.errors import ImageError, RequestError
from restoration.files import at_home, real
from restoration.image import MAX_PIXELS, stored_size
from restoration.outcome import Report
from restoration.restorers.network import Restorer
from restoration.targets import Job, plan
from restoration.tiling import Tile, Tiling, Wrap, fetch_from, tiled

if TYPE_CHECKING:
    from restoration.video import Films

__all__ = [
    "FAILURES", "Inference", "OnFile", "Precision", "Status", "apply", "restore_image", "restore_picture",
]  # fmt: skip
LARGE = 512  # pixels of a side from which on an image takes long enough to set up memory for
GIANT = 4_000_000  # pixels from which on ranks that would have no file share a picture's tiles


def restore_image(
    restorer: Restorer,
    image: Tensor,
    *,
    tile: Tile = "auto",
    precision: Precision = "auto",
    ensemble: bool = False,
    device: str | torch.device = "cpu",
    consistent: bool = False,
    wrap: Wrap = "off",
    compile: bool | None = None,
    on_plan: OnPlan = lambda plan: None,
) -> Tensor:
    """Return the restored image, on the CPU; only tiles are moved to the device.

    ``on_plan`` is told how the image is cut, and how exact that was found to be: ``notes`` for people, ``facts``.
    """
    if consistent:
        require_enlarging(restorer.scale, restorer.card.name)
    runner = Runner(restorer, Inference(tile, precision, ensemble, device, consistent, wrap, compile))
    _, channels, height, width = image.shape
    with torch.inference_mode(), memory.kept() if max(height, width) > LARGE else nullcontext():
        fetch = fetch_from(image, tiling_of(restorer, runner.inference))
        on_plan(found := planned(runner, fetch, height, width, channels))

        def again(side: int) -> Tiling:
            on_plan(smaller := replanned(runner, fetch, height, width, side, channels))
            return smaller.tiling

        restored = tiled(runner, image, tiling=found.tiling, again=again)
        degraded = image[:, : restored.shape[1]]  # conditions follow it
        return projected(restored, degraded, restorer.scale) if consistent else restored


def apply(
    restorer: Restorer,
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    overwrite: bool = False,
    suffix: str = "",
    format: str = "keep",
    quality: int | None = None,
    tile: Tile = "auto",
    precision: Precision = "auto",
    ensemble: bool = False,
    device: str | torch.device = "cpu",
    consistent: bool = False,
    wrap: Wrap = "off",
    compile: bool | None = None,
    masks: Masks | None = None,
    films: "Films | None" = None,
    max_pixels: int = MAX_PIXELS,
    shard: tuple[int, int] | None = (0, 1),
    on_file: OnFile = lambda path, status: None,
    pace: Pace | None = None,
) -> Report:
    """Restore files, folders and globs into ``out``; a file that fails is reported and stops nothing.

    ``quality``, 1 to 100, is that of lossy formats; without it a JPEG keeps its own.
    Without ``shard`` the ranks that torchrun started share the files, and the tiles of large pictures where there
    are fewer than ranks. In a folder of outputs, a manifest tells what made each of them.
    """
    from restoration.video import Films  # here: it applies what is defined above

    films = films or Films()
    share = shard or (distributed.rank(), distributed.world())
    inputs, clips = films.plan(inputs, out, suffix, share)
    if ((inputs or clips) and restorer.conditions) or masks:
        check_masked(restorer.conditions, restorer.card.name, masks, pictures=bool(inputs))
    if consistent:
        require_enlarging(restorer.scale, restorer.card.name)
    jobs = _planned(inputs, out, suffix, format, quality, shard or (0, 1))
    report = Report(notes=_assumed(restorer))
    inference = Inference(tile, precision, ensemble, device, consistent, wrap, compile)
    manifest = Manifest(_folder(jobs, out), _maker(restorer, inference, masks, quality) if jobs else {})
    work = Work(restorer, inference, manifest, report, masks, max_pixels, on_file, pace or Pace(), quality)

    group = sharing.group() if shard is None else nullcontext()
    with work.pace, noticed(report, work.pace), memory.kept(), group:
        todo = _missing(jobs, work, overwrite, ranks=shard is None)
        own, together = _shared(todo, *share) if shard is None else (todo, [])
        work.pace.begin(len(own) + len(together) + len(clips))
        work.run_together(together)
        work.run(own)
        if clips:
            made = {**_maker(restorer, inference, masks, None), "video": films.settings.decisive()}
            films.restore(
                restorer, clips, report, inference, Manifest(_folder(clips, out), made),
                masks=masks, overwrite=overwrite, only=share[1] == len(clips) == 1 and not inputs, on_file=work.tell,
            )  # fmt: skip
        report.seconds, report.pixels = work.pace.seconds, work.pace.pixels
        return sharing.reported(report) if shard is None else report


def _planned(
    inputs: Sequence[str],
    out: str | Path,
    suffix: str,
    format: str,
    quality: int | None,
    shard: tuple[int, int],
) -> list[Job]:
    """Return the jobs of pictures; what is asked of them is refused where there are none."""
    if inputs:
        return plan(inputs, out, suffix=suffix, format=format, quality=quality, shard=shard)
    if format != "keep" or quality is not None:
        asked = f"--format {format}" if format != "keep" else f"--quality {quality}"
        raise RequestError(f"{asked}: no picture among the inputs; videos take --codec and --crf")
    return []


def _missing(jobs: Sequence[Job], work: Work, overwrite: bool, ranks: bool) -> list[Job]:
    """Return the jobs whose targets are to be made, and report those that are kept.

    Where ranks share them, rank 0 alone looks and reports: others may already be writing.
    """
    first = not ranks or distributed.rank() == 0
    there = [job for job in jobs if first and not overwrite and os.path.exists(job.target)]
    for job in there:
        work.keep(job)
    kept = set(sharing.agreed(there) if ranks else there)
    return [job for job in jobs if job not in kept]


def _shared(jobs: Sequence[Job], rank: int, world: int) -> tuple[list[Job], list[Job]]:
    """Return this rank's files, and those whose tiles all ranks share: large ones that leave ranks without a file."""
    giant = [job for job in jobs if world > 1 and _pixels(job) >= GIANT]
    together = giant[len(giant) // world * world :]
    return [job for job in jobs if job not in set(together)][rank::world], together


def _pixels(job: Job) -> int:
    try:
        height, width = stored_size(job.source)
    except (ImageError, OSError):
        return 0
    return height * width


def _assumed(restorer: Restorer) -> list[str]:
    """Return what was assumed of a foreign file that its shapes do not tell."""
    card = getattr(restorer, "card", None)
    told = None if card is None else card.training.get("assumed")
    return [f"{card.name}: taken for {told}"] if card is not None and told else []


def _folder(jobs: Sequence[Job], out: str | Path) -> Path | None:
    """Return the folder whose outputs a manifest is kept of; none for a single file by its name."""
    folder = at_home(out)
    return folder if jobs and all(job.target != folder for job in jobs) else None


def _maker(
    restorer: Restorer, inference: Inference, masks: Masks | None, quality: int | None
) -> dict[str, Any]:
    """Return what decides the samples of outputs: the weights, and settings other than those of exact tiles."""
    settings = {k: v for k, v in asdict(inference).items() if k not in ("device", "compile")}
    if restorer.receptive_field is not None:
        settings.pop("tile")
    card = getattr(restorer, "card", None)
    maker = {"restorer": weights_of(restorer), **settings, "network": getattr(card, "network", None)}
    if card is not None and "perception" in card.training:
        maker["perception"] = card.training["perception"]
    if masks is not None:
        source = masks.source
        maker["mask"] = [digest(source) if source.is_file() else str(real(source)), masks.hole]
    if quality is not None:
        maker["quality"] = quality
    return maker
