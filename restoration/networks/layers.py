"""Layers that several networks share, and the arithmetic of receptive fields."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Up(NamedTuple):
    """A step to a finer grid: pixel shuffle, or nearest-neighbour enlargement."""

    factor: int


class Down(NamedTuple):
    """A step to a coarser grid: pixel unshuffle, or a convolution whose kernel is as wide as its stride."""

    factor: int


def receptive_radius(*path: int | Up | Down) -> int:
    """Return the farthest input pixel that reaches an output pixel along ``path``, from input to output.

    An integer widens by so many pixels of the grid it stands on. Every phase of the output grid is tried:
    where grids change, the reach of a pixel depends on its place in the cell.
    """
    ups = math.prod(step.factor for step in path if isinstance(step, Up))
    downs = math.prod(step.factor for step in path if isinstance(step, Down))
    return max(_reach(pixel, path, ups, downs) for pixel in range(ups * downs))


def _reach(pixel: int, path: tuple[int | Up | Down, ...], ups: int, downs: int) -> int:
    low = high = pixel
    for step in reversed(path):
        if isinstance(step, Up):
            low, high = low // step.factor, high // step.factor
        elif isinstance(step, Down):
            low, high = low * step.factor, high * step.factor + step.factor - 1
        else:
            low, high = low - step, high + step
    own = pixel * downs // ups
    return max(own - low, high - own)


def enlargement_steps(scale: int) -> tuple[int, ...]:
    """Return the factors of the pixel shuffles that enlarge by ``scale``."""
    steps = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
    if scale not in steps:
        raise ValueError(f"scale = {scale}: expected 1, 2, 3, 4 or 8")
    return steps[scale]


def conv3(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3×3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def scaled_he_(module: nn.Module, gain: float) -> None:
    """Draw kernels from He's normal distribution times ``gain`` (Wang et al., 2018: 0.1), biases zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data *= gain
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def near_zero_(layer: nn.Conv2d) -> None:
    """Draw a kernel so small that the layer hardly counts at first, bias zero."""
    nn.init.normal_(layer.weight, std=1e-3)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ResidualBlock(nn.Module):
    """Convolution, ReLU, convolution, added to the input: no normalisation (Lim et al., 2017, fig. 2c)."""

    reach = 2

    def __init__(self, width: int, residual_scale: float = 1.0) -> None:
        super().__init__()
        self.residual_scale = residual_scale
        self.conv1 = conv3(width, width)
        self.conv2 = conv3(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus their residual."""
        residual = self.conv2(functional.relu(self.conv1(features), inplace=True))
        return features + (residual if self.residual_scale == 1.0 else self.residual_scale * residual)


class LayerNorm2d(nn.Module):
    """Normalise every pixel over its channels (Ba et al., 2016); on channels-last memory without a copy."""

    def __init__(self, width: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, features: Tensor) -> Tensor:
        """Return the features with zero mean and unit variance per pixel, then scaled and shifted."""
        last = features.permute(0, 2, 3, 1)
        normal = functional.layer_norm(last, last.shape[-1:], self.weight, self.bias, self.epsilon)
        return normal.permute(0, 3, 1, 2)
