"""Distances between the restored images of a set and the clean ones, by features: one number per set."""

from abc import abstractmethod
from typing import Literal

from torch import Tensor

from restoration.benchmarks.distances import (
    Features,
    Labels,
    Moments,
    frechet,
    frechet_of,
    gaussian_distance,
    gaussian_without,
    kernel_distance,
    kernel_without,
    share_within,
    share_within_without,
)
from restoration.benchmarks.metrics.metric import Metric

NEAREST = 3  # neighbours that the balls of precision and recall reach to
OTHERS = "unbiased estimator"
PAIRS = f"{OTHERS}, no image with its own restoration"
BIASED = "its authors' code has the biased one"
# which layer of which network, how many dimensions, and how an image is resized for it
FEATURES = {
    "clip": "CLIP ViT-L/14@336 image embedding of 768 dimensions, image resized to 336x336 (bicubic, antialiased)",
    "dinov2": "DINOv2 ViT-S/14 (tables: ViT-L/14) class token of 384, image resized to 224x224 (bicubic, antialiased)",
    "efficientnet-lite0": "EfficientNet-Lite0 head of 1280 dimensions, mean over positions, image not resized",
    "inception": "TensorFlow's Inception v3 pool3 of 2048 dimensions, image resized to 299x299 (its bilinear)",
}


class SetMetric(Metric):
    """A number for a whole set of images, of features of both sets."""

    plane = "rgb"
    better = "lower"
    kind = "set"
    rough = 4
    smallest = 32
    features: str = "efficientnet-lite0"
    fewest: int = 3  # images that there must be
    streams: Literal[True, False] = False  # whether moments of the features are all it needs
    instead: str = ""  # the metric of the same features that few images allow
    share: bool = False  # whether it counts images
    of_pairs: str = ""  # how it is estimated where each image of one set belongs to one of the other
    of_others: str = ""  # and where the sets have nothing to do with each other

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Refuse a single pair: there is no value of one."""
        raise TypeError(f"{type(self).__name__} compares sets of images")

    @abstractmethod
    def between(self, restored: Features, clean: Features, paired: bool = False) -> float:
        """Return the value of two sets of features, (N, D) each; ``paired`` where the i-th of both are of one image."""

    @abstractmethod
    def without(
        self, restored: Features, clean: Features, labels: Labels, paired: bool = False
    ) -> list[float]:
        """Return the value without each group of images in turn, those of both sets left out together."""


class Frechet(SetMetric):
    """The squared W₂ distance of the Gaussians fitted to both sets."""

    streams = True
    places = 3
    rough = 3
    floor = 0.0
    fewest = 2

    def between(self, restored: Features, clean: Features, paired: bool = False) -> float:
        """Return the distance (Heusel et al., 2017)."""
        return frechet_of(restored, clean)

    def of_moments(self, restored: Moments, clean: Moments) -> float:
        """Return the distance of two sets of which the moments are known."""
        return frechet(restored, clean)

    def without(
        self, restored: Features, clean: Features, labels: Labels, paired: bool = False
    ) -> list[float]:
        """Return the distance without each group of images in turn."""
        ours, theirs = labels
        groups = sorted(set(ours.tolist()))
        return [frechet_of(restored[ours != group], clean[theirs != group]) for group in groups]


class Kernel(SetMetric):
    """The unbiased squared MMD under a cubic kernel."""

    places = 6
    rough = 6
    of_pairs, of_others = PAIRS, OTHERS

    def between(self, restored: Features, clean: Features, paired: bool = False) -> float:
        """Return the distance (Bińkowski et al., 2018)."""
        return kernel_distance(restored, clean, paired)

    def without(
        self, restored: Features, clean: Features, labels: Labels, paired: bool = False
    ) -> list[float]:
        """Return the distance without each group of images in turn."""
        return kernel_without(restored, clean, labels, paired)


class Precision(SetMetric):
    """How much of the restored set lies where clean features are."""

    better = "higher"
    floor, ceiling = 0.0, 1.0
    of_pairs = of_others = f"{NEAREST} nearest neighbours"
    share = True
    fewest = NEAREST + 1

    def between(self, restored: Features, clean: Features, paired: bool = False) -> float:
        """Return the share (Kynkäänniemi et al., 2019)."""
        return share_within(restored, clean, NEAREST)

    def without(
        self, restored: Features, clean: Features, labels: Labels, paired: bool = False
    ) -> list[float]:
        """Return the share without each group of images in turn."""
        return share_within_without(restored, clean, labels, NEAREST)


class Recall(Precision):
    """How much of the clean set lies where restored features are."""

    def between(self, restored: Features, clean: Features, paired: bool = False) -> float:
        """Return the share (Kynkäänniemi et al., 2019)."""
        return share_within(clean, restored, NEAREST)

    def without(
        self, restored: Features, clean: Features, labels: Labels, paired: bool = False
    ) -> list[float]:
        """Return the share without each group of images in turn."""
        return share_within_without(clean, restored, labels[::-1], NEAREST)


class Fid(Frechet):
    """FID: Fréchet distance over TensorFlow's Inception (Heusel et al., 2017); lower is better, from 2,048 images."""

    features, instead = "inception", "kid"


class Kid(Kernel):
    """KID: unbiased kernel distance over TensorFlow's Inception (Bińkowski et al., 2018); lower is better, about 0."""

    features = "inception"


class PrecisionInception(Precision):
    """Share of restored images that look like clean ones, over Inception (Kynkäänniemi et al., 2019), 0 to 1."""

    features = "inception"


class RecallInception(Recall):
    """Share of clean images that restored ones look like, over Inception (Kynkäänniemi et al., 2019), 0 to 1."""

    features = "inception"


class FdEfficientNet(Frechet):
    """Fréchet distance over EfficientNet-Lite0, needing no download; lower is better, from 2,048 images. Not FID."""

    instead = "kid-efficientnet-lite0"


class KidEfficientNet(Kernel):
    """Unbiased kernel distance, as KID's, over EfficientNet-Lite0, needing no download; lower is better, about 0."""


class PrecisionEfficientNet(Precision):
    """Share of restored images that look like clean ones, over EfficientNet-Lite0 (Kynkäänniemi et al., 2019)."""


class RecallEfficientNet(Recall):
    """Share of clean images that restored ones look like, over EfficientNet-Lite0 (Kynkäänniemi et al., 2019)."""


class FdDinov2(Frechet):
    """Fréchet distance over DINOv2 ViT-S/14 (Stein et al., 2023, take ViT-L); lower is better, from 2,048 images."""

    features, instead = "dinov2", "kid-dinov2"


class KidDinov2(Kernel):
    """Unbiased kernel distance, as KID's, over DINOv2 ViT-S/14; lower is better, about 0 for equal sets."""

    features = "dinov2"


class PrecisionDinov2(Precision):
    """Share of restored images that look like clean ones, over DINOv2 ViT-S/14 (Kynkäänniemi et al., 2019), 0 to 1."""

    features = "dinov2"


class RecallDinov2(Recall):
    """Share of clean images that restored ones look like, over DINOv2 ViT-S/14 (Kynkäänniemi et al., 2019), 0 to 1."""

    features = "dinov2"


class Cmmd(SetMetric):
    """CMMD: 1,000 × the unbiased Gaussian MMD over CLIP ViT-L/14@336 (Jayasumana et al., 2024); lower is better."""

    features = "clip"
    places = 3
    rough = 3
    of_pairs, of_others = f"{PAIRS}; {BIASED}", f"{OTHERS}; {BIASED}"

    def between(self, restored: Features, clean: Features, paired: bool = False) -> float:
        """Return the distance."""
        return gaussian_distance(restored, clean, paired=paired)

    def without(
        self, restored: Features, clean: Features, labels: Labels, paired: bool = False
    ) -> list[float]:
        """Return the distance without each group of images in turn."""
        return gaussian_without(restored, clean, labels, paired=paired)
