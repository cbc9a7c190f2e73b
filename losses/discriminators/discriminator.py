"""What every discriminator is, and how a term asks one that does not learn in the same breath."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from difflib import get_close_matches
from typing import ClassVar

import torch
from torch import Tensor, nn

from restoration.losses.features import shared
from restoration.losses.loss import large_enough
from restoration.losses.term import Pair, Term


class Discriminator(nn.Module, ABC):
    """A network from images, NCHW in [0, 1], to logits; a large one says clean.

    ``outputs`` is all that a discriminator writes; ``forward`` and ``features`` are parts of it. ``channels`` counts
    those of the image. A ``masked`` one is shown the mask (1 in holes) as one more channel, after those.
    """

    name: ClassVar[str] = "discriminator"
    masked: ClassVar[bool] = False
    minimum_size: int = 1
    multiple: int = 1  # of what the sides of training crops are, as a loss says it
    channels: int = 3

    @abstractmethod
    def outputs(self, image: Tensor) -> list[list[Tensor]]:
        """Return, for each network within, what its inner layers give, (N, C, H, W) each, then its logits (N, …)."""

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of every image, (N, …); a list of them where several networks judge."""
        logits = [outputs[-1] for outputs in self.outputs(image)]
        return logits[0] if len(logits) == 1 else logits

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the outputs of the inner layers, first to last: (N, C, H, W) each."""
        return [feature for outputs in self.outputs(image) for feature in outputs[:-1]]

    def shown(self, image: Tensor, mask: Tensor | None) -> Tensor:
        """Return what the network takes: the image, with its mask as last channel where this one is masked."""
        if not self.masked:
            return image
        if mask is None:
            raise ValueError(f"{self.name}: these images come without masks")
        return torch.cat([image, mask.to(image)], 1)

    def expect(self, image: Tensor) -> None:
        """Refuse an input of another number of channels, or below the minimum size."""
        expected = self.channels + self.masked
        if image.shape[1] != expected:
            what = f"{expected} with the mask" if self.masked else f"channels = {expected}"
            raise ValueError(f"{self.name}: images have {image.shape[1]} channel(s); expected {what}")
        large_enough(image, self.minimum_size, self.name)


def outputs_of(discriminator: Discriminator, image: Tensor, batch: Pair) -> list[list[Tensor]]:
    """Return ``discriminator.outputs`` for a term that does not train it; terms of one stack share the pass."""
    return shared(discriminator, image, lambda: discriminator.outputs(discriminator.shown(image, batch.mask)))


def discriminator_of(terms: Mapping[str, Term], name: str) -> Discriminator:
    """Return the discriminator that the stack's entry ``name`` trains, for a term that ``connect``s to it."""
    owned = {
        entry: part
        for entry, term in terms.items()
        for part in term.groups().values()
        if isinstance(part, Discriminator)
    }
    if name not in owned:
        close = get_close_matches(name, owned, n=1, cutoff=0.4)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ValueError(f'of = "{name}": no entry of that name trains a discriminator{hint}')
    return owned[name]
