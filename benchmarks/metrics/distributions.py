"""Distances between the restored images of a set and the clean ones, by features: one number per set."""

from typing import Literal, NamedTuple

from torch import Tensor

from restoration.benchmarks.distances import Features, Moments, frechet, gaussian_distance, kernel_distance
from restoration.benchmarks.distances import precision_recall as _precision_recall
from restoration.benchmarks.intervals import Interval
from restoration.benchmarks.metrics.metric import Metric

NEAREST = 3  # neighbours that the balls of precision and recall reach to
# which layer of which network, how many dimensions, and how an image is resized for it
FEATURES = {
    "clip": "CLIP ViT-L/14@336 image embedding of 768 dimensions, image resized to 336x336 (bicubic, antialiased)",
    "dinov2": "DINOv2 ViT-S/14 class token of 384 dimensions, image resized to 224x224 (bicubic, antialiased)",
    "efficientnet-lite0": "EfficientNet-Lite0 head of 1280 dimensions, mean over positions, image not resized",
    "inception": "TensorFlow's Inception v3 pool3 of 2048 dimensions, image resized to 299x299 (its bilinear)",
}


class Found(NamedTuple):
    """What a set metric found, and its 95 % interval where there is one."""

    value: float
    interval: Interval = Interval(None, None)


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

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Refuse a single pair: there is no value of one."""
        raise TypeError(f"{type(self).__name__} compares sets of images")

    def between(self, restored: Features, clean: Features) -> Found:
        """Return the value of two sets of features, (N, D) each."""
        raise TypeError(f"{type(self).__name__} compares moments")

    def of_moments(self, restored: Moments, clean: Moments) -> Found:
        """Return the value of two sets of which the moments are known."""
        raise TypeError(f"{type(self).__name__} compares features")


class Frechet(SetMetric):
    """The squared W₂ distance of the Gaussians fitted to both sets."""

    streams = True
    places = 3
    rough = 3
    floor = 0.0
    fewest = 2

    def of_moments(self, restored: Moments, clean: Moments) -> Found:
        """Return the distance (Heusel et al., 2017)."""
        return Found(frechet(restored, clean))


class Kernel(SetMetric):
    """The unbiased squared MMD under a cubic kernel."""

    places = 6
    rough = 6

    def between(self, restored: Features, clean: Features) -> Found:
        """Return the distance and its interval (Bińkowski et al., 2018)."""
        return Found(*kernel_distance(restored, clean))


class Precision(SetMetric):
    """How much of the restored set lies where clean features are."""

    better = "higher"
    floor, ceiling = 0.0, 1.0
    fewest = NEAREST + 1

    def between(self, restored: Features, clean: Features) -> Found:
        """Return the share (Kynkäänniemi et al., 2019)."""
        return Found(_precision_recall(restored, clean, NEAREST)[0])


class Recall(Precision):
    """How much of the clean set lies where restored features are."""

    def between(self, restored: Features, clean: Features) -> Found:
        """Return the share (Kynkäänniemi et al., 2019)."""
        return Found(_precision_recall(restored, clean, NEAREST)[1])


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

    def between(self, restored: Features, clean: Features) -> Found:
        """Return the distance and its interval."""
        return Found(*gaussian_distance(restored, clean))
