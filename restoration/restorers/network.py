"""A network with its card: what is applied, scored and shipped."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from restoration.networks.network import Network
from restoration.restorers.card import Card


@dataclass(frozen=True)
class Restored:
    """A restored image, and further layers of the scene by name where the restorer separates them."""

    image: Tensor
    layers: Mapping[str, Tensor] = field(default_factory=dict)


class Restorer(nn.Module):
    """Restored images, NCHW in [0, 1], from degraded ones of one or three channels.

    The result has the channels of the input, whatever the network has: a grey network restores each colour
    by itself; an RGB network sees grey replicated and its three results are averaged. Values may leave
    [0, 1]: who writes or scores them clamps. ``digest`` is the weights file's sha256, None for baselines.
    """

    def __init__(self, network: Network, card: Card, digest: str | None = None) -> None:
        super().__init__()
        self.network = network
        self.card = card
        self.digest = digest
        self.scale = network.scale
        self.multiple = network.multiple
        self.receptive_field = network.receptive_field
        self.conditions = network.conditions
        self.channels = network.channels
        self.edge = getattr(network, "edge", "mirrored")

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large; conditions are channels after the image's."""
        conditions = len(self.conditions)
        if degraded.ndim != 4 or degraded.shape[1] - conditions not in (1, 3):
            raise ValueError(
                f"degraded has shape {tuple(degraded.shape)}; expected (N, {_channels(conditions)}, H, W)"
            )
        image, condition = degraded.split([degraded.shape[1] - conditions, conditions], dim=1)
        if self.channels is None or image.shape[1] == self.channels:
            return self.network(degraded)
        if self.channels == 3:
            replicated = torch.cat((image.expand(-1, 3, -1, -1), condition), 1)
            return self.network(replicated).mean(1, keepdim=True)
        colours = [self.network(torch.cat((colour, condition), 1)) for colour in image.split(1, dim=1)]
        return torch.cat(colours, 1)

    def restore(
        self,
        degraded: Tensor,
        *,
        mask: Tensor | None = None,
        seed: int | None = None,
        steps: int | None = None,
    ) -> Restored:
        """Return the restored image; ``mask`` is 1 in holes.

        ``seed`` and ``steps`` replace those that the network was made with; ``seed`` is idle where nothing is drawn.
        """
        from restoration.dials.sampling import taken, with_sampling  # here: it builds what is defined here

        words = taken(self)
        if steps is not None and "steps" not in words:
            raise ValueError(f"restorer '{self.card.name}' has no steps: it restores in one pass")
        if (mask is not None) != ("mask" in self.conditions):
            need = "needs a mask" if mask is None else "takes no mask"
            raise ValueError(f"restorer '{self.card.name}' {need}")
        sampler = with_sampling(self, steps, seed if "seed" in words else None)
        return Restored(sampler(degraded if mask is None else torch.cat((degraded, mask), 1)))


def _channels(conditions: int) -> str:
    return f"{1 + conditions} or {3 + conditions}"
