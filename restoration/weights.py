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
from restoration.config import build, nearest
from restoration.errors import ConfigError, RestorationError, WeightsError
from restoration.foreign import SUFFIXES, difference, read_state, recognise
from restoration.foreign.split import completed
from restoration.networks import NETWORKS
from restoration.restorers import RESTORERS, baseline
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer

FORMAT = 1
FOREIGN_LICENCE = "unknown (foreign file)"

__all__ = ["Card", "available", "load", "save"]


def save(path: Path, network: nn.Module, card: Card) -> None:
    """Write ``network`` with its card, whole or not at all, and read it back."""
    module = network.network if isinstance(network, Restorer) else network
    state = module.state_dict()
    _check_finite(state, path)
    checkpoint.write(path, state, {"format": FORMAT, "card": dataclasses.asdict(card)})
    _, tensors = _read(path)
    if any(not torch.equal(tensors[name], value.detach().cpu()) for name, value in state.items()):
        raise RestorationError(
            f"{path}: reads back other than it was written; the disk or its cache is faulty"
        )


def load(source: str | Path) -> Restorer:
    """Return a restorer, ready to apply, of a shipped or baseline name, a file of ours, or a foreign one."""
    if str(source) in RESTORERS:
        return baseline(str(source))
    if str(source) in shipped():
        return _load_file(shipped()[str(source)])
    path = Path(source).expanduser()
    if not path.exists():
        raise WeightsError(f"{source}: no such file and no restorer of that name{_similar(source, path)}")
    if path.is_dir():
        raise WeightsError(f"{path}: a folder; expected a weights file{_inside(path)}")
    return _load_file(path)


def shipped() -> dict[str, Path]:
    """Return the restorers that come with the package, by name."""
    folder = Path(str(files("restoration"))) / "shipped"
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def available() -> dict[str, str]:
    """Return one line for every restorer that `load` knows by name."""
    lines = {name: card_line(_read(path)[0]["card"]) for name, path in shipped().items()}
    for name in RESTORERS:
        lines[name] = (type(baseline(name).network).__doc__ or "").split("\n")[0]
    return lines


def card_line(card: Mapping[str, Any]) -> str:
    """Return a card in one line."""
    scale = f" ×{card['scale']}" if card["scale"] > 1 else ""
    scores = "; ".join(f"{name} {value:.2f}" for name, value in list(card["scores"].items())[:3])
    return f"{card['task']}{scale}, {card['network']['name']}" + (f": {scores}" if scores else "")


def _load_file(path: Path) -> Restorer:
    if path.suffix.lower() not in SUFFIXES:
        raise WeightsError(f"{path}: expected a weights file ({', '.join(SUFFIXES)})")
    try:
        if path.stat().st_size == 0:
            raise WeightsError(f"{path}: empty file; expected weights")
        with torch.random.fork_rng(
            devices=[]
        ):  # building draws an initialisation; the caller's draws stay as they were
            restorer = _load_ours(path) if _is_ours(path) else _load_foreign(path)
        restorer.digest = digest(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    return restorer.eval()


def _is_ours(path: Path) -> bool:
    return path.suffix.lower() == ".safetensors" and "restoration" in _metadata(path)


def _load_ours(path: Path) -> Restorer:
    record, state = _read(path)
    card = _card(record, path)
    if module := bridge.module_to_run(card.network):
        raise WeightsError(
            f"{path}: its network is made by module '{module}', which loading would run; "
            f"where you trust it: {bridge.TRUSTED}={module}"
        )
    try:
        network = build(NETWORKS, dict(card.network), "network", "network")
    except (ConfigError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: its card describes no network of ours: {error}") from None
    if card.scale != network.scale:
        raise WeightsError(f"{path}: its card says scale {card.scale}, its network has {network.scale}")
    if complaint := difference(network.state_dict(), state):
        raise WeightsError(f"{path}: not the weights of its {card.network['name']}: {complaint}")
    _check_finite(state, path)
    network.load_state_dict(state)
    return Restorer(network, card)


def _load_foreign(path: Path) -> Restorer:
    state = completed(read_state(path), path)
    _check_finite(state, path)
    network, spec = recognise(state, path)
    task = "super-resolution" if network.scale > 1 else "restoration"
    training = {"file": path.name, "input": "[0, 1]", "channels": network.channels}
    card = Card(path.stem, task, spec, network.scale, licence=FOREIGN_LICENCE, training=training)
    return Restorer(network, card)


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


def _similar(source: str | Path, path: Path) -> str:
    beside = [p.name for p in path.parent.glob("*") if p.suffix in SUFFIXES] if path.parent.is_dir() else []
    if len(path.parts) > 1 or path.suffix in SUFFIXES:
        folder = "" if path.parent == Path() else f"{path.parent}/"
        return nearest(str(source), [folder + name for name in beside])
    return nearest(str(source), [*RESTORERS, *shipped(), *beside])


def _inside(path: Path) -> str:
    return "; did you mean 'restorer.safetensors' in it?" if (path / "restorer.safetensors").exists() else ""
