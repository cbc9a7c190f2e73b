"""The nouns of training: a batch, an update, a method."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from restoration.losses.stack import Stack


@dataclass(frozen=True)
class Batch:
    """Images of one step, NCHW in [0, 1], that move and split as one.

    ``mask`` is 1 in holes; ``layers`` names further images of the same scene, such as the reflection;
    ``keys`` holds one (seed, sample) per image; ``step`` counts from 0.
    """

    degraded: Tensor
    clean: Tensor
    mask: Tensor | None = None
    layers: Mapping[str, Tensor] = field(default_factory=dict)
    frames: Tensor | None = None
    unpaired: Tensor | None = None
    keys: tuple[tuple[int, int], ...] = ()
    step: int = 0

    def __len__(self) -> int:
        return self.degraded.shape[0]

    def split(self, parts: int) -> list["Batch"]:
        """Return ``parts`` batches of equal size, in order."""
        if len(self) % parts:
            raise ValueError(f"a batch of {len(self)} images cannot be split into {parts} equal parts")
        size = len(self) // parts
        return [self._map(lambda v, i=i: v[i * size : (i + 1) * size]) for i in range(parts)]

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.preserve_format) -> "Batch":
        """Return the batch on ``device``; four-dimensional tensors take ``memory_format``."""

        def move(value: Any) -> Any:  # noqa: ANN401
            if not isinstance(value, Tensor):
                return value
            kept = memory_format if value.ndim == 4 else torch.preserve_format
            return value.to(device, non_blocking=True, memory_format=kept)

        return self._map(move)

    def _map(self, change: Any) -> "Batch":  # noqa: ANN401
        changed = {}
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if isinstance(value, int):
                continue
            if isinstance(value, Mapping):
                changed[name] = {key: change(v) for key, v in value.items()}
            else:
                changed[name] = None if value is None else change(value)
        return replace(self, **changed)


@dataclass(frozen=True)
class Update:
    """Which group learns, down which scalar, and what to log.

    ``slopes`` is asked when a gradient is not finite: the norm of each term's own, by the term's name.
    """

    group: str
    loss: Tensor
    logs: Mapping[str, Tensor] = field(default_factory=dict)
    slopes: Callable[[], Mapping[str, Tensor]] | None = None


class Method(ABC):
    """How a restored image comes about, and what learns in which order.

    ``updates`` yields one `Update` after the other; the loop applies each before it asks for the next. Never yield
    inside a ``with``; which groups are yielded depends on ``step`` alone. Call what learns, not other methods of it:
    gradients are averaged over ranks, and shards put together, around ``forward``.
    """

    stack: Stack
    keeps_best: bool = True  # of all validations, beside the last checkpoints

    @abstractmethod
    def groups(self) -> dict[str, nn.Module]:
        """Return the modules that learn, by name; each has an optimiser of its own."""

    @abstractmethod
    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the updates of one step in the order of learning."""

    @abstractmethod
    def restorer(self) -> nn.Module:
        """Return the module that ships."""

    def called(self) -> list[nn.Module]:
        """Return the modules that ``updates`` calls, which ``schedule.compile`` compiles: the one that ships.

        Parts that terms own are left as they are: PyTorch compiles no second derivatives, as of a gradient penalty.
        """
        return [self.restorer()]
