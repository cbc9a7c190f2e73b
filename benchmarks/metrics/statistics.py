"""What statistics of images say of texture without any learnt weights: spectra, gradients, patches."""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from restoration.benchmarks.metrics.metric import Metric

ROUNDING = 1 / (12 * 255**2)  # the power of rounding to 8 bits: rings with less say nothing
HIGH = 0.25  # cycles per pixel: half of what can be sampled
DIRECTIONS, SIDE = 128, 7  # projections of patches, and the pixels of their sides
PATCHES = 1 << 16  # at most, on a regular grid


class HighFrequencyRatio(Metric):
    """Energy of luma above 0.25 cycles per pixel, restored / clean, Hann window; best at 1, below it is blurred."""

    better = "one"
    floor = 0.0
    smallest = 8
    convention = "above 0.25 cycles per pixel, Hann window"

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the ratio of energies; what rounding to 8 bits adds is in both."""
        high = _radii(*clean.shape[-2:]) > HIGH
        ours, truth = ((_power(image) * high).sum((-2, -1)) / high.sum() for image in (restored, clean))
        return (ours + ROUNDING) / (truth + ROUNDING)


class SpectrumError(Metric):
    """Mean over rings of frequency of |log power, restored − clean| of luma, Hann window, in dB; lower is better."""

    better = "lower"
    unit = "dB"
    places = 3
    rough = 3
    floor = 0.0
    smallest = 8
    convention = "radial, Hann window"

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the mean error of the radial spectrum; rings are one step of the shorter side's spectrum wide."""
        height, width = clean.shape[-2:]
        rings = min(height, width) // 2
        ring = (_radii(height, width) * min(height, width)).round().long().clamp(max=rings + 1).flatten()
        counts = torch.bincount(ring, minlength=rings + 2)[1 : rings + 1]

        def spectrum(image: Tensor) -> Tensor:
            power = _power(image).flatten(1)
            total = power.new_zeros(len(power), rings + 2).index_add_(1, ring, power)
            return 10 * torch.log10(total[:, 1 : rings + 1] / counts + ROUNDING)

        return (spectrum(restored) - spectrum(clean)).abs().mean(1)


class GradientHistogram(Metric):
    """Earth mover's distance between histograms of luma's gradient magnitude, in levels of 255; lower is better."""

    better = "lower"
    unit = "levels"
    places = 3
    rough = 3
    floor = 0.0
    smallest = 2
    convention = "forward differences"

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the distance: the mean difference of sorted magnitudes."""
        ours, truth = (_gradients(image).sort(1).values for image in (restored, clean))
        return 255 * (ours - truth).abs().mean(1)


class SlicedWasserstein(Metric):
    """Sliced Wasserstein-1 distance (Rabin et al., 2012) of 7×7 colour patches in levels of 255; lower is better."""

    plane = "rgb"
    better = "lower"
    unit = "levels"
    places = 3
    rough = 3
    floor = 0.0
    smallest = SIDE
    convention = "patches=7x7 less their mean, 128 directions"

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the mean distance of sorted projections onto 128 fixed unit directions, of patches on a grid.

        Positions play no part: texture is compared, not places.
        """
        kernels = directions(clean.shape[1]).to(clean)
        stride = math.ceil(math.sqrt(clean[0, 0].numel() / PATCHES))
        total = clean.new_zeros(len(clean))
        for some in kernels.split(16):
            ours, truth = (
                functional.conv2d(image, some, stride=stride).flatten(2).sort(2).values
                for image in (restored, clean)
            )
            total += (ours - truth).abs().mean(2).sum(1)
        return 255 * total / len(kernels)


def _power(image: Tensor) -> Tensor:
    """Return the power of each frequency, (N, H, W), of which the mean is that of the pixels' variance."""
    height, width = image.shape[-2:]
    window = _hann(height).to(image)[:, None] * _hann(width).to(image)
    grey = image.mean(1)
    weight = window / window.sum()
    centred = (grey - (grey * weight).sum((-2, -1), keepdim=True)) * window
    return torch.fft.fft2(centred).abs().square() / window.square().sum()


@lru_cache(maxsize=8)
def _hann(length: int) -> Tensor:
    return torch.hann_window(length + 2, periodic=False, dtype=torch.float64)[1:-1]


def _radii(height: int, width: int) -> Tensor:
    """Return the frequency of every coefficient in cycles per pixel: (H, W)."""
    rows, columns = (torch.fft.fftfreq(n, dtype=torch.float64) for n in (height, width))
    return torch.hypot(rows[:, None], columns)


def _gradients(image: Tensor) -> Tensor:
    """Return the magnitude of forward differences: (N, (H − 1) · (W − 1))."""
    grey = image.mean(1)
    down, across = grey.diff(dim=-2)[..., :-1], grey.diff(dim=-1)[..., :-1, :]
    return torch.hypot(down, across).flatten(1)


@lru_cache(maxsize=2)
def directions(channels: int) -> Tensor:
    """Return unit directions in the space of patches, without the mean, which is not texture: (D, C, 7, 7)."""
    drawn = torch.randn(
        DIRECTIONS, channels, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    centred = drawn - drawn.mean((1, 2, 3), keepdim=True)
    return centred / centred.flatten(1).norm(dim=1)[:, None, None, None]
