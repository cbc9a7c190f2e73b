"""Losses on spectra: focal frequency, amplitude and phase, wavelet bands. All transforms are orthonormal."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from restoration.losses.checks import not_negative, positive
from restoration.losses.haar import even, haar
from restoration.losses.loss import Loss, large_enough, per_image, same_shape

BANDS = ("ll", "lh", "hl", "hh")


@dataclass(frozen=True)
class FocalFrequency(Loss):
    """``mean w |Fᵣ − F_c|²`` with w = |Fᵣ − F_c|^α over its largest value (Jiang et al., 2021, eqs. 8 and 9).

    F is the orthonormal 2-D Fourier transform; the weights are in [0, 1], of each channel of each image, and constants
    to the gradient, which is therefore not the derivative of the value. α = 0 is the mean square, by Parseval.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        not_negative("alpha", self.alpha)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        # the transform is linear: one of the difference is the difference of two
        squares = _power(torch.fft.rfft2(restored - same_shape(restored, clean), norm="ortho"))
        with torch.no_grad():
            largest = squares.amax((-2, -1), keepdim=True).clamp(min=torch.finfo(squares.dtype).tiny)
            weights = (squares / largest).pow(self.alpha / 2)
        return _over_spectrum(weights * squares, restored.shape[-1])


@dataclass(frozen=True)
class Fourier(Loss):
    """``a · mean ||Fᵣ| − |F_c||  +  p · mean (1 − cos(φᵣ − φ_c))``: amplitudes and phases (after Fuoli et al., 2021).

    F = |F| e^(iφ) is the orthonormal 2-D Fourier transform; a and p are ``amplitude`` and ``phase``. Phases are
    compared on the circle, as half the squared chord between F / √(|F|² + ε²): that is 1 − cos where both amplitudes
    are well above ε and smooth where one is 0. ε = 1e-3 is about what rounding to 8 bits adds to every coefficient.
    """

    amplitude: float = 1.0
    phase: float = 1.0
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        not_negative("amplitude", self.amplitude)
        not_negative("phase", self.phase)
        positive("epsilon", self.epsilon)
        if self.amplitude == self.phase == 0:
            raise ValueError("amplitude = 0, phase = 0; expected one of them above 0")

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        first, second = (torch.fft.rfft2(i, norm="ortho") for i in (restored, same_shape(restored, clean)))
        difference: Tensor | float = 0.0
        if self.amplitude:
            difference = difference + self.amplitude * (first.abs() - second.abs()).abs()
        if self.phase:
            difference = difference + self.phase / 2 * _power(
                self._direction(first) - self._direction(second)
            )
        return _over_spectrum(difference, restored.shape[-1])

    def _direction(self, spectrum: Tensor) -> Tensor:
        return spectrum * (_power(spectrum) + self.epsilon**2).rsqrt()


@dataclass(frozen=True)
class Wavelet(Loss):
    """``Σ w_b mean |b(restored) − b(clean)|`` over the bands b of an orthonormal Haar transform (Haar, 1910).

    ``levels`` transforms, each of the last one's LL; LL itself counts at the last level. The four ``weights`` are of
    LL, LH, HL and HH, the same at every level. Odd sides are mirrored by one pixel.
    """

    minimum_size: ClassVar = 5
    multiple: ClassVar = 8

    levels: int = 3
    weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise ValueError(f"levels = {self.levels}; expected at least 1")
        if len(self.weights) != len(BANDS):
            raise ValueError(f"weights = {list(self.weights)}; expected four numbers: {', '.join(BANDS)}")
        for band, weight in zip(BANDS, self.weights, strict=True):
            not_negative(f"weights: {band}", weight)
        if not any(self.weights):
            raise ValueError(f"weights = {list(self.weights)}; expected one of them above 0")
        object.__setattr__(self, "multiple", 2**self.levels)  # of these levels, not of the default ones

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        difference = restored - same_shape(restored, clean)
        large_enough(difference, 2 ** (self.levels - 1) + 1, f"wavelet of {self.levels} levels")
        weights = difference.new_tensor(self.weights)
        low, detail = weights[0], weights[1:]
        total = difference.new_zeros(len(difference))
        for bands in _transforms(difference, self.levels):
            total = total + bands[:, :, 1:].abs().mean((1, 3, 4)) @ detail
        return total + low * per_image(bands[:, :, 0].abs())


def _transforms(image: Tensor, levels: int) -> Iterator[Tensor]:
    for _ in range(levels):
        bands = haar(even(image))
        yield bands
        image = bands[:, :, 0]


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square()


def _over_spectrum(values: Tensor, width: int) -> Tensor:
    """Return the mean over all frequencies of each image, given the half that a real image's transform holds: (N,)."""
    total = 2 * values.sum((1, 2, 3)) - values[..., 0].sum((1, 2))
    if width % 2 == 0:  # the highest frequency is its own mirror image too
        total = total - values[..., -1].sum((1, 2))
    return total / (values.shape[1:-1].numel() * width)
