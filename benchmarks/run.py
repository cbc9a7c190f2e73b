"""Measure restorers by protocols: every image is decoded once, restored by each restorer, scored by every metric."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restoration import cost
from restoration.apply import Inference, restore_image
from restoration.benchmarks.datasets import Case, cases, identity
from restoration.benchmarks.protocol import Protocol, load_protocol
from restoration.benchmarks.provenance import PeakMemory, circumstances, command_line
from restoration.benchmarks.result import Result, Row, compare, make_row
from restoration.benchmarks.samples import Sample, load_sample, loaded_ahead
from restoration.benchmarks.scores import Score, planes, score
from restoration.config import nearest
from restoration.data import data_root
from restoration.errors import ImageError, RequestError, RestorationError
from restoration.restorers.network import Restorer

# called with each restored image as it comes, before the next one exists
Watcher = Callable[[Protocol, str, Sample, Tensor], None]
Progress = Callable[[str, int, int], None]  # protocol, images done, images in all


@dataclass
class _Tally:
    """What one restorer has gathered on one protocol."""

    values: dict[str, dict[str, Score]]  # metric → image → value
    seconds: float = 0.0
    peak_mib: float = 0.0

    def note(self, image: str, scores: Mapping[str, Score]) -> None:
        """Add the scores of one image."""
        for metric, value in scores.items():
            self.values[metric][image] = value


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
) -> Result:
    """Return what every restorer reaches on every protocol, compared with ``baseline`` (the first by default).

    All requests are checked, and all missing files named, before the first image is read. With ``world`` > 1 this
    rank measures every ``world``-th image; ``result.merge`` joins the parts.
    """
    inference = inference or Inference(precision="fp32")
    check_scales(restorers, protocols)
    if baseline is not None and baseline not in restorers:
        raise RequestError(f"--compare {baseline}: not one of the restorers{nearest(baseline, restorers)}")
    root = data or data_root()
    images = {protocol.name: cases(protocol, root) for protocol in protocols}
    rows: list[Row] = []
    provenance: dict[str, Any] = circumstances(torch.device(inference.device))
    provenance["inference"] = {k: str(v) for k, v in asdict(inference).items() if k != "device"}
    provenance |= {"protocols": {}, "images": {}}
    for protocol in protocols:
        tallies, facts = _measured(
            restorers,
            protocol,
            images[protocol.name],
            inference,
            watchers,
            progress,
            slice(rank, None, world),
        )
        provenance["protocols"][protocol.name] = _record(protocol, facts)
        provenance["images"][protocol.name] = facts
        rows += [row for name in restorers for row in _rows(protocol, name, tallies[name])]
    provenance["restorers"] = {name: _restorer_record(restorer) for name, restorer in restorers.items()}
    return Result(command_line(), provenance, rows, compare(rows, baseline))


def check_scales(restorers: Mapping[str, Restorer], protocols: Sequence[Protocol]) -> None:
    """Refuse a restorer whose scale is not the protocol's; no file is opened."""
    for protocol in protocols:
        for name, restorer in restorers.items():
            if restorer.scale != protocol.scale:
                raise RequestError(
                    f"restorer '{name}' has scale {restorer.scale}; protocol '{protocol.name}' needs {protocol.scale}"
                )


def _measured(
    restorers: Mapping[str, Restorer], protocol: Protocol, images: Sequence[Case], inference: Inference,
    watchers: Sequence[Watcher], progress: Progress | None, share: slice,
) -> tuple[dict[str, _Tally], dict[str, dict[str, str]]]:  # fmt: skip
    """Return each restorer's tally and each image's hashes, for this rank's share of the images."""
    tallies = {name: _Tally({metric: {} for metric in protocol.metrics}) for name in restorers}
    facts: dict[str, dict[str, str]] = {}
    ours = list(enumerate(images))[share]

    def load(entry: tuple[int, Case]) -> Sample | tuple[str, str]:
        try:
            return load_sample(protocol, entry[1], entry[0], len(images))
        except ImageError as error:  # the other images still count, and every row says why this one does not
            return entry[1].name, str(error)

    for done, sample in enumerate(loaded_ahead(load, ours), 1):
        if not isinstance(sample, Sample):
            for tally in tallies.values():
                tally.note(sample[0], dict.fromkeys(protocol.metrics, sample[1]))
            continue
        hashes = {key: getattr(sample, key) for key in ("sha256", "pixels_sha256", "degraded_sha256")}
        facts[sample.name] = {key: value for key, value in hashes.items() if value}
        truth = planes(sample.clean, protocol, protocol.metrics)
        for name, restorer in restorers.items():
            try:
                restored = _restored(restorer, sample, inference, tallies[name])
            except RestorationError as error:  # the others still run, and the gap in this row says why
                tallies[name].note(sample.name, dict.fromkeys(protocol.metrics, str(error)))
                continue
            found = planes(restored, protocol, protocol.metrics)
            tallies[name].note(sample.name, score(found, truth, protocol, protocol.metrics))
            for watch in watchers:
                watch(protocol, name, sample, restored)
        if progress is not None:
            progress(protocol.name, done, len(ours))
    return tallies, facts


def _restored(restorer: Restorer, sample: Sample, inference: Inference, tally: _Tally) -> Tensor:
    """Return the restored image on the CPU, and add time and memory to the tally."""
    memory = PeakMemory(torch.device(inference.device))
    memory.reset()
    started = time.perf_counter()
    restored = restore_image(
        restorer, sample.degraded, tile=inference.tile, precision=inference.precision,
        ensemble=inference.ensemble, device=inference.device,
    ).cpu()  # fmt: skip
    tally.seconds += time.perf_counter() - started
    tally.peak_mib = max(tally.peak_mib, memory.read())
    return restored


def _rows(protocol: Protocol, restorer: str, tally: _Tally) -> list[Row]:
    return [
        make_row(
            protocol.name,
            restorer,
            metric,
            protocol.convention(metric),
            values,
            tally.seconds,
            tally.peak_mib,
        )
        for metric, values in tally.values.items()
    ]


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
