"""ESPCN: three convolutions and the pixel shuffle that it introduced."""

from torch import Tensor, nn

from restoration.networks.layers import Up, conv3, receptive_radius
from restoration.networks.network import Network


class EspCn(Network):
    """Sub-pixel convolution (Shi et al., 2016), tanh between; a grey network.

    State: ``first_part.0`` (5×5), ``first_part.2`` (3×3), ``last_part.0`` (3×3, scale² times the channels).
    """

    def __init__(self, *, scale: int = 3, channels: int = 1, width: int = 64, narrow: int = 32) -> None:
        super().__init__()
        if scale < 1:
            raise ValueError(f"scale = {scale}: expected at least 1")
        self.scale = scale
        self.channels = channels
        self.receptive_field = receptive_radius(4, Up(scale))
        self.first_part = nn.Sequential(
            nn.Conv2d(channels, width, 5, padding=2), nn.Tanh(), conv3(width, narrow), nn.Tanh()
        )
        self.last_part = nn.Sequential(conv3(narrow, channels * scale**2), nn.PixelShuffle(scale))

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        return self.last_part(self.first_part(degraded))
