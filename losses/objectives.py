"""Contrastive objectives by name: what each asks of the similarities of an anchor to positives and negatives.

Below, s⁺ₚ and s⁻ₖ are the similarities of one anchor; a value is the mean over its positives, each against all
negatives.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize, relu, softplus

from restoration.losses.checks import not_negative, one_of, positive
from restoration.losses.draws import Keys, one_key_each, uniform, whole
from restoration.losses.group_ordering import GroupOrdering
from restoration.losses.multi_head import MultiHead
from restoration.losses.objective import Objective, OfSimilarities, Pairs, similarities

__all__ = ["OBJECTIVES", "Objective"]  # the class is named here for those who read the table

SMALLEST_DISTANCE = 3e-7  # added to denominators, as the released code of PCL-SR does
BISECTIONS = 40  # halvings of the logarithm of a temperature: exact to float32


@dataclass(frozen=True)
class InfoNce(OfSimilarities):
    """``−log( e^{s⁺/τ} / (e^{s⁺/τ} + Σₖ e^{s⁻ₖ/τ}) )`` (van den Oord et al., 2018, eq. 4).

    τ = 1 and the mean over positives are those of PCL-SR (Wu et al., 2023, as released).
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        positive("temperature", self.temperature)

    def of(self, near: Tensor, far: Tensor) -> Tensor:
        """Return the loss of each anchor, given s⁺ (N, P) and s⁻ (N, K): (N,)."""
        against = torch.logsumexp(far / self.temperature, 1, keepdim=True)
        return softplus(against - near / self.temperature).mean(1)


@dataclass(frozen=True)
class Decoupled(OfSimilarities):
    """``−s⁺/τ + log Σₖ e^{s⁻ₖ/τ}``: InfoNCE without the positive in its denominator (DCL; Yeh et al., 2022).

    Its gradient does not fade as the positive wins: ∇InfoNCE = (1 − p⁺) ∇decoupled. PCL-SR calls it LMCL at τ = 1.
    """

    temperature: float = 0.1

    def __post_init__(self) -> None:
        positive("temperature", self.temperature)

    def of(self, near: Tensor, far: Tensor) -> Tensor:
        """Return the loss of each anchor, given s⁺ (N, P) and s⁻ (N, K): (N,)."""
        return torch.logsumexp(far / self.temperature, 1) - near.mean(1) / self.temperature


@dataclass(frozen=True)
class HardMixing(Objective):
    """InfoNCE with mixed hard negatives added (MoCHi; Kalantidis et al., 2020, section 4).

    Of the ``hardest`` negatives n, ``mixes`` are ``norm(a·nᵢ + (1−a)·nⱼ)``, a ~ U(0, 1), and ``anchored`` are
    ``norm(b·anchor + (1−b)·nⱼ)``, b ~ U(0, 0.5); all without gradient. The paper takes 1024, 1024 and 128 of a queue
    of 65,536 negatives; here an anchor has a handful.
    """

    temperature: float = 0.2
    hardest: int = 8
    mixes: int = 8
    anchored: int = 2

    def __post_init__(self) -> None:
        positive("temperature", self.temperature)
        positive("hardest", self.hardest)
        not_negative("mixes", self.mixes)
        not_negative("anchored", self.anchored)

    def __call__(
        self,
        anchor: Tensor,
        positives: Tensor,
        negatives: Tensor,
        keys: Keys = (),
        heads: Pairs | None = None,
    ) -> Tensor:
        """Return the loss of each anchor: (N,)."""
        made = self.mixed(anchor.detach(), negatives.detach(), keys)
        return InfoNce(self.temperature)(anchor, positives, torch.cat([negatives, made], 1))

    @torch.no_grad()
    def mixed(self, anchor: Tensor, negatives: Tensor, keys: Keys) -> Tensor:
        """Return the mixed negatives, those of pairs first: (N, mixes + anchored, L, D)."""
        one_key_each(keys, len(anchor), "hard-mixing")
        count = min(self.hardest, negatives.shape[1])
        nearest = similarities(anchor, negatives).topk(count, 1).indices
        pairs = whole(keys, "mixed pairs", (2, self.mixes), 0, count, anchor)
        share = uniform(keys, "shares of pairs", (self.mixes, 1, 1), 0, 1, anchor)
        first, second = (_pick(negatives, nearest.gather(1, pairs[:, i])) for i in (0, 1))
        partners = whole(keys, "partners of the anchor", (self.anchored,), 0, count, anchor)
        own = uniform(keys, "shares of the anchor", (self.anchored, 1, 1), 0, 0.5, anchor)
        partner = _pick(negatives, nearest.gather(1, partners))
        of_pairs = share * first + (1 - share) * second
        of_anchor = own * anchor.unsqueeze(1) + (1 - own) * partner
        return normalize(torch.cat([of_pairs, of_anchor], 1), dim=-1)


@dataclass(frozen=True)
class AttractionRepulsion(OfSimilarities):
    """``Σₚ w⁺ₚ ‖z − z⁺ₚ‖² − β Σₖ w⁻ₖ ‖z − z⁻ₖ‖²`` (CACR; Zheng et al., 2023).

    w⁺ = softmaxₚ(t⁺ ‖z − z⁺ₚ‖²) and w⁻ = softmaxₖ(−t⁻ ‖z − z⁻ₖ‖²): far positives and near negatives weigh most;
    t⁺ is ``attraction``, t⁻ ``repulsion``. The weights have a gradient. With one positive, w⁺ is 1.
    """

    attraction: float = 1.0
    repulsion: float = 1.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        for name in ("attraction", "repulsion", "beta"):
            not_negative(name, getattr(self, name))

    def of(self, near: Tensor, far: Tensor) -> Tensor:
        """Return the loss of each anchor, given s⁺ (N, P) and s⁻ (N, K): (N,)."""
        near, far = 2 - 2 * near, 2 - 2 * far  # squared distances of unit vectors
        attracted = ((self.attraction * near).softmax(1) * near).sum(1)
        repelled = ((-self.repulsion * far).softmax(1) * far).sum(1)
        return attracted - self.beta * repelled


@dataclass(frozen=True)
class IndividualTemperature(OfSimilarities):
    """``min_τ τ log meanₖ e^{(s⁻ₖ − s⁺)/τ} + τρ`` over τ in [lowest, highest], each anchor its own (iSogCLR).

    Qiu et al. (2023) keep one τ and one moving average per training image and descend on them over epochs. Here the
    minimum over τ is solved anew for every anchor over its own negatives, which needs no state: the problem is
    convex, and within the bounds its solution is where KL(softmax(s⁻/τ) ‖ uniform) = ρ. So τ follows this batch, not
    the whole set of images. As K negatives have a KL of at most log K, a larger ρ always means the lowest τ.
    """

    rho: float = 0.3
    lowest: float = 0.05
    highest: float = 1.0

    def __post_init__(self) -> None:
        positive("rho", self.rho)
        positive("lowest", self.lowest)
        if self.highest < self.lowest:
            raise ValueError(f"highest = {self.highest:g}; expected at least lowest = {self.lowest:g}")

    def of(self, near: Tensor, far: Tensor) -> Tensor:
        """Return the loss of each anchor, given s⁺ (N, P) and s⁻ (N, K): (N,)."""
        tau = self.temperatures(far)
        typical = torch.logsumexp(far / tau.unsqueeze(1), 1) - math.log(far.shape[1])
        return tau * (typical + self.rho) - near.mean(1)

    @torch.no_grad()
    def temperatures(self, far: Tensor) -> Tensor:
        """Return the best temperature of each anchor, given its similarities to negatives: (N, K) to (N,)."""
        low, high = (torch.full_like(far[:, 0], bound).log() for bound in (self.lowest, self.highest))
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            shares = (far / middle.exp().unsqueeze(1)).log_softmax(1)
            sharp = (shares.exp() * shares).sum(1) + math.log(far.shape[1]) > self.rho
            low, high = torch.where(sharp, middle, low), torch.where(sharp, high, middle)
        return ((low + high) / 2).exp()


@dataclass(frozen=True)
class Triplet(OfSimilarities):
    """``mean max(0, margin + ‖z − z⁺‖² − ‖z − z⁻‖²)`` over all pairs (Schroff et al., 2015, eq. 3)."""

    margin: float = 0.2

    def of(self, near: Tensor, far: Tensor) -> Tensor:
        """Return the loss of each anchor, given s⁺ (N, P) and s⁻ (N, K): (N,)."""
        near, far = 2 - 2 * near, 2 - 2 * far  # squared distances of unit vectors
        return relu(self.margin + near.unsqueeze(2) - far.unsqueeze(1)).flatten(1).mean(1)


@dataclass(frozen=True)
class Ratio(Objective):
    """Means over positives and negatives against each other, as the released code of PCL-SR offers (Wu et al., 2023).

    "l2": ``(1 − s̄⁺) / (1 − s̄⁻ + 3e-7)``; "l1": ``mean |z − z⁺| / (mean |z − z⁻| + 3e-7)``, there of features that
    are no unit vectors; "cosine": ``s̄⁻ − s̄⁺``.
    """

    form: Literal["l2", "l1", "cosine"] = "l2"

    def __post_init__(self) -> None:
        one_of("form", self.form, ("l2", "l1", "cosine"))

    def __call__(
        self,
        anchor: Tensor,
        positives: Tensor,
        negatives: Tensor,
        keys: Keys = (),
        heads: Pairs | None = None,
    ) -> Tensor:
        """Return the loss of each anchor: (N,)."""
        if self.form == "l1":
            near, far = ((anchor.unsqueeze(1) - z).abs().flatten(1).mean(1) for z in (positives, negatives))
            return near / (far + SMALLEST_DISTANCE)
        near, far = (similarities(anchor, z).mean(1) for z in (positives, negatives))
        return far - near if self.form == "cosine" else (1 - near) / (1 - far + SMALLEST_DISTANCE)


def _pick(vectors: Tensor, which: Tensor) -> Tensor:
    return vectors.gather(1, which[:, :, None, None].expand(-1, -1, *vectors.shape[2:]))


OBJECTIVES: dict[str, type[Objective]] = {
    "attraction-repulsion": AttractionRepulsion,
    "decoupled": Decoupled,
    "group-ordering": GroupOrdering,
    "hard-mixing": HardMixing,
    "individual-temperature": IndividualTemperature,
    "info-nce": InfoNce,
    "multi-head": MultiHead,
    "ratio": Ratio,
    "triplet": Triplet,
}
