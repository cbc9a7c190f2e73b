"""Steps, solver and seed of restorers that take several steps, or draw."""

import copy
import inspect
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from restoration.config import build
from restoration.dials.perception import Dialled, Mixing
from restoration.errors import ConfigError, RequestError
from restoration.networks import NETWORKS
from restoration.networks.placing import Place
from restoration.networks.transport import Transport
from restoration.restorers.network import Restorer

STRIDE = 0x9E3779B1  # between the seeds of frames: steps of one frame never draw what another's do
MEANINGLESS = {
    "steps": "restores in one pass; expected a restorer with steps, such as a posterior-mean flow",
    "solver": "follows no flow; expected a posterior-mean flow",
    "seed": "draws nothing; expected a restorer that starts from noise, such as a posterior-mean flow",
}


def with_sampling(
    restorer: Restorer, steps: int | None = None, seed: int | None = None, solver: str | None = None
) -> Restorer:
    """Return the restorer with other steps, another seed or another solver; the weights are the same tensors.

    A transport hands them on to the restorer within.
    """
    asked = {"steps": steps, "seed": seed, "solver": solver}
    wanted = {word: value for word, value in asked.items() if value is not None}
    spec = copy.deepcopy(dict(restorer.card.network))
    for word, value in wanted.items():
        takers = [table for words, table in _levels(restorer, spec) if word in words]
        if not takers:
            raise RequestError(f"--{word} {value}: '{restorer.card.name}' {MEANINGLESS[word]}")
        for table in takers:
            table[word] = value
    return restorer if spec == restorer.card.network else _rebuilt(restorer, spec, wanted)


def taken(restorer: Restorer) -> set[str]:
    """Return which of steps, seed and solver a restorer takes, itself or within."""
    known = {word for words, _ in _levels(restorer, dict(restorer.card.network)) for word in words}
    return known & set(MEANINGLESS)


@contextmanager
def of_frame(restorer: nn.Module, number: int) -> Iterator[None]:
    """Let a restorer that draws start from noise of its own for frame ``number``, within; frame 0 has the seed's."""
    places = [part for part in restorer.modules() if isinstance(part, Place)]
    try:
        for place in places:
            place.move(number * STRIDE)
        yield
    finally:
        for place in places:
            place.move()


def draws(restorer: nn.Module) -> bool:
    """Return whether a restorer starts from noise."""
    return any(isinstance(part, Place) for part in restorer.modules())


def _levels(restorer: Restorer, spec: dict[str, Any]) -> Iterator[tuple[Collection[str], dict[str, Any]]]:
    """Yield keywords and table of the restorer's network, and of those within transports, from its card's ``spec``."""
    network, table = restorer.network, spec
    if _is_low_end(restorer) and "inner" in table:
        table = table["inner"]
    while True:
        yield inspect.signature(type(network)).parameters, table
        if not (isinstance(network, Transport) and "inner" in table):
            return
        network, table = network.inner, table["inner"]


def _is_low_end(restorer: Restorer) -> bool:
    """Return whether the card describes the whole network, and this is the part that its dial has at 0."""
    return restorer.card.training.get("perception") == 0


def _rebuilt(restorer: Restorer, spec: dict[str, Any], wanted: dict[str, Any]) -> Restorer:
    try:
        with torch.random.fork_rng(devices=[]):  # building draws an initialisation
            network = build(NETWORKS, spec, "network", "network")
    except ConfigError as error:
        asked = " ".join(f"--{word} {value}" for word, value in wanted.items())
        raise RequestError(f"{asked}: {error}") from None
    perception = restorer.card.training.get("perception")
    if _is_low_end(restorer) and isinstance(network, Dialled) and (ends := network.ends()):
        network = ends[0]
    elif perception is not None and isinstance(network, Mixing):
        network = network.mixed(perception)
    if (like := next(restorer.network.parameters(), None)) is not None:
        network.to(like)  # constants that no file holds, such as frequencies, go where the weights are
    network.load_state_dict(restorer.network.state_dict(), assign=True)
    return Restorer(network, replace(restorer.card, network=spec), restorer.digest).eval()
