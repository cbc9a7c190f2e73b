"""Restorers: what is applied, scored and shipped; the classical baselines by name."""

from collections.abc import Callable
from functools import partial

from restoration.networks.network import Network
from restoration.restorers.card import Card
from restoration.restorers.classical import Bicubic, Identity, Nearest
from restoration.restorers.network import Restored, Restorer

RESTORERS: dict[str, Callable[[], Network]] = {
    "bicubic-x2": partial(Bicubic, scale=2),
    "bicubic-x3": partial(Bicubic, scale=3),
    "bicubic-x4": partial(Bicubic, scale=4),
    "bicubic-x8": partial(Bicubic, scale=8),
    "identity": Identity,
    "nearest-x2": partial(Nearest, scale=2),
    "nearest-x3": partial(Nearest, scale=3),
    "nearest-x4": partial(Nearest, scale=4),
    "nearest-x8": partial(Nearest, scale=8),
}

__all__ = ["RESTORERS", "Card", "Restored", "Restorer", "baseline"]


def baseline(name: str) -> Restorer:
    """Return the classical restorer called ``name``."""
    network = RESTORERS[name]()
    task = "super-resolution" if network.scale > 1 else "restoration"
    return Restorer(network.eval(), Card(name, task, {"name": name}, network.scale, licence="MIT"))
