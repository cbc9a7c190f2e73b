"""SRResNet: the generator of SRGAN."""

from torch import Tensor, nn

from restoration.networks.layers import Up, conv3, enlargement_steps, receptive_radius
from restoration.networks.network import Network


class SrResNet(Network):
    """Normalised residual blocks, then pixel shuffles (Ledig et al., 2017, fig. 4): 1,549,462 parameters.

    The paper's output lies in [-1, 1]; it is moved to [0, 1] here. "ParametricReLU" has one slope per layer.
    The paper names no initialisation, so layers keep PyTorch's.
    """

    def __init__(self, *, scale: int = 4, channels: int = 3, width: int = 64, blocks: int = 16) -> None:
        super().__init__()
        steps = enlargement_steps(scale)
        self.scale = scale
        self.channels = channels
        self.batch_statistics = True
        tail = [step for factor in steps for step in (1, Up(factor))]
        self.receptive_field = receptive_radius(4, 2 * blocks, 1, *tail, 4)
        self.head = nn.Sequential(nn.Conv2d(channels, width, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(*[NormalisedBlock(width) for _ in range(blocks)])
        self.fuse = nn.Sequential(conv3(width, width), nn.BatchNorm2d(width))
        self.enlarge = nn.Sequential(
            *[nn.Sequential(conv3(width, width * f**2), nn.PixelShuffle(f), nn.PReLU()) for f in steps]
        )
        self.tail = nn.Conv2d(width, channels, 9, padding=4)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        features = self.head(degraded)
        features = features + self.fuse(self.body(features))
        return (self.tail(self.enlarge(features)) + 1) / 2


class NormalisedBlock(nn.Module):
    """Convolution, batch normalisation, PReLU, convolution, batch normalisation, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv3(width, width)
        self.norm1 = nn.BatchNorm2d(width)
        self.slope = nn.PReLU()
        self.conv2 = conv3(width, width)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus their residual."""
        inner = self.slope(self.norm1(self.conv1(features)))
        return features + self.norm2(self.conv2(inner))
