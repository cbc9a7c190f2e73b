"""What a degradation is, and what it returns."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from restoration.degradations.draws import Keys

Draw = dict[str, object]


@dataclass(frozen=True)
class Degraded:
    """A degraded batch and how it came about; ``draw`` is JSON-able and tells the same story as the keys."""

    image: Tensor
    mask: Tensor | None = None
    layers: dict[str, Tensor] = field(default_factory=dict)
    draw: Draw = field(default_factory=dict)


class Degradation(ABC):
    """A pure function of (clean, keys); fields are its configuration. ``keys`` holds one (seed, sample) per image.

    ``scale`` is the size of clean over degraded; it has no value here, lest a field of that name get a default.
    """

    scale: int

    @abstractmethod
    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the degraded version of every image; image i depends on ``clean[i]`` and ``keys[i]`` alone."""


def one_per_image(clean: Tensor, keys: Keys) -> None:
    """Refuse a batch whose keys do not name every image once."""
    if clean.ndim != 4:
        raise ValueError(f"clean has shape {tuple(clean.shape)}; expected (images, channels, height, width)")
    if len(keys) != len(clean):
        raise ValueError(f"{len(keys)} keys for {len(clean)} images; expected one (seed, sample) per image")


def on_device_of(image: Tensor, samples: list[Tensor]) -> Tensor:
    """Stack draws made on the CPU and move them to where ``image`` is."""
    return torch.stack(samples).to(image)
