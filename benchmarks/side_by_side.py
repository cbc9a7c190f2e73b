"""The same images by the conventions of several libraries at once: ``restoration benchmark --conventions all``."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from restoration import distributed
from restoration.apply import Inference
from restoration.benchmarks.command import named_restorers
from restoration.benchmarks.conventions import chosen
from restoration.benchmarks.libraries import Measurer, measurer
from restoration.benchmarks.pairs import are_grey, loaded, matched
from restoration.benchmarks.protocol import Protocol, load_pairs_protocol, load_protocols
from restoration.benchmarks.provenance import circumstances, command_line
from restoration.benchmarks.result import Result, Row, make_row, merge
from restoration.benchmarks.run import benchmark
from restoration.benchmarks.samples import Sample
from restoration.benchmarks.scores import Score
from restoration.benchmarks.table import conventions_table
from restoration.errors import ImageError, RequestError
from restoration.files import atomic
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
            rows.append(make_row(protocol.name, restorer, *what, values, like.seconds, like.peak_mib))
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
) -> Result:
    """Return what every restorer reaches on every protocol by every convention."""
    plain = [replace(protocol, metrics=(METRIC,)) for protocol in protocols]
    recorder = Recorder(measures)
    found = benchmark(restorers, plain, data=data, inference=how, watchers=[recorder], rank=rank, world=world)
    named = {protocol.name: protocol for protocol in plain}
    rows = [
        row
        for like in found.rows if like.metric == METRIC
        for row in recorder.rows(named[like.protocol], like.restorer, like)
    ]  # fmt: skip
    provenance = {**found.provenance, "conventions": _records(measures, protocols)}
    return replace(found, provenance=provenance, rows=rows, comparisons=())


def pairs_by_conventions(
    restored: Path, clean: Path, measures: Sequence[Measurer], settings: Sequence[str] = ()
) -> Result:
    """Return the values of restored files against clean ones by every convention; settings as in `score_pairs`."""
    protocol = load_pairs_protocol(settings, [METRIC])
    entries = matched(restored, clean, None)
    given = {setting.partition("=")[0].strip() for setting in settings}
    if "colour" not in given and are_grey(
        path for entry in entries for path in (entry.restored, entry.clean) if path
    ):
        protocol = load_pairs_protocol([*settings, "colour=grey"], [METRIC])
    recorder = Recorder(measures)
    hashes: dict[str, dict[str, str]] = {}
    problems: list[str] = []
    for entry in entries:
        try:
            images = loaded(entry, protocol)
        except ImageError as error:
            problems.append(str(error))
            continue
        assert images.clean is not None, "entries were matched with clean files"
        key = protocol.name, restored.name, entry.name
        recorder.note(key, protocol.border, images.restored, images.clean)
        hashes[entry.name] = images.hashes
    like = make_row(protocol.name, restored.name, METRIC, "", dict.fromkeys(hashes, 0.0))
    provenance = circumstances(torch.device("cpu"))
    provenance |= {"images": {protocol.name: hashes}, "conventions": _records(measures, [protocol])}
    return Result(command_line(), provenance, recorder.rows(protocol, restored.name, like), problems=problems)


def compared(
    words: Sequence[str], settings: Sequence[str], names: str, pairs: tuple[Path, Path] | None, how: Inference
) -> Result:
    """Return what the command asks for: ``PROTOCOL[,PROTOCOL] RESTORER...`` or two folders, by conventions."""
    measures = measurers(names)
    if pairs:
        return pairs_by_conventions(*pairs, measures, settings)
    if len(words) < 2:
        raise RequestError(
            "--conventions: expected PROTOCOL[,PROTOCOL] RESTORER..., or --pairs RESTORED CLEAN"
        )
    protocols, restorers = load_protocols(words[0], settings, [METRIC]), named_restorers(words[1:])
    rank, world = distributed.rank(), distributed.world()
    with distributed.process_group(torch.device(how.device)):
        found = by_conventions(restorers, protocols, measures, how, rank=rank, world=world)
        parts = distributed.gather(found)
    if world == 1:
        return found
    return replace(merge(parts), comparisons=())


def show(result: Result, out: Path | None, quiet: bool, json: bool) -> int:
    """Print the table (or JSON), write ``result.json`` and ``table.md``; return 1 where a pair has no value."""
    if distributed.rank() > 0:
        return 0
    if json:
        print(result.to_json(), end="")
    elif not quiet:
        print(conventions_table(result))
    if out is not None:
        texts = {"result.json": result.to_json(), "table.md": conventions_table(result, images=True)}
        for name, text in texts.items():
            with atomic(out / name) as stream:
                stream.write(text.encode())
        if not quiet and not json:
            print(f"wrote {', '.join(str(out / name) for name in texts)}")
    lacking = [f"{r.protocol}: {r.restorer}: {n}: {why}" for r in result.rows for n, why in r.missing.items()]
    for line in dict.fromkeys([*result.problems, *lacking]):
        print(f"restoration: {line}", file=sys.stderr)
    return 1 if result.problems or lacking else 0


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
