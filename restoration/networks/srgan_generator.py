"""SRGAN's generator in the form that circulates with iSeeBetter: few blocks, squashed by tanh."""

from torch import Tensor, nn

from restoration.networks.layers import Up, conv3, enlargement_steps, receptive_radius
from restoration.networks.network import Network
from restoration.networks.srresnet import NormalisedBlock


class SrganGenerator(Network):
    """Five normalised blocks, a convolution with slope in place of the last normalisation: 734,092 parameters at ×4.

    The output is (tanh + 1) / 2. The paper's own generator is `SrResNet`.
    """

    def __init__(self, *, scale: int = 4, channels: int = 3, width: int = 64, blocks: int = 5) -> None:
        super().__init__()
        steps = enlargement_steps(scale)
        self.scale = scale
        self.channels = channels
        self.batch_statistics = True
        tail = [step for factor in steps for step in (1, Up(factor))]
        self.receptive_field = receptive_radius(4, 2 * blocks, 1, *tail, 4)
        self.head = nn.Sequential(nn.Conv2d(channels, width, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(*[NormalisedBlock(width) for _ in range(blocks)])
        self.fuse = nn.Sequential(conv3(width, width), nn.PReLU())
        self.enlarge = nn.Sequential(
            *[nn.Sequential(conv3(width, width * f**2), nn.PixelShuffle(f), nn.PReLU()) for f in steps]
        )
        self.tail = nn.Conv2d(width, channels, 9, padding=4)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        features = self.head(degraded)
        features = features + self.fuse(self.body(features))
        return (self.tail(self.enlarge(features)).tanh() + 1) / 2
