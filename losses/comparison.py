"""One comparison of restored images with their samples: an objective over the feature maps of several layers."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Literal

import torch
from torch import Tensor

from restoration.losses.checks import one_of
from restoration.losses.draws import Keys
from restoration.losses.embedding import by_pixel, frozen, pooled
from restoration.losses.features import shared_passes
from restoration.losses.objective import Objective, Pairs
from restoration.losses.objectives import InfoNce
from restoration.losses.samples import Samples

Pool = Literal["pixels", "mean"]
Embed = Callable[[Tensor], Sequence[Tensor]]  # images to the maps of every layer, (N, C, H, W) each


class Comparison:
    """The mean over layers of an objective, and the heads that it has for each of them.

    ``channels`` are those of each layer's map, by the layer's name; ``others`` of the next images of the batch are
    further negatives.
    """

    def __init__(
        self, objective: Objective | None, pool: Pool, channels: Mapping[str, int], others: int = 0
    ) -> None:
        one_of("pool", pool, ("pixels", "mean"))
        self.objective, self.others = objective or InfoNce(), others
        self.places = {"pixels": by_pixel, "mean": pooled}[pool]
        found = {name: self.objective.heads(count) for name, count in channels.items()}
        self.by_layer = list(found.values())
        # a module's name holds no dot
        self.heads = {
            f"heads-{n.replace('.', '-')}": heads for n, heads in found.items() if heads is not None
        }

    def of_restored(self, embed: Embed, restored: Tensor, samples: Samples, keys: Keys) -> Tensor:
        """Return the objective of each restored image; heads stay as they are: (N,)."""
        with ExitStack() as still:
            for heads in self.heads.values():
                still.enter_context(frozen(heads))
            still_heads = [heads.features if heads else None for heads in self.by_layer]
            value = self._value(embed(restored), embed, samples, keys, still_heads)
        if torch.is_grad_enabled() and restored.requires_grad and not value.requires_grad:
            raise AssertionError("no gradient of this contrastive term reaches the restored images")
        return value

    def of_heads(self, embed: Embed, restored: Tensor, samples: Samples, keys: Keys) -> Tensor:
        """Return the scalar that the heads lower: the objective of detached embeddings."""
        with torch.no_grad():
            anchors = embed(restored)
        return self._value(anchors, embed, samples, keys, self.by_layer).mean()

    def _value(
        self,
        anchors: Sequence[Tensor],
        embed: Embed,
        samples: Samples,
        keys: Keys,
        by_layer: Sequence[Pairs | None],
    ) -> Tensor:
        positives, negatives = _embedded(embed, samples)
        values = []
        for layer, (anchor, heads) in enumerate(zip(anchors, by_layer, strict=True)):
            near, far = ([self.places(maps[layer]) for maps in sets] for sets in (positives, negatives))
            far += [near[0].roll(-step, 0) for step in range(1, self.others + 1)]
            unit = self.places(anchor)
            values.append(self.objective(unit, torch.stack(near, 1), torch.stack(far, 1), keys, heads))
        return torch.stack(values).mean(0)


@torch.no_grad()
def _embedded(embed: Embed, samples: Samples) -> tuple[list[Sequence[Tensor]], list[Sequence[Tensor]]]:
    """Return the maps of every set of positives and of negatives, one set after the other.

    The clean images' pass may be shared with other terms; what was made for this one is let go of.
    """

    def alone(images: Tensor) -> Sequence[Tensor]:
        with shared_passes():
            return embed(images)

    clean, *sharper = samples.positives
    return [embed(clean), *map(alone, sharper)], [alone(images) for images in samples.negatives]
