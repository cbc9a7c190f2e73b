"""RRFormer: reflection removal by shifted-window attention at half resolution (after ERRNet and SwinIR)."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.errnet import LEAST, Columns, Pyramid, Stem
from restoration.networks.layers import conv3, enlarged_to
from restoration.networks.network import Network
from restoration.networks.swin import WindowAttention, heads_of_groups


class RrFormer(Network):
    """Reflection removal for the UHDRR4K benchmark: 19,978,298 parameters, 20,355,130 with VGG columns.

    ``attention`` = "none" computes what the released code does: its transformer returns its input, and so had
    no part in what was trained. "swin" is what it means to compute: x + conv(LN(groups(x))). ``spare`` holds a
    convolution that the released code builds and never uses, so that its files are kept whole. ``heads`` is one
    number, or one per group; ``columns`` as in `Errnet`. The result is a ReLU's, so nowhere negative.
    """

    multiple = 2
    edge = "repeated"

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 256,
        embedding: int = 240,
        depths: tuple[int, ...] = (6, 6, 6, 6, 6),
        heads: int | tuple[int, ...] = 6,
        window: int = 8,
        ratio: int = 2,
        attention: Literal["swin", "none"] = "swin",
        columns: Columns = "none",
        spare: bool = False,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.attention = attention
        self.conv1 = Stem(channels, width, columns)
        self.conv2 = conv3(width, width)
        self.conv3 = nn.Conv2d(width, embedding, 3, stride=2, padding=1)
        self.body = Body(embedding, depths, heads, window, ratio)
        self.spare = conv3(embedding, 3) if spare else None
        self.deconv1 = nn.ConvTranspose2d(embedding, width, 4, stride=2, padding=1)
        self.deconv2 = conv3(width, width)
        self.pyramid = Pyramid(width)
        self.deconv3 = nn.Conv2d(width, channels, 1)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the image behind the reflection; the official stack of 1475 channels is taken as well."""
        height, width = degraded.shape[-2:]
        features = self.conv1(enlarged_to(degraded, LEAST, 2)).relu()
        features = self.conv3(self.conv2(features).relu()).relu()
        if self.attention == "swin":
            features = self.body(features)
        features = self.deconv2(self.deconv1(features).relu()).relu()
        return self.deconv3(self.pyramid(features)).relu()[..., :height, :width]


class Body(nn.Module):
    """Groups of shifted-window layers between two normalisations, a convolution, and a skip over all."""

    def __init__(
        self, width: int, depths: tuple[int, ...], heads: int | tuple[int, ...], window: int, ratio: int
    ) -> None:
        super().__init__()
        self.window = window
        self.embed = nn.LayerNorm(width)
        self.groups = nn.ModuleList(
            Group(width, depth, own, window, ratio)
            for depth, own in zip(depths, heads_of_groups(heads, len(depths)), strict=True)
        )
        self.norm = nn.LayerNorm(width)
        self.conv = conv3(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus their residual, (N, C, H, W)."""
        height, width = features.shape[-2:]
        bottom, right = -height % self.window, -width % self.window
        padded = functional.pad(features, (0, right, 0, bottom), mode="reflect")
        tokens = self.embed(padded.permute(0, 2, 3, 1))
        for group in self.groups:
            tokens = group(tokens)
        residual = self.conv(self.norm(tokens).permute(0, 3, 1, 2))
        return (padded + residual)[..., :height, :width]


class Group(nn.Module):
    """Layers whose windows lie on the grid and half a window off it in turn, a convolution, a skip over all."""

    def __init__(self, width: int, depth: int, heads: int, window: int, ratio: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Layer(width, heads, window, ratio, shift=window // 2 if i % 2 else 0) for i in range(depth)
        )
        self.conv = conv3(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (N, H, W, C)."""
        inner = tokens
        for block in self.blocks:
            inner = block(inner)
        return tokens + self.conv(inner.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Layer(nn.Module):
    """Window attention and two dense layers, each on normalised tokens and added to them (Liu et al., 2021)."""

    def __init__(self, width: int, heads: int, window: int, ratio: int, shift: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, window, shift)
        self.norm2 = nn.LayerNorm(width)
        self.dense = nn.Sequential(
            nn.Linear(width, width * ratio), nn.GELU(), nn.Linear(width * ratio, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (N, H, W, C); sides are multiples of the window."""
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.dense(self.norm2(tokens))
