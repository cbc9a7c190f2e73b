"""A checkpoint that others made becomes a file of ours, with a card."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from restoration import weights
from restoration.catalogue import digest
from restoration.config import build
from restoration.errors import ConfigError, RequestError, WeightsError
from restoration.exporting.staging import staged
from restoration.foreign import joining
from restoration.networks import NETWORKS
from restoration.networks.network import Network
from restoration.networks.spandrel import Adapter, Spandrel, for_applying
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer
from restoration.tiling import tiled


@dataclass(frozen=True)
class Adopted:
    """What a checkpoint was found to be, and where it lies now."""

    path: Path
    card: Card
    parameters: int
    sha256: str


def adopt(
    source: Path,
    out: Path | None = None,
    *,
    name: str | None = None,
    licence: str | None = None,
    task: str | None = None,
    settings: Mapping[str, Any] | None = None,
    joins: Mapping[str, Path] | None = None,
    overwrite: bool = False,
) -> Adopted:
    """Write the checkpoint ``source`` as safetensors with a card, by default beside it, and read it back.

    ``joins`` names a second file by what it is (see `restoration.foreign.joining`): both become one restorer.
    ``settings`` replaces keywords that shapes cannot tell. What is not recognised, what cannot be built from a card
    alone, and a file that is there already, are refused; nothing is left behind.
    """
    if source.is_dir():
        raise WeightsError(f"{source}: a folder; expected a weights file")
    if not source.exists():
        raise WeightsError(f"{source}: no such file{weights.similar_beside(source)}")
    if weights.is_ours(source):
        raise WeightsError(f"{source}: a file of ours already; nothing to import")
    out = _place(source, out, overwrite)
    restorer = _joined(source, joins, settings or {}) if joins else weights.load(source, settings)
    network, table = rebuilt(restorer.network, restorer.card, source)
    training = {**restorer.card.training, "sha256": restorer.digest}
    card = dataclasses.replace(
        restorer.card, name=name or out.stem, task=task or restorer.card.task,
        licence=licence or restorer.card.licence, network=table, training=training,
    )  # fmt: skip
    with staged(out) as made:
        weights.save(made, network, card)
        again = weights.load(made)
        if not _equal(restorer, again):
            raise WeightsError(f"{source}: as a file of ours it would restore otherwise; not written")
        made.replace(out)
    parameters = sum(p.numel() for p in network.parameters())
    return Adopted(out, card, parameters, str(restorer.digest))


def _joined(source: Path, joins: Mapping[str, Path], settings: Mapping[str, Any]) -> Restorer:
    if len(joins) > 1:
        raise RequestError(f"--{' and --'.join(joins)}: expected one of them")
    ((option, second),) = joins.items()
    if not second.is_file():
        raise WeightsError(f"--{option} {second}: no such file")
    network, table = joining.joined(source, option, second, settings)
    task = "super-resolution" if network.scale > 1 else "restoration"
    training = {"files": [source.name, second.name], "input": "[0, 1]", "channels": network.channels}
    card = Card(source.stem, task, table, network.scale, licence=weights.FOREIGN_LICENCE, training=training)
    return Restorer(network, card, digest(source)).eval()


def rebuilt(network: Network, card: Card, source: Path) -> tuple[Network, dict[str, Any]]:
    """Return the network as a card builds it, and the table that does.

    spandrel finds its networks by shapes and says what they were made with; where they are not made of it again, the
    class is named beside, what is no keyword of it is left out, and 2.0 is written 2.
    """
    table = dict(card.network)
    if not isinstance(network, Adapter):
        return network, table
    state = {f"adapter.{key}": value for key, value in network.state_dict().items()}
    complaint = ""
    for attempt in (lambda: table, lambda: _tidied(table, network)):
        try:
            with for_applying():
                spec = attempt()
                made = build(NETWORKS, spec, "network", "network")
            made.load_state_dict(state)
            return made.eval(), spec
        except (ConfigError, RuntimeError, TypeError, ValueError) as error:
            complaint = complaint or str(error).splitlines()[0]
    raise WeightsError(
        f"{source}: {table['architecture']} cannot be built from a card ({complaint}); it can be applied as it is"
    )


def _tidied(table: Mapping[str, Any], network: Adapter) -> dict[str, Any]:
    tidied = dict(table)
    if "variant" in Spandrel.keywords({"architecture": table["architecture"]}):
        tidied["variant"] = type(network.model).__name__
    known = {"name", *Spandrel.keywords(tidied)}
    return {key: _whole(value) for key, value in tidied.items() if key in known}


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _place(source: Path, out: Path | None, overwrite: bool) -> Path:
    chosen = out or source.with_suffix(".safetensors")
    if chosen.suffix != ".safetensors":
        raise RequestError(f"--out {chosen}: expected a name that ends in .safetensors")
    if chosen.resolve() == source.resolve():
        raise RequestError(f"{source}: would be written onto itself; give another name by --out")
    if chosen.exists() and not overwrite:
        raise RequestError(f"{chosen}: is there already; --overwrite replaces it")
    return chosen


def _equal(first: Restorer, second: Restorer) -> bool:
    """Return whether both give the same picture, bit for bit."""
    channels = (first.channels or 3) + len(first.conditions)
    image = torch.rand(1, channels, 37, 41, generator=torch.Generator().manual_seed(7)).round(decimals=3)
    with torch.inference_mode():
        results = [
            tiled(each.network, image, scale=each.scale, multiple=each.multiple, tile="off", edge=each.edge)
            for each in (first, second)
        ]
    return torch.equal(*results)
