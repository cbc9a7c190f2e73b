"""FFDNet: a chain of convolutions at half size that is told the noise level."""

import torch
from torch import Tensor
from torch.nn import functional

from restoration.networks.layers import Down, Up, enlarged_to, receptive_radius
from restoration.networks.network import Network
from restoration.networks.noise_level import chain, level_map


class FfdNet(Network):
    """Fast and flexible denoising (Zhang et al., 2018): 485,316 parameters in grey, 852,108 in colour (96, 12).

    The image is packed by pixel unshuffle; a map of the noise level is one channel more. ``sigma`` is the level that
    is assumed where none is given, in 1/255, as the field counts it. Odd sizes are filled up by repeating the border.
    """

    multiple = 2
    edge = "repeated"

    def __init__(self, *, channels: int = 1, width: int = 64, depth: int = 15, sigma: float = 25.0) -> None:
        super().__init__()
        self.channels = channels
        self.sigma = sigma
        self.receptive_field = receptive_radius(Down(2), depth, Up(2))
        self.model = chain([4 * channels + 1, *[width] * (depth - 1), 4 * channels])

    def forward(self, degraded: Tensor, sigma: Tensor | float | None = None) -> Tensor:
        """Return the clean image; ``sigma``, in [0, 1], is one level, one per image (N, 1, 1, 1), or a map of them."""
        height, width = degraded.shape[-2:]
        packed = functional.pixel_unshuffle(enlarged_to(degraded, 1, multiple=2), 2)
        levels = level_map(sigma, self.sigma, packed)
        restored = functional.pixel_shuffle(self.model(torch.cat((packed, levels), 1)), 2)
        return restored[..., :height, :width]
