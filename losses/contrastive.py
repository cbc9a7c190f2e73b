"""Contrastive terms: the restored image near the clean one and its sharpened copies, far from degraded ones."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from restoration.losses.checks import not_negative, one_of
from restoration.losses.comparison import Comparison, Pool
from restoration.losses.discriminators import discriminator_of
from restoration.losses.discriminators.haar_trunk import WIDTHS, HaarTrunk
from restoration.losses.embedding import (
    Embedding,
    OfBackbone,
    OfDiscriminator,
    Statistics,
    frozen,
    known_layers,
)
from restoration.losses.features import backbone
from restoration.losses.loss import large_enough, per_image, same_shape
from restoration.losses.objectives import Objective
from restoration.losses.samples import Recipe, Samples
from restoration.losses.term import Pair, Term


class FrequencyContrastive(Term):
    """Contrast in the space of a discriminator's features of Haar detail bands (PCL-SR; Wu et al., 2023).

    The objective, of the restored image against the samples of a `Recipe`, is averaged over ``layers`` of a
    `HaarTrunk` of this term's own; PCL-SR's is InfoNCE at τ = 1, and its scripts use layer 4 alone. The trunk learns
    by `dual_contrastive` over the logits of clean and restored images, with ``discriminate_samples`` also of
    sharpened ones as clean and of blurred ones as restored. In the paper the trunk learns before the restorer in
    each step, here after it.

    The weight beside L1 of images in [0, 1] is about 0.02: 5/255, as the released RCAN run has α = 5 beside an L1 of
    images in [0, 255]. ``statistics`` = "batch" normalises every set of samples by its own batch, as released, so that
    values depend on the batch; with "running" they do not. A micro-batch of one process is the batch, here and in the
    number of logits that `dual_contrastive` sets against each other.

    ``released_defect`` = true is a control: the released code takes the features of the restored image without a
    gradient, so that the term has the same value and asks nothing of the restorer.
    """

    value_range = "that of its objective"
    minimum_size = 32
    multiple = 2

    def __init__(
        self,
        width: int = 64,
        layers: tuple[int, ...] = (4,),
        positives: int = 3,
        negatives: int = 3,
        objective: Objective | None = None,
        noise: float = 0.0,
        naive_samples: bool = False,
        discriminate_samples: bool = False,
        before_activation: bool = False,
        pool: Pool = "pixels",
        statistics: Statistics = "batch",
        channels: int = 3,
        released_defect: bool = False,
    ) -> None:
        known_layers(HaarTrunk.name, layers, len(WIDTHS))
        one_of("statistics", statistics, ("batch", "running"))
        self.layers = layers or tuple(range(len(WIDTHS)))
        self.recipe = Recipe(positives, negatives, noise, naive_samples)
        self.discriminator = HaarTrunk(width, before_activation=before_activation, channels=channels)
        self.comparison = Comparison(objective, pool, {str(n): width * WIDTHS[n] for n in self.layers})
        self.discriminate_samples, self.statistics = discriminate_samples, statistics
        self.released_defect = released_defect

    def groups(self) -> dict[str, nn.Module]:
        """Return the discriminator, and the heads of the objective where it has any."""
        return {"discriminator": self.discriminator, **self.comparison.heads}

    def of_restored(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the objective of each image: (N,)."""
        large_enough(restored, self.minimum_size, "frequency-contrastive")
        same_shape(restored, batch.clean)
        compare, samples = self.comparison.of_restored, self.recipe(batch)
        if not self.released_defect:
            return compare(self._maps, restored, samples, batch.keys)
        with torch.no_grad():
            value = compare(self._maps, restored, samples, batch.keys)
        return value + 0 * per_image(restored)

    def of_own_parts(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return how badly the discriminator tells the two apart, and the objective where it has heads."""
        several = self.discriminate_samples or self.comparison.heads
        samples = self.recipe(batch) if several else Samples((batch.clean,), ())
        clean, other = [batch.clean], [restored]
        if self.discriminate_samples:
            clean, other = [*samples.positives], [restored, *samples.negatives[1:]]
        value = dual_contrastive(self._logits(clean), self._logits(other))
        if self.comparison.heads:
            value = value + self.comparison.of_heads(self._maps, restored, samples, batch.keys)
        return value

    def _logits(self, sets: Sequence[Tensor]) -> Tensor:
        """Return the logits of all sets; each is a call of its own, with its own batch statistics."""
        return torch.cat([self.discriminator(images).flatten() for images in sets])

    def _maps(self, image: Tensor) -> list[Tensor]:
        with frozen(self.discriminator, self.statistics):
            found = self.discriminator.features(image, max(self.layers) + 1)
        return [found[layer] for layer in self.layers]


class Contrastive(Term):
    """Any objective over any embedding, of the restored image against the samples of PCL-SR (Wu et al., 2023).

    ``embedding`` = "discriminator" is the one that the entry ``of`` of this stack trains, any other name that of a
    frozen network; ``layers`` are numbers from 0 of the one, names of the other, and none means all of a
    discriminator's and a frozen network's usual ones. With ``pool`` = "pixels" an embedding has a place per pixel, with
    "mean" one in all.

    Negatives show the same content, degraded or blurred. ``others`` adds the clean images of so many next neighbours
    in the batch: their content differs, so they are told apart more easily, and values depend on the batch.
    ``statistics`` are those of `FrequencyContrastive`, for discriminators.
    """

    value_range = "that of its objective"
    minimum_size = 3
    sized_by = "its embedding"
    comparison: Comparison | None = None  # known once the embedding is

    def __init__(
        self,
        embedding: str = "discriminator",
        of: str = "adversarial",
        layers: tuple[int | str, ...] = (),
        objective: Objective | None = None,
        positives: int = 3,
        negatives: int = 3,
        noise: float = 0.0,
        naive_samples: bool = False,
        others: int = 0,
        pool: Pool = "pixels",
        statistics: Statistics = "batch",
    ) -> None:
        not_negative("others", others)
        one_of("statistics", statistics, ("batch", "running"))
        self.of, self.layers, self.statistics = of, layers, statistics
        self.objective, self.pool, self.others = objective, pool, others
        self.recipe = Recipe(positives, negatives, noise, naive_samples)
        self.of_neighbour = embedding == "discriminator"
        if not self.of_neighbour:
            network = backbone(embedding)
            self._embed_by(OfBackbone(network, network.chosen(layers)))

    def connect(self, terms: Mapping[str, Term]) -> None:
        """Take the discriminator of the entry ``of``, where that is the embedding."""
        if self.of_neighbour:
            self._embed_by(OfDiscriminator(discriminator_of(terms, self.of), self.layers, self.statistics))

    def groups(self) -> dict[str, nn.Module]:
        """Return the heads of the objective where it has any; the embedding is another's."""
        return self.comparison.heads if self.comparison else {}

    def of_restored(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the objective of each image: (N,)."""
        large_enough(restored, self.minimum_size, "contrastive")
        same_shape(restored, batch.clean)
        if self.others >= len(restored):
            raise ValueError(
                f"others = {self.others}; expected fewer than the {len(restored)} images of a batch"
            )
        embed = partial(self.embedding, mask=batch.mask)
        return self.comparison.of_restored(embed, restored, self.recipe(batch), batch.keys)

    def of_own_parts(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the objective of detached embeddings, which the heads lower."""
        embed = partial(self.embedding, mask=batch.mask)
        return self.comparison.of_heads(embed, restored, self.recipe(batch), batch.keys)

    def _embed_by(self, embedding: Embedding) -> None:
        self.embedding, self.multiple = embedding, getattr(embedding.network, "multiple", 1)
        self.minimum_size = max(embedding.minimum_size, self.recipe.minimum_size)
        self.comparison = Comparison(self.objective, self.pool, embedding.channels(), self.others)


def dual_contrastive(clean: Tensor, restored: Tensor) -> Tensor:
    """Return how badly logits tell clean images from restored ones (Yu et al., 2021, dual contrastive loss): a scalar.

    ``meanᵢ −log( e^{cᵢ} / (e^{cᵢ} + Σⱼ e^{rⱼ}) ) + meanⱼ −log( e^{−rⱼ} / (e^{−rⱼ} + Σᵢ e^{−cᵢ}) )``, over all logits
    c of clean and r of restored images. Only their differences count: a bias of all logits learns nothing.
    """
    told = softplus(restored.logsumexp(0) - clean).mean()
    return told + softplus(restored + (-clean).logsumexp(0)).mean()
