"""Terms that see more than a pair, as loops over logits, edges, frames and pixels of what they are given."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from . import loops_pixel
from .loops import Image, Plane, mean, pairs, places, repeated

Logits = Sequence[np.ndarray]  # of each network of a discriminator: (N, …)
Rule = Callable[[float], float]


def _surprise(probability: float) -> float:
    return -math.log(probability)


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def _square(target: float) -> Rule:
    return lambda logit: (logit - target) ** 2


# objective: what the discriminator lowers of clean and of restored logits, what the restorer lowers of its own
RULES: dict[str, tuple[Rule, Rule, Rule]] = {
    # Goodfellow et al., 2014, section 3
    "bce": (lambda c: _surprise(_sigmoid(c)), lambda r: _surprise(1 - _sigmoid(r)), lambda r: _surprise(_sigmoid(r))),
    "least-squares": (_square(1), _square(0), _square(1)),  # Mao et al., 2017, eq. 9: a = 0, b = c = 1
    "hinge": (lambda c: max(0, 1 - c), lambda r: max(0, 1 + r), lambda r: -r),  # Miyato et al., 2018, eq. 16, 17
    "wasserstein-gp": (lambda c: -c, lambda r: r, lambda r: -r),  # Gulrajani et al., 2017, eq. 3
}  # fmt: skip
# of logits less the mean of the other side: Jolicoeur-Martineau, 2018, eq. 10 and 11, and its least squares
RELATIVE: dict[str, tuple[Rule, Rule]] = {
    "relativistic": (lambda d: _surprise(_sigmoid(d)), lambda d: _surprise(1 - _sigmoid(d))),
    "relativistic-least-squares": (_square(1), _square(-1)),
}


def of_restorer(objective: str, restored: Logits, clean: Logits) -> list[float]:
    """Return what the restorer lowers of each image: the mean over networks and over their logits of it."""
    found = []
    for image in range(len(restored[0])):
        by_network = []
        for fake, real in zip(restored, clean, strict=True):
            if objective in RULES:
                by_network.append(mean(map(RULES[objective][2], fake[image].ravel())))
                continue
            as_clean, as_restored = RELATIVE[objective]
            against_clean, against_restored = mean(real.ravel()), mean(fake.ravel())
            sides = [mean(as_clean(r - against_clean) for r in fake[image].ravel())]
            sides.append(mean(as_restored(c - against_restored) for c in real[image].ravel()))
            by_network.append(mean(sides))
        found.append(mean(by_network))
    return found


def of_discriminator(objective: str, restored: Logits, clean: Logits) -> float:
    """Return what the discriminator lowers of a batch, without penalties: the mean over networks."""
    found = []
    for fake, real in zip(restored, clean, strict=True):
        if objective in RULES:
            of_clean, of_restored, _ = RULES[objective]
            found.append(mean(map(of_clean, real.ravel())) + mean(map(of_restored, fake.ravel())))
            continue
        as_clean, as_restored = RELATIVE[objective]
        against_clean, against_restored = mean(real.ravel()), mean(fake.ravel())
        sides = [mean(as_clean(c - against_restored) for c in real.ravel())]
        sides.append(mean(as_restored(r - against_clean) for r in fake.ravel()))
        found.append(mean(sides))
    return mean(found)


def lengths(slopes: np.ndarray) -> list[float]:
    """Return the Euclidean length of each image's slope."""
    return [math.sqrt(math.fsum(v * v for v in slope.ravel())) for slope in slopes]


def dual_contrastive(clean: np.ndarray, restored: np.ndarray) -> float:
    """Each logit against all of the other side, both ways (Yu et al., 2021, dual contrastive loss)."""
    clean, restored = clean.ravel().tolist(), restored.ravel().tolist()
    fakes, reals = sum(math.exp(r) for r in restored), sum(math.exp(-c) for c in clean)
    told = mean(-math.log(math.exp(c) / (math.exp(c) + fakes)) for c in clean)
    return told + mean(-math.log(math.exp(-r) / (math.exp(-r) + reals)) for r in restored)


def exclusion(t: Image, r: Image, scales: int = 3, form: str = "paper") -> float:
    """Edges that both layers share, of both directions and all scales (Zhang, Ng & Chen, 2018, eq. 5; or released)."""
    total = 0.0
    for _ in range(scales):
        (across_t, down_t), (across_r, down_r) = _edges(t), _edges(r)
        if form == "paper":
            total += _shared(across_t + down_t, across_r + down_r)
        else:
            total += (_released(across_t, across_r) + _released(down_t, down_r)) / scales
        t, r = (np.array([_half(plane) for plane in image]) for image in (t, r))
    return total


def _edges(image: Image) -> tuple[list[float], list[float]]:
    across, down = [], []
    for plane in image:
        height, width = plane.shape
        across += [abs(plane[y, x + 1] - plane[y, x]) for y in range(height) for x in range(width - 1)]
        down += [abs(plane[y + 1, x] - plane[y, x]) for y in range(height - 1) for x in range(width)]
    return across, down


def _shared(t: list[float], r: list[float]) -> float:
    size = lambda values: math.sqrt(mean(v * v for v in values))  # noqa: E731
    balance = math.sqrt(size(r) / size(t))
    return size([math.tanh(balance * a) * math.tanh(b / balance) for a, b in zip(t, r, strict=True)])


def _released(t: list[float], r: list[float]) -> float:
    balance = 2 * mean(t) / mean(r)
    squashed = [
        (2 * _sigmoid(a) - 1) ** 2 * (2 * _sigmoid(balance * b) - 1) ** 2 for a, b in zip(t, r, strict=True)
    ]
    return mean(squashed) ** 0.25


def _half(plane: Plane) -> Plane:
    found = np.zeros((-(-plane.shape[0] // 2), -(-plane.shape[1] // 2)))
    for y, x in places(found):
        found[y, x] = plane[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean()
    return found


def consistency(restored: Image, degraded: Image, distance: str = "l1") -> float:
    """``distance(restored ↓, degraded)``, ↓ by Keys' cubic (1981, a = −½), as much wider as the image gets smaller."""
    small = np.array([_reduced(plane, degraded.shape[1:]) for plane in restored])
    of = {"l1": loops_pixel.l1, "l2": loops_pixel.l2, "charbonnier": loops_pixel.charbonnier}
    return of[distance](small, degraded)


def _reduced(plane: Plane, size: tuple[int, ...]) -> Plane:
    if plane.shape == size:
        return plane
    found = np.zeros(size)
    for y, x in places(found):
        rows, columns = _taps(y, plane.shape[0], size[0]), _taps(x, plane.shape[1], size[1])
        found[y, x] = sum(v * w * plane[j, i] for j, v in rows.items() for i, w in columns.items())
    return found


def _taps(place: int, length: int, small: int) -> dict[int, float]:
    """Return the weights of the pixels that one of the reduced image is made of; beyond the border there are none."""
    ratio = length / small
    weights = {n: _cubic((n + 0.5 - (place + 0.5) * ratio) / ratio) for n in range(length)}
    return {n: weight / sum(weights.values()) for n, weight in weights.items() if weight}


def _cubic(x: float) -> float:
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def flicker(restored: Sequence[Image], clean: Sequence[Image], flows: Sequence[Image] | None) -> float:
    """``mean |(x'∘flow − x) − (y'∘flow − y)|`` of consecutive frames, over what the flow keeps inside, of one clip."""
    found = []
    for n in range(len(restored) - 1):
        changes = []
        for y, x in places(restored[n][0]):
            across, down = (0.0, 0.0) if flows is None else flows[n][:, y, x]
            column, row = x + across, y + down
            if not (0 <= row <= restored[n].shape[1] - 1 and 0 <= column <= restored[n].shape[2] - 1):
                continue
            for c in range(len(restored[n])):
                ours = _between(restored[n + 1][c], row, column) - restored[n][c, y, x]
                theirs = _between(clean[n + 1][c], row, column) - clean[n][c, y, x]
                changes.append(abs(ours - theirs))
        found.append(mean(changes) if changes else 0.0)
    return mean(found)


def _between(plane: Plane, row: float, column: float) -> float:
    """Return the bilinear value between pixels."""
    j, i = math.floor(row), math.floor(column)
    v, w = row - j, column - i
    above = (1 - w) * plane[j, i] + w * repeated(plane, j, i + 1)
    return (1 - v) * above + v * ((1 - w) * repeated(plane, j + 1, i) + w * repeated(plane, j + 1, i + 1))


def rectified_flow(restored: Image, clean: Image, start: Image, t: float) -> float:
    """``mean (velocity − (clean − z₀))²`` of the velocity that leads from z_t to the one-step estimate in 1 − t."""
    found = []
    for x, y, z in zip(
        restored.ravel().tolist(), clean.ravel().tolist(), start.ravel().tolist(), strict=True
    ):
        between = (1 - t) * z + t * y
        found.append(((x - between) / (1 - t) - (y - z)) ** 2)
    return mean(found)


def feature_matching(ours: Sequence[Image], theirs: Sequence[Image]) -> float:
    """``mean |D_l(x) − D_l(y)|``, the mean over layers and networks (Wang et al., 2018, pix2pixHD, eq. 4)."""
    return mean(mean(abs(p - q) for p, q in pairs(a, b)) for a, b in zip(ours, theirs, strict=True))
