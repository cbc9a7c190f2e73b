"""The networks whose features sets of images are compared by: which layer, and how an image is resized for it."""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from restoration.benchmarks.metrics.learned import MEAN, STD, clip
from restoration.catalogue import require
from restoration.errors import WeightsError
from restoration.image import quantise
from restoration.losses.features import backbone

Feature = NDArray[np.float32]


class Extractor(ABC):
    """A network that gives one feature per image; `metrics.distributions.FEATURES` tells which and how."""

    @abstractmethod
    def __call__(self, image: Tensor) -> Feature:
        """Return the feature of one image (1, 3, H, W) in [0, 1], float32: (D,)."""


class EfficientNet(Extractor):
    """EfficientNet-Lite0 (Tan & Le, 2019), which needs no download: its last map, averaged over positions."""

    def __init__(self) -> None:
        self.network = _backbone("efficientnet-lite0")

    def __call__(self, image: Tensor) -> Feature:
        """Return the mean of the 1280 maps."""
        (head,) = self.network(image, ("head",))
        return head.mean((2, 3))[0].numpy()


class Dinov2(Extractor):
    """DINOv2 ViT-S/14 (Oquab et al., 2024): the class token."""

    def __init__(self) -> None:
        self.network = _backbone("dinov2")

    def __call__(self, image: Tensor) -> Feature:
        """Return the normalised class token."""
        (token,) = self.network(_resized(image, 224), ("cls",))
        return token.flatten().numpy()


class Inception(Extractor):
    """Inception v3 of TensorFlow, as FID was defined over (Heusel et al., 2017), by torch-fidelity."""

    def __init__(self) -> None:
        if importlib.util.find_spec("torch_fidelity") is None:
            raise WeightsError(
                "features of Inception are computed by torch-fidelity, which is not here: "
                'pip install "restoration-suite[fidelity]"'
            )
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        path = str(require("inception"))
        with torch.random.fork_rng(devices=[]):
            self.network = FeatureExtractorInceptionV3(
                "inception", ["2048"], feature_extractor_weights_path=path
            )

    def __call__(self, image: Tensor) -> Feature:
        """Return the pooled feature of the image in 8 bits."""
        samples = (255 * quantise(image)).round().to(torch.uint8)
        return self.network(samples)[0].flatten().numpy()


class Clip(Extractor):
    """CLIP ViT-L/14 at 336 pixels (Radford et al., 2021), as CMMD takes it (Jayasumana et al., 2024)."""

    def __init__(self) -> None:
        if importlib.util.find_spec("piq") is None:
            raise WeightsError("features of CLIP are built by piq, which is not here: pip install piq")
        self.network = clip(require("clip-vit-l-14-336"))

    def __call__(self, image: Tensor) -> Feature:
        """Return the embedding, of unit length."""
        mean, std = (image.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
        seen = self.network.encode_image((_resized(image, 336) - mean) / std, pos_embedding=True)
        return normalize(seen.float(), dim=-1).flatten().numpy()


EXTRACTORS: dict[str, Callable[[], Extractor]] = {
    "clip": Clip,
    "dinov2": Dinov2,
    "efficientnet-lite0": EfficientNet,
    "inception": Inception,
}


@cache
def extractor(name: str) -> Extractor:
    """Return the one extractor of that name, or say in one line what it lacks."""
    return EXTRACTORS[name]()


def _backbone(name: str) -> torch.nn.Module:
    try:
        return backbone(name)
    except ValueError as error:
        raise WeightsError(str(error)) from None


def _resized(image: Tensor, side: int) -> Tensor:
    return interpolate(image, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
