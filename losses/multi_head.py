"""The adaptive multi-head objective: several learnt projections, each pair with a learnt temperature."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from restoration.losses.checks import not_negative, positive
from restoration.losses.draws import Keys
from restoration.losses.objective import Objective, Pairs, similarities


@dataclass(frozen=True)
class MultiHead(Objective):
    """Several projections, and a temperature for every pair (AMCL; Wang et al., 2024, eqs. 2.1, 3 and 5).

    Of each head, with z of ``width`` channels and its own similarities s and temperatures τ, the sum over heads of
    ``−s⁺/τ⁺ + meanₖ s⁻ₖ/τₖ + β[(width/2) log τ⁺ + 1/τ⁺] − β Σₖ (log τₖ + 1/τₖ)`` over the ``hardest`` negatives k.
    Heads and temperatures learn in the term's own update, by the same loss of detached embeddings. τ stays within
    [lowest, highest]; the released lowest is 1e-5, with which a single pair may weigh 1e5 times as much as another,
    and its β is 1e-2 in the loss and 1e-4 in training. The cost grows with the places of an embedding: pool it.
    """

    count: int = 3
    hidden: int = 128
    width: int = 128
    beta: float = 1e-2
    lowest: float = 0.1
    highest: float = 2.0
    hardest: int = 100

    def __post_init__(self) -> None:
        for name in ("count", "hidden", "width", "hardest", "lowest"):
            positive(name, getattr(self, name))
        not_negative("beta", self.beta)
        if self.highest < self.lowest:
            raise ValueError(f"highest = {self.highest:g}; expected at least lowest = {self.lowest:g}")

    def heads(self, channels: int) -> nn.Module:
        """Return new heads for embeddings of that many channels."""
        return Heads(channels, self.count, self.hidden, self.width, self.lowest, self.highest)

    def __call__(
        self,
        anchor: Tensor,
        positives: Tensor,
        negatives: Tensor,
        keys: Keys = (),
        heads: Pairs | None = None,
    ) -> Tensor:
        """Return the loss of each anchor: (N,)."""
        if heads is None:
            raise ValueError("multi-head: called without its heads; expected those that heads() returned")
        similar, tau = heads(anchor, torch.cat([positives, negatives], 1))
        near, far = similar.split([positives.shape[1], negatives.shape[1]], 2)
        of_near, of_far = tau.split([positives.shape[1], negatives.shape[1]], 2)
        far, which = far.topk(min(self.hardest, far.shape[2]), 2)
        of_far = of_far.gather(2, which)
        attracted = -near / of_near + self.beta * (self.width / 2 * of_near.log() + 1 / of_near)
        repelled = (far / of_far).mean(2) - self.beta * (of_far.log() + 1 / of_far).sum(2)
        return (attracted.mean(2) + repelled).sum(0)


class Heads(nn.Module):
    """Projections of an embedding, and one temperature network φ that all of them share."""

    def __init__(
        self, channels: int, count: int, hidden: int, width: int, lowest: float, highest: float
    ) -> None:
        super().__init__()
        self.projections = nn.ModuleList(_perceptron(channels, hidden, width) for _ in range(count))
        self.phi = _perceptron(width, width, width)
        self.lowest, self.highest = lowest, highest

    def forward(self, anchor: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """Return what ``features`` does, where the heads learn."""
        return self.features(anchor, others)

    def features(self, anchor: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """Return similarity and temperature of each anchor and its others, by head: two of (heads, N, M).

        ``τ = lowest + (highest − lowest)·sigmoid(−⟨φ(z), φ(z′)⟩)``: pairs that look alike to φ have a low one.
        """
        found = [self._pairs(projection, anchor, others) for projection in self.projections]
        similar, scores = (torch.stack(values) for values in zip(*found, strict=True))
        return similar, self.lowest + (self.highest - self.lowest) * torch.sigmoid(-scores)

    def _pairs(self, projection: nn.Module, anchor: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        z, those = normalize(projection(anchor), dim=-1), normalize(projection(others), dim=-1)
        return similarities(z, those), similarities(self.phi(z), self.phi(those))


def _perceptron(channels: int, hidden: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, width))
