"""SRResNet without normalisation, enlarged by nearest neighbour: KAIR's MSRResNet0."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import ResidualBlock, Up, conv3, enlargement_steps, receptive_radius
from restoration.networks.network import Network


class UpconvSrResNet(Network):
    """Residual blocks in one skip; each step enlarges, convolves and rectifies: 1,332,928 parameters at ×4.

    ``enlargement`` "shuffle" convolves before it enlarges, by a pixel shuffle. The last convolution has no bias.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 3,
        width: int = 64,
        blocks: int = 16,
        enlargement: Literal["nearest", "shuffle"] = "nearest",
    ) -> None:
        super().__init__()
        self.steps = enlargement_steps(scale)
        self.scale = scale
        self.channels = channels
        self.shuffles = enlargement == "shuffle"
        tail = [s for f in self.steps for s in ((1, Up(f)) if self.shuffles else (Up(f), 1))]
        self.receptive_field = receptive_radius(2 + ResidualBlock.reach * blocks, *tail, 2)
        self.head = conv3(channels, width)
        self.body = nn.Sequential(*[ResidualBlock(width) for _ in range(blocks)])
        self.fuse = conv3(width, width)
        self.enlarge = nn.ModuleList(
            conv3(width, width * f**2 if self.shuffles else width) for f in self.steps
        )
        self.last = conv3(width, width)
        self.tail = nn.Conv2d(width, channels, 3, padding=1, bias=False)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        features = self.head(degraded)
        features = features + self.fuse(self.body(features))
        for factor, conv in zip(self.steps, self.enlarge, strict=True):
            if self.shuffles:
                features = functional.pixel_shuffle(conv(features), factor).relu()
            else:
                features = conv(functional.interpolate(features, scale_factor=factor, mode="nearest")).relu()
        return self.tail(self.last(features).relu())
