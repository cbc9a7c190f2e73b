"""The U-Net of SR3, told how noisy its input is: noise from images, not a restorer by itself."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import conv3

PERIOD = 1e4


class Sr3Unet(nn.Module):
    """Saharia et al. (2021), as Noise-DA offers it: 32,230,691 parameters.

    ``forward`` takes what is stacked along channels and one level per image in [0, 1]; it returns the predicted
    noise. ``attention`` lists the levels, 0 the finest, that attend; the middle always does. ``groups`` of the
    normalisations are not told by shapes.
    """

    def __init__(
        self,
        *,
        inputs: int = 6,
        outputs: int = 3,
        width: int = 32,
        multipliers: tuple[int, ...] = (1, 2, 4, 8, 8),
        blocks: int = 3,
        attention: tuple[int, ...] = (4,),
        groups: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.width = width
        self.multiple = 2 ** (len(multipliers) - 1)
        self.noise_level_mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
        )

        def stage(before: int, after: int, attend: bool) -> Stage:
            return Stage(before, after, width, groups, dropout, attend)

        self.downs, channels, widths = nn.ModuleList([conv3(inputs, width)]), width, [width]
        for level, factor in enumerate(multipliers):
            for _ in range(blocks):
                self.downs.append(stage(channels, width * factor, level in attention))
                channels = width * factor
                widths.append(channels)
            if level < len(multipliers) - 1:
                self.downs.append(Halving(channels))
                widths.append(channels)
        self.mid = nn.ModuleList([stage(channels, channels, True), stage(channels, channels, False)])
        self.ups = nn.ModuleList()
        for level, factor in reversed(list(enumerate(multipliers))):
            for _ in range(blocks + 1):
                self.ups.append(stage(channels + widths.pop(), width * factor, level in attention))
                channels = width * factor
            if level:
                self.ups.append(Doubling(channels))
        self.final_conv = _normalised(channels, outputs, groups, 0.0)

    def forward(self, stacked: Tensor, level: Tensor) -> Tensor:
        """Return the noise (N, outputs, H, W) in images (N, inputs, H, W), given levels (N,)."""
        told = self.noise_level_mlp(self._waves(level))
        features, skips = stacked, []
        for layer in self.downs:
            features = layer(features, told) if isinstance(layer, Stage) else layer(features)
            skips.append(features)
        for layer in self.mid:
            features = layer(features, told)
        for layer in self.ups:
            if isinstance(layer, Stage):
                features = layer(torch.cat((features, skips.pop()), 1), told)
            else:
                features = layer(features)
        return self.final_conv(features)

    def _waves(self, level: Tensor) -> Tensor:
        half = self.width // 2
        steps = torch.arange(half, device=level.device, dtype=torch.float32) / half
        angles = level[:, None].float() * torch.exp(-math.log(PERIOD) * steps)
        return torch.cat((angles.sin(), angles.cos()), 1)


class Stage(nn.Module):
    """A residual block to which the level is added, followed by attention where the level has any."""

    def __init__(
        self, inputs: int, outputs: int, told: int, groups: int, dropout: float, attend: bool
    ) -> None:
        super().__init__()
        self.told = nn.Linear(told, outputs)
        self.block1 = _normalised(inputs, outputs, groups, 0.0)
        self.block2 = _normalised(outputs, outputs, groups, dropout)
        self.res_conv = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.attention = Attention(outputs, groups) if attend else nn.Identity()

    def forward(self, features: Tensor, told: Tensor) -> Tensor:
        """Return features (N, C, H, W)."""
        inner = self.block1(features) + self.told(told)[..., None, None]
        return self.attention(self.block2(inner) + self.res_conv(features))


class Attention(nn.Module):
    """Attention of one head among all pixels, added to them."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, H, W)."""
        q, k, v = self.qkv(self.norm(features)).flatten(2).transpose(1, 2).chunk(3, 2)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return features + self.out(mixed.reshape(features.shape))


class Halving(nn.Module):
    """A strided convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of half the size."""
        return self.conv(features)


class Doubling(nn.Module):
    """Repetition of pixels and a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = conv3(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of twice the size."""
        return self.conv(functional.interpolate(features, scale_factor=2.0))


def _normalised(inputs: int, outputs: int, groups: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.GroupNorm(groups, inputs), nn.SiLU(), nn.Dropout(dropout), conv3(inputs, outputs))
