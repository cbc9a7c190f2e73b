"""Distances between two sets of images by their features: Fréchet, kernel, precision and recall, with their error.

Features are float64 arrays (images, dimensions). Which network made them is part of a distance's name: "FID" is the
Fréchet distance over the Inception network of TensorFlow alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from restoration.benchmarks.intervals import Interval

Features = NDArray[np.float64]
ENOUGH = (
    2048  # images, as many as Inception has features: below, a Fréchet distance measures how many there are
)
BLOCK = 2048  # rows of a kernel matrix that are held at once
NORMAL = 1.959964  # 97.5 % quantile


class Estimate(NamedTuple):
    """A distance and its 95 % confidence interval."""

    value: float
    interval: Interval


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


def kernel_distance(first: Features, second: Features) -> Estimate:
    """Return the unbiased squared MMD with kernel (x·y / D + 1)³, as KID (Bińkowski et al., 2018), over all pairs.

    Its mean does not depend on how many images there are. The interval is that of the delete-one jackknife.
    """
    return _discrepancy(first, second, lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3)


def gaussian_distance(first: Features, second: Features, sigma: float = 10.0) -> Estimate:
    """Return 1,000 × the unbiased squared MMD with kernel exp(−‖x − y‖² / 2σ²): CMMD where features are CLIP's.

    Jayasumana et al., 2024; features are scaled to unit length, as CLIP's embeddings are.
    """

    def kernel(a: Features, b: Features) -> Features:
        return np.exp(-(2 - 2 * a @ b.T) / (2 * sigma**2))

    value, interval = _discrepancy(_unit(first), _unit(second), kernel)
    low, high = interval
    return Estimate(1000 * value, Interval(low and 1000 * low, high and 1000 * high))


def precision_recall(restored: Features, clean: Features, nearest: int = 3) -> tuple[float, float]:
    """Return which part of either set lies within the other's manifold (Kynkäänniemi et al., 2019).

    A manifold is the union of balls around features that reach to their ``nearest``-th neighbour. Precision is the
    part of ``restored`` within that of ``clean``; recall the part of ``clean`` within that of ``restored``.
    """
    if min(len(restored), len(clean)) <= nearest:
        raise ValueError(f"{min(len(restored), len(clean))} images: expected more than {nearest}")
    return _within(restored, clean, nearest), _within(clean, restored, nearest)


def _discrepancy(first: Features, second: Features, kernel) -> Estimate:  # noqa: ANN001
    m, n = len(first), len(second)
    if min(m, n) < 2:
        raise ValueError(f"{min(m, n)} images: expected at least 2")
    within_first, within_second = _sums(first, first, kernel), _sums(second, second, kernel)
    within_first -= _diagonal(first, kernel)
    within_second -= _diagonal(second, kernel)
    across, back = _sums(first, second, kernel), _sums(second, first, kernel)
    a, b, c = within_first.sum(), within_second.sum(), across.sum()
    value = a / (m * (m - 1)) + b / (n * (n - 1)) - 2 * c / (m * n)
    if min(m, n) < 3:
        return Estimate(float(value), Interval(None, None))
    without = _left_out(within_first, a, b / (n * (n - 1)), across, c, n)
    without_second = _left_out(within_second, b, a / (m * (m - 1)), back, c, m)
    variance = (m - 1) * without.var() + (n - 1) * without_second.var()
    half = NORMAL * float(np.sqrt(variance))
    return Estimate(float(value), Interval(float(value) - half, float(value) + half))


def _left_out(
    own: Features, total: float, other: float, across: Features, crossed: float, n: int
) -> Features:
    """Return the statistic without each feature of one set in turn."""
    m = len(own)
    return (total - 2 * own) / ((m - 1) * (m - 2)) + other - 2 * (crossed - across) / ((m - 1) * n)


def _sums(first: Features, second: Features, kernel) -> Features:  # noqa: ANN001
    """Return for each of ``first`` the sum of kernels with all of ``second``."""
    return np.concatenate(
        [
            sum(kernel(rows, columns).sum(1) for columns in _blocks(second))
            for rows in _blocks(first)
        ]
    )  # fmt: skip


def _diagonal(features: Features, kernel) -> Features:  # noqa: ANN001
    return np.concatenate([kernel(row[None], row[None])[0] for row in features])


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
