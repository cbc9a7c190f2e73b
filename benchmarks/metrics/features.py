"""Distances of features that others trained: LPIPS and DISTS."""

from abc import abstractmethod

from torch import Tensor

from restoration.benchmarks.metrics.metric import Metric
from restoration.errors import WeightsError
from restoration.losses import lpips
from restoration.losses.features import shared
from restoration.losses.loss import Loss

SINGLE = object()  # what shared passes know an image in float32 by
LPIPS = "version 0.1, image at its size, scaled to [-1, 1]"


def single(image: Tensor) -> Tensor:
    """Return the image in float32, within `shared_passes` the same tensor every time: networks see it once."""
    return shared(SINGLE, image, image.float)


class FeatureDistance(Metric):
    """A distance of features that others trained, in float32 as their weights are; refused where those are missing."""

    plane = "rgb"
    better = "lower"
    floor = 0.0

    def __init__(self) -> None:
        try:
            self.loss = self.made()
        except ValueError as error:
            raise WeightsError(str(error)) from None

    @abstractmethod
    def made(self) -> Loss:
        """Return the loss that is measured."""

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the distance; equal images give 0."""
        return self.loss(single(restored), single(clean)).to(restored.dtype)


class LpipsAlex(FeatureDistance):
    """LPIPS 0.1 on AlexNet (Zhang et al., 2018) of the colour image at its own size; lower is better, sides from 31."""

    smallest = 31
    convention = LPIPS

    def made(self) -> Loss:
        """Return LPIPS on AlexNet."""
        return lpips.Lpips("alex")


class LpipsSqueeze(FeatureDistance):
    """LPIPS 0.1 on SqueezeNet (Zhang et al., 2018) of the colour image at its size; lower is better, sides from 17."""

    smallest = 17
    convention = LPIPS

    def made(self) -> Loss:
        """Return LPIPS on SqueezeNet 1.1."""
        return lpips.Lpips("squeeze")


class LpipsVgg(FeatureDistance):
    """LPIPS 0.1 on VGG16 (Zhang et al., 2018) of the colour image at its own size; lower is better, sides from 16."""

    smallest = 16
    convention = LPIPS

    def made(self) -> Loss:
        """Return LPIPS on VGG16."""
        return lpips.Lpips("vgg")


class Dists(FeatureDistance):
    """DISTS (Ding et al., 2020) of the colour image at its own size, not reduced; lower is better, sides from 16."""

    smallest = 16
    ceiling = 1.0
    convention = "image not reduced (its authors reduce it to 256 pixels)"

    def made(self) -> Loss:
        """Return DISTS of images at their own size."""
        return lpips.Dists()
