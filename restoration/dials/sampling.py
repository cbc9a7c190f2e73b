"""Steps, solver and seed of restorers that take several steps, or draw."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from restoration.config import build
from restoration.dials.perception import Mixing
from restoration.errors import ConfigError, RequestError
from restoration.networks import NETWORKS
from restoration.networks.placing import Place
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
    """Return the restorer with other steps, another seed or another solver; the weights are the same tensors."""
    asked = {"steps": steps, "seed": seed, "solver": solver}
    wanted = {word: value for word, value in asked.items() if value is not None}
    taken = inspect.signature(type(restorer.network)).parameters
    for word, value in wanted.items():
        if word not in taken:
            raise RequestError(f"--{word} {value}: '{restorer.card.name}' {MEANINGLESS[word]}")
    table = restorer.card.network
    same = all(word in table and table[word] == value for word, value in wanted.items())
    return restorer if same else _rebuilt(restorer, wanted)


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


def _rebuilt(restorer: Restorer, wanted: dict[str, Any]) -> Restorer:
    spec = {**restorer.card.network, **wanted}
    try:
        with torch.random.fork_rng(devices=[]):  # building draws an initialisation
            network = build(NETWORKS, spec, "network", "network")
    except ConfigError as error:
        asked = " ".join(f"--{word} {value}" for word, value in wanted.items())
        raise RequestError(f"{asked}: {error}") from None
    network.load_state_dict(restorer.network.state_dict(), assign=True)
    perception = restorer.card.training.get("perception")
    if perception is not None and isinstance(network, Mixing):
        network = network.mixed(perception)
    return Restorer(network, replace(restorer.card, network=spec), restorer.digest).eval()
