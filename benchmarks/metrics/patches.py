"""Distortion and perception in one feature space, where their trade-off has a known bound: patches of luma."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from restoration.benchmarks.metrics.metric import Metric
from restoration.transport.gaussian import Gaussian, gelbrich

SIDE = 5
PATCHES = 1 << 16  # at most, on a regular grid


class PatchMse(Metric):
    """Mean squared error of luma in [0, 1] over 5×5 patches on a grid, the distortion that patch-w2 bounds."""

    better = "lower"
    places = 6
    rough = 6
    floor = 0.0
    smallest = SIDE
    convention = "patches=5x5"

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the mean over the patches' pixels."""
        return (patches(restored) - patches(clean)).square().mean((1, 2))


class PatchW2(Metric):
    """W₂ distance of the Gaussians fitted to an image's 5×5 luma patches, per pixel, in [0, 1]; lower is better."""

    better = "lower"
    places = 5
    rough = 5
    floor = 0.0
    smallest = SIDE
    convention = "patches=5x5"

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return Gelbrich's distance (1990) / 5, a lower bound of the patches' own W₂; positions play no part."""
        pairs = zip(patches(restored), patches(clean), strict=True)
        return torch.stack([w2(ours, truth) for ours, truth in pairs])


def patches(image: Tensor) -> Tensor:
    """Return the patches of one channel on a grid, whole ones only: (N, count, 25)."""
    stride = math.ceil(math.sqrt(image[0, 0].numel() / PATCHES))
    return functional.unfold(image, SIDE, stride=stride).mT


def w2(first: Tensor, second: Tensor) -> Tensor:
    """Return the W₂ distance of the Gaussians fitted to two sets of vectors (n, d), as a root mean square over d.

    It is a metric, and no coupling of the two sets has a smaller root mean square difference (Gelbrich, 1990).
    """
    return (gelbrich(_fitted(first), _fitted(second)).clamp_min(0) / first.shape[1]).sqrt()


def _fitted(vectors: Tensor) -> Gaussian:
    """Return mean and covariance of all there is: divided by n, as the inequality asks."""
    mean = vectors.mean(0)
    away = vectors - mean
    return Gaussian(mean, away.T @ away / len(vectors))
