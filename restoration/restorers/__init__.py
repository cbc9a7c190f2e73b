"""Restorers: what is applied, scored and shipped; the classical baselines by name."""

from collections.abc import Callable
from functools import partial

from restoration.networks.network import Network
from restoration.restorers.card import Card
from restoration.restorers.classical import Bicubic, Biharmonic, Identity, Nearest, NonLocalMeans, Telea
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
    "nlm": NonLocalMeans,
    "telea": Telea,
    "biharmonic": Biharmonic,
}
TASKS = {"nlm": "denoising", "telea": "inpainting", "biharmonic": "inpainting"}

__all__ = ["RESTORERS", "Card", "Restored", "Restorer", "baseline", "described"]


def described(name: str) -> str:
    """Return in one line what the classical restorer called ``name`` is, whether or not it can be run here."""
    made = RESTORERS[name]
    return (getattr(made, "func", made).__doc__ or "").split("\n")[0]


def baseline(name: str) -> Restorer:
    """Return the classical restorer called ``name``."""
    network = RESTORERS[name]()
    task = "super-resolution" if network.scale > 1 else TASKS.get(name, "restoration")
    return Restorer(network.eval(), Card(name, task, {"name": name}, network.scale, licence="MIT"))
