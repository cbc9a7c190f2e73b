"""Optimal transport between two Gaussians in closed form, in double precision; sources without full rank included."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

EPS = 1e-7  # variance up to which nothing is known of a direction: of images in [0, 1], a tenth of a level of 255
SYMMETRIC = 1e-9  # of the largest entry: differences that rounding explains
FAINT = 1e-11  # of the target's largest variance: directions up to it are constant, but for rounding
ACROSS = 1e-12  # of the product of both total deviations: singular values of S_t^{1/2} S_s^{1/2} that are 0, likewise


@dataclass(frozen=True)
class Gaussian:
    """``mean`` (d,) and ``covariance`` (d, d) in double precision."""

    mean: Tensor
    covariance: Tensor


@dataclass(frozen=True)
class Affine:
    """``z ↦ matrix · z + shift + root · ε`` with ε ~ N(0, I); ``root`` (d, rank) is None where no noise is needed.

    ``lacking`` counts the directions in which the source is constant; noise is in those alone that the target has.
    """

    matrix: Tensor
    shift: Tensor
    root: Tensor | None = None
    lacking: int = 0

    @property
    def noise(self) -> Tensor:
        """Return the covariance of the noise, S_w."""
        return torch.zeros_like(self.matrix) if self.root is None else self.root @ self.root.T

    def image_of(self, source: Gaussian) -> Gaussian:
        """Return mean and covariance of what the map makes of ``source``."""
        covariance = self.matrix @ source.covariance @ self.matrix.T + self.noise
        return Gaussian(self.matrix @ source.mean + self.shift, covariance)

    def cost(self, source: Gaussian) -> Tensor:
        """Return E‖map(z) − z‖² for z of ``source``."""
        made = self.image_of(source)
        crossed = (self.matrix @ source.covariance).trace()
        spread = made.covariance.trace() + source.covariance.trace() - 2 * crossed
        return (made.mean - source.mean).square().sum() + spread

    def towards_identity(self, alpha: float) -> "Affine":
        """Return ``(1 − α) · map + α · z``, whose noise has the covariance (1 − α)² S_w."""
        same = torch.eye(len(self.shift), dtype=self.shift.dtype, device=self.shift.device)
        root = None if self.root is None else (1 - alpha) * self.root
        return replace(
            self, matrix=(1 - alpha) * self.matrix + alpha * same, shift=(1 - alpha) * self.shift, root=root
        )


def between(source: Gaussian, target: Gaussian, eps: float = EPS) -> Affine:
    """Return the optimal transport of ``source`` to ``target``.

    A source of full rank has one map without noise, T = S_s^{-1/2} (S_s^{1/2} S_t S_s^{1/2})^{1/2} S_s^{-1/2}. Where
    an eigenvalue of S_s is not above ``eps``, the source is taken to be constant in its direction, and noise takes
    the place of what the target has there (Adrai et al., 2023): no plan costs less.
    """
    if is_positive(source.covariance, eps):
        matrix, root, lacking = _regular(source.covariance, target.covariance), None, 0
    else:
        matrix, root = _degenerate(source.covariance, target.covariance, eps)
        lacking = int((torch.linalg.eigvalsh(source.covariance) <= eps).sum())
    return Affine(matrix, target.mean - matrix @ source.mean, root, lacking)


def between_beside(source: Gaussian, target: Gaussian, untouched: Tensor, eps: float = EPS) -> Affine:
    """Return the optimal transport within the complement of ``untouched``, and the identity along these directions.

    ``untouched`` (d, k) has orthonormal columns, such as the means of each channel of a patch.
    """
    rest = torch.linalg.qr(untouched, mode="complete").Q[:, untouched.shape[1] :]
    within = between(_seen(source, rest), _seen(target, rest), eps)
    matrix = rest @ within.matrix @ rest.T + untouched @ untouched.T
    root = None if within.root is None else rest @ within.root
    return replace(within, matrix=matrix, shift=rest @ within.shift, root=root)


def gelbrich(source: Gaussian, target: Gaussian) -> Tensor:
    """Return the squared Wasserstein distance W_2² of two Gaussians (Gelbrich, 1990)."""
    root = square_root(target.covariance)
    crossed = square_root(root @ source.covariance @ root).trace()
    spread = source.covariance.trace() + target.covariance.trace() - 2 * crossed
    return (source.mean - target.mean).square().sum() + spread.clamp_min(0)


def square_root(matrix: Tensor) -> Tensor:
    """Return the symmetric square root of a covariance; eigenvalues below zero, as rounding makes, count as zero."""
    return _function(matrix, lambda values: values.clamp_min(0).sqrt())


def is_positive(matrix: Tensor, eps: float = EPS) -> bool:
    """Return whether a matrix is symmetric and its least eigenvalue above ``eps``."""
    return is_symmetric(matrix) and bool(torch.linalg.eigvalsh(matrix)[0] > eps)


def is_symmetric(matrix: Tensor) -> bool:
    """Return whether a matrix is its own transpose, but for rounding."""
    return bool((matrix - matrix.T).abs().max() <= SYMMETRIC * matrix.abs().max())


def _regular(source: Tensor, target: Tensor) -> Tensor:
    root, inverse = square_root(source), _function(source, torch.Tensor.rsqrt)
    return _even(inverse @ square_root(root @ target @ root) @ inverse)


def _degenerate(source: Tensor, target: Tensor, eps: float) -> tuple[Tensor, Tensor | None]:
    """Return T_0 and a root of S_w with T_0 S_s T_0ᵀ + S_w = S_t, for S_s without directions of at most ``eps``.

    With X Σ Yᵀ = S_t^{1/2} S_s^{1/2}, of the pairs of directions that are not at right angles, T_0 is
    S_t^{1/2} X Yᵀ S_s^{-1/2} and S_w = S_t^{1/2} (I − X Xᵀ) S_t^{1/2}. The target may lack directions too.
    """
    root = _function(target, lambda values: torch.where(values > FAINT * values[-1], values, 0).sqrt())
    known = _function(source, lambda values: torch.where(values > eps, values, 0).sqrt())
    pseudo = _function(source, lambda values: torch.where(values > eps, values, math.inf).rsqrt())
    left, values, right = torch.linalg.svd(root @ known)
    met = int((values > ACROSS * root.norm() * known.norm()).sum())
    return root @ left[:, :met] @ right[:met] @ pseudo, _root(root @ left[:, met:], target)


def _root(factor: Tensor, target: Tensor) -> Tensor | None:
    """Return L (d, rank) with L Lᵀ = F Fᵀ of a ``factor`` F, but for what is faint beside the target; None for 0."""
    left, values, _ = torch.linalg.svd(factor, full_matrices=False)
    kept = values.square() > FAINT * torch.linalg.eigvalsh(target)[-1]
    return left[:, kept] * values[kept] if kept.any() else None


def _seen(gaussian: Gaussian, basis: Tensor) -> Gaussian:
    return Gaussian(basis.T @ gaussian.mean, _even(basis.T @ gaussian.covariance @ basis))


def _function(matrix: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a function of a symmetric matrix: that of its eigenvalues."""
    values, vectors = torch.linalg.eigh(_even(matrix))
    return (vectors * of(values)) @ vectors.T


def _even(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2
