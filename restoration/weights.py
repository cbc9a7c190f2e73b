"""A restorer as a file: safetensors with its complete card; others' checkpoints, read safely."""

import dataclasses
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from restoration import bridge, checkpoint
from restoration.catalogue import digest
from restoration.config import build, check, keywords, nearest
from restoration.errors import ConfigError, RestorationError, WeightsError
from restoration.exporting import hub_source
from restoration.foreign import SUFFIXES, difference, read_state, recognise
from restoration.foreign.hints import assumed
from restoration.foreign.split import completed
from restoration.networks import NETWORKS
from restoration.networks.spandrel import for_applying
from restoration.restorers import RESTORERS, baseline, described
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer
from restoration.tiling.receptive import NOTED, noted

FORMAT = 1
FOREIGN_LICENCE = "unknown (foreign file)"

__all__ = ["Card", "available", "is_ours", "load", "save"]


def save(path: Path, network: nn.Module, card: Card) -> None:
    """Write ``network`` with its card, whole or not at all, and read it back.

    How far a network sees that does not declare it is measured, and noted in the card.
    """
    module = network.network if isinstance(network, Restorer) else network
    state = module.state_dict()
    _check_finite(state, path)
    card = noted(card, module)
    checkpoint.write(path, state, {"format": FORMAT, "card": dataclasses.asdict(card)})
    _, tensors = _read(path)
    if any(not torch.equal(tensors[name], value.detach().cpu()) for name, value in state.items()):
        raise RestorationError(
            f"{path}: reads back other than it was written; the disk or its cache is faulty"
        )


def load(source: str | Path, settings: Mapping[str, Any] | None = None) -> Restorer:
    """Return a restorer, ready to apply, of a shipped or baseline name, a file of ours, or a foreign one.

    ``hf:owner/name`` is one of the Hugging Face hub; a folder laid out as the hub's is as good. ``settings`` replaces
    keywords of the file's network that its tensors leave open, such as a noise level.
    """
    if str(source).startswith(hub_source.PREFIX):
        return _load_file(hub_source.fetched(str(source)), settings)
    if str(source) in RESTORERS:
        if settings:
            raise ConfigError(f"{source}: takes no settings; got {', '.join(settings)}")
        return baseline(str(source))
    if str(source) in shipped():
        return _load_file(shipped()[str(source)], settings)
    path = Path(source).expanduser()
    if not path.exists():
        raise WeightsError(f"{source}: no such file and no restorer of that name{_similar(source, path)}")
    if (path / hub_source.WEIGHTS).is_file():
        path = path / hub_source.WEIGHTS
    if path.is_dir():
        raise WeightsError(f"{path}: a folder; expected a weights file{_inside(path)}")
    return _load_file(path, settings)


def shipped() -> dict[str, Path]:
    """Return the restorers that come with the package, by name."""
    folder = Path(str(files("restoration"))) / "shipped"
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def available() -> dict[str, str]:
    """Return one line for every restorer that `load` knows by name."""
    lines = {name: card_line(_read(path)[0]["card"]) for name, path in shipped().items()}
    for name in RESTORERS:
        lines[name] = described(name)
    return lines


def card_line(card: Mapping[str, Any]) -> str:
    """Return a card in one line."""
    scale = f" ×{card['scale']}" if card["scale"] > 1 else ""
    scores = "; ".join(f"{name} {value:.2f}" for name, value in list(card["scores"].items())[:3])
    return f"{card['task']}{scale}, {card['network']['name']}" + (f": {scores}" if scores else "")


def is_ours(path: Path) -> bool:
    """Return whether a file of weights has a card, or is the checkpoint of a run."""
    return path.suffix.lower() == ".safetensors" and "restoration" in _metadata(path)


def _load_file(path: Path, settings: Mapping[str, Any] | None = None) -> Restorer:
    if path.suffix.lower() not in SUFFIXES:
        raise WeightsError(f"{path}: expected a weights file ({', '.join(SUFFIXES)})")
    try:
        if path.stat().st_size == 0:
            raise WeightsError(f"{path}: empty file; expected weights")
        with torch.random.fork_rng(
            devices=[]
        ):  # building draws an initialisation; the caller's draws stay as they were
            restorer = _load_ours(path, settings) if is_ours(path) else _load_foreign(path, settings)
        restorer.digest = digest(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    return restorer.eval()


def _load_ours(path: Path, settings: Mapping[str, Any] | None) -> Restorer:
    record, state = _read(path)
    card = _card(record, path)
    if module := bridge.module_to_run(card.network):
        raise WeightsError(
            f"{path}: its network is made by module '{module}', which loading would run; "
            f"where you trust it: {bridge.TRUSTED}={module}"
        )
    training = {k: v for k, v in card.training.items() if not (settings and k == NOTED)}
    card = dataclasses.replace(card, network=_merged(card.network, settings or {}, path), training=training)
    try:
        with for_applying():
            network = build(NETWORKS, dict(card.network), "network", "network")
    except (ConfigError, TypeError, ValueError) as error:
        what = "" if settings else "its card describes no network of ours: "
        raise WeightsError(f"{path}: {what}{error}") from None
    if card.scale != network.scale:
        raise WeightsError(f"{path}: its card says scale {card.scale}, its network has {network.scale}")
    if complaint := difference(network.state_dict(), state):
        raise WeightsError(f"{path}: not the weights of its {card.network['name']}: {complaint}")
    _check_finite(state, path)
    try:
        network.load_state_dict(state)
    except WeightsError as error:  # of tensors that a network makes something of
        raise WeightsError(f"{path}: {error}") from None
    return Restorer(network, card)


def _load_foreign(path: Path, settings: Mapping[str, Any] | None) -> Restorer:
    state = completed(read_state(path), path)
    _check_finite(state, path)
    _refuse_tables(settings or {}, path)
    network, spec = recognise(state, path, settings)
    if settings:
        _check_settings(settings, spec, path)
    task = "super-resolution" if network.scale > 1 else "restoration"
    training = {"file": path.name, "input": "[0, 1]", "channels": network.channels}
    if open_ := assumed(spec, settings or {}, network):
        training["assumed"] = open_
    card = Card(path.stem, task, spec, network.scale, licence=FOREIGN_LICENCE, training=training)
    return Restorer(network, card)


def _merged(table: Mapping[str, Any], settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a network's table with ``settings`` in it; tables within it are merged likewise."""
    _refuse_name(settings, path)
    merged = dict(table)
    for key, value in settings.items():
        inner = merged.get(key)
        nested = isinstance(inner, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(inner, value, path) if nested else value
    return merged


def _refuse_name(settings: Mapping[str, Any], path: Path) -> None:
    if "name" in settings:
        raise ConfigError(f"{path}: name cannot be set: which network it is, its tensors say")


def _refuse_tables(settings: Mapping[str, Any], path: Path) -> None:
    _refuse_name(settings, path)
    if table := next((key for key, value in settings.items() if isinstance(value, Mapping)), None):
        raise ConfigError(
            f"{path}: {table} is a table; of a foreign file only a network's own keys can be set"
        )


def _check_settings(settings: Mapping[str, Any], spec: Mapping[str, Any], path: Path) -> None:
    """Refuse values of a wrong type, which a network's constructor may not notice."""
    name = spec["name"]
    others = [key for key in keywords(NETWORKS[name], spec) if key not in settings]
    check(NETWORKS, {"name": name, **settings}, f"{path}: network", "network", given=others)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads(file.metadata()["restoration"])
            return record, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise WeightsError(f"{path}: not readable as safetensors ({error}); truncated or corrupt") from None


def _metadata(path: Path) -> Mapping[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise WeightsError(f"{path}: not readable as safetensors ({error}); truncated or corrupt") from None


def _card(record: object, path: Path) -> Card:
    if not isinstance(record, dict) or "card" not in record:
        raise WeightsError(
            f"{path}: no restorer, but a run's checkpoint; apply the run's restorer.safetensors"
        )
    if record.get("format") != FORMAT:
        raise WeightsError(
            f"{path}: written in format {record.get('format')}; this version reads format {FORMAT}"
        )
    try:
        return Card(**record["card"])
    except TypeError:
        names = ", ".join(field.name for field in dataclasses.fields(Card))
        raise WeightsError(
            f"{path}: its card is incomplete or has unknown entries; expected {names}"
        ) from None


def _check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: {name} holds values that are not finite")


def similar_beside(path: Path) -> str:
    """Return a question that names the weights file beside ``path`` whose name is most like its own, or nothing."""
    return nearest(str(path), [str(path.parent / name) for name in _beside(path)])


def _similar(source: str | Path, path: Path) -> str:
    if len(path.parts) > 1 or path.suffix in SUFFIXES:
        return similar_beside(path)
    return nearest(str(source), [*RESTORERS, *shipped(), *_beside(path)])


def _beside(path: Path) -> list[str]:
    return [p.name for p in path.parent.glob("*") if p.suffix in SUFFIXES] if path.parent.is_dir() else []


def _inside(path: Path) -> str:
    return "; did you mean 'restorer.safetensors' in it?" if (path / "restorer.safetensors").exists() else ""
