"""What denoisers share that are told the noise level."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 255.0  # noise levels are counted in these parts of the range


def chain(widths: Sequence[int], dilations: Sequence[int] | None = None) -> nn.Sequential:
    """Return 3×3 convolutions from width to width with a ReLU between each two."""
    if len(widths) < 3:
        raise ValueError(f"depth = {len(widths) - 1}: expected at least 2 convolutions")
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        dilation = dilations[i] if dilations else 1
        layers += [nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def level_map(sigma: Tensor | float | None, assumed: float, features: Tensor) -> Tensor:
    """Return a map (N, 1, H, W) of noise levels beside ``features``.

    ``sigma`` in [0, 1] is a number, a level per image (N, 1, 1, 1), or a map of any size; None: ``assumed`` / 255.
    """
    size = features.shape[-2:]
    value = assumed / LEVELS if sigma is None else sigma
    levels = torch.as_tensor(value, dtype=features.dtype, device=features.device)
    levels = levels.reshape(1, 1, 1, 1) if levels.ndim == 0 else levels
    if levels.shape[-2:] not in ((1, 1), size):
        levels = functional.interpolate(levels, size=size, mode="area")
    return levels.expand(features.shape[0], 1, *size)
