"""IMDN's blocks in a row without attention, in one skip: IMDN_RTC, and KAIR's IMDN."""

from typing import Literal

from torch import Tensor, nn

from restoration.networks.imdn_attentive import MultiDistillation
from restoration.networks.layers import Up, conv3, receptive_radius
from restoration.networks.network import Network


class ImdnChain(Network):
    """Distillation blocks in one skip, then a pixel shuffle: 893,936 parameters at ×4 with the defaults (KAIR).

    The authors' network of the real-time challenge (IMDN_RTC, 20,190 parameters at ×2) has width 12, blocks 5 and a
    ``fuse`` of 1: the kernel of the convolution that ends the skip.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 3,
        width: int = 64,
        blocks: int = 8,
        fuse: Literal[1, 3] = 3,
    ) -> None:
        super().__init__()
        if width < 4:
            raise ValueError(f"width = {width}: expected at least 4")
        self.scale = scale
        self.channels = channels
        reach = blocks * MultiDistillation.reach + fuse // 2
        self.receptive_field = receptive_radius(1 + reach + 1, Up(scale))
        self.head = conv3(channels, width)
        self.body = nn.Sequential(*[MultiDistillation(width, attentive=False) for _ in range(blocks)])
        self.fuse = nn.Conv2d(width, width, fuse, padding=fuse // 2)
        self.tail = nn.Sequential(conv3(width, channels * scale**2), nn.PixelShuffle(scale))

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        features = self.head(degraded)
        return self.tail(features + self.fuse(self.body(features)))
