"""Differences of features that a classifier learnt: of the features themselves, and of their correlations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.linalg import vector_norm

from restoration.losses.checks import one_of, positive
from restoration.losses.features import Backbone, backbone
from restoration.losses.loss import Loss, per_image, same_shape

Distance = Literal["l1", "l2"]
# Gatys et al. (2016, section 3) compare these; layers are after the activation, as in their code
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@dataclass(frozen=True)
class Perceptual(Loss):
    """``Σₗ wₗ · mean |s·φₗ(restored) − s·φₗ(clean)|``, or of squares with "l2" (Johnson et al., 2016, eq. 2).

    φₗ is a layer of a frozen network, s = ``feature_scale``. By default layer conv5_4 of VGG19 before its activation
    and L1, as ESRGAN takes it (Wang et al., 2018, section 3.3; basicsr's L1 of ImageNet-normalised images); SRGAN's
    VGG54 is layer relu5_4, "l2" and feature_scale = 1/12.75 (Ledig et al., 2017, section 3.2). No ``layers`` are the
    usual ones of the network, no ``weights`` are ones. ``normalise`` scales every position's features to unit length
    first. No gradient goes to the clean image.
    """

    features: str = "vgg19"
    layers: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    distance: Distance = "l1"
    feature_scale: float = 1.0
    normalise: bool = False

    minimum_size: ClassVar[int] = 16

    def __post_init__(self) -> None:
        one_of("distance", self.distance, get_args(Distance))
        positive("feature_scale", self.feature_scale)
        prepare(self, self.features, self.layers, self.weights)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the distance of the features of each image: (N,)."""
        return self.between(*features_of_pair(self.features, self.layers, restored, clean))

    def between(self, restored: Sequence[Tensor], clean: Sequence[Tensor]) -> Tensor:
        """Return the distance, given the features of each layer, (N, C, H, W): (N,)."""
        if self.normalise:
            restored, clean = [unit(f) for f in restored], [unit(f) for f in clean]
        differences = [layer_difference(*pair, self.distance) for pair in zip(restored, clean, strict=True)]
        factor = self.feature_scale if self.distance == "l1" else self.feature_scale**2
        return factor * weighted(differences, self.weights)


@dataclass(frozen=True)
class Style(Loss):
    """``Σₗ wₗ · mean |G(φₗ(restored)) − G(φₗ(clean))|``, or of squares with "l2": texture without place.

    G = φφᵀ/(C·H·W) is the Gram matrix of a layer (Gatys et al., 2016, eq. 3, and Johnson et al., 2016, eq. 3, for its
    factor). By default the first activations of VGG19's five stages, as Gatys et al. take them; their El (eq. 4) is
    C²/4 times "l2". No gradient goes to the clean image.
    """

    features: str = "vgg19"
    layers: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    distance: Distance = "l1"

    minimum_size: ClassVar[int] = 16

    def __post_init__(self) -> None:
        one_of("distance", self.distance, get_args(Distance))
        prepare(self, self.features, self._layers(), self.weights)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the distance of the correlations of features of each image: (N,)."""
        return self.between(*features_of_pair(self.features, self._layers(), restored, clean))

    def between(self, restored: Sequence[Tensor], clean: Sequence[Tensor]) -> Tensor:
        """Return the distance, given the features of each layer, (N, C, H, W): (N,)."""
        pairs = zip(restored, clean, strict=True)
        return weighted([layer_difference(gram(a), gram(b), self.distance) for a, b in pairs], self.weights)

    def _layers(self) -> tuple[str, ...]:
        return self.layers or (STYLE_LAYERS if str(self.features).startswith("vgg") else ())


def gram(features: Tensor) -> Tensor:
    """Return ``φφᵀ/(C·H·W)`` of each image, (N, C, H, W) to (N, C, C); positions may be of any number."""
    rows = features.contiguous().flatten(2)  # products of batches are faster in this layout
    return rows @ rows.mT / rows[0].numel()


def unit(features: Tensor) -> Tensor:
    """Return features of length 1 over channels at every position; where all are 0 they stay so.

    The length is increased by 1e-10, as Zhang et al. (2018) do.
    """
    # not the root of a sum of squares, whose slope at 0 is infinite: this norm's is 0
    return features / (vector_norm(features, dim=1, keepdim=True) + 1e-10)


def layer_difference(a: Tensor, b: Tensor, distance: Distance) -> Tensor:
    """Return the mean absolute ("l1") or squared ("l2") difference of each image: (N,)."""
    return per_image((a - b).abs() if distance == "l1" else (a - b).square())


def weighted(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the weighted sum of the layers' values; no weights are ones."""
    return torch.stack([w * v for w, v in zip(weights or [1.0] * len(values), values, strict=True)]).sum(0)


def features_of_pair(
    features: str, layers: Sequence[str], restored: Tensor, clean: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the features of the restored image and, without a graph, those of the clean one; usual layers for none."""
    network = backbone(features)
    return network.of_pair(restored, same_shape(restored, clean), network.chosen(layers))


def prepare(loss: Loss, features: str, layers: Sequence[str], weights: Sequence[float]) -> Backbone:
    """Load what a loss of features needs and note its minimum size, or say what is wrong or missing."""
    network = backbone(features)
    chosen = network.chosen(layers)
    if weights and len(weights) != len(chosen):
        raise ValueError(f"weights = {list(weights)}; expected one for each of {', '.join(chosen)}")
    if any(not math.isfinite(w) or w < 0 for w in weights) or (weights and not any(weights)):
        raise ValueError(f"weights = {list(weights)}; expected numbers from 0, one of them more")
    # the class speaks of its defaults, an instance of its own layers
    object.__setattr__(loss, "minimum_size", network.minimum_size(chosen))
    return network
