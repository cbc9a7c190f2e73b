"""Layers that several networks share, and the arithmetic of receptive fields."""

import math
from fractions import Fraction
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


class Strided(NamedTuple):
    """A convolution or pooling by its kernel, stride, and padding at the top and left."""

    kernel: int
    stride: int = 1
    padding: int = 0


class Transposed(NamedTuple):
    """A transposed convolution by its kernel, stride and padding."""

    kernel: int
    stride: int
    padding: int


Step = int | Up | Down | Strided | Transposed


def receptive_radius(*path: Step) -> int:
    """Return the farthest input pixel that reaches an output pixel along ``path``, from input to output.

    An integer widens by so many pixels of the grid it stands on. Every phase of the output grid is tried:
    where grids change, the reach of a pixel depends on its place in the cell.
    """
    density, period = Fraction(1), 1
    for step in path:
        density *= _densification(step)
        period = math.lcm(period, density.denominator)
    return max(_reach(pixel, path, density) for pixel in range(int(period * density)))


def _densification(step: Step) -> Fraction:
    match step:
        case Up(factor):
            return Fraction(factor)
        case Down(factor):
            return Fraction(1, factor)
        case Strided(_, stride, _):
            return Fraction(1, stride)
        case Transposed(_, stride, _):
            return Fraction(stride)
    return Fraction(1)


def _reach(pixel: int, path: tuple[Step, ...], density: Fraction) -> int:
    low = high = pixel
    for step in reversed(path):
        match step:
            case Up(factor):
                low, high = low // factor, high // factor
            case Down(factor):
                low, high = low * factor, high * factor + factor - 1
            case Strided(kernel, stride, padding):
                low, high = low * stride - padding, high * stride - padding + kernel - 1
            case Transposed(kernel, stride, padding):
                low, high = -((kernel - 1 - padding - low) // stride), (high + padding) // stride
            case _:
                low, high = low - step, high + step
    own = int(pixel / density)
    return max(own - low, high - own)


def enlargement_steps(scale: int) -> tuple[int, ...]:
    """Return the factors of the pixel shuffles that enlarge by ``scale``."""
    steps = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
    if scale not in steps:
        raise ValueError(f"scale = {scale}: expected 1, 2, 3, 4 or 8")
    return steps[scale]


def longer(one: int, other: int) -> int:
    """Return the larger of two lengths, without a branch, which an exported graph could not take.

    Compiled graphs take Python's own ``max``, and in PyTorch 2.11 no other.
    """
    return max(one, other) if torch.compiler.is_dynamo_compiling() else torch.sym_max(one, other)


def enlarged_to(image: Tensor, least: int, multiple: int = 1) -> Tensor:
    """Return the image with its last row and column repeated until sides are multiples, and at least ``least``."""
    height, width = image.shape[-2:]
    longest = [longer(side, least) for side in (height, width)]
    bottom, right = (
        -(-n // multiple) * multiple - side for n, side in zip(longest, (height, width), strict=True)
    )
    return functional.pad(image, (0, right, 0, bottom), mode="replicate")


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
