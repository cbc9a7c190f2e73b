"""Restorers within a network: named in the experiment, kept as a network's table, filled from their files.

An experiment says ``posterior_mean = "denoise-color-small"``. Checked, that is the table of the restorer's network
with two keys beside, ``restorer`` and ``sha256``. A file that is written of it needs no other file to be read again.
"""

import typing
from collections.abc import Mapping
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
    """Give the networks within ``network`` the tensors of the restorers that its table names."""
    for key in _within(spec):
        own, table = getattr(network, key), spec.get(key)
        if own is not None and table is not None:
            _fill(own, table, f"{where}.{key}")


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
    restorer = _load(source, where)
    if restorer.digest is None:
        raise ConfigError(f'{where} = "{source}": a baseline; expected a restorer with a network')
    return {**restorer.card.network, "restorer": source, "sha256": restorer.digest}


def _fill(network: Any, table: Mapping[str, Any], where: str) -> None:  # noqa: ANN401
    from restoration.foreign import difference
    from restoration.networks.spandrel import Adapter

    if "restorer" not in table:
        raise ConfigError(f"{where}: expected the name or file of a restorer; a bare network knows nothing")
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
