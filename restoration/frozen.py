"""Restorers within a network: named in the experiment, kept as a network's table, filled from their files.

An experiment says ``posterior_mean = "denoise-color-small"``. Checked, that is the table of the restorer's network
with two keys beside, ``restorer`` and ``sha256``. A file that is written of it needs no other file to be read again.
The name may also be that of an experiment: then it is the restorer that training it makes, in its usual run folder.
"""

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from restoration.config import Spec, keywords
from restoration.errors import ConfigError, RestorationError


def resolved(spec: Spec, where: str) -> Spec:
    """Return the table of a network in which every restorer that is named has become its network's table."""
    return spec | {
        key: _table(value, f"{where}.{key}")
        for key, value in spec.items()
        if isinstance(value, str) and key in _within(spec)
    }


def fill(network: Any, spec: Mapping[str, Any], where: str) -> None:  # noqa: ANN401
    """Give the networks within ``network`` the tensors of the restorers that its table names.

    One that learns may have none: it starts as it was drawn.
    """
    for key in _within(spec):
        own, table = getattr(network, key), spec.get(key)
        if own is not None and table is not None:
            _fill(own, table, f"{where}.{key}")


def untrained(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the experiments whose restorers a network's table names before they are there: key → name."""
    found = {key: spec[key] for key in _within(spec) if isinstance(spec.get(key), Mapping)}
    awaited = {key: _awaited(table) for key, table in found.items()}
    return {key: name for key, name in awaited.items() if name}


def _within(spec: Mapping[str, Any]) -> list[str]:
    """Return the keywords of a network that are networks themselves."""
    from restoration.networks import NETWORKS
    from restoration.networks.network import Network

    try:
        found = keywords(NETWORKS[spec["name"]], spec)
    except (LookupError, TypeError, ValueError):
        return []  # no network of ours: the check that follows says so
    return [key for key, p in found.items() if Network in (p.annotation, *typing.get_args(p.annotation))]


def _table(source: str, where: str) -> Spec:
    from restoration import experiment
    from restoration.weights import shipped

    if source in experiment.shipped() and source not in shipped() and not Path(source).exists():
        made = _made_by(source)
        if not made.exists():
            return {**experiment.load(source).network, "restorer": made.as_posix()}
        source = made.as_posix()
    restorer = _load(source, where)
    if restorer.digest is None:
        raise ConfigError(f'{where} = "{source}": a baseline; expected a restorer with a network')
    return {**restorer.card.network, "restorer": source, "sha256": restorer.digest}


def _made_by(name: str) -> Path:
    """Return the file that an experiment makes where nothing else is asked for."""
    return Path("runs") / name / "restorer.safetensors"


def _awaited(table: Mapping[str, Any]) -> str:
    """Return the name of the experiment that makes a table's restorer, where it is not there yet."""
    from restoration.experiment import shipped

    path = Path(str(table.get("restorer", "")))
    name = path.parent.name
    return name if path == _made_by(name) and name in shipped() and not path.exists() else ""


def _fill(network: Any, table: Mapping[str, Any], where: str) -> None:  # noqa: ANN401
    from restoration.foreign import difference
    from restoration.networks.spandrel import Adapter

    if "restorer" not in table:
        if any(p.requires_grad for p in network.parameters()):
            return
        raise ConfigError(f"{where}: expected the name or file of a restorer; a bare network knows nothing")
    if name := _awaited(table):
        raise ConfigError(
            f"{where}: {table['restorer']} is not there; restoration train {name} makes it, "
            f"or set {where} to another restorer's name or file"
        )
    restorer = _load(table["restorer"], where)
    if table.get("sha256", restorer.digest) != restorer.digest:
        raise ConfigError(
            f'{where}.restorer = "{table["restorer"]}": has changed; expected the file with sha256 {table["sha256"]}'
        )
    # foreign files come without the shell that a table builds
    prefix = "adapter." if isinstance(restorer.network, Adapter) else ""
    state = {prefix + name: value for name, value in restorer.network.state_dict().items()}
    if complaint := difference(network.state_dict(), state):
        raise ConfigError(f'{where}.restorer = "{table["restorer"]}": not of this network: {complaint}')
    network.load_state_dict(state)


def _load(source: str, where: str) -> Any:  # noqa: ANN401
    from restoration.weights import load

    try:
        return load(source)
    except RestorationError as error:
        raise ConfigError(f"{where}: {error}") from None
