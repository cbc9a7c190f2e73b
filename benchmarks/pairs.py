"""Score images that somebody else restored: two folders, matched by name."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from restoration.benchmarks.datasets import partners_of, pixels_sha256
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.protocol import Protocol, load_pairs_protocol
from restoration.benchmarks.provenance import circumstances, command_line
from restoration.benchmarks.result import Result, make_row
from restoration.benchmarks.samples import cropped, file_sha256, in_colour
from restoration.benchmarks.scores import Score, planes, score
from restoration.errors import ImageError, RequestError
from restoration.image import find_images, read_samples

SCALES = (2, 3, 4, 8)


def score_pairs(
    restored: Path, clean: Path, metrics: Sequence[str] = ("psnr-y", "ssim-y"), settings: Sequence[str] = ()
) -> Result:
    """Return the metrics of restored files against clean ones; ``settings`` such as ``border=4``, ``luma=uint8``.

    ``scale=4`` crops clean files whose sides are no multiples of 4, as those of Set14. Where all files are grey and no
    metric needs colours, they are scored as they are (``colour=grey``); else grey is scored as the colour it shows. A
    missing partner stops everything before it starts; a pair that cannot be read or differs in size becomes one
    line of ``problems``, and the rest is scored.
    """
    protocol = load_pairs_protocol(settings, metrics)
    partners = _partners(restored, clean)
    if "colour" not in {setting.partition("=")[0].strip() for setting in settings}:
        planes_needed = {METRICS[name]().plane for name in protocol.metrics}
        if planes_needed == {"y"} and _are_grey(path for pair in partners.items() for path in pair):
            protocol = load_pairs_protocol([*settings, "colour=grey"], metrics)
    values: dict[str, dict[str, Score]] = {metric: {} for metric in protocol.metrics}
    hashes: dict[str, dict[str, str]] = {}
    problems: list[str] = []
    for truth, ours in partners.items():
        name = truth.relative_to(clean).as_posix()
        try:
            scores = _scores(ours, truth, protocol)
        except ImageError as error:
            problems.append(str(error))
            continue
        hashes[name] = {"sha256": file_sha256(truth), "restored_sha256": file_sha256(ours)}
        hashes[name]["pixels_sha256"] = pixels_sha256(read_samples(truth))
        for metric, value in scores.items():
            values[metric][name] = value
    rows = [
        make_row(protocol.name, restored.name, metric, protocol.convention(metric), found)
        for metric, found in values.items()
    ]
    provenance = circumstances(torch.device("cpu")) | {"images": {protocol.name: hashes}}
    return Result(command_line(), provenance, rows, problems=problems)


def _partners(restored: Path, clean: Path) -> dict[Path, Path]:
    """Return clean file → restored file, or name every file that has no partner."""
    for folder in (restored, clean):
        if not folder.is_dir():
            raise RequestError(f"--pairs {folder}: no such folder")
        if not find_images(folder):
            raise RequestError(f"--pairs {folder}: holds no images")
    truths, ours = find_images(clean), find_images(restored)
    partners = partners_of(truths, ours)
    lonely = [str(p) for p in truths if p not in partners]
    lonely += [str(p) for p in ours if p not in set(partners.values())]
    if lonely:
        raise RequestError(f"--pairs: no partner of the same name for {', '.join(lonely)}")
    return partners


def _scores(restored: Path, clean: Path, protocol: Protocol) -> dict[str, Score]:
    ours, truth = _image(restored, protocol), _image(clean, protocol)
    if ours.shape[-2:] != truth.shape[-2:]:
        remedy = _remedy(ours, truth)
        raise ImageError(
            f"{restored}: {_size(ours)} pixels; expected the {_size(truth)} of {clean}{remedy}; skipped"
        )
    views = [planes(image, protocol, protocol.metrics) for image in (ours, truth)]
    return score(*views, protocol, protocol.metrics)


def _image(path: Path, protocol: Protocol) -> Tensor:
    return cropped(in_colour(read_samples(path), protocol.colour), protocol.scale)


def _are_grey(paths: Iterable[Path]) -> bool:
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
