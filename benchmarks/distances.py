"""Distances between two sets of images by their features: Fréchet, kernel, precision and recall.

Features are float64 arrays (images, dimensions). Which network made them is part of a distance's name: "FID" is the
Fréchet distance over the Inception network of TensorFlow alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]
Labels = tuple[
    NDArray[np.int64], NDArray[np.int64]
]  # the group of every feature, of the first and the second set
Kernel = Callable[[Features, Features], Features]
ENOUGH = (
    2048  # images, as many as Inception has features: below, a Fréchet distance measures how many there are
)
BLOCK = 2048  # rows of a kernel matrix that are held at once


@dataclass(frozen=True)
class Moments:
    """How many features, their mean, and the sum of their deviations' products: all that a Fréchet distance needs.

    Parts are added (Chan et al., 1979), in any order, by one process or many: no features are kept.
    """

    count: int
    mean: Features
    products: Features

    @classmethod
    def of(cls, features: Features) -> "Moments":
        """Return the moments of some features, (N, D)."""
        features = np.asarray(features, np.float64)
        mean = features.mean(0)
        away = features - mean
        return cls(len(features), mean, away.T @ away)

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of both."""
        count = self.count + other.count
        apart = other.mean - self.mean
        mean = self.mean + apart * other.count / count
        between = np.outer(apart, apart) * self.count * other.count / count
        return Moments(count, mean, self.products + other.products + between)

    @property
    def covariance(self) -> Features:
        """Return the unbiased covariance; two features at least."""
        if self.count < 2:
            raise ValueError(f"{self.count} images: expected at least 2")
        return self.products / (self.count - 1)


def frechet(first: Moments, second: Moments) -> float:
    """Return ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½): the squared W₂ distance of two Gaussians (Heusel et al., 2017)."""
    values, vectors = np.linalg.eigh(first.covariance)
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    inner = np.linalg.eigvalsh(root @ second.covariance @ root)
    traces = np.trace(first.covariance) + np.trace(second.covariance)
    return float(((first.mean - second.mean) ** 2).sum() + traces - 2 * np.sqrt(inner.clip(min=0)).sum())


def frechet_of(first: Features, second: Features) -> float:
    """Return the same distance from the features themselves, (N, D): as fast as there are few of them.

    The trace of (Σ₁ Σ₂)^½ is the sum of the singular values of the product of both, less their means.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"{min(len(first), len(second))} images: expected at least 2")
    means = [features.mean(0) for features in (first, second)]
    a, b = (
        (features - mean) / (len(features) - 1) ** 0.5
        for features, mean in zip((first, second), means, strict=True)
    )
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(((means[0] - means[1]) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * shared)


def kernel_distance(first: Features, second: Features, paired: bool = False) -> float:
    """Return the unbiased squared MMD with kernel (x·y / D + 1)³, as KID (Bińkowski et al., 2018), over all pairs.

    Its mean does not depend on how many images there are. ``paired`` says that the i-th of both sets belong together,
    as an image and its restoration do: those two are no draws of their own, and their kernel is left out of the sum
    (Gretton et al., 2012, eq. 4); equal sets are then 0 apart.
    """
    return _discrepancy(first, second, _cubic, paired)


def gaussian_distance(first: Features, second: Features, sigma: float = 10.0, paired: bool = False) -> float:
    """Return 1,000 × the unbiased squared MMD with kernel exp(−‖x − y‖² / 2σ²): CMMD where features are CLIP's.

    Jayasumana et al., 2024; features are scaled to unit length, as CLIP's embeddings are. ``paired`` is that of
    `kernel_distance`.
    """
    return 1000 * _discrepancy(_unit(first), _unit(second), _bell(sigma), paired)


def share_within(points: Features, manifold: Features, nearest: int = 3) -> float:
    """Return which part of ``points`` lies within the manifold of other features (Kynkäänniemi et al., 2019).

    A manifold is the union of balls around features that reach to their ``nearest``-th neighbour. Of restored features
    within the manifold of clean ones it is precision; of clean ones within that of restored ones, recall.
    """
    if (fewest := min(len(points), len(manifold))) <= nearest:
        raise ValueError(f"{fewest} images: expected more than {nearest}")
    return _within(points, manifold, nearest)


def kernel_without(first: Features, second: Features, labels: Labels, paired: bool = False) -> list[float]:
    """Return `kernel_distance` without each group of images in turn, those of both sets left out together."""
    return _without(first, second, labels, _cubic, paired)


def gaussian_without(
    first: Features, second: Features, labels: Labels, sigma: float = 10.0, paired: bool = False
) -> list[float]:
    """Return `gaussian_distance` without each group of images in turn, those of both sets left out together."""
    found = _without(_unit(first), _unit(second), labels, _bell(sigma), paired)
    return [1000 * value for value in found]


def share_within_without(
    points: Features, manifold: Features, labels: Labels, nearest: int = 3
) -> list[float]:
    """Return `share_within` without each group of images in turn, those of both sets left out together."""
    groups = _groups(labels)
    reach = np.empty((len(groups), len(manifold)))
    for start, rows in zip(range(0, len(manifold), BLOCK), _blocks(manifold), strict=True):
        apart = _distances(rows, manifold)
        for i, group in enumerate(groups):
            left = np.where(labels[1] == group, np.inf, apart)
            reach[i, start : start + len(rows)] = np.partition(left, nearest, 1)[:, nearest]
    for i, group in enumerate(groups):
        reach[i, labels[1] == group] = -1  # nothing is within what is left out
    inside = np.empty((len(groups), len(points)), bool)
    for start, rows in zip(range(0, len(points), BLOCK), _blocks(points), strict=True):
        apart = _distances(rows, manifold)
        for i in range(len(groups)):
            inside[i, start : start + len(rows)] = (apart <= reach[i]).any(1)
    return [float(inside[i, labels[0] != group].mean()) for i, group in enumerate(groups)]


def _without(first: Features, second: Features, labels: Labels, kernel: Kernel, paired: bool) -> list[float]:
    """Return the unbiased squared MMD without each group, from one pass over all pairs."""
    groups = _groups(labels)
    ours, theirs = ((own[:, None] == groups).astype(np.float64) for own in labels)
    within = (
        _group_sums(first, first, ours, ours, kernel),
        _group_sums(second, second, theirs, theirs, kernel),
    )
    own = ours.T @ _diagonal(first, kernel), theirs.T @ _diagonal(second, kernel)
    across = _group_sums(first, second, ours, theirs, kernel)
    together = ours.T @ _of_pairs(first, second, kernel) if paired else np.zeros(len(groups))
    values = []
    for i in range(len(groups)):
        kept = np.arange(len(groups)) != i
        m, n = ours.sum(0)[kept].sum(), theirs.sum(0)[kept].sum()
        a, b = (pairs[kept][:, kept].sum() - one[kept].sum() for pairs, one in zip(within, own, strict=True))
        c = across[kept][:, kept].sum() - together[kept].sum()
        values.append(float(_squared(a, b, c, m, n, paired)))
    return values


def _group_sums(
    first: Features, second: Features, ours: Features, theirs: Features, kernel: Kernel
) -> Features:
    """Return the sums of kernels between each two groups, given which features each group has, (N, groups)."""
    total = np.zeros((ours.shape[1], theirs.shape[1]))
    for rows, own in zip(_blocks(first), _blocks(ours), strict=True):
        for columns, other in zip(_blocks(second), _blocks(theirs), strict=True):
            total += own.T @ (kernel(rows, columns) @ other)
    return total


def _groups(labels: Labels) -> NDArray[np.int64]:
    return np.unique(labels[0])


def _cubic(a: Features, b: Features) -> Features:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _bell(sigma: float) -> Kernel:
    return lambda a, b: np.exp(-(2 - 2 * a @ b.T) / (2 * sigma**2))


def _discrepancy(first: Features, second: Features, kernel: Kernel, paired: bool = False) -> float:
    m, n = len(first), len(second)
    if min(m, n) < 2:
        raise ValueError(f"{min(m, n)} images: expected at least 2")
    if paired and m != n:
        raise ValueError(f"{m} and {n} images: expected pairs")
    a, b = (_sum(own, own, kernel) - _diagonal(own, kernel).sum() for own in (first, second))
    c = _sum(first, second, kernel) - (_of_pairs(first, second, kernel).sum() if paired else 0.0)
    return float(_squared(a, b, c, m, n, paired))


def _squared(a: float, b: float, c: float, m: float, n: float, paired: bool) -> float:
    """Return the squared MMD of m and n images by the sums of kernels within both sets and across them."""
    return a / (m * (m - 1)) + b / (n * (n - 1)) - 2 * c / (m * (n - paired))


def _sum(first: Features, second: Features, kernel: Kernel) -> float:
    """Return the sum of kernels of each of ``first`` with each of ``second``."""
    return float(sum(kernel(rows, columns).sum() for rows in _blocks(first) for columns in _blocks(second)))


def _diagonal(features: Features, kernel: Kernel) -> Features:
    return _of_pairs(features, features, kernel)


def _of_pairs(first: Features, second: Features, kernel: Kernel) -> Features:
    """Return the kernel of each feature with that of the same place in the other set: (N,)."""
    return np.concatenate([kernel(x[None], y[None])[0] for x, y in zip(first, second, strict=True)])


def _blocks(features: Features) -> Sequence[Features]:
    return [features[start : start + BLOCK] for start in range(0, len(features), BLOCK)]


def _unit(features: Features) -> Features:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def _within(points: Features, manifold: Features, nearest: int) -> float:
    radii = np.concatenate(
        [np.partition(_distances(rows, manifold), nearest, 1)[:, nearest] for rows in _blocks(manifold)]
    )
    inside = [(_distances(rows, manifold) <= radii).any(1) for rows in _blocks(points)]
    return float(np.concatenate(inside).mean())


def _distances(first: Features, second: Features) -> Features:
    """Return squared distances; a feature from itself exactly 0 apart."""
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    return squares.clip(min=0)
