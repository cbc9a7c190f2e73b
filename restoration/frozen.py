"""Restorers within a network: named in the experiment, kept as a network's table, filled from their files.

An experiment says ``posterior_mean = "denoise-color-small"``. Checked, that is the table of the restorer's network
with two keys beside, ``restorer`` and ``sha256``. A file that is written of it needs no other file to be read again.
The name may also be that of an experiment: then it is the restorer that training it has made, in its usual run folder,
else the one of that name in the package.
"""

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from restoration.config import Spec, keywords
from restoration.errors import ConfigError, RestorationError


def resolved(spec: Spec, where: str) -> Spec:
    """Return the table of a network in which every restorer that is named has become its network's table."""
    return called(spec) | {
        key: _table(value, f"{where}.{key}")
        for key, value in spec.items()
        if isinstance(value, str) and key in _within(spec)
    }


def called(spec: Spec) -> Spec:
    """Return the table with names of experiments in place of the files these make, which older tables hold."""
    return spec | {
        key: {**table, "restorer": _experiment(table["restorer"])} for key, table in _named(spec).items()
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
    return {key: table["restorer"] for key, table in _named(spec).items() if _awaited(table["restorer"])}


def taken(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return in words which file each restorer that a network's table names is taken from, where it is there."""
    from restoration.weights import shipped

    found = {
        key: _file(table["restorer"], table.get("sha256", ""))
        for key, table in _named(spec).items()
        if not _awaited(table["restorer"])
    }
    return {key: f"{file} of the package" if file in shipped() else file for key, file in found.items()}


def _named(spec: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the tables within a network's table that name a restorer."""
    found = {key: spec.get(key) for key in _within(spec)}
    return {k: table for k, table in found.items() if isinstance(table, Mapping) and "restorer" in table}


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

    if _awaited(source):
        return {**experiment.load(source).network, "restorer": source}
    restorer = _load(_file(source), where)
    if restorer.digest is None:
        raise ConfigError(f'{where} = "{source}": a baseline; expected a restorer with a network')
    return {**restorer.card.network, "restorer": source, "sha256": restorer.digest}


def _made_by(name: str) -> Path:
    """Return the file that an experiment makes where nothing else is asked for."""
    return Path("runs") / name / "restorer.safetensors"


def _experiment(source: str) -> str:
    """Return the name of the experiment that makes a file; what is none of those is returned as it is."""
    from restoration import experiment

    name = Path(source).parent.name
    return name if Path(source) == _made_by(name) and name in experiment.shipped() else source


def _file(source: str, sha256: str = "") -> str:
    """Return what to load for a name or file: what training the experiment of that name has made comes first.

    It does not where the one in the package is known to be meant, by its ``sha256``.
    """
    from restoration import experiment
    from restoration.catalogue import digest
    from restoration.weights import shipped

    made, packaged = _made_by(source), shipped().get(source)
    if source not in experiment.shipped() or not made.exists():
        return source
    meant = digest(packaged) == sha256 if packaged else Path(source).exists()
    return source if meant else made.as_posix()


def _awaited(source: str) -> bool:
    """Return whether a name is that of an experiment whose restorer is not there yet."""
    from restoration import experiment
    from restoration.weights import shipped

    there = source in shipped() or _made_by(source).exists() or Path(source).exists()
    return source in experiment.shipped() and not there


def _fill(network: Any, table: Mapping[str, Any], where: str) -> None:  # noqa: ANN401
    from restoration.foreign import difference
    from restoration.networks.spandrel import Adapter

    if "restorer" not in table:
        if any(p.requires_grad for p in network.parameters()):
            return
        raise ConfigError(f"{where}: expected the name or file of a restorer; a bare network knows nothing")
    source = table["restorer"]
    if _awaited(source):
        raise ConfigError(
            f"{where}: {_made_by(source)} is not there; restoration train {source} makes it, "
            f"or set {where} to another restorer's name or file"
        )
    restorer = _load(_file(source, table.get("sha256", "")), where)
    if table.get("sha256", restorer.digest) != restorer.digest:
        raise ConfigError(
            f'{where}.restorer = "{source}": has changed; expected the file with sha256 {table["sha256"]}'
        )
    # foreign files come without the shell that a table builds
    prefix = "adapter." if isinstance(restorer.network, Adapter) else ""
    state = {prefix + name: value for name, value in restorer.network.state_dict().items()}
    if complaint := difference(network.state_dict(), state):
        raise ConfigError(f'{where}.restorer = "{source}": not of this network: {complaint}')
    network.load_state_dict(state)


def _load(source: str, where: str) -> Any:  # noqa: ANN401
    from restoration.weights import load

    try:
        return load(source)
    except RestorationError as error:
        raise ConfigError(f"{where}: {error}") from None
