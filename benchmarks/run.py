"""Measure restorers by protocols: every image is decoded once, restored by each restorer, scored by every metric."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from restoration import cost
from restoration.apply import Inference
from restoration.benchmarks.cache import Cache
from restoration.benchmarks.datasets import Case, cases, identity
from restoration.benchmarks.measuring import Measuring, Progress, Watcher
from restoration.benchmarks.pairing import seedless
from restoration.benchmarks.protocol import Protocol, load_protocol
from restoration.benchmarks.provenance import circumstances, command_line, metric_weights
from restoration.benchmarks.result import Result, Row, compare
from restoration.benchmarks.samples import Sample, load_sample
from restoration.benchmarks.sets import Sets
from restoration.benchmarks.sources import Frames
from restoration.config import nearest
from restoration.data import data_root
from restoration.errors import RequestError
from restoration.restorers.network import Restorer

__all__ = ["Inference", "Progress", "Watcher", "benchmark", "check_scales", "evaluate"]


def evaluate(
    restorer: Restorer,
    protocol: Protocol | str,
    *,
    data: Path | None = None,
    inference: Inference | None = None,
    rank: int = 0,
    world: int = 1,
) -> Result:
    """Return what one restorer reaches on one protocol; ``data`` is the data root."""
    protocol = load_protocol(protocol) if isinstance(protocol, str) else protocol
    return benchmark(
        {restorer.card.name: restorer}, [protocol], data=data, inference=inference, rank=rank, world=world
    )


def benchmark(
    restorers: Mapping[str, Restorer],
    protocols: Sequence[Protocol],
    *,
    data: Path | None = None,
    inference: Inference | None = None,
    baseline: str | None = None,
    watchers: Sequence[Watcher] = (),
    progress: Progress | None = None,
    rank: int = 0,
    world: int = 1,
    force_fid: bool = False,
    cache: Cache | None = None,
) -> Result:
    """Return what every restorer reaches on every protocol, compared with ``baseline`` (the first by default).

    All requests are checked, and all missing files named, before the first image is read. With ``world`` > 1 this
    rank measures every ``world``-th image, or clip; ``result.merge`` joins the parts. ``force_fid`` gives Fréchet
    distances of few images too. Images that ``cache`` has are not restored again.
    """
    inference = inference or Inference(precision="fp32")
    check_scales(restorers, protocols)
    known = dict.fromkeys([*restorers, *map(seedless, restorers)])  # of several seeds, all together too
    if baseline is not None and baseline not in known:
        raise RequestError(f"--compare {baseline}: not one of the restorers{nearest(baseline, known)}")
    root = data or data_root()
    images = {protocol.name: cases(protocol, root) for protocol in protocols}
    rows: list[Row] = []
    provenance: dict[str, Any] = circumstances(torch.device(inference.device))
    provenance["inference"] = {k: str(v) for k, v in asdict(inference).items() if k != "device"}
    provenance |= {"protocols": {}, "images": {}}
    sets: dict[str, Sets] = {}
    for protocol in protocols:
        found = images[protocol.name]
        measuring = Measuring(protocol, restorers, inference, len(found), force_fid, cache, watchers)
        measuring.sets.refer(root, rank, world)
        ours = share(protocol, found, rank, world)
        facts = measuring.through(partial(_loaded, protocol, len(found)), ours, _hashes, progress)
        provenance["protocols"][protocol.name] = _record(protocol, facts)
        provenance["images"][protocol.name] = facts
        sets[protocol.name] = measuring.sets
        rows += [row for name in restorers for row in measuring.rows(name)]
        if cached := {name: tally.cached for name, tally in measuring.tallies.items() if tally.cached}:
            provenance.setdefault("cached", {})[protocol.name] = cached
    provenance["restorers"] = {name: _restorer_record(restorer) for name, restorer in restorers.items()}
    provenance |= metric_weights()
    order = {name: [case.name for case in found] for name, found in images.items()}
    return Result(
        command_line(), provenance, rows, compare(rows, baseline), order=order, sets=sets
    )  # fmt: skip


def check_scales(restorers: Mapping[str, Restorer], protocols: Sequence[Protocol]) -> None:
    """Refuse a restorer whose scale is not the protocol's, or that sees more than an image; no file is opened."""
    for protocol in protocols:
        for name, restorer in restorers.items():
            if restorer.scale != protocol.scale:
                raise RequestError(
                    f"restorer '{name}' has scale {restorer.scale}; protocol '{protocol.name}' needs {protocol.scale}"
                )
            if other := [condition for condition in restorer.conditions if condition != "mask"]:
                raise RequestError(
                    f"restorer '{name}' needs more than an image: {', '.join(dict.fromkeys(other))}; "
                    f"protocol '{protocol.name}' gives images one by one"
                )


def share(protocol: Protocol, images: Sequence[Case], rank: int, world: int) -> list[tuple[int, Case]]:
    """Return the images of this rank with their places; frames that are compared with the one before stay together."""
    placed = list(enumerate(images))
    if not isinstance(protocol.source, Frames):
        return placed[rank::world]
    clips = list(dict.fromkeys(Path(case.name).parent for case in images))
    return [(place, case) for place, case in placed if clips.index(Path(case.name).parent) % world == rank]


def _loaded(protocol: Protocol, total: int, placed: tuple[int, Case]) -> Sample:
    return load_sample(protocol, placed[1], placed[0], total)


def _hashes(sample: Sample) -> dict[str, str | None]:
    return {key: getattr(sample, key) for key in ("sha256", "pixels_sha256", "degraded_sha256")}


def _record(protocol: Protocol, facts: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    pixels = {name: hashes["pixels_sha256"] for name, hashes in facts.items()}
    return {"sha256": protocol.digest, "settings": asdict(protocol), "images": identity(protocol, pixels)}


def _restorer_record(restorer: Restorer) -> dict[str, Any]:
    """Return what identifies a restorer and what it costs; classical ones have no weights and no count."""
    parameters = cost.parameters(restorer)
    return {
        "weights_sha256": restorer.digest,
        "task": restorer.card.task,
        "scale": restorer.scale,
        "licence": restorer.card.licence,
        "parameters": parameters,
        "multiply_adds_per_input_megapixel": _multiply_adds(restorer) if parameters else None,
    }


def _multiply_adds(restorer: Restorer) -> float | None:
    """Return multiply-adds per megapixel of input, or None where the network cannot run on shapes alone."""
    side = math.lcm(64, restorer.multiple)
    try:
        return cost.multiply_adds(restorer, restorer.channels or 3, side) * 1e6
    except (RuntimeError, NotImplementedError):
        return None
