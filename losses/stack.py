"""The loss stack: weighted terms over (restored, batch), evaluated in float32."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn


class Pair(Protocol):
    """What a term sees of a batch."""

    degraded: Tensor
    clean: Tensor
    mask: Tensor | None


class Term(ABC):
    """One entry of a stack; it may own parts that learn."""

    @abstractmethod
    def groups(self) -> dict[str, nn.Module]:
        """Return the parts that this term trains, by name."""

    @abstractmethod
    def of_restored(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return what the restorer is asked to lower, one number per image: (N,)."""

    @abstractmethod
    def of_own_parts(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the scalar that this term's own parts lower, given the detached restored image."""


class PairTerm(Term):
    """A loss of (restored, clean) as a term; it owns nothing."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.loss = loss

    def groups(self) -> dict[str, nn.Module]:
        """Return no parts."""
        return {}

    def of_restored(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the loss of each image: (N,)."""
        return self.loss(restored, batch.clean)

    def of_own_parts(self, restored: Tensor, batch: Pair) -> Tensor:
        """Refuse: a pair function owns no parts, so the stack never asks."""
        raise AssertionError("a pair function owns no parts")


@dataclass(frozen=True)
class Entry:
    """A term with its name in the logs and its weight."""

    name: str
    term: Term
    weight: float = 1.0


class Stack:
    """The weighted sum of terms, ``Σ wᵢ · meanₙ termᵢ``, always in float32."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        if not entries:
            raise ValueError("the stack is empty: a run needs at least one [[stack]] entry")
        names = _unique([entry.name for entry in entries])
        self.entries = [Entry(n, e.term, e.weight) for n, e in zip(names, entries, strict=True)]

    def groups(self) -> dict[str, nn.Module]:
        """Return the parts that each term trains, under its entry's name: they learn together."""
        owned = {entry.name: entry.term.groups() for entry in self.entries}
        return {
            name: next(iter(parts.values())) if len(parts) == 1 else nn.ModuleDict(parts)
            for name, parts in owned.items()
            if parts
        }

    def of_restored(self, restored: Tensor, batch: Pair) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum over terms and each term's own unweighted mean, for the log."""
        with torch.autocast(restored.device.type, enabled=False):
            values = {e.name: e.term.of_restored(restored.float(), batch).mean() for e in self.entries}
        total = sum(entry.weight * values[entry.name] for entry in self.entries)
        return total, {name: value.detach() for name, value in values.items()}

    def of_own_parts(self, restored: Tensor, batch: Pair) -> Iterator[tuple[str, Tensor]]:
        """Yield (group, scalar) for every term that owns parts, in the order of the stack."""
        for entry in self.entries:
            if entry.term.groups():
                yield entry.name, entry.term.of_own_parts(restored.detach().float(), batch)


def _unique(names: Sequence[str]) -> list[str]:
    """Number repeated names: l1, l1-2, l1-3."""
    return [
        name if (nth := list(names[:i]).count(name)) == 0 else f"{name}-{nth + 1}"
        for i, name in enumerate(names)
    ]
