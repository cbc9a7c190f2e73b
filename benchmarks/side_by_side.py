"""The same images by the conventions of several libraries at once: ``restoration benchmark --conventions all``."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from restoration import distributed
from restoration.apply import Inference
from restoration.benchmarks.command import joined, lacking, named_restorers
from restoration.benchmarks.conventions import chosen
from restoration.benchmarks.gallery import Gallery
from restoration.benchmarks.libraries import Measurer, measurer
from restoration.benchmarks.matching import Folders
from restoration.benchmarks.pairs import score_pairs
from restoration.benchmarks.protocol import Protocol, load_pairs_protocol, load_protocols
from restoration.benchmarks.report import write_result
from restoration.benchmarks.result import Result, Row, make_row, merge
from restoration.benchmarks.run import benchmark
from restoration.benchmarks.samples import Sample
from restoration.benchmarks.scores import Score
from restoration.benchmarks.table import conventions_table
from restoration.errors import RequestError
from restoration.image import quantise
from restoration.restorers.network import Restorer

METRIC = "psnr-y"  # what the harness itself computes meanwhile
Key = tuple[str, str, str]  # protocol, restorer, image


@dataclass
class Recorder:
    """Measures every restored image by every convention as it comes; one of ``benchmark``'s watchers."""

    measurers: Sequence[Measurer]
    values: dict[Key, list[Score]] = field(default_factory=dict)  # in the order of the measurers

    def __call__(self, protocol: Protocol, restorer: str, sample: Sample, restored: Tensor) -> None:
        """Measure one restored image."""
        key = protocol.name, restorer, sample.name
        if sample.clean is None:
            self.values[key] = ["there is no clean image, with which conventions compare"] * len(
                self.measurers
            )
        else:
            self.note(key, protocol.border, restored, sample.clean)

    def note(self, key: Key, border: int, restored: Tensor, clean: Tensor) -> None:
        """Measure two images (1, C, H, W), rounded to the 8 bits of a file."""
        pair = [_as_file(image) for image in (restored, clean)]
        self.values[key] = [measure(*pair, border) for measure in self.measurers]

    def rows(self, protocol: Protocol, restorer: str, like: Row) -> list[Row]:
        """Return one row per convention; images without values are those that ``like`` lacks."""
        own = {k[2]: v for k, v in self.values.items() if k[:2] == (protocol.name, restorer)}
        images = [*like.per_image, *(name for name in like.missing if name not in like.per_image)]
        rows = []
        for i, measure in enumerate(self.measurers):
            values = {name: own[name][i] if name in own else like.missing[name] for name in images}
            what = measure.convention.metric, measure.described(protocol.border)
            rows.append(
                make_row(protocol.name, restorer, *what, values, like.seconds, like.peak_mib, like.clusters)
            )
        return rows


def measurers(names: str) -> list[Measurer]:
    """Return the conventions of a comma-separated list with who computes each."""
    return [measurer(convention) for convention in chosen(names)]


def by_conventions(
    restorers: Mapping[str, Restorer],
    protocols: Sequence[Protocol],
    measures: Sequence[Measurer],
    how: Inference | None = None,
    data: Path | None = None,
    rank: int = 0,
    world: int = 1,
    gallery: Gallery | None = None,
) -> Result:
    """Return what every restorer reaches on every protocol by every convention; ``gallery`` takes the pictures."""
    plain = [replace(protocol, metrics=(METRIC,)) for protocol in protocols]
    recorder = Recorder(measures)
    watchers = [recorder, *([gallery] if gallery is not None else [])]
    found = benchmark(restorers, plain, data=data, inference=how, watchers=watchers, rank=rank, world=world)
    return _side_by_side(found, recorder, plain)


def pairs_by_conventions(
    folders: Folders,
    measures: Sequence[Measurer],
    settings: Sequence[str] = (),
    gallery: Gallery | None = None,
    rank: int = 0,
    world: int = 1,
) -> Result:
    """Return the values of restored files against clean ones by every convention; settings as in `score_pairs`."""
    recorder = Recorder(measures)
    found = score_pairs(
        folders, None, [METRIC], settings, gallery=gallery, watchers=[recorder], rank=rank, world=world
    )
    return _side_by_side(found, recorder, [load_pairs_protocol(settings, [METRIC], folders.clips)])


def compared(
    words: Sequence[str], settings: Sequence[str], names: str, folders: Folders | None, how: Inference
) -> tuple[Result, Gallery]:
    """Return what the command asks for by conventions, and pictures: ``PROTOCOL[,PROTOCOL] RESTORER...`` or folders."""
    measures, gallery = measurers(names), Gallery()
    if folders is None and len(words) < 2:
        raise RequestError(
            "--conventions: expected PROTOCOL[,PROTOCOL] RESTORER..., or --pairs RESTORED... CLEAN"
        )
    protocols = [] if folders else load_protocols(words[0], settings, [METRIC])
    restorers = {} if folders else named_restorers(words[1:])
    rank, world = distributed.rank(), distributed.world()
    with distributed.process_group(torch.device("cpu") if folders else torch.device(how.device)):
        if folders:
            found = pairs_by_conventions(folders, measures, settings, gallery, rank, world)
        else:
            found = by_conventions(restorers, protocols, measures, how, None, rank, world, gallery)
        parts = distributed.gather((found, gallery))
    if world == 1:
        return found, gallery
    return replace(merge([part for part, _ in parts]), comparisons=()), joined([shown for _, shown in parts])


def show(result: Result, gallery: Gallery, out: Path | None, quiet: bool, json: bool) -> int:
    """Print the table (or JSON), write the files, and return the exit code: 1 where a pair has no value."""
    if distributed.rank() > 0:
        return 0
    if json:
        print(result.to_json(), end="")
    elif not quiet:
        print(conventions_table(result))
    if out is not None:
        paths = write_result(out, result, gallery)
        if not quiet and not json:
            print(f"wrote {', '.join(map(str, paths))}")
    unscored = lacking(result)
    for line in dict.fromkeys([*result.problems, *unscored]):
        print(f"restoration: {line}", file=sys.stderr)
    return 1 if result.problems or unscored else 0


def _side_by_side(found: Result, recorder: Recorder, protocols: Sequence[Protocol]) -> Result:
    """Return a result whose rows are those of every convention; images without values are those that it lacks."""
    named = {protocol.name: protocol for protocol in protocols}
    rows = [
        row
        for like in found.rows if like.metric == METRIC
        for row in recorder.rows(named[like.protocol], like.restorer, like)
    ]  # fmt: skip
    provenance = {**found.provenance, "conventions": _records(recorder.measurers, protocols)}
    return replace(found, provenance=provenance, rows=rows, comparisons=())


def _as_file(image: Tensor) -> Tensor:
    """Return the image in [0, 1] as it reads back from a file of 8 bits, in float64 on the CPU."""
    image = image.detach().to("cpu", torch.float64)
    return quantise(image.where(image.isfinite(), torch.nan))


def _records(measures: Sequence[Measurer], protocols: Sequence[Protocol]) -> dict[str, dict[str, str]]:
    """Return what a table says of each convention, by the name that rows have for it."""
    return {
        measure.described(protocol.border): {
            "name": measure.convention.name,
            "measure": measure.convention.measure,
            "library": measure.convention.library,
            "by": measure.by,
            "words": measure.convention.words,
            "remark": measure.remark,
        }
        for protocol in protocols
        for measure in measures
    }
