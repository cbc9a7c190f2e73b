"""Rows of a result, measured again as its records say: the protocol, the restorer, and how that was run."""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from restoration import catalogue, distributed
from restoration.apply import Inference
from restoration.benchmarks.dialled import load_dialled, split_name, with_settings
from restoration.benchmarks.matching import Folders
from restoration.benchmarks.pairs import score_pairs
from restoration.benchmarks.protocol import TOY, Protocol
from restoration.benchmarks.result import Result, Row
from restoration.benchmarks.run import benchmark
from restoration.benchmarks.side_by_side import by_conventions, measurers, pairs_by_conventions
from restoration.benchmarks.toys import Toy
from restoration.benchmarks.toys_checks import self_test
from restoration.config import typed
from restoration.data import data_root
from restoration.errors import RequestError, RestorationError
from restoration.restorers.network import Restorer

WORDS: dict[str, bool | None] = {"True": True, "False": False, "None": None}
SHOWN = 8  # of the digits of a hash


def measured_again(
    result: Result, rows: Sequence[Row], folders: Sequence[Path] = (), on: torch.device | None = None
) -> Result:
    """Return what is found now for rows of one protocol and restorer; ``folders`` may hold weights files.

    Raises with one line where the records do not hang together, or where a file or a restorer is not here.
    """
    forced = "--force-fid" in _words(result.command)
    first, names = rows[0], _conventions(result, rows)
    metrics = tuple(dict.fromkeys(row.metric for row in rows))
    if record := result.provenance.get("folders"):
        folders = Folders.recorded(record, [first.restorer])
        settings = list(record.get("settings", ()))
        if names:
            return pairs_by_conventions(folders, measurers(names), settings)
        return score_pairs(folders, None, metrics, settings, force_fid=forced)
    if first.protocol.startswith(f"{TOY}-"):
        return _toy(typed(Toy, recorded_settings(result, first.protocol), TOY))
    protocol = recorded_protocol(result, first.protocol)
    restorers = {first.restorer: recorded_restorer(result, first.restorer, folders)}
    how = recorded_inference(result, on or recorded_device(result))
    if names:
        return by_conventions(restorers, [protocol], measurers(names), how)
    protocol = replace(protocol, metrics=metrics)
    return benchmark(restorers, [protocol], inference=how, force_fid=forced)


def recorded_protocol(result: Result, name: str) -> Protocol:
    """Return the protocol that a result records, whatever the shipped one of that name is today."""
    return typed(Protocol, recorded_settings(result, name), name)


def recorded_settings(result: Result, name: str) -> dict[str, Any]:
    """Return the settings that a result records of a protocol, unless they are not those of the hash beside them."""
    record = result.provenance.get("protocols", {}).get(name)
    if not isinstance(record, Mapping) or not isinstance(record.get("settings"), Mapping):
        raise RequestError(f"protocol '{name}': the result does not record its settings")
    settings = dict(record["settings"])
    visible = {key: value for key, value in settings.items() if key != "metrics"}
    found = hashlib.sha256(json.dumps(visible, sort_keys=True).encode()).hexdigest()
    if found != record.get("sha256"):
        raise RequestError(
            f"protocol '{name}': its settings have sha256 {found[:SHOWN]}…, not the "
            f"{str(record.get('sha256'))[:SHOWN]}… beside them: edited"
        )
    return settings


def recorded_restorer(result: Result, name: str, folders: Sequence[Path] = ()) -> Restorer:
    """Return the restorer of that name with the very weights that a result records, or say what differs."""
    records = result.provenance.get("restorers", {})
    if name not in records:
        raise RequestError(f"restorer '{name}': the result does not record its weights")
    wanted = records[name].get("weights_sha256")
    sources = list(_sources(result, name, folders))
    others = []
    for source in sources:
        restorer = load_dialled(source)
        if restorer.digest == wanted:
            return restorer
        others.append(f"{(restorer.digest or 'none')[:SHOWN]}…")
    then = "none" if wanted is None else f"{wanted[:SHOWN]}…"
    if others:
        raise RestorationError(f"weights of '{name}': {then} then, {', '.join(others)} now")
    places = ", ".join(map(str, _folders(folders)))
    raise RequestError(
        f"restorer '{name}' is not here: sha256 {then}; looked in the command's own place, {places}; "
        "--weights FOLDER names another"
    )


def recorded_inference(result: Result, on: torch.device) -> Inference:
    """Return how a result says that restorers were run."""
    record = result.provenance.get("inference", {})
    known = {field.name for field in fields(Inference)} - {"device"}
    unknown = [key for key in record if key not in known]
    if unknown:
        raise RequestError(f"inference: the result records {', '.join(unknown)}, which is unknown here")
    return Inference(**{key: _parsed(str(value)) for key, value in record.items()}, device=on)


def recorded_device(result: Result) -> torch.device:
    """Return the device of a result where there is one of its kind, else the best that is here."""
    name = str(result.provenance.get("hardware", {}).get("device", "auto"))
    try:
        return distributed.named(name.partition(":")[0])
    except RequestError:
        return distributed.device("auto")


@lru_cache(maxsize=1)
def _toy(toy: Toy) -> Result:
    """Return what Gaussians give, of which every restorer's rows ask anew."""
    return self_test(toy)[0]


def _conventions(result: Result, rows: Sequence[Row]) -> str:
    """Return the names of the conventions of rows, for a result that compares such; else nothing."""
    records = result.provenance.get("conventions", {})
    return ",".join(
        dict.fromkeys(records[row.convention]["name"] for row in rows if row.convention in records)
    )


def _sources(result: Result, name: str, folders: Sequence[Path]) -> Iterator[str]:
    """Yield what ``load`` can be given for a restorer: its name, or each file that there is of its name."""
    base, settings = split_name(name)
    if "." not in base or base.startswith("hf:"):
        yield name
        return
    words = [Path(split_name(word)[0]).expanduser() for word in _words(result.command)]
    given = [path for path in words if path.name == Path(base).name]
    below = [folder / Path(base).name for folder in _folders(folders)]
    for path in dict.fromkeys([*given, *below]):
        if path.is_file():
            yield with_settings(str(path), settings)


def _folders(folders: Sequence[Path]) -> list[Path]:
    return [*folders, data_root() / "weights", catalogue.folder()]


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quotation that does not end
        return command.split()


def _parsed(text: str) -> str | int | bool | None:
    """Return what a setting was before it was written as text."""
    return WORDS[text] if text in WORDS else int(text) if text.isdecimal() else text
