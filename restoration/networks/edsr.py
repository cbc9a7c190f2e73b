"""EDSR: residual blocks without normalisation, enlarged by pixel shuffles."""

import torch
from torch import Tensor, nn

from restoration.networks.layers import ResidualBlock, Up, conv3, enlargement_steps, receptive_radius
from restoration.networks.network import Network

# means of the DIV2K training photographs, red, green, blue (Lim et al., 2017)
MEAN = (0.4488, 0.4371, 0.4040)


class Edsr(Network):
    """EDSR-baseline (Lim et al., 2017): 1,517,571 parameters at ×4, with BasicSR's names.

    The paper's large model: width 256, blocks 32, residual_scale 0.1. Inside, images are mean-free and
    ``span`` wide, 255 as in the authors' files; one channel is shifted by the mean of the three. Layers keep
    PyTorch's initialisation, as the authors' do.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 3,
        width: int = 64,
        blocks: int = 16,
        residual_scale: float = 1.0,
        span: float = 255.0,
    ) -> None:
        super().__init__()
        steps = enlargement_steps(scale)
        self.scale = scale
        self.channels = channels
        self.span = span
        shuffles = [step for factor in steps for step in (1, Up(factor))]
        self.receptive_field = receptive_radius(2 + ResidualBlock.reach * blocks, *shuffles, 1)
        self.mean: Tensor
        self.register_buffer("mean", channel_mean(channels), persistent=False)
        self.conv_first = conv3(channels, width)
        self.body = nn.Sequential(*[ResidualBlock(width, residual_scale) for _ in range(blocks)])
        self.conv_after_body = conv3(width, width)
        self.upsample = nn.Sequential(
            *[layer for f in steps for layer in (conv3(width, width * f**2), nn.PixelShuffle(f))]
        )
        self.conv_last = conv3(width, channels)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        features = self.conv_first((degraded - self.mean) * self.span)
        features = features + self.conv_after_body(self.body(features))
        return self.conv_last(self.upsample(features)) / self.span + self.mean


def channel_mean(channels: int) -> Tensor:
    """Return the mean of every channel, (1, C, 1, 1): one channel has the mean of the three."""
    mean = torch.tensor(MEAN)
    mean = mean if channels == 3 else mean.mean().expand(channels)
    return mean.clone().view(1, channels, 1, 1)
