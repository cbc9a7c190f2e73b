"""Gamma: stored values to light and back."""

import numpy as np
import torch
from torch import Tensor


def power(light: Tensor, exponent: float) -> Tensor:
    """Return ``light``, from 0, to a power, the same bits whatever its place in a batch and the number of threads.

    torch's own power on a CPU rounds otherwise where a thread's share ends than within it.
    """
    light = light.clamp(min=0)
    if exponent == 1:
        return light
    if light.is_cpu:
        samples = light.detach().numpy()
        return torch.from_numpy(np.power(samples, samples.dtype.type(exponent), out=samples))
    return light.pow_(exponent)
