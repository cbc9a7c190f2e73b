"""Losses on features and on sets of samples, as loops over positions and channels of features that are given."""

import math

import numpy as np

from .loops import Image, at, mean, pairs, places, similar, views
from .loops import haar as haar_bands


def positions(features: Image) -> list[np.ndarray]:
    """Return the vector over channels at every position."""
    return [features[:, y, x] for y, x in places(features[0])]


def unit(vector: np.ndarray, epsilon: float = 1e-10) -> np.ndarray:
    """Return ``v / (‖v‖ + ε)`` (Zhang et al., 2018)."""
    return vector / (math.sqrt(sum(v * v for v in vector.tolist())) + epsilon)


def perceptual(
    ours: list[Image], theirs: list[Image], weights: tuple[float, ...] = (), distance: str = "l1",
    feature_scale: float = 1.0, normalise: bool = False,
) -> float:  # fmt: skip
    """``Σₗ wₗ mean |s φₗ(x) − s φₗ(y)|``, or of squares (Johnson et al., 2016, eq. 2)."""
    total, power = 0.0, {"l1": 1, "l2": 2}[distance]
    for weight, one, other in zip(weights or [1.0] * len(ours), ours, theirs, strict=True):
        vectors = [[unit(v) if normalise else v for v in positions(maps)] for maps in (one, other)]
        differences = [abs(p - q) for a, b in zip(*vectors, strict=True) for p, q in pairs(a, b)]
        total += weight * mean((feature_scale * d) ** power for d in differences)
    return total


def style(
    ours: list[Image], theirs: list[Image], weights: tuple[float, ...] = (), distance: str = "l1"
) -> float:
    """``Σₗ wₗ mean |G(φₗ(x)) − G(φₗ(y))|``, or of squares; G as in Johnson et al. (2016, eq. 3)."""
    total, power = 0.0, {"l1": 1, "l2": 2}[distance]
    for weight, one, other in zip(weights or [1.0] * len(ours), ours, theirs, strict=True):
        grams = [
            [sum(p * q for p, q in pairs(a, b)) / maps.size for a in maps for b in maps]
            for maps in (one, other)
        ]
        total += weight * mean(abs(p - q) ** power for p, q in zip(*grams, strict=True))
    return total


def contextual(
    ours: list[Image], theirs: list[Image], weights: tuple[float, ...] = (), bandwidth: float = 0.5
) -> float:
    """``Σₗ −wₗ log CX``, ``CX = mean_j max_i CX_ij`` (Mechrez et al., 2018, eq. 2 to 5), lengths as √(Σ v² + 1e-6)."""
    total = 0.0
    for weight, one, other in zip(weights or [1.0] * len(ours), ours, theirs, strict=True):
        x, y = positions(one), positions(other)
        middle = sum(y) / len(y)
        x, y = ([(v - middle) / math.sqrt(((v - middle) ** 2).sum() + 1e-6) for v in vs] for vs in (x, y))
        best = [0.0] * len(y)
        for a in x:
            distances = [1 - sum(p * q for p, q in pairs(a, b)) for b in y]
            alike = [math.exp((1 - d / (min(distances) + 1e-5)) / bandwidth) for d in distances]
            best = [max(so_far, w / sum(alike)) for so_far, w in zip(best, alike, strict=True)]
        total -= weight * math.log(mean(best))
    return total


def lpips(ours: list[Image], theirs: list[Image], heads: list[np.ndarray]) -> float:
    """``Σₗ mean_hw Σ_c w_lc (φ̂_lc(x) − φ̂_lc(y))²`` (Zhang et al., 2018, eq. 1)."""
    total = 0.0
    for one, other, head in zip(ours, theirs, heads, strict=True):
        found = []
        for a, b in zip(positions(one), positions(other), strict=True):
            found.append((head * (unit(a) - unit(b)) ** 2).sum())
        total += mean(found)
    return total


def dists(ours: list[Image], theirs: list[Image], alpha: list[np.ndarray], beta: list[np.ndarray]) -> float:
    """``1 − Σ (α l + β s)`` of every channel of every layer, the image the first (Ding et al., 2020, eq. 6 to 8)."""
    total = whole = 0.0
    for one, other, texture, structure in zip(ours, theirs, alpha, beta, strict=True):
        for x, y, a, b in zip(one, other, texture.tolist(), structure.tolist(), strict=True):
            mean_x, mean_y = x.mean(), y.mean()
            var_x, var_y = ((x - mean_x) ** 2).mean(), ((y - mean_y) ** 2).mean()
            covariance = ((x - mean_x) * (y - mean_y)).mean()
            whole += a + b  # all together 1, but for rounding to float32
            total += a * similar(mean_x, mean_y, 1e-6) + b * (2 * covariance + 1e-6) / (var_x + var_y + 1e-6)
    return whole - total


def distribution_js(ours: Image, theirs: Image, temperature: float = 1.0, where: str = "pooled") -> float:
    """``½ KL(P‖M) + ½ KL(Q‖M)``, M = (P + Q)/2, of softmaxes over channels (Lin, 1991)."""
    sets = [positions(maps) for maps in (ours, theirs)]
    if where == "pooled":
        sets = [[sum(vectors) / len(vectors)] for vectors in sets]
    found = []
    for a, b in zip(*sets, strict=True):
        p, q = ([math.exp(v / temperature) for v in vector.tolist()] for vector in (a, b))
        p, q = ([v / sum(vector) for v in vector] for vector in (p, q))
        terms = [
            u * math.log(2 * u / (u + v)) + v * math.log(2 * v / (u + v)) for u, v in zip(p, q, strict=True)
        ]
        found.append(sum(terms) / 2)
    return mean(found)


def patches(image: Image, patch: int = 1, stride: int = 1, centred: bool = False) -> list[np.ndarray]:
    """Return the patches of an image as vectors, less the mean of each colour where they are centred."""
    found = []
    for of_colours in zip(*(views(plane, patch, stride) for plane in image), strict=True):
        found.append(np.concatenate([(v - v.mean() if centred else v).ravel() for v in of_colours]))
    return found


def sliced_wasserstein(
    ours: list[np.ndarray], theirs: list[np.ndarray], directions: np.ndarray, order: int = 2
) -> float:
    """``mean_k mean_i |a₍ᵢ₎ − b₍ᵢ₎|^p`` of sorted projections (Bonneel et al., 2015), the directions given."""
    found = []
    for direction in directions:
        lines = [sorted(float(direction.ravel() @ v) for v in vectors) for vectors in (ours, theirs)]
        found.append(mean(abs(a - b) ** order for a, b in zip(*lines, strict=True)))
    return mean(found)


def moment_matching(
    ours: list[np.ndarray], theirs: list[np.ndarray], kind: str = "coral",
    widths: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0), estimate: str = "biased",
) -> float:  # fmt: skip
    """CORAL (Sun & Saenko, 2016, eq. 1), means and deviations, or the MMD of Gaussians (Gretton et al., 2012)."""
    if kind == "mmd":
        return _mmd(ours, theirs, widths, estimate == "unbiased")
    n, d = len(ours), len(ours[0])
    means = [[mean(v[i] for v in vectors) for i in range(d)] for vectors in (ours, theirs)]
    over = n - 1 if kind == "coral" else n
    spread = [
        [[sum((v[i] - m[i]) * (v[j] - m[j]) for v in vectors) / over for j in range(d)] for i in range(d)]
        for vectors, m in zip((ours, theirs), means, strict=True)
    ]
    if kind == "coral":
        return sum((spread[0][i][j] - spread[1][i][j]) ** 2 for i in range(d) for j in range(d)) / (4 * d * d)
    deviations = [[math.sqrt(s[i][i] + 1e-8) for i in range(d)] for s in spread]
    return mean(
        (means[0][i] - means[1][i]) ** 2 + (deviations[0][i] - deviations[1][i]) ** 2 for i in range(d)
    )


def _mmd(x: list[np.ndarray], y: list[np.ndarray], widths: tuple[float, ...], unbiased: bool) -> float:
    spread = mean(((a - b) ** 2).sum() for a in y for b in y)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return mean(math.exp(-((a - b) ** 2).sum() / (2 * h * spread)) for h in widths)

    def among(s: list[np.ndarray]) -> float:
        return mean(kernel(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j or not unbiased)

    return among(x) + among(y) - 2 * mean(kernel(a, b) for a in x for b in y)


Kernels = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # of two layers: weights and biases of each
Coupling = tuple[Kernels, Kernels]  # of φ, and of ρ and η


def invertible(image: Image, couplings: list[Coupling]) -> Image:
    """Return coarse image and details after the couplings (Xiao et al., 2020): ``c + φ(d)``, ``d e^ρ(c) + η(c)``.

    They begin as the means of 2×2 pixels, and as 8 times LH, HL and HH of every colour.
    """
    bands = [haar_bands(plane) for plane in image]
    coarse = np.array([ll / 2 for ll, *_ in bands])
    details = np.array([8 * detail for _, *three in bands for detail in three])
    for phi, rho_eta in couplings:
        coarse = coarse + _network(details, phi)
        raw, shift = np.split(_network(coarse, rho_eta), 2)
        details = details * np.exp(2 * np.tanh(raw)) + shift
    return np.concatenate([coarse, details])


def _network(features: Image, kernels: Kernels) -> Image:
    first, bias, last, offset = kernels
    hidden = _convolved(features, first, bias)
    return _convolved(np.where(hidden > 0, hidden, 0.2 * hidden), last, offset)


def _convolved(features: Image, weight: np.ndarray, bias: np.ndarray) -> Image:
    side, found = weight.shape[-1], np.zeros((len(weight), *features.shape[1:]))
    steps = range(-(side // 2), side // 2 + 1)
    for y, x in places(found[0]):
        seen = np.array([[[at(plane, y + j, x + i) for i in steps] for j in steps] for plane in features])
        found[:, y, x] = [(kernel * seen).sum() + b for kernel, b in zip(weight, bias, strict=True)]
    return found
