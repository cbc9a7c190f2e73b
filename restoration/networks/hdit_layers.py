"""What `Hdit` is made of beside attention: norms without a mean, gates, Fourier features, the mapping of times."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-6


def linear(inputs: int, outputs: int, *, small: bool = False) -> nn.Linear:
    """Return a linear layer without bias; ``small`` for the last one of a residual, which hardly counts at first."""
    layer = nn.Linear(inputs, outputs, bias=False)
    if small:
        nn.init.normal_(layer.weight, std=1e-3)
    return layer


def rms_scaled(features: Tensor, scale: Tensor) -> Tensor:
    """Return the features over the root of their mean square, times ``scale`` (Zhang & Sennrich, 2019)."""
    # in float32 at least: squares of bfloat16 lose what the norm is for
    exact = features if features.dtype == torch.float64 else features.float()
    power = exact.square().mean(-1, keepdim=True)
    return features * (scale.to(exact.dtype) * torch.rsqrt(power + EPSILON)).to(features.dtype)


class RmsNorm(nn.Module):
    """Every pixel's features with unit mean square, times a learnt scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, features: Tensor) -> Tensor:
        """Return the normalised features."""
        return rms_scaled(features, self.scale)


class AdaRmsNorm(nn.Module):
    """Every pixel's features with unit mean square, times one plus a scale that the condition says."""

    def __init__(self, width: int, mapping: int) -> None:
        super().__init__()
        self.linear = linear(mapping, width, small=True)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return the normalised features."""
        return rms_scaled(features, 1 + self.linear(condition))


class Gated(nn.Module):
    """A perceptron whose hidden features are gated: ``down(a · GELU(b))``, ``a, b = up(x)`` (Shazeer, 2020)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up_proj = linear(width, 2 * hidden)
        self.down_proj = linear(hidden, width, small=True)

    def gated(self, features: Tensor) -> Tensor:
        """Return the perceptron's result for each pixel."""
        value, gate = self.up_proj(features).chunk(2, -1)
        return self.down_proj(value * functional.gelu(gate))


class FourierFeatures(nn.Module):
    """Cosines and sines of ``2π·w·x`` for fixed random frequencies w."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        if outputs % 2:
            raise ValueError(f"mapping_width = {outputs}: expected an even number")
        self.weight: Tensor
        self.register_buffer("weight", torch.randn(outputs // 2, inputs))

    def forward(self, values: Tensor) -> Tensor:
        """Return the features of ``(N, inputs)``: ``(N, outputs)``."""
        # a product that autocast leaves in float32: a matrix's, in bfloat16, would round the time
        phases = (2 * math.pi * values.to(self.weight.dtype)[:, None] * self.weight).sum(-1)
        return torch.cat((phases.cos(), phases.sin()), -1)


class Mapping(nn.Module):
    """Gated perceptrons with norms, from features of the time to what scales every layer."""

    def __init__(self, width: int, depth: int, hidden: int) -> None:
        super().__init__()
        self.in_norm = RmsNorm(width)
        self.blocks = nn.ModuleList(MappingBlock(width, hidden) for _ in range(depth))
        self.out_norm = RmsNorm(width)

    def forward(self, features: Tensor) -> Tensor:
        """Return the condition: ``(N, width)``."""
        features = self.in_norm(features)
        for block in self.blocks:
            features = features + block(features)
        return self.out_norm(features)


class MappingBlock(Gated):
    """A gated perceptron behind a norm."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(width, hidden)
        self.norm = RmsNorm(width)

    def forward(self, features: Tensor) -> Tensor:
        """Return the residual."""
        return self.gated(self.norm(features))
