"""Contrastive objectives, as loops over anchors, their positives and their negatives; embeddings are (places, D)."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from .loops import mean, pairs

Vectors = Sequence[np.ndarray]  # embeddings of (places, D) each


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean over places of the cosine; all vectors are of length 1."""
    return mean(sum(p * q for p, q in pairs(one, other)) for one, other in zip(a, b, strict=True))


def _similarities(anchor: np.ndarray, near: Vectors, far: Vectors) -> tuple[list[float], list[float]]:
    return [similarity(anchor, z) for z in near], [similarity(anchor, z) for z in far]


def info_nce(anchor: np.ndarray, near: Vectors, far: Vectors, temperature: float = 1.0) -> float:
    """``−log( e^{s⁺/τ} / (e^{s⁺/τ} + Σ e^{s⁻/τ}) )``, the mean over positives (van den Oord et al., 2018, eq. 4)."""
    near, far = ([math.exp(s / temperature) for s in values] for values in _similarities(anchor, near, far))
    return mean(-math.log(s / (s + sum(far))) for s in near)


def decoupled(anchor: np.ndarray, near: Vectors, far: Vectors, temperature: float = 0.1) -> float:
    """``−s⁺/τ + log Σ e^{s⁻/τ}``, the mean over positives (Yeh et al., 2022)."""
    near, far = _similarities(anchor, near, far)
    return mean(-s / temperature + math.log(sum(math.exp(t / temperature) for t in far)) for s in near)


def triplet(anchor: np.ndarray, near: Vectors, far: Vectors, margin: float = 0.2) -> float:
    """``max(0, margin + ‖z − z⁺‖² − ‖z − z⁻‖²)``, the mean over pairs (Schroff et al., 2015, eq. 3)."""
    near, far = _distances(anchor, near, far)
    return mean(max(0.0, margin + p - n) for p in near for n in far)


def attraction_repulsion(
    anchor: np.ndarray, near: Vectors, far: Vectors, attraction: float = 1.0, repulsion: float = 1.0,
    beta: float = 1.0,
) -> float:  # fmt: skip
    """Distances to far positives and near negatives weigh most (CACR; Zheng et al., 2023)."""
    near, far = _distances(anchor, near, far)
    pull, push = [math.exp(attraction * d) for d in near], [math.exp(-repulsion * d) for d in far]
    attracted = sum(w * d for w, d in zip(pull, near, strict=True)) / sum(pull)
    return attracted - beta * sum(w * d for w, d in zip(push, far, strict=True)) / sum(push)


def _distances(anchor: np.ndarray, near: Vectors, far: Vectors) -> tuple[list[float], list[float]]:
    """Return the squared distances, the means over places."""
    return tuple([((anchor - z) ** 2).sum() / len(anchor) for z in vectors] for vectors in (near, far))


def individual_temperature(
    anchor: np.ndarray, near: Vectors, far: Vectors, rho: float = 0.3, lowest: float = 0.05, highest: float = 1.0
) -> float:  # fmt: skip
    """``min_τ τ log mean e^{(s⁻ − s⁺)/τ} + τρ``, convex in τ, by thirds; the mean over positives (Qiu et al., 2023)."""
    near, far = _similarities(anchor, near, far)
    found = []
    for s in near:

        def robust(tau: float, s: float = s) -> float:
            return tau * math.log(mean(math.exp((t - s) / tau) for t in far)) + tau * rho

        low, high = lowest, highest
        for _ in range(80):
            first, second = low + (high - low) / 3, high - (high - low) / 3
            low, high = (low, second) if robust(first) < robust(second) else (first, high)
        found.append(robust((low + high) / 2))
    return mean(found)


def ratio(anchor: np.ndarray, near: Vectors, far: Vectors, form: str = "l2") -> float:
    """Means over positives against means over negatives (Wu et al., 2023, as released)."""
    if form == "l1":
        sizes = [mean(abs(p - q) for z in vectors for p, q in pairs(anchor, z)) for vectors in (near, far)]
        return sizes[0] / (sizes[1] + 3e-7)
    near, far = (mean(values) for values in _similarities(anchor, near, far))
    return far - near if form == "cosine" else (1 - near) / (1 - far + 3e-7)


def group_ordering(
    anchor: np.ndarray, near: Vectors, far: Vectors, steepness: float = 1.0, hardest: int = 10
) -> float:
    """``mean −log share`` of every element in the ranks of its group, sorted softly (Shvetsova et al., 2023).

    Neighbours of an odd-even network keep their order to the degree ``atan(steepness·(b − a))/π + ½`` (Petersen et
    al., 2022), values and the elements' shares in them alike.
    """
    near, far = _similarities(anchor, near, far)
    far = sorted(far)[-hardest:]
    values = [*far, *sorted(near)]
    count = len(values)
    shares = [[float(rank == element) for element in range(count)] for rank in range(count)]
    for layer in range(count):
        for i in range(layer % 2, count - 1, 2):
            stay = math.atan(steepness * (values[i + 1] - values[i])) / math.pi + 0.5
            rows = [[value, *row] for value, row in zip(values[i : i + 2], shares[i : i + 2], strict=True)]
            for place, weights in ((i, (stay, 1 - stay)), (i + 1, (1 - stay, stay))):
                values[place], *shares[place] = (
                    weights[0] * a + weights[1] * b for a, b in zip(*rows, strict=True)
                )
    below = range(len(far))
    above = range(len(far), count)
    return mean(-math.log(sum(shares[rank][e] for rank in own)) for own in (below, above) for e in own)


def hard_mixing(
    anchor: np.ndarray, near: Vectors, far: Vectors, mixed: Vectors, temperature: float = 0.2
) -> float:
    """InfoNCE with more negatives, the mixed ones (Kalantidis et al., 2020), which are given."""
    return info_nce(anchor, near, [*far, *mixed], temperature)


def multi_head(
    near: Sequence[Vectors], far: Sequence[Vectors], width: int, beta: float = 1e-2, hardest: int = 100
) -> float:
    """The objective of AMCL (Wang et al., 2024, eq. 2.1, 3 and 5), given (s, τ) of each head's positives and negatives.

    ``Σ_heads mean₊ (−s/τ + β ((width/2) log τ + 1/τ)) + mean₋ s/τ − β Σ₋ (log τ + 1/τ)``, − the most similar ones.
    """
    total = 0.0
    for positives, negatives in zip(near, far, strict=True):
        total += mean(-s / tau + beta * (width / 2 * math.log(tau) + 1 / tau) for s, tau in positives)
        most = sorted(negatives, key=lambda pair: -pair[0])[:hardest]
        total += mean(s / tau for s, tau in most) - beta * sum(math.log(tau) + 1 / tau for _, tau in most)
    return total


def over_layers(
    objective: Callable[..., float], anchors: Vectors, near: Sequence[Vectors], far: Sequence[Vectors], pool: str
) -> float:  # fmt: skip
    """Return the mean over layers of an objective of maps, (C, H, W) each; sets hold the maps of every layer."""
    found = []
    for layer, anchor in enumerate(anchors):
        sets = [[_embedded(maps[layer], pool) for maps in vectors] for vectors in (near, far)]
        found.append(objective(_embedded(anchor, pool), *sets))
    return mean(found)


def _embedded(maps: np.ndarray, pool: str) -> np.ndarray:
    """Return a vector of length 1 for every pixel, or one for the mean over all."""
    vectors = maps.reshape(len(maps), -1).T
    if pool == "mean":
        vectors = vectors.mean(0, keepdims=True)
    return np.array([v / max(math.sqrt((v * v).sum()), 1e-4) for v in vectors])
