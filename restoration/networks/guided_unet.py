"""The U-Net of guided diffusion, told how noisy its input is: noise from images, not a restorer by itself."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import conv3

NORM_GROUPS = 32
PERIOD = 1e4


class GuidedUnet(nn.Module):
    """Dhariwal and Nichol (2021), as Palette and Noise-DA use it: 62,643,075 parameters as Noise-DA releases it.

    ``forward`` takes what is stacked along channels and one level per image in [0, 1], the product of the noise
    schedule so far; it returns the predicted noise. ``attention`` lists the factors of reduction at which levels
    attend; the middle always does. Attention heads have ``head`` channels each, which shapes do not tell.
    """

    def __init__(
        self,
        *,
        inputs: int = 9,
        outputs: int = 3,
        width: int = 64,
        multipliers: tuple[int, ...] = (1, 2, 4, 8),
        blocks: int = 2,
        attention: tuple[int, ...] = (),
        head: int = 32,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.width = width
        self.multiple = 2 ** (len(multipliers) - 1)
        told = 4 * width
        self.cond_embed = nn.Sequential(nn.Linear(width, told), nn.SiLU(), nn.Linear(told, told))

        def block(before: int, after: int, resize: str = "none") -> Block:
            return Block(before, after, told, dropout, resize)

        self.input_blocks = nn.ModuleList([nn.ModuleList([conv3(inputs, width * multipliers[0])])])
        channels, widths = width * multipliers[0], [width * multipliers[0]]
        for level, factor in enumerate(multipliers):
            for _ in range(blocks):
                layers = [block(channels, width * factor)]
                channels = width * factor
                layers += [Attention(channels, head)] if 2**level in attention else []
                self.input_blocks.append(nn.ModuleList(layers))
                widths.append(channels)
            if level < len(multipliers) - 1:
                self.input_blocks.append(nn.ModuleList([block(channels, channels, "down")]))
                widths.append(channels)
        self.middle_block = nn.ModuleList(
            [block(channels, channels), Attention(channels, head), block(channels, channels)]
        )
        self.output_blocks = nn.ModuleList()
        for level, factor in reversed(list(enumerate(multipliers))):
            for index in range(blocks + 1):
                layers = [block(channels + widths.pop(), width * factor)]
                channels = width * factor
                layers += [Attention(channels, head)] if 2**level in attention else []
                layers += [block(channels, channels, "up")] if level and index == blocks else []
                self.output_blocks.append(nn.ModuleList(layers))
        self.out = nn.Sequential(nn.GroupNorm(NORM_GROUPS, channels), nn.SiLU(), conv3(channels, outputs))
        nn.init.zeros_(self.out[2].weight)
        nn.init.zeros_(self.out[2].bias)

    def forward(self, stacked: Tensor, level: Tensor) -> Tensor:
        """Return the noise (N, outputs, H, W) in images (N, inputs, H, W), given levels (N,)."""
        told = self.cond_embed(waves(level, self.width))
        features, skips = stacked, []
        for layers in self.input_blocks:
            features = _through(layers, features, told)
            skips.append(features)
        features = _through(self.middle_block, features, told)
        for layers in self.output_blocks:
            features = _through(layers, torch.cat((features, skips.pop()), 1), told)
        return self.out(features)


class Block(nn.Module):
    """A residual block whose second normalisation is scaled and shifted by the level; it may double or halve."""

    def __init__(self, inputs: int, outputs: int, told: int, dropout: float, resize: str) -> None:
        super().__init__()
        self.resize = resize
        self.in_layers = nn.Sequential(nn.GroupNorm(NORM_GROUPS, inputs), nn.SiLU(), conv3(inputs, outputs))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(told, 2 * outputs))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(NORM_GROUPS, outputs), nn.SiLU(), nn.Dropout(dropout), conv3(outputs, outputs)
        )
        self.skip_connection = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor, told: Tensor) -> Tensor:
        """Return the features, resized, plus their residual."""
        norm, activation, conv = self.in_layers
        inner = conv(self._resized(activation(norm(features))))
        scale, shift = self.emb_layers(told)[..., None, None].chunk(2, 1)
        norm, *rest = self.out_layers
        inner = norm(inner) * (1 + scale) + shift
        for layer in rest:
            inner = layer(inner)
        return self.skip_connection(self._resized(features)) + inner

    def _resized(self, features: Tensor) -> Tensor:
        if self.resize == "down":
            return functional.avg_pool2d(features, 2)
        return functional.interpolate(features, scale_factor=2.0) if self.resize == "up" else features


class Attention(nn.Module):
    """Attention among all pixels, added to them; each head's query, key and value lie together."""

    def __init__(self, width: int, head: int) -> None:
        super().__init__()
        if width % head:
            raise ValueError(f"head = {head}: expected a divisor of {width}")
        self.head = head
        self.norm = nn.GroupNorm(NORM_GROUPS, width)
        self.qkv = nn.Conv1d(width, 3 * width, 1)
        self.proj_out = nn.Conv1d(width, width, 1)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, H, W)."""
        parts = self.qkv(self.norm(features).flatten(2)).unflatten(1, (-1, 3, self.head))
        q, k, v = parts.transpose(3, 4).unbind(2)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(2, 3).flatten(1, 2)
        return features + self.proj_out(mixed).view_as(features)


def waves(level: Tensor, width: int) -> Tensor:
    """Return cosines and sines of levels (N,), at frequencies from 1 down to almost 1/10000: (N, width)."""
    half = width // 2
    steps = torch.arange(half, device=level.device, dtype=torch.float32) / half
    angles = level[:, None].float() * torch.exp(-math.log(PERIOD) * steps)
    return torch.cat((angles.cos(), angles.sin()), 1)


def _through(layers: nn.ModuleList, features: Tensor, told: Tensor) -> Tensor:
    for layer in layers:
        features = layer(features, told) if isinstance(layer, Block) else layer(features)
    return features
