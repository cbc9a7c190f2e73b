"""What `ResShiftUnet` is made of: residual blocks that know the step, Swin layers with group norm, resampling."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import conv3, near_zero_
from restoration.networks.swin import WindowAttention

GROUPS = 32
FINEST = 16  # channels of the feature extractor at the degraded image's size


def group_norm(width: int) -> nn.GroupNorm:
    """Return a norm over each of 32 groups of channels (Wu & He, 2018)."""
    if width % GROUPS:
        raise ValueError(f"{width} channels: expected a multiple of {GROUPS}, the groups of the norm")
    return nn.GroupNorm(GROUPS, width)


def step_features(step: Tensor, width: int) -> Tensor:
    """Return cosines and sines of steps at frequencies from 1 down to 1 / 10,000: ``(N, width)``."""
    half = width // 2
    places = torch.arange(half, dtype=torch.float32, device=step.device)
    phases = step.float()[:, None] * torch.exp(-math.log(10_000) / half * places)
    features = torch.cat((phases.cos(), phases.sin()), 1)
    return functional.pad(features, (0, width % 2))


class Conditioned(nn.Sequential):
    """Layers one after the other; residual blocks are told the step."""

    def forward(self, features: Tensor, embedded: Tensor) -> Tensor:
        """Return the features after every layer."""
        for layer in self:
            features = layer(features, embedded) if isinstance(layer, ResBlock) else layer(features)
        return features


class ResBlock(nn.Module):
    """Two convolutions behind norms, with the step added between them, or scaling and shifting there."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        *,
        shift_and_scale: bool,
        resample: Literal["", "down", "up"] | str = "",
    ) -> None:
        super().__init__()
        self.shift_and_scale, self.resample = shift_and_scale, resample
        self.in_layers = nn.Sequential(group_norm(inputs), nn.SiLU(), conv3(inputs, outputs))
        self.emb_layers = nn.Sequential(
            nn.SiLU(), nn.Linear(embedding, 2 * outputs if shift_and_scale else outputs)
        )
        # the third place is that of the authors' dropout
        last = conv3(outputs, outputs)
        near_zero_(last)
        self.out_layers = nn.Sequential(group_norm(outputs), nn.SiLU(), nn.Identity(), last)
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, features: Tensor, embedded: Tensor) -> Tensor:
        """Return the features plus their residual at the embedded step."""
        norm, activation, convolution = self.in_layers
        inner = convolution(self._resampled(activation(norm(features))))
        features = self._resampled(features)
        own = self.emb_layers(embedded)[..., None, None]
        norm, *rest = self.out_layers
        if self.shift_and_scale:
            scale, shift = own.chunk(2, 1)
            inner = norm(inner) * (1 + scale) + shift
        else:
            inner = norm(inner + own)
        for layer in rest:
            inner = layer(inner)
        return self.skip_connection(features) + inner

    def _resampled(self, features: Tensor) -> Tensor:
        if self.resample == "down":
            return functional.avg_pool2d(features, 2)
        if self.resample == "up":
            return functional.interpolate(features, scale_factor=2, mode="nearest")
        return features


class Downsample(nn.Module):
    """A convolution that keeps every second pixel."""

    def __init__(self, inputs: int, outputs: int | None = None) -> None:
        super().__init__()
        self.op = nn.Conv2d(inputs, inputs if outputs is None else outputs, 3, stride=2, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features at half the size."""
        return self.op(features)


class Upsample(nn.Module):
    """Nearest neighbours, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = conv3(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features at twice the size."""
        return self.conv(functional.interpolate(features, scale_factor=2, mode="nearest"))


class FeatureExtractor(nn.Sequential):
    """A convolution, SiLU and a halving, ``halvings`` times: 16 channels, doubled each time."""

    def __init__(self, inputs: int, halvings: int) -> None:
        layers: list[nn.Module] = []
        for i in range(halvings):
            width = FINEST << i
            layers += [conv3(width if i else inputs, width), nn.SiLU(), Downsample(width, 2 * width)]
        super().__init__(*layers)
        self.outputs = FINEST << halvings


class SwinLayer(nn.Module):
    """Attention within windows and perceptrons, on features of a width of its own."""

    def __init__(
        self,
        outer: int,
        width: int,
        heads: int,
        shifts: tuple[int, ...],
        side: int,
        hidden: int,
        *,
        transposed: bool,
    ) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(outer, width, 1)})
        self.patch_unembed = nn.ModuleDict({"proj": nn.Conv2d(width, outer, 1)})
        attends = [WindowAttention(width, heads, side, shift, transposed=transposed) for shift in shifts]
        self.blocks = nn.ModuleList(SwinBlock(width, attention, hidden) for attention in attends)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features after every block."""
        features = self.patch_embed["proj"](features)
        for block in self.blocks:
            features = block(features)
        return self.patch_unembed["proj"](features)


class SwinBlock(nn.Module):
    """Attention within windows, then a perceptron for every pixel, each behind a group norm and added."""

    def __init__(self, width: int, attention: WindowAttention, hidden: int) -> None:
        super().__init__()
        self.norm1 = group_norm(width)
        self.attn = attention
        self.norm2 = group_norm(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Conv2d(width, hidden, 1), "fc2": nn.Conv2d(hidden, width, 1)})

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus both residuals."""
        grid = self.norm1(features).permute(0, 2, 3, 1)
        features = features + self.attn(grid).permute(0, 3, 1, 2)
        hidden = functional.gelu(self.mlp["fc1"](self.norm2(features)))
        return features + self.mlp["fc2"](hidden)
