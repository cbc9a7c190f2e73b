"""Per-pixel differences: L1, L2, Charbonnier, and PSNR."""

from dataclasses import dataclass

from torch import Tensor

# A pair that differs by less than this mean square is equal for every image file; keeps PSNR finite, at 100 dB.
FLOOR = 1e-10


@dataclass(frozen=True)
class L1:
    """Mean absolute difference, ``mean |restored − clean|``."""

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        return per_image((restored - same_shape(restored, clean)).abs())


@dataclass(frozen=True)
class L2:
    """Mean squared difference, ``mean (restored − clean)²``."""

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        return per_image((restored - same_shape(restored, clean)).square())


@dataclass(frozen=True)
class Charbonnier:
    """``mean √((restored − clean)² + ε²)``, ε = 1e-3 (Lai et al., 2017, eq. 4); its minimum is ε, not 0."""

    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        if not self.epsilon > 0:
            raise ValueError(f"epsilon = {self.epsilon:g}; expected more than 0, the root has no slope there")

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        difference = restored - same_shape(restored, clean)
        return per_image((difference.square() + self.epsilon**2).sqrt())


def psnr(restored: Tensor, clean: Tensor) -> Tensor:
    """Return ``−10 log₁₀ mean (restored − clean)²`` of each image, in dB: (N,). Peak 1; equal images give 100 dB."""
    return -10 * L2()(restored, clean).clamp(min=FLOOR).log10()


def per_image(values: Tensor) -> Tensor:
    """Return the mean over everything but the batch: (N,)."""
    return values.flatten(1).mean(1)


def same_shape(restored: Tensor, clean: Tensor) -> Tensor:
    """Return ``clean``, or refuse: a loss never broadcasts, which would compare the wrong pixels."""
    if restored.shape != clean.shape:
        raise ValueError(f"restored is {_size(restored)} but clean is {_size(clean)}; expected equal sizes")
    return clean


def _size(image: Tensor) -> str:
    return "x".join(str(n) for n in image.shape)
