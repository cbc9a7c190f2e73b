"""Embeddings: a network's feature maps as unit vectors, and how networks that learn elsewhere are asked for them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.modules.batchnorm import _BatchNorm

from restoration.losses.discriminators import Discriminator
from restoration.losses.features import Backbone

Statistics = Literal["batch", "running"]
SMALLEST_NORM = 1e-4  # of a vector of features: a shorter one is not brought to unit length


class Embedding(ABC):
    """What makes feature maps of images: the outputs of chosen layers of a network, none of which learns thereby."""

    @property
    @abstractmethod
    def minimum_size(self) -> int:
        """Return how many pixels the shorter side of an image must have."""

    @abstractmethod
    def __call__(self, image: Tensor, mask: Tensor | None = None) -> Sequence[Tensor]:
        """Return the map of every layer: (N, C, H, W) each."""

    @abstractmethod
    def channels(self) -> dict[str, int]:
        """Return how many channels the map of every layer has, by its name; unknown layers are refused."""


@dataclass(frozen=True)
class OfBackbone(Embedding):
    """The maps of a frozen network."""

    network: Backbone
    layers: tuple[str, ...]

    @property
    def minimum_size(self) -> int:
        """Return what the deepest of the layers needs."""
        return self.network.minimum_size(self.layers)

    def __call__(self, image: Tensor, mask: Tensor | None = None) -> Sequence[Tensor]:
        """Return the map of every layer; terms of a stack share the pass."""
        return self.network(image, self.layers)

    @torch.no_grad()
    def channels(self) -> dict[str, int]:
        """Return how many channels the map of every layer has, by its name."""
        maps = self(torch.zeros(1, 3, self.minimum_size, self.minimum_size))
        return {name: found.shape[1] for name, found in zip(self.layers, maps, strict=True)}


@dataclass(frozen=True)
class OfDiscriminator(Embedding):
    """The maps of a discriminator that another term trains; ``layers`` count from 0, none means all."""

    network: Discriminator
    layers: tuple[int, ...]
    statistics: Statistics

    @property
    def minimum_size(self) -> int:
        """Return what the discriminator needs."""
        return self.network.minimum_size

    def __call__(self, image: Tensor, mask: Tensor | None = None) -> Sequence[Tensor]:
        """Return the map of every layer."""
        found = self._all(self.network.shown(image, mask))
        return [found[layer] for layer in self.layers or range(len(found))]

    @torch.no_grad()
    def channels(self) -> dict[str, int]:
        """Return how many channels the map of every layer has, by its number."""
        side, colours = self.minimum_size, self.network.channels + self.network.masked
        found = self._all(torch.zeros(2, colours, side, side))
        known_layers(self.network.name, self.layers, len(found))
        return {str(layer): found[layer].shape[1] for layer in self.layers or range(len(found))}

    def _all(self, image: Tensor) -> list[Tensor]:
        with frozen(self.network, self.statistics):
            return self.network.features(image)


def known_layers(name: str, layers: Sequence[int | str], count: int) -> None:
    """Refuse what is no number of a discriminator's layer."""
    for layer in layers:
        if layer not in range(count):
            raise ValueError(f"{name}: unknown layer {layer!r}; it has 0 to {count - 1}")


@contextmanager
def frozen(network: nn.Module, statistics: Statistics = "batch") -> Iterator[None]:
    """Let nothing of a network change or learn while it is asked for features: no parameter, no buffer.

    ``statistics`` = "batch" normalises by each batch's own, as in training, but leaves the running ones as they are;
    "running" normalises by those, so that an image does not depend on its neighbours.
    """
    learning = {name: p for name, p in network.named_parameters() if p.requires_grad}
    training = [module for module in network.modules() if module.training]
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats and statistics == "batch"
    ]
    try:
        for parameter in learning.values():
            parameter.requires_grad_(False)
        for module in training:
            module.training = False  # spectral norms do not iterate, nothing drops out
        for module in norms:
            module.training, module.track_running_stats = True, False
        yield
    finally:
        for module in norms:
            module.training, module.track_running_stats = False, True
        for module in training:
            module.training = True
        gathered = dict(
            network.named_parameters()
        )  # where parameters are sharded, a pass puts others in their place
        for name, parameter in learning.items():
            parameter.requires_grad_(True)
            gathered[name].requires_grad_(True)


def by_pixel(features: Tensor) -> Tensor:
    """Return one unit vector for every pixel of a feature map: (N, C, H, W) to (N, HW, C)."""
    return normalize(features, dim=1, eps=SMALLEST_NORM).flatten(2).transpose(1, 2)


def pooled(features: Tensor) -> Tensor:
    """Return one unit vector for the mean over pixels of a feature map: (N, C, H, W) to (N, 1, C)."""
    return normalize(features.flatten(2).mean(2), dim=1, eps=SMALLEST_NORM).unsqueeze(1)
