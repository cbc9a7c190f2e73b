"""The one dial from least distortion to most perception, by what a restorer offers."""

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor

from restoration.config import differences, nearest
from restoration.errors import RequestError
from restoration.foreign import difference
from restoration.networks.network import Network
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer

By = Literal["outputs", "weights"]
PAIR = (0.0, 1.0)  # between two restorers that know nothing of each other, nothing lies beyond


@runtime_checkable
class Dialled(Protocol):
    """What a network declares that offers a dial by itself."""

    dial: tuple[float, float]

    def ends(self) -> tuple[Network, Network] | None:
        """Return the networks at P = 0, of least distortion, and at P = 1; None where this one has no two."""


@runtime_checkable
class Mixing(Protocol):
    """What a network declares that mixes its two ends itself, and works out once what they share."""

    def mixed(self, perception: float) -> Network:
        """Return the network at P = ``perception``, of the same tensors."""


class Between(Network):
    """``(1 − P)·x_0 + P·x_1`` of what two restorers make of an image.

    Between a least mean square error and its optimal transport to clean images, these are the images of least error
    at every distance from the distribution of clean ones (Freirich et al., 2021).
    """

    def __init__(self, distortion: Restorer, perceptual: Restorer, perception: float) -> None:
        super().__init__()
        self.distortion, self.perceptual, self.perception = distortion, perceptual, perception
        self.scale, self.conditions = perceptual.scale, perceptual.conditions
        self.multiple = math.lcm(distortion.multiple, perceptual.multiple)
        self.channels = None
        self.edge = perceptual.edge if perceptual.edge == distortion.edge else "mirrored"
        reaches = (distortion.receptive_field, perceptual.receptive_field)
        self.receptive_field = None if None in reaches else max(reaches)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the mixture of both results."""
        return torch.lerp(
            self.distortion(degraded).float(), self.perceptual(degraded).float(), self.perception
        )


def with_perception(
    restorer: Restorer, perception: float, other: Restorer | None = None, by: By = "outputs"
) -> Restorer:
    """Return the restorer at P = ``perception``: 0 is the least distortion, 1 the most perceptual; exact at both ends.

    ``other``, of less distortion, is the end at 0, and ``restorer`` that at 1: their results are interpolated, or the
    weights of the two networks, θ = (1 − P)·θ_0 + P·θ_1 (Wang et al., 2018, ESRGAN), which is meant for one trained
    from the other. Without it, a network that declares its own dial has its own ends.
    """
    if by not in get_args(By):
        kinds = get_args(By)
        raise RequestError(f"--interpolate {by}: expected {' or '.join(kinds)}{nearest(by, kinds)}")
    if other is None and by == "weights":
        raise RequestError("--interpolate weights: expected --with FILE, a network of the same configuration")
    ends, (low, high) = _pair(restorer, other) if other is not None else _own(restorer, perception)
    if not low <= perception <= high:
        raise RequestError(f"--perception {perception:g}: expected a number from {low:g} to {high:g}")
    if perception in (0, 1):
        return ends[int(perception)]
    if other is None and isinstance(restorer.network, Mixing):
        card = _card_at(restorer.card, perception)
        return Restorer(restorer.network.mixed(perception), card, restorer.digest).eval()
    if by == "weights":
        return _by_weights(*ends, perception)
    return _restorer(Between(*ends, perception), ends, perception, {"name": "between", **_tables(*ends)})


def _pair(restorer: Restorer, other: Restorer) -> tuple[tuple[Restorer, Restorer], tuple[float, float]]:
    for what in ("scale", "conditions"):
        found, expected = getattr(other, what), getattr(restorer, what)
        if found != expected:
            raise RequestError(
                f"--with {other.card.name}: {what} {_said(found)}; expected {_said(expected)}, "
                f"as '{restorer.card.name}' has"
            )
    return (other, restorer), PAIR


def _said(value: int | tuple[str, ...]) -> str:
    return str(value) if isinstance(value, int) else ", ".join(dict.fromkeys(value)) or "none"


def _own(restorer: Restorer, perception: float) -> tuple[tuple[Restorer, Restorer], tuple[float, float]]:
    network = restorer.network
    ends = network.ends() if isinstance(network, Dialled) else None
    if ends is None:
        raise RequestError(
            f"--perception {perception:g}: '{restorer.card.name}' has no such dial; expected --with FILE, "
            f"a restorer of less distortion, or a restorer such as a posterior-mean flow"
        )
    low, high = (
        restorer if end is network else Restorer(end, _card_at(restorer.card, place), restorer.digest)
        for place, end in enumerate(ends)
    )
    return (low, high), network.dial


def _card_at(card: Card, place: float) -> Card:
    """Return the card of a restorer that is one end of another's own dial: same file, other results."""
    return replace(card, training={**card.training, "perception": float(place)}, scores={})


def _by_weights(distortion: Restorer, perceptual: Restorer, perception: float) -> Restorer:
    """Return a network whose every weight lies between those of two of the same configuration."""
    states = [end.network.state_dict() for end in (distortion, perceptual)]
    tables = [dict(end.card.network) for end in (distortion, perceptual)]
    keys = differences(*tables)
    what = f"they differ in {', '.join(keys)}" if keys else difference(states[1], states[0])
    if what:
        raise RequestError(
            f"--interpolate weights: '{distortion.card.name}' is not of the configuration of "
            f"'{perceptual.card.name}': {what}; --interpolate outputs takes any two of one scale"
        )
    network = copy.deepcopy(perceptual.network)
    mixed = {
        name: torch.lerp(states[0][name].float(), value.float(), perception).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in states[1].items()
    }
    network.load_state_dict(mixed)
    return _restorer(network, (distortion, perceptual), perception, perceptual.card.network)


def _restorer(
    network: Network, ends: tuple[Restorer, Restorer], perception: float, table: Mapping[str, Any]
) -> Restorer:
    """Return a restorer whose card tells its two ends, and how far it is from the first."""
    low, high = ends
    names = dict.fromkeys((low.card.name, high.card.name))
    digests = dict.fromkeys(end.digest for end in ends if end.digest)
    card: Card = replace(
        high.card,
        name="+".join(names),
        network=table,
        training={"perception": perception, "ends": [low.card.name, high.card.name]},
        scores={},
    )
    return Restorer(network, card, "+".join(digests) or None).eval()


def _tables(distortion: Restorer, perceptual: Restorer) -> dict[str, Any]:
    return {"distortion": dict(distortion.card.network), "perceptual": dict(perceptual.card.network)}
