"""BasicSR's, traiNNer-redux's and neosr's option files as experiments of ours; what has no meaning here is reported."""

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from restoration.errors import ConfigError
from restoration.importing import data, losses, networks, settings, training
from restoration.importing.options import Note, Options, dotted, read
from restoration.toml import dumps

__all__ = ["Imported", "Note", "import_options"]


@dataclass(frozen=True)
class Imported:
    """An experiment, and what became of every leaf of the option file: ``translated`` or in ``notes``.

    ``translated`` is their path → our key; ``remarks`` say of translated leaves how ours differs, ``chosen`` what the
    file left open.
    """

    source: str
    experiment: dict[str, Any]
    translated: dict[str, str]
    notes: list[Note]
    remarks: list[Note]
    chosen: list[str]

    def report(self) -> str:
        """Return the report as text: what was chosen, what differs, what has no counterpart."""
        parts = [
            ("chosen", self.chosen),
            ("the same only nearly", [_line(note) for note in self.remarks]),
            ("not here", [_line(note) for note in self.notes]),
        ]
        counts = f"{len(self.translated)} options translated, {len(self.notes)} without a counterpart"
        return "\n".join([counts, *(f"\n{head}:\n  " + "\n  ".join(lines) for head, lines in parts if lines)])

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "experiment": self.experiment,
            "translated": self.translated,
            "not_here": [asdict(note) for note in self.notes],
            "differs": [asdict(note) for note in self.remarks],
            "chosen": self.chosen,
        }

    def text(self) -> str:
        """Return the experiment as TOML, with the report above it as a comment."""
        head = f"Translated from {Path(self.source).name} by restoration import: {self.report()}"
        comment = "\n".join(f"# {line}".rstrip() for line in head.splitlines())
        return f"{comment}\n\n{dumps(self.experiment)}"


def import_options(path: Path) -> Imported:
    """Return what an option file says as an experiment that is checked down to every keyword; nothing is written.

    A crop that is no multiple of what scale and network ask for is rounded down to one, which is remarked on.
    """
    found = imported(read(path))
    crop = check(found)
    given = found.experiment["data"]["crop"]
    if crop == given:
        return found
    table = found.experiment | {"data": found.experiment["data"] | {"crop": crop}}
    leaf = next(leaf for leaf, key in found.translated.items() if key == "data.crop")
    why = (
        f"a crop of {given} pixels is no whole number of what scale and network take at a time; {crop} stands"
    )
    return replace(found, experiment=table, remarks=[*found.remarks, Note(leaf, given, why)])


def imported(options: Options) -> Imported:
    """Return the translation, unchecked."""
    if not isinstance(options.get("train"), dict):
        raise ConfigError(f"{options.file}: has no table 'train'; expected the options of a training")
    relativistic = settings.kind(options)
    given = options.whole(("scale",), to="network.scale")
    network, scale = networks.network(options, given)
    batch, parts = data.batch(options)
    stack = losses.stack(options, relativistic)
    experiment: dict[str, Any] = {
        "name": settings.name(options),
        "task": settings.task(options, scale),
        **settings.beginning(options),
        "schedule": training.schedule(options, batch, parts),
        "data": data.data(options, scale),
        "network": network,
        "stack": stack,
        "optimizer": training.optimizers(options, any(entry["name"] == "adversarial" for entry in stack)),
    }
    if table := settings.validation(options, scale):
        experiment["validation"] = table
    settings.remaining(options)
    notes = options.finish()
    translated = {dotted(place): key for place, key in options.translated.items()}
    return Imported(
        options.file, experiment, translated, notes, list(options.remarks.values()), options.chosen
    )


def check(found: Imported) -> int:
    """Return the crop that fits; raise where the experiment would be refused, in the words of the experiment."""
    from restoration.experiment import load
    from restoration.importing.fitting import fitting_crop

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "imported.toml"
        file.write_text(dumps(found.experiment), encoding="utf-8")
        try:
            return fitting_crop(load(str(file)))
        except ConfigError as error:
            line = (
                str(error).split("\n")[0].removesuffix(":")
            )  # torch names every tensor in a line of its own
            raise ConfigError(f"{found.source}: as an experiment, {line}") from None


def _line(note: Note) -> str:
    value = json.dumps(note.value, ensure_ascii=False, default=str)
    return f"{note.path} = {value}: {note.why}"
