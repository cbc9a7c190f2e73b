"""Gamma: stored values to light and back."""

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.dct import straight_through

DARK = 1e-8  # below it gradients do not grow: roots are infinitely steep at 0


def power(light: Tensor, exponent: float) -> Tensor:
    """Return ``light``, from 0, to a power, the same bits whatever its place in a batch and the number of threads.

    torch's own power on a CPU rounds otherwise where a thread's share ends than within it. Differentiable.
    """
    light = light.clamp(min=0)
    if exponent == 1:
        return light
    if light.requires_grad:
        return straight_through(light.clamp(min=DARK).pow(exponent), power(light.detach(), exponent))
    if light.is_cpu:
        samples = light.numpy()
        return torch.from_numpy(np.power(samples, samples.dtype.type(exponent), out=samples))
    return light.pow_(exponent)
