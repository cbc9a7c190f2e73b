"""What every contrastive objective is: a function of anchors, their positives and their negatives."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from restoration.losses.draws import Keys

# anchors (N, L, D) and others (N, M, L, D) to what learnt heads make of every pair of them
Pairs = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Objective(ABC):
    """``objective(anchor, positives, negatives) -> (N,)``, lower is better; a frozen dataclass without state.

    An embedding is a unit vector of D channels at each of L places: anchor (N, L, D), positives (N, P, L, D),
    negatives (N, K, L, D). A pooled embedding has one place; a feature map has one per pixel, and its similarity is
    the mean over pixels of the cosine over channels. Gradients reach whatever is not detached.
    """

    def heads(self, channels: int) -> nn.Module | None:
        """Return new projection heads for embeddings of that many channels; None where nothing learns.

        The term that uses the objective owns them: they are among its groups, and it hands them to every call, as a
        module where they learn and else as their method ``features``, which no parallel training takes for a lesson.
        """
        return None

    @abstractmethod
    def __call__(
        self,
        anchor: Tensor,
        positives: Tensor,
        negatives: Tensor,
        keys: Keys = (),
        heads: Pairs | None = None,
    ) -> Tensor:
        """Return the loss of each anchor, (N,); draws come from ``keys``, one (seed, sample) per anchor."""


class OfSimilarities(Objective):
    """An objective that needs no more than how similar each anchor is to its positives and to its negatives."""

    @abstractmethod
    def of(self, near: Tensor, far: Tensor) -> Tensor:
        """Return the loss of each anchor, given s⁺ (N, P) and s⁻ (N, K): (N,)."""

    def __call__(
        self,
        anchor: Tensor,
        positives: Tensor,
        negatives: Tensor,
        keys: Keys = (),
        heads: Pairs | None = None,
    ) -> Tensor:
        """Return the loss of each anchor: (N,)."""
        return self.of(similarities(anchor, positives), similarities(anchor, negatives))


def similarities(anchor: Tensor, others: Tensor) -> Tensor:
    """Return ``s = meanₗ ⟨anchorₗ, otherₗ⟩`` of each anchor and its others: (N, L, D), (N, M, L, D) to (N, M)."""
    return (others.flatten(2) @ anchor.flatten(1).unsqueeze(-1)).squeeze(-1) / anchor.shape[1]
