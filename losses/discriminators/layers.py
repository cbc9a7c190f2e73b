"""The block that most discriminators are stacks of."""

from typing import Literal

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

Norm = Literal["batch", "instance", "spectral", "none"]


def block(
    inputs: int, outputs: int, kernel: int, stride: int, norm: str = "none", bias: bool | None = None
) -> nn.Sequential:
    """Return convolution, normalisation, leaky ReLU of slope 0.2; a bias unless batch statistics would remove it."""
    bias = norm != "batch" if bias is None else bias
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=bias)
    if norm == "spectral":
        convolution = spectral_norm(convolution)
    normalisation = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}.get(norm)
    between = [normalisation(outputs)] if normalisation else []
    # what instance normalisation gives is a view, and sharded modules must not give views that were changed in place
    return nn.Sequential(convolution, *between, nn.LeakyReLU(0.2, inplace=norm != "instance"))
