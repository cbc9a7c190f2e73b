"""FSIM and FSIMc: phase congruency and gradients (Zhang et al., 2011), as in the library piq, with finite gradients."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from restoration.losses.loss import Loss, large_enough, same_shape
from restoration.losses.similarity import YIQ, magnitude, planes, shortfall

SCHARR = (3 / 16, 10 / 16, 3 / 16)
SCALES = ORIENTATIONS = 4
SHORTEST = 6  # wavelength of the finest log-Gabor filter in pixels; every further one is twice as long
SPREAD = 0.55  # of a filter about its centre frequency, as a ratio
SHARPNESS = 1.2  # angle between filters over the standard deviation of their angular Gaussian


@dataclass(frozen=True)
class Fsim(Loss):
    """``1 − FSIMc``, the feature similarity index (Zhang et al., 2011); of grey images ``1 − FSIM``.

    Similarities of phase congruency (Kovesi, 1999), Scharr magnitudes and the I and Q of YIQ, weighted by the larger
    congruency. 0 at equality, at most 1. Larger images are shrunk to about 256 pixels. As piq has it: four-digit YIQ,
    angles from the columns' axis, the lower of two middle energies as the median, and the absolute value of a negative
    similarity of colours; each moves the value by less than 5e-4 on photographs.
    """

    value_range: ClassVar[str] = "0 to 1"
    minimum_size: ClassVar = 16
    better: ClassVar = "higher"
    as_metric: ClassVar = ("fsim",)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        large_enough(same_shape(restored, clean), self.minimum_size, "fsim")
        shrink = max(1, round(min(restored.shape[-2:]) / 256))
        x, y = (planes(avg_pool2d(image, shrink), YIQ, "fsim") for image in (restored, clean))
        first, second = phase_congruency(x[0]), phase_congruency(y[0])
        similar = 1 - shortfall(first, second, 0.85)
        similar = similar * (1 - shortfall(magnitude(x[0], SCHARR), magnitude(y[0], SCHARR), 160))
        if len(x) == 3:
            hue = (1 - shortfall(x[1], y[1], 200)) * (1 - shortfall(x[2], y[2], 200))
            similar = similar * _small_power(hue.abs(), 0.03)
        weights = torch.maximum(first, second)
        return ((1 - similar) * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))

    def metric(self, value: Tensor) -> Tensor:
        """Return the index."""
        return 1 - value


def phase_congruency(plane: Tensor) -> Tensor:
    """Return the phase congruency PC₂ of a plane in [0, 255] over four orientations (Kovesi, 1999): (N, 1, H, W).

    ``Σₒ max(Eₒ − Tₒ, 0) / Σₒₛ Aₒₛ`` with E what the responses of all scales have in common, less their quadrature.
    """
    filters, thresholds = _log_gabor(*plane.shape[-2:], plane.dtype, plane.device)
    responses = torch.fft.ifft2(torch.fft.fft2(plane).unsqueeze(1) * filters)  # (N, orientation, scale, H, W)
    amplitudes = responses.abs()
    even, odd = responses.real, responses.imag
    total_even, total_odd = even.sum(2, keepdim=True), odd.sum(2, keepdim=True)
    length = torch.complex(total_even, total_odd).abs() + torch.finfo(plane.dtype).eps
    across = (even * total_odd - odd * total_even).abs().sum(2, keepdim=True)
    energy = (total_even.square() + total_odd.square() - across) / length
    # noise as the median amplitude of the finest scale
    noise = amplitudes[:, :, :1].flatten(-2).median(-1).values[..., None, None] * thresholds
    kept = (energy - noise).relu().sum(1)
    return (kept + torch.finfo(plane.dtype).eps) / (
        amplitudes.sum((1, 2)).unsqueeze(1) + torch.finfo(plane.dtype).eps
    )


@lru_cache(maxsize=8)
def _log_gabor(height: int, width: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the filters' transfer functions, (4, 4, H, W), and what noise adds per median amplitude, (4, 1, 1, 1)."""
    rows, columns = (_frequencies(n) for n in (height, width))
    radius = (rows[:, None].square() + columns.square()).sqrt()
    angle = torch.atan2(-columns.expand_as(radius), rows[:, None].expand_as(radius))
    low_pass = 1 / (1 + (radius / 0.45) ** 30)
    radius[0, 0] = 1
    radial = torch.stack(
        [
            torch.exp(-(radius * SHORTEST * 2**s).log().square() / (2 * math.log(SPREAD) ** 2)) * low_pass
            for s in range(SCALES)
        ]
    )
    radial[:, 0, 0] = 0
    turns = torch.arange(ORIENTATIONS, dtype=torch.float64)[:, None, None] * (math.pi / ORIENTATIONS)
    distance = torch.atan2((angle - turns).sin(), (angle - turns).cos())
    angular = torch.exp(-distance.square() / (2 * (math.pi / ORIENTATIONS / SHARPNESS) ** 2))
    filters = angular[:, None] * radial
    return filters.to(device, dtype), _thresholds(filters).to(device, dtype)


def _thresholds(filters: Tensor) -> Tensor:
    """Return the mean plus two deviations of noise energy where the finest scale's median amplitude is 1, over 1.7."""
    kernels = torch.fft.ifft2(filters).real * math.sqrt(filters[0, 0].numel())
    # Σₛ kₛ² + 2 Σ_{s<t} kₛ kₜ
    energy = kernels.sum(1).square().sum((1, 2))
    finest = filters[:, 0].square().sum((1, 2))
    rayleigh = (energy / finest / math.log(2)).sqrt()
    factor = (math.sqrt(math.pi / 2) + 2 * math.sqrt(2 - math.pi / 2)) / 1.7
    return (factor * rayleigh)[:, None, None, None]


def _frequencies(length: int) -> Tensor:
    """Return the frequency of every sample of a transform, from 0; odd lengths are divided by one less, as in piq."""
    centred = torch.arange(length, dtype=torch.float64) - length // 2
    return torch.roll(centred / max(1, length - length % 2), -(length // 2))


def _small_power(values: Tensor, exponent: float) -> Tensor:
    # the slope of a power below 1 is infinite at 0
    return torch.where(values > 0, values, 1).pow(exponent) * (values > 0)
