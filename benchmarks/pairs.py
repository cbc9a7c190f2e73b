"""Score images that somebody else restored: a folder against another one, matched by name, or a folder alone."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from restoration.benchmarks.datasets import partners_of, pixels_sha256
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.protocol import Protocol, load_pairs_protocol
from restoration.benchmarks.provenance import circumstances, command_line
from restoration.benchmarks.result import Result, Row, make_row
from restoration.benchmarks.samples import cropped, file_sha256, in_colour, loaded_ahead
from restoration.benchmarks.scores import Beside, Score, planes, score
from restoration.benchmarks.sets import CLEAN, Sets
from restoration.errors import ImageError, RequestError
from restoration.image import find_images, read_samples
from restoration.losses.features import shared_passes

SCALES = (2, 3, 4, 8)
USUAL = ("psnr-y", "ssim-y")
USUAL_ALONE = ("niqe",)


@dataclass(frozen=True)
class Entry:
    """One restored file, the clean and the degraded one that belong to it, and its name in results."""

    name: str
    restored: Path
    clean: Path | None = None
    degraded: Path | None = None


@dataclass(frozen=True)
class Loaded:
    """The images of an entry, and hashes of their files."""

    restored: Tensor
    clean: Tensor | None
    degraded: Tensor | None
    hashes: dict[str, str]


def score_pairs(
    restored: Path,
    clean: Path | None,
    metrics: Sequence[str] = (),
    settings: Sequence[str] = (),
    degraded: Path | None = None,
    force_fid: bool = False,
) -> Result:
    """Return the metrics of restored files against clean ones; ``settings`` such as ``border=4``, ``luma=uint8``.

    ``scale=4`` crops clean files whose sides are no multiples of 4, as those of Set14. Where all files are grey and no
    metric needs colours, they are scored as they are (``colour=grey``); else grey is scored as the colour it shows. A
    missing partner stops everything before it starts; a pair that cannot be read or differs in size becomes one
    line of ``problems``, and the rest is scored. Without ``clean``, metrics that compare with it have a reason for
    their gap; ``degraded`` is the folder that the images were restored from, for metrics that look at it.
    """
    metrics = metrics or (USUAL if clean else USUAL_ALONE)
    protocol = load_pairs_protocol(settings, metrics)
    entries = matched(restored, clean, degraded)
    if "colour" not in {setting.partition("=")[0].strip() for setting in settings}:
        planes_needed = {METRICS[name].plane for name in protocol.metrics}
        files = (path for e in entries for path in (e.restored, e.clean, e.degraded) if path)
        if "rgb" not in planes_needed and are_grey(files):
            protocol = load_pairs_protocol([*settings, "colour=grey"], metrics)
    scored = _scored(entries, protocol, restored.name, force_fid)
    provenance = circumstances(torch.device("cpu")) | {"images": {protocol.name: scored.hashes}}
    return Result(command_line(), provenance, scored.rows, problems=scored.problems)


@dataclass
class Scored:
    """What came of all entries: rows, hashes of their files, one line for each that could not be scored."""

    rows: list[Row]
    hashes: dict[str, dict[str, str]]
    problems: list[str]


def _scored(entries: Sequence[Entry], protocol: Protocol, name: str, force_fid: bool) -> Scored:
    """Return the values of every metric; images are decoded once, the next one while this one is scored."""
    each = [metric for metric in protocol.metrics if METRICS[metric].kind != "set"]
    values: dict[str, dict[str, Score]] = {metric: {} for metric in each}
    sets, found = Sets(protocol, len(entries), force_fid), Scored([], {}, [])
    wanted = [*protocol.metrics, *sets.metrics]

    def load(entry: Entry) -> Loaded | str:
        try:
            return loaded(entry, protocol)
        except ImageError as error:
            return str(error)

    for place, (entry, images) in enumerate(zip(entries, loaded_ahead(load, entries), strict=True)):
        if isinstance(images, str):
            found.problems.append(images)
            continue
        found.hashes[entry.name] = images.hashes
        with shared_passes():
            ours = planes(images.restored, protocol, wanted)
            truth = None if images.clean is None else planes(images.clean, protocol, wanted)
            for metric, value in score(ours, truth, protocol, each, Beside(images.degraded)).items():
                values[metric][entry.name] = value
            sets.add(name, place, ours)
            sets.add(CLEAN, place, truth)
    for metric in protocol.metrics:
        head = (protocol.name, name, metric, protocol.convention(metric))
        alone = METRICS[metric].kind != "set"
        found.rows += [make_row(*head, values[metric])] if alone else sets.rows(name, metric, 0.0, 0.0)
    return found


def matched(restored: Path, clean: Path | None, degraded: Path | None) -> list[Entry]:
    """Return what belongs together, or name every file that has no partner."""
    option = "--pairs" if clean else "--alone"
    folders = [(option, restored), *([(option, clean)] if clean else [])]
    for name, folder in [*folders, *([("--degraded", degraded)] if degraded else [])]:
        if not folder.is_dir():
            raise RequestError(f"{name} {folder}: no such folder")
        if not find_images(folder):
            raise RequestError(f"{name} {folder}: holds no images")
    first = clean or restored
    paths = find_images(first)
    ours = _partners(option, paths, find_images(restored)) if clean else dict(zip(paths, paths, strict=True))
    low = _partners("--degraded", paths, find_images(degraded)) if degraded else {}
    return [Entry(p.relative_to(first).as_posix(), ours[p], p if clean else None, low.get(p)) for p in paths]


def _partners(option: str, paths: Sequence[Path], others: Sequence[Path]) -> dict[Path, Path]:
    """Return path → the one of the other folder, or name every file that has no partner."""
    partners = partners_of(paths, others)
    lonely = [str(p) for p in paths if p not in partners]
    lonely += [str(p) for p in others if p not in set(partners.values())]
    if lonely:
        raise RequestError(f"{option}: no partner of the same name for {', '.join(lonely)}")
    return partners


def loaded(entry: Entry, protocol: Protocol) -> Loaded:
    """Return the images of an entry, decoded once, or say which file is wrong."""
    ours, hashes = _image(entry.restored, protocol), {"restored_sha256": file_sha256(entry.restored)}
    low = None
    if entry.degraded:
        low = in_colour(read_samples(entry.degraded), protocol.colour)
        hashes["degraded_sha256"] = file_sha256(entry.degraded)
    if entry.clean is None:
        hashes["pixels_sha256"] = pixels_sha256(read_samples(entry.restored))
        return Loaded(ours, None, low, hashes)
    samples = read_samples(entry.clean)
    truth = cropped(in_colour(samples, protocol.colour), protocol.scale)
    if ours.shape[-2:] != truth.shape[-2:]:
        raise ImageError(
            f"{entry.restored}: {_size(ours)} pixels; expected the {_size(truth)} of {entry.clean}"
            f"{_remedy(ours, truth)}; skipped"
        )
    found = {"sha256": file_sha256(entry.clean), **hashes, "pixels_sha256": pixels_sha256(samples)}
    return Loaded(ours, truth, low, found)


def _image(path: Path, protocol: Protocol) -> Tensor:
    return cropped(in_colour(read_samples(path), protocol.colour), protocol.scale)


def are_grey(paths: Iterable[Path]) -> bool:
    """Return whether every file has one channel; those that cannot be read do not count."""
    for path in paths:
        with suppress(ImageError):
            if read_samples(path).shape[2] != 1:
                return False
    return True


def _remedy(ours: Tensor, truth: Tensor) -> str:
    """Return which scale makes the sizes equal, if one does: the clean image is cropped to a multiple of it."""
    for scale in SCALES:
        if ours.shape[-2:] == cropped(truth, scale).shape[-2:]:
            return f" (--set scale={scale} crops it to that)"
    return ""


def _size(image: Tensor) -> str:
    return f"{image.shape[-1]}x{image.shape[-2]}"
