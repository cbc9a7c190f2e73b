"""A residual super-resolution network with every convolution on the small grid."""

from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import ResidualBlock, conv3, near_zero_, scaled_he_
from restoration.networks.network import Network


class PlainSr(Network):
    """Residual blocks (EDSR; Lim et al., 2017), one pixel shuffle (ESPCN; Shi et al., 2016), bicubic skip.

    Nothing runs on the enlarged grid but the shuffle and the addition, and all convolutions are dense 3×3:
    widths of 32, 48 or 64 keep vector units full. The last layer starts near zero: training begins at bicubic.
    """

    def __init__(self, *, scale: int = 4, channels: int = 3, width: int = 48, blocks: int = 8) -> None:
        super().__init__()
        self.scale = scale
        self.channels = channels
        self.receptive_field = 3 + ResidualBlock.reach * blocks
        self.head = conv3(channels, width)
        body = [ResidualBlock(width) for _ in range(blocks)]
        self.body = nn.Sequential(*body)
        self.fuse = conv3(width, width)
        self.tail = conv3(width, channels * scale**2)
        for block in body:
            scaled_he_(block.conv1, 1.0)
            scaled_he_(block.conv2, 0.1)
        near_zero_(self.tail)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the bicubic enlargement plus the learnt detail."""
        features = self.head(degraded)
        features = features + self.fuse(self.body(features))
        detail = functional.pixel_shuffle(self.tail(features), self.scale)
        return detail + functional.interpolate(
            degraded, scale_factor=self.scale, mode="bicubic", align_corners=False, antialias=True
        )
