"""MSRResNet: SRResNet without normalisation, with a bilinear skip over the whole network."""

from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import (
    ResidualBlock,
    Up,
    conv3,
    enlargement_steps,
    receptive_radius,
    scaled_he_,
)
from restoration.networks.network import Network


class MsrResNet(Network):
    """The PSNR baseline beside ESRGAN (Wang et al., 2018): 1,517,571 parameters at ×4; BasicSR's names."""

    def __init__(self, *, scale: int = 4, channels: int = 3, width: int = 64, blocks: int = 16) -> None:
        super().__init__()
        steps = enlargement_steps(scale)
        if not 1 <= len(steps) <= 2:
            raise ValueError(f"scale = {scale}: expected 2, 3 or 4")
        self.scale = scale
        self.channels = channels
        self.receptive_field = _radius(blocks, steps)
        self.conv_first = conv3(channels, width)
        self.body = nn.Sequential(*[ResidualBlock(width) for _ in range(blocks)])
        self.upconv1 = conv3(width, width * steps[0] ** 2)
        self.upconv2 = conv3(width, width * steps[1] ** 2) if len(steps) == 2 else None
        self.steps = steps
        self.conv_hr = conv3(width, width)
        self.conv_last = conv3(width, channels)
        scaled_he_(self, 0.1)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the bilinear enlargement plus the learnt residual."""
        features = self.body(_leaky(self.conv_first(degraded)))
        features = _leaky(functional.pixel_shuffle(self.upconv1(features), self.steps[0]))
        if self.upconv2 is not None:
            features = _leaky(functional.pixel_shuffle(self.upconv2(features), self.steps[1]))
        residual = self.conv_last(_leaky(self.conv_hr(features)))
        return residual + functional.interpolate(
            degraded, scale_factor=self.scale, mode="bilinear", align_corners=False
        )


def _radius(blocks: int, steps: tuple[int, ...]) -> int:
    tail = [step for factor in steps for step in (1, Up(factor))]
    return receptive_radius(1, ResidualBlock.reach * blocks, *tail, 2)


def _leaky(features: Tensor) -> Tensor:
    return functional.leaky_relu(features, 0.1, inplace=True)
