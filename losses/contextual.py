"""The contextual loss: every feature of the clean image should be found somewhere in the restored one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from restoration.losses.checks import positive
from restoration.losses.loss import Loss
from restoration.losses.perceptual import features_of_pair, prepare, weighted

NEAREST = 1e-5  # ε of eq. 2, added to the distance of the nearest feature
SHORT = 1e-3  # ε in ‖x‖ = √(Σx² + ε²): a feature that is the mean has no direction, but a slope
KEPT = 2**24  # distances of all pairs that are kept for the backward pass; more are computed twice
CHUNK = 2**22  # distances that are looked at together

# where a feature sees some tens of pixels: fine enough to move, large enough to be recognised
CONTEXTUAL_LAYERS = {"vgg16": ("relu3_3",), "vgg19": ("relu3_4",)}


@dataclass(frozen=True)
class Contextual(Loss):
    """``Σₗ wₗ · −log CX(φₗ(restored), φₗ(clean))``: for pairs that are not aligned (Mechrez et al., 2018, eq. 5).

    With cosine distances d_ij = 1 − cos(x_i − μ, y_j − μ), μ the mean of the clean features y,
    w_ij = exp((1 − d_ij/(min_k d_ik + ε))/h), CX_ij = w_ij/Σ_k w_ik and CX = mean_j max_i CX_ij (eq. 2 to 4);
    h = ``bandwidth`` = 0.5 as there. No gradient goes to the clean image. The cost grows with the square of a layer's
    positions. Equal images give 0 unless some of their features are alike.
    """

    features: str = "vgg19"
    layers: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    bandwidth: float = 0.5

    minimum_size: ClassVar[int] = 4

    def __post_init__(self) -> None:
        positive("bandwidth", self.bandwidth)
        prepare(self, self.features, self._layers(), self.weights)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the distance of the sets of features of each image: (N,)."""
        return self.between(*features_of_pair(self.features, self._layers(), restored, clean))

    def between(self, restored: Sequence[Tensor], clean: Sequence[Tensor]) -> Tensor:
        """Return the distance, given the features of each layer, (N, C, H, W): (N,)."""
        pairs = zip(restored, clean, strict=True)
        return weighted([-contextual(a, b, self.bandwidth).log() for a, b in pairs], self.weights)

    def _layers(self) -> tuple[str, ...]:
        return self.layers or CONTEXTUAL_LAYERS.get(self.features, ())


def contextual(restored: Tensor, clean: Tensor, bandwidth: float = 0.5) -> Tensor:
    """Return CX of two sets of features, (N, C, H, W) each, of any size: (N,), at most 1."""
    x, y = restored.flatten(2), clean.flatten(2)
    mean = y.mean(2, keepdim=True)
    x, y = _directions(x - mean), _directions(y - mean)
    pairs = len(x) * x.shape[2] * y.shape[2]
    parts = x.split(max(1, CHUNK * x.shape[2] // pairs), dim=2)
    again = pairs > KEPT and torch.is_grad_enabled()
    best = [
        checkpoint(_likeliest, part, y, bandwidth, use_reentrant=False, preserve_rng_state=False)
        if again
        else _likeliest(part, y, bandwidth)
        for part in parts
    ]
    return torch.stack(best).amax(0).mean(1)


def _likeliest(x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """Return max_i CX_ij over these x: (N, positions of y)."""
    cosines = x.mT @ y
    nearest = (1 - cosines.amax(2, keepdim=True)).clamp(min=0)  # min_k d_ik
    # w_ij/Σ_k w_ik: what all exponents of a row share cancels, which leaves cos/(h·(min_k d_ik + ε))
    return (cosines / (bandwidth * (nearest + NEAREST))).softmax(2).amax(1)


def _directions(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True) + SHORT**2).sqrt()
