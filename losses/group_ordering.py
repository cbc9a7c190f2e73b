"""Group ordering: contrast by sorting, through a sorting network with soft comparisons."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from restoration.losses.checks import positive
from restoration.losses.objective import OfSimilarities

SMALLEST_SHARE = 1e-7  # of an element's probability, before the logarithm


@dataclass(frozen=True)
class GroupOrdering(OfSimilarities):
    """How surely every positive is sorted above every negative (GroCo; Shvetsova et al., 2023).

    The similarities to the ``hardest`` negatives and to all positives, each group in ascending order, pass through
    `soft_sort`. An element's share in the ranks of its own group (negatives below, positives above) is a probability;
    the loss is the mean over elements of ``−log share``, which equals the released mean of two binary cross entropies
    as the shares in both groups of ranks add up to one.
    """

    steepness: float = 1.0
    hardest: int = 10

    def __post_init__(self) -> None:
        positive("steepness", self.steepness)
        positive("hardest", self.hardest)

    def of(self, near: Tensor, far: Tensor) -> Tensor:
        """Return the loss of each anchor, given s⁺ (N, P) and s⁻ (N, K): (N,)."""
        count = min(self.hardest, far.shape[1])
        far = far.topk(count, 1).values.flip(1)
        shares = soft_sort(torch.cat([far, near.sort(1).values], 1), self.steepness)
        own = torch.cat([shares[:, :count, :count].sum(1), shares[:, count:, count:].sum(1)], 1)
        return -own.clamp(min=SMALLEST_SHARE).log().mean(1)


def soft_sort(values: Tensor, steepness: float) -> Tensor:
    """Return P of ``sorted ≈ P·values`` in ascending order, doubly stochastic: (N, M) to (N, rank M, element M).

    An odd-even transposition network of M layers in which a pair (a, b) stays in order to the degree
    ``atan(steepness·(b − a))/π + 1/2`` and is exchanged to the rest (Petersen et al., 2022: the Cauchy
    distribution). As the steepness grows, P becomes the permutation that sorts.
    """
    count = values.shape[1]
    identity = torch.eye(count, dtype=values.dtype, device=values.device)
    rows = torch.cat([values.unsqueeze(-1), identity.expand(len(values), -1, -1)], -1)
    for layer in range(count):
        start = layer % 2
        stop = start + (count - start) // 2 * 2
        low, high = rows[:, start:stop:2], rows[:, start + 1 : stop : 2]
        stay = torch.atan(steepness * (high - low)[..., :1]) / math.pi + 0.5
        exchanged = torch.stack([low.lerp(high, 1 - stay), high.lerp(low, 1 - stay)], 2).flatten(1, 2)
        rows = torch.cat([rows[:, :start], exchanged, rows[:, stop:]], 1)
    return rows[..., 1:]
