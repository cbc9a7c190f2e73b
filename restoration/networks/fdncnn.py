"""FDnCNN: DnCNN's chain with a map of the noise level as one more channel."""

import torch
from torch import Tensor

from restoration.networks.network import Network
from restoration.networks.noise_level import chain, level_map


class FdnCnn(Network):
    """DnCNN that is told the noise level, and gives the clean image itself: 668,803 parameters in colour.

    ``sigma`` is the level that is assumed where none is given, in 1/255.
    """

    def __init__(self, *, channels: int = 3, width: int = 64, depth: int = 20, sigma: float = 25.0) -> None:
        super().__init__()
        self.channels = channels
        self.sigma = sigma
        self.receptive_field = depth
        self.model = chain([channels + 1, *[width] * (depth - 1), channels])

    def forward(self, degraded: Tensor, sigma: Tensor | float | None = None) -> Tensor:
        """Return the clean image; ``sigma``, in [0, 1], is one level, one per image (N, 1, 1, 1), or a map of them."""
        return self.model(torch.cat((degraded, level_map(sigma, self.sigma, degraded)), 1))
