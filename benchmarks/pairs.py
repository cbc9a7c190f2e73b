"""Score images that somebody else restored: folders against a clean one, matched by name, or folders alone."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from restoration import memory
from restoration.apply import Inference
from restoration.benchmarks.aside import Abreast
from restoration.benchmarks.datasets import pixels_sha256
from restoration.benchmarks.gallery import Gallery
from restoration.benchmarks.matching import Entry, Folders, are_grey, matched
from restoration.benchmarks.measuring import Measuring, Outcome, Progress, Watcher
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.pairing import seedless
from restoration.benchmarks.protocol import Protocol, load_pairs_protocol
from restoration.benchmarks.provenance import circumstances, command_line, metric_weights
from restoration.benchmarks.result import Result, compare
from restoration.benchmarks.run import share
from restoration.benchmarks.samples import Sample, cropped, file_sha256, in_colour
from restoration.benchmarks.scores import Planes, Score, planes, ready
from restoration.benchmarks.sets import CLEAN
from restoration.benchmarks.sources import Frames
from restoration.config import nearest
from restoration.data import data_root
from restoration.dials.masks import Masks
from restoration.errors import ImageError, RequestError
from restoration.image import read_samples
from restoration.losses.features import forget, shared_passes

SCALES = (2, 3, 4, 8)
LARGE = 16_000_000  # pixels of an image that is scored by itself
USUAL = ("psnr-y", "ssim-y")
USUAL_ALONE = ("niqe",)
USUAL_HOLES = ("psnr-y", "ssim-y", "psnr-y-hole", "psnr-y-boundary")
USUAL_CLIPS = ("psnr-y", "ssim-y", "flicker", "warping-error")

Scored = tuple[str, Tensor | str, Planes, Mapping[str, Score]]


@dataclass(frozen=True)
class Given(Sample):
    """An image with what each restorer made of it, or why that cannot be scored; ``degraded`` may be missing."""

    degraded: Tensor | None
    restored: Mapping[str, Tensor | str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)  # restorer → sha256 of its file
    problems: Sequence[str] = ()  # why the degraded image or the mask cannot be had


class Files(Measuring):
    """Measures what comes with each sample; nothing is restored, so that several images are scored at once.

    Frames of clips, which are compared with the frame before, are scored one after the other.
    """

    def __init__(
        self,
        protocol: Protocol,
        restorers: Sequence[str],
        total: int,
        forced: bool,
        watchers: Sequence[Watcher],
    ) -> None:
        nobody, how = dict.fromkeys(restorers), Inference(device=torch.device("cpu"))
        super().__init__(protocol, nobody, how, total, forced, None, watchers, overlap=False)
        self.abreast = (
            None if isinstance(protocol.source, Frames) or torch.get_num_threads() < 2 else Abreast()
        )

    def take(self, sample: Sample) -> None:
        """Score one image of every folder."""
        if self.abreast is None:
            super().take(sample)
            return
        self._place(sample)
        if (
            sample.clean is not None and sample.clean[0, 0].numel() > LARGE
        ):  # all threads on one, which fills memory
            self.abreast.finish()
            self._score(sample, self._outcomes(sample))
            return
        ready(self.each)
        self.abreast.follow(partial(self._apart, sample), partial(self._noted, sample))

    def finish(self) -> None:
        """Wait until every image that was taken is scored."""
        if self.abreast is not None:
            self.abreast.finish()

    def close(self) -> None:
        """Give up what has not begun."""
        if self.abreast is not None:
            self.abreast.close()

    def _outcomes(self, sample: Sample) -> Iterator[Outcome]:
        assert isinstance(sample, Given), "the samples of folders bring what was restored"
        yield from sample.restored.items()

    def _apart(self, sample: Sample) -> tuple[Planes | None, list[Scored]]:
        """Return each restored image with its scores or why there are none, and where sets need them, all planes."""
        with shared_passes():
            clean = None if sample.clean is None else planes(sample.clean, self.protocol, self.planes)
            found: list[Scored] = []
            for name, image in self._outcomes(sample):
                views, scores = (
                    ({}, {}) if isinstance(image, str) else self._valued(sample, name, image, clean)
                )
                for plane in views.values():
                    forget(plane)
                found.append((name, image, views if self.sets.metrics else {}, scores))
            return clean if self.sets.metrics else None, found

    def _noted(self, sample: Sample, scored: "Future[tuple[Planes | None, list[Scored]]]") -> None:
        """Add what was found of an image to what was found before."""
        with self._told(sample), shared_passes():
            clean, found = scored.result()
            self.sets.add(CLEAN, sample.position, clean)
            for name, image, views, scores in found:
                if isinstance(image, str):
                    self._miss(name, sample.name, image)
                    continue
                self._note(sample, name, views, scores)
                for watch in self.watchers:
                    watch(self.protocol, name, sample, image)


def score_pairs(
    restored: Path | Sequence[Path] | Folders,
    clean: Path | None = None,
    metrics: Sequence[str] = (),
    settings: Sequence[str] = (),
    degraded: Path | None = None,
    force_fid: bool = False,
    gallery: Gallery | None = None,
    *,
    baseline: str | None = None,
    watchers: Sequence[Watcher] = (),
    progress: Progress | None = None,
    rank: int = 0,
    world: int = 1,
) -> Result:
    """Return the metrics of restored files against clean ones; ``settings`` such as ``border=4``, ``luma=uint8``.

    Every folder of ``restored`` is a restorer, compared with ``baseline``, the first by default; `Folders` says what
    may belong to them. ``scale=4`` crops clean files whose sides are no multiples of 4, as those of Set14. Where all
    files are grey and no metric needs colours, they are scored as they are (``colour=grey``); else grey is scored as
    the colour it shows. A file without a partner, that cannot be read or differs in size is a gap with its reason,
    and the rest is scored. Without ``clean``, metrics that compare with it have a reason for their gap. With
    ``world`` > 1 this rank scores every ``world``-th image, or clip; ``result.merge`` joins the parts.
    """
    folders = restored if isinstance(restored, Folders) else Folders.of(restored, clean, degraded=degraded)
    masks = folders.masks()
    entries, problems = matched(folders)
    known = {*folders.restored, *map(seedless, folders.restored)}
    if baseline is not None and baseline not in known:
        raise RequestError(
            f"--compare {baseline}: not one of the folders{nearest(baseline, folders.restored)}; "
            f"expected one of {', '.join(folders.restored)}"
        )
    protocol, settings = _protocol(folders, entries, metrics or usual(folders), settings)
    seen = [*watchers, *([gallery] if gallery is not None else [])]
    measuring = Files(protocol, folders.scored, len(entries), force_fid, seen)
    measuring.sets.refer(data_root(), rank, world)
    told = [(-1, line) for line in problems if rank == 0]

    def load(placed: tuple[int, Entry]) -> Given:
        sample = loaded(placed[1], protocol, measuring.tallies, masks, placed[0], len(entries))
        told.extend((placed[0], line) for line in sample.problems)
        return sample

    try:
        with memory.kept():
            facts = measuring.through(load, share(protocol, entries, rank, world), _hashes, progress)
    finally:
        measuring.close()
    rows = [row for name in folders.scored for row in measuring.rows(name)]
    provenance = circumstances(torch.device("cpu")) | metric_weights()
    record = folders.record() | {"settings": list(settings)}
    provenance |= {"folders": record, "images": {protocol.name: facts}}
    return Result(
        command_line(), provenance, rows, compare(rows, baseline), [line for _, line in told],
        {protocol.name: [e.name for e in entries]}, {protocol.name: measuring.sets}, [place for place, _ in told],
    )  # fmt: skip


def loaded(
    entry: Entry, protocol: Protocol, scored: Collection[str], masks: Masks | None, position: int, total: int
) -> Given:
    """Return the images of an entry that are scored, each decoded once; what is wrong with the clean one is raised."""
    samples = None if entry.clean is None else read_samples(entry.clean)
    truth = None if samples is None else cropped(in_colour(samples, protocol.colour), protocol.scale)
    images: dict[str, Tensor | str] = {}
    hashes: dict[str, str] = {}
    for restorer, file in entry.restored.items():
        if isinstance(file, str):
            images[restorer] = file
            continue
        if restorer not in scored and (masks is None or samples is not None):
            continue
        try:
            found = read_samples(file)
        except ImageError as error:
            images[restorer] = str(error)
            continue
        hashes[restorer] = file_sha256(file)
        samples = found if samples is None else samples  # of the first one, where there is no clean one
        ours = cropped(in_colour(found, protocol.colour), protocol.scale)
        images[restorer] = ours if truth is None else _fitting(ours, truth, file, entry)
    degraded, mask, lacking = None, None, []
    try:
        degraded = entry.degraded and in_colour(read_samples(entry.degraded), protocol.colour)
    except ImageError as error:
        lacking.append(str(error))
    try:
        mask = None if masks is None or samples is None else _mask(entry, masks, samples, protocol.scale)
    except ImageError as error:
        lacking.append(str(error))
    return Given(
        name=entry.name, position=position, total=total, clean=truth, degraded=degraded,
        sha256=file_sha256(entry.clean) if entry.clean else "",
        pixels_sha256="" if truth is None or samples is None else pixels_sha256(samples),
        degraded_sha256=None if degraded is None or entry.degraded is None else file_sha256(entry.degraded),
        mask=mask, cluster=entry.cluster, problems=lacking,
        restored={name: image for name, image in images.items() if name in scored},
        hashes={name: sha256 for name, sha256 in hashes.items() if name in scored},
    )  # fmt: skip


def usual(folders: Folders) -> Sequence[str]:
    """Return the metrics that are measured where none are named."""
    if folders.clean is None:
        return USUAL_ALONE
    return USUAL_HOLES if folders.mask else USUAL_CLIPS if folders.clips else USUAL


def _protocol(
    folders: Folders, entries: Sequence[Entry], metrics: Sequence[str], settings: Sequence[str]
) -> tuple[Protocol, Sequence[str]]:
    """Return how files are scored, and the settings with the colour that their own decides."""
    protocol = load_pairs_protocol(settings, metrics, folders.clips)
    if "colour" in {setting.partition("=")[0].strip() for setting in settings}:
        return protocol, settings
    planes = {METRICS[name].plane for name in protocol.metrics}
    grey = "rgb" not in planes and are_grey(chain.from_iterable(entry.files for entry in entries))
    settings = [*settings, f"colour={'grey' if grey else 'rgb'}"]
    return load_pairs_protocol(settings, metrics, folders.clips), settings


def _hashes(sample: Sample) -> dict[str, Any]:
    assert isinstance(sample, Given), "the samples of folders bring what was restored"
    return {
        "sha256": sample.sha256, "restored_sha256": dict(sample.hashes), "degraded_sha256": sample.degraded_sha256,
        "pixels_sha256": sample.pixels_sha256,
    }  # fmt: skip


def _mask(entry: Entry, masks: Masks, samples: np.ndarray, scale: int) -> Tensor:
    """Return the mask (1, 1, H, W) of an entry, 1 in holes, as large as its image, whose samples are given."""
    holes = masks.of(entry.guide, *samples.shape[:2])
    return cropped(torch.from_numpy(holes.astype(np.float32)).permute(2, 0, 1)[None], scale)


def _fitting(ours: Tensor, truth: Tensor, file: Path, entry: Entry) -> Tensor | str:
    """Return an image of the clean one's size, or why it cannot be compared."""
    if ours.shape[-2:] == truth.shape[-2:]:
        return ours
    return f"{file}: {_size(ours)} pixels; expected the {_size(truth)} of {entry.clean}{_remedy(ours, truth)}"


def _remedy(ours: Tensor, truth: Tensor) -> str:
    """Return which scale makes the sizes equal, if one does: the clean image is cropped to a multiple of it."""
    for scale in SCALES:
        if ours.shape[-2:] == cropped(truth, scale).shape[-2:]:
            return f" (--set scale={scale} crops it to that)"
    return ""


def _size(image: Tensor) -> str:
    return f"{image.shape[-1]}x{image.shape[-2]}"
