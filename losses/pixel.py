"""Per-pixel differences: L1, L2, Charbonnier, Huber, and PSNR."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import huber_loss, l1_loss, mse_loss

from restoration.losses.checks import positive
from restoration.losses.loss import Pointwise, same_shape

# A pair that differs by less than this mean square is equal for every image file; keeps PSNR finite, at 100 dB.
FLOOR = 1e-10


@dataclass(frozen=True)
class L1(Pointwise):
    """``mean |restored − clean|``, for images in [0, ``data_range``]."""

    data_range: float = 1.0

    def __post_init__(self) -> None:
        positive("data_range", self.data_range)

    def errors(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the absolute difference of every sample."""
        return l1_loss(*_ranged(restored, clean, self.data_range), reduction="none")

    def mean(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the mean over the batch in one reduction."""
        return l1_loss(*_ranged(restored, same_shape(restored, clean), self.data_range))


@dataclass(frozen=True)
class L2(Pointwise):
    """``mean (restored − clean)²``, for images in [0, ``data_range``]."""

    data_range: float = 1.0

    def __post_init__(self) -> None:
        positive("data_range", self.data_range)

    def errors(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the squared difference of every sample."""
        return mse_loss(*_ranged(restored, clean, self.data_range), reduction="none")

    def mean(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the mean over the batch in one reduction."""
        return mse_loss(*_ranged(restored, same_shape(restored, clean), self.data_range))


@dataclass(frozen=True)
class Charbonnier(Pointwise):
    """``mean √((restored − clean)² + ε²)``, ε = 1e-3 (Lai et al., 2017, eq. 4); its minimum is ε, not 0."""

    value_range: ClassVar[str] = "from ε"

    epsilon: float = 1e-3
    data_range: float = 1.0

    def __post_init__(self) -> None:
        positive("data_range", self.data_range)
        if not self.epsilon > 0:
            raise ValueError(f"epsilon = {self.epsilon:g}; expected more than 0, the root has no slope there")

    def errors(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the smoothed absolute difference of every sample."""
        restored, clean = _ranged(restored, clean, self.data_range)
        return torch.hypot(restored - clean, restored.new_full((), self.epsilon))


@dataclass(frozen=True)
class Huber(Pointwise):
    """``mean d²/2`` where |d| ≤ δ and ``δ (|d| − δ/2)`` beyond, d = restored − clean (Huber, 1964, eq. 1.7)."""

    delta: float = 0.05
    data_range: float = 1.0

    def __post_init__(self) -> None:
        positive("data_range", self.data_range)
        positive("delta", self.delta)

    def errors(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return Huber's function of every sample."""
        return huber_loss(*_ranged(restored, clean, self.data_range), reduction="none", delta=self.delta)

    def mean(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the mean over the batch in one reduction."""
        return huber_loss(*_ranged(restored, same_shape(restored, clean), self.data_range), delta=self.delta)


@dataclass(frozen=True)
class Psnr(Pointwise):
    """−PSNR in dB, ``10 log₁₀ mean (restored − clean)²`` with the mean floored at 1e-10; peak 1."""

    value_range: ClassVar[str] = "from −100"
    better: ClassVar = "higher"
    as_metric: ClassVar = ("psnr-y", "psnr-rgb")

    def errors(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the squared difference of every sample."""
        return mse_loss(restored, clean, reduction="none")

    def finish(self, mean: Tensor) -> Tensor:
        """Return ten times the logarithm of the mean square."""
        return 10 * mean.clamp(min=FLOOR).log10()

    def metric(self, value: Tensor) -> Tensor:
        """Return the ratio in dB."""
        return -value


def psnr(restored: Tensor, clean: Tensor) -> Tensor:
    """Return ``−10 log₁₀ mean (restored − clean)²`` of each image, in dB: (N,). Peak 1; equal images give 100 dB."""
    return -Psnr()(restored, clean)


def _ranged(restored: Tensor, clean: Tensor, data_range: float) -> tuple[Tensor, Tensor]:
    return (restored, clean) if data_range == 1.0 else (restored * data_range, clean * data_range)
