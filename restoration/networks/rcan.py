"""RCAN: residual groups of blocks with channel attention."""

from torch import Tensor, nn

from restoration.networks.edsr import channel_mean
from restoration.networks.layers import conv3, enlargement_steps
from restoration.networks.network import Network


class Rcan(Network):
    """Residual channel attention (Zhang et al., 2018): 15,592,355 parameters at ×4, 1,630 tensors.

    Inside, images are mean-free and ``span`` wide, as in EDSR. ``squeeze`` is how many times narrower the
    attention is. It averages over the whole image: no receptive field.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 3,
        width: int = 64,
        groups: int = 10,
        blocks: int = 20,
        squeeze: int = 16,
        residual_scale: float = 1.0,
        span: float = 255.0,
    ) -> None:
        super().__init__()
        steps = enlargement_steps(scale)
        if not 1 <= squeeze <= width:
            raise ValueError(f"squeeze = {squeeze}: expected 1 to width = {width}")
        self.scale = scale
        self.channels = channels
        self.span = span
        self.mean: Tensor
        self.register_buffer("mean", channel_mean(channels), persistent=False)
        self.head = conv3(channels, width)
        self.body = nn.Sequential(*[Group(width, blocks, squeeze, residual_scale) for _ in range(groups)])
        self.fuse = conv3(width, width)
        self.enlarge = nn.Sequential(
            *[layer for f in steps for layer in (conv3(width, width * f**2), nn.PixelShuffle(f))]
        )
        self.tail = conv3(width, channels)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        features = self.head((degraded - self.mean) * self.span)
        features = features + self.fuse(self.body(features))
        return self.tail(self.enlarge(features)) / self.span + self.mean


class Group(nn.Module):
    """Blocks and a convolution, added to the input."""

    def __init__(self, width: int, blocks: int, squeeze: int, residual_scale: float) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*[AttentiveBlock(width, squeeze, residual_scale) for _ in range(blocks)])
        self.conv = conv3(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus their residual."""
        return features + self.conv(self.blocks(features))


class AttentiveBlock(nn.Module):
    """Convolution, ReLU, convolution, weights per channel from the mean over the image; added to the input."""

    def __init__(self, width: int, squeeze: int, residual_scale: float) -> None:
        super().__init__()
        self.residual_scale = residual_scale
        self.conv1 = conv3(width, width)
        self.conv2 = conv3(width, width)
        self.narrow = nn.Conv2d(width, width // squeeze, 1)
        self.widen = nn.Conv2d(width // squeeze, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus their weighted residual."""
        residual = self.conv2(self.conv1(features).relu())
        weights = self.widen(self.narrow(residual.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return features + self.residual_scale * (residual * weights)
