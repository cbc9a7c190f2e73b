"""A restorer applied: to an image by tiles, to files and folders, by one process or by many."""

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
from restoration.applying.pace import Pace
from restoration.applying.picturing import restore_picture
from restoration.applying.planning import planned, tiling_of
from restoration.applying.running import Inference, Precision, Runner
from restoration.applying.working import FAILURES, OnFile, Status, Work
from restoration.dials.consistency import consistent as projected
from restoration.dials.consistency import require_enlarging
from restoration.dials.masks import Masks, check_masked
from restoration.errors import ImageError
from restoration.image import MAX_PIXELS, stored_size
from restoration.outcome import Report
from restoration.restorers.network import Restorer
from restoration.targets import Job, plan
from restoration.tiling import Tile, Wrap, fetch_from, tiled

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
    compile: bool = False,
) -> Tensor:
    """Return the restored image, on the CPU; only tiles are moved to the device."""
    if consistent:
        require_enlarging(restorer.scale, restorer.card.name)
    runner = Runner(restorer, Inference(tile, precision, ensemble, device, consistent, wrap, compile))
    _, channels, height, width = image.shape
    with torch.inference_mode(), memory.kept() if max(height, width) > LARGE else nullcontext():
        fetch = fetch_from(image, tiling_of(restorer, runner.inference))
        found = planned(runner, fetch, height, width, channels)
        restored = tiled(runner, image, tiling=found.tiling)
        return projected(restored, image, restorer.scale) if consistent else restored


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
    consistent: bool = False,
    wrap: Wrap = "off",
    compile: bool = False,
    masks: Masks | None = None,
    films: "Films | None" = None,
    max_pixels: int = MAX_PIXELS,
    shard: tuple[int, int] | None = (0, 1),
    on_file: OnFile = lambda path, status: None,
    pace: Pace | None = None,
) -> Report:
    """Restore files, folders and globs into ``out``; a file that fails is reported and stops nothing.

    Without ``shard`` the ranks that torchrun started share the files, and the tiles of large pictures where there
    are fewer than ranks. In a folder of outputs, a manifest tells what made each of them.
    """
    from restoration.video import Films  # here: it applies what is defined above

    films = films or Films()
    share = shard or (distributed.rank(), distributed.world())
    inputs, clips = films.plan(inputs, out, suffix, share)
    if (inputs and restorer.conditions) or masks:
        check_masked(restorer.conditions, restorer.card.name, masks)
    if consistent:
        require_enlarging(restorer.scale, restorer.card.name)
    jobs = plan(inputs, out, suffix=suffix, format=format, shard=shard or (0, 1)) if inputs else []
    report = Report()
    inference = Inference(tile, precision, ensemble, device, consistent, wrap, compile)
    manifest = Manifest(_folder(jobs, out), _maker(restorer, inference, masks) if jobs else {})
    work = Work(restorer, inference, manifest, report, masks, max_pixels, on_file, pace or Pace())

    with work.pace, memory.kept(), sharing.group() if shard is None else nullcontext():
        todo = _missing(jobs, work, overwrite, ranks=shard is None)
        own, together = _shared(todo, *share) if shard is None else (todo, [])
        work.pace.begin(len(own) + len(together) + len(clips))
        work.run_together(together)
        work.run(own)
        films.restore(restorer, clips, report, inference, overwrite, work.tell)
    return report


def _missing(jobs: Sequence[Job], work: Work, overwrite: bool, ranks: bool) -> list[Job]:
    """Return the jobs whose targets are to be made, and report those that are kept.

    Where ranks share them, rank 0 alone looks and reports: others may already be writing.
    """
    first = not ranks or distributed.rank() == 0
    there = [job for job in jobs if first and not overwrite and job.target.exists()]
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


def _folder(jobs: Sequence[Job], out: str | Path) -> Path | None:
    """Return the folder whose outputs a manifest is kept of; none for a single file by its name."""
    folder = Path(out).expanduser()
    return folder if jobs and all(job.target != folder for job in jobs) else None


def _maker(restorer: Restorer, inference: Inference, masks: Masks | None) -> dict[str, Any]:
    """Return what decides the samples of outputs: the weights, and settings other than those of exact tiles."""
    settings = {k: v for k, v in asdict(inference).items() if k not in ("device", "compile")}
    if restorer.receptive_field is not None:
        settings.pop("tile")
    card = getattr(restorer, "card", None)
    maker = {"restorer": weights_of(restorer), **settings, "network": getattr(card, "network", None)}
    if card is not None and "perception" in card.training:
        maker["perception"] = card.training["perception"]
    if masks is not None:
        maker["mask"] = [str(masks.source), masks.hole]
    return maker
