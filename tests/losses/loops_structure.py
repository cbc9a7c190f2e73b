"""Structural similarity and its kin, as loops over windows, scales and channels."""

import math

import numpy as np

from .loops import (
    Image,
    Plane,
    at,
    gaussian,
    gradient,
    halved,
    mean,
    pairs,
    places,
    repeated,
    similar,
    views,
    weighted,
)

LUMA = (0.299, 0.587, 0.114)
YIQ = (LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
PREWITT = (1 / 3, 1 / 3, 1 / 3)
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli & Bovik, 2003, section 3.2
ZHAO = (0.5, 1.0, 2.0, 4.0, 8.0)


def factors(x: Plane, y: Plane, weights: np.ndarray, k1: float, k2: float) -> tuple[float, float]:
    """Return ``(2μₓμᵧ + C₁)/(μₓ² + μᵧ² + C₁)`` and ``(2σₓᵧ + C₂)/(σₓ² + σᵧ² + C₂)`` (Wang et al., 2004) of a window."""
    mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
    x, y = x - mean_x, y - mean_y
    structure = (2 * (weights * x * y).sum() + k2**2) / ((weights * (x * x + y * y)).sum() + k2**2)
    return similar(mean_x, mean_y, k1**2), structure


def ssim(
    restored: Image, clean: Image, window: int = 11, sigma: float = 1.5, k1: float = 0.01, k2: float = 0.03
) -> float:  # fmt: skip
    """One less the mean over windows and channels of both factors' product (Wang et al., 2004, eq. 13)."""
    weights, found = gaussian(window, sigma), []
    for x, y in zip(restored, clean, strict=True):
        for a, b in zip(views(x, window), views(y, window), strict=True):
            found.append(math.prod(factors(a, b, weights, k1, k2)))
    return 1 - mean(found)


def ms_ssim(
    restored: Image, clean: Image, window: int = 11, sigma: float = 1.5, k1: float = 0.01, k2: float = 0.03,
    weights: str = "wang2003", small: str = "error",
) -> float:  # fmt: skip
    """``1 − SSIM_M^w_M Π cs_j^w_j``, the mean over channels (Wang, Simoncelli & Bovik, 2003, eq. 7)."""
    scales, side = 5, min(restored.shape[1:])
    while small == "fewer-scales" and (window - 1) * 2 ** (scales - 1) + 1 > side:
        scales -= 1
    powers = [w * sum(SCALES) / sum(SCALES[:scales]) for w in SCALES[:scales]]
    if weights == "ones":
        powers = [1.0] * scales
    taps, found = gaussian(window, sigma), []
    for x, y in zip(restored, clean, strict=True):
        product = 1.0
        for scale, power in enumerate(powers, 1):
            both = [
                factors(a, b, taps, k1, k2) for a, b in zip(views(x, window), views(y, window), strict=True)
            ]
            value = mean(light * structure if scale == scales else structure for light, structure in both)
            product *= max(value, 0.0) ** power
            x, y = _next_scale(x), _next_scale(y)
        found.append(product)
    return 1 - mean(found)


def _next_scale(plane: Plane) -> Plane:
    """Return the 2×2 means; where a side is odd, of the plane with its first row and column repeated."""
    height, width = plane.shape
    shift = 1 if height % 2 or width % 2 else 0
    found = np.zeros(((height + shift) // 2, (width + shift) // 2))
    for y, x in places(found):
        block = [repeated(plane, 2 * y + j - shift, 2 * x + i - shift) for j in (0, 1) for i in (0, 1)]
        found[y, x] = sum(block) / 4
    return found


def zhao_mix(
    restored: Image, clean: Image, alpha: float = 0.84, sigmas: tuple[float, ...] = ZHAO,
    k1: float = 0.01, k2: float = 0.03,
) -> float:  # fmt: skip
    """``α (1 − l_M Πⱼ cs_j) + (1 − α) G_M ∗ |x − y|`` of every window and channel (Zhao et al., 2017, eq. 11 to 14)."""
    size = 2 * math.ceil(2 * sigmas[-1]) + 1
    kernels, found = [gaussian(size, sigma) for sigma in sigmas], []
    for x, y in zip(restored, clean, strict=True):
        for a, b in zip(views(x, size), views(y, size), strict=True):
            every = [factors(a, b, kernel, k1, k2) for kernel in kernels]
            structure = every[-1][0] * math.prod(cs for _, cs in every)
            found.append(alpha * (1 - structure) + (1 - alpha) * (kernels[-1] * abs(a - b)).sum())
    return mean(found)


def gmsd(restored: Image, clean: Image) -> float:
    """The standard deviation of the similarity of gradients (Xue et al., 2014, eq. 4 to 6)."""
    edges = [gradient(halved(255 * weighted(image, LUMA)), PREWITT) for image in (restored, clean)]
    map_ = [similar(x, y, 170) for x, y in pairs(*edges)]
    middle = mean(map_)
    return math.sqrt(mean((value - middle) ** 2 for value in map_))


def haarpsi(restored: Image, clean: Image) -> float:
    """``1 − (σ⁻¹(Σ w σ(α s) / Σ w) / α)²`` over both ways of Haar filters, and chroma (Reisenhofer et al., 2018)."""
    c, alpha, above, below = 30, 4.2, 0.0, 0.0
    sigmoid = lambda v: 1 / (1 + math.exp(-alpha * v))  # noqa: E731
    first, second = (
        [halved(255 * weighted(image, row)) for row in YIQ[: len(image)]] for image in (restored, clean)
    )
    for y, x in places(first[0]):
        found, strengths = [], []
        for upright in (True, False):
            answers = [
                [abs(_haar(planes[0], size, upright, y, x)) for planes in (first, second)]
                for size in (2, 4, 8)
            ]
            found.append((similar(*answers[0], c) + similar(*answers[1], c)) / 2)
            strengths.append(max(answers[2]))
        if len(first) == 3:
            smooth = [[abs(_average(planes[n], y, x)) for planes in (first, second)] for n in (1, 2)]
            found.append((similar(*smooth[0], c) + similar(*smooth[1], c)) / 2)
            strengths.append((strengths[0] + strengths[1]) / 2)
        above += sum(w * sigmoid(s) for s, w in zip(found, strengths, strict=True))
        below += sum(strengths)
    share = above / below
    return 1 - (math.log(share / (1 - share)) / alpha) ** 2


def _haar(plane: Plane, size: int, upright: bool, y: int, x: int) -> float:
    """Return ``2⁻ˢ`` times one half of a window of 2ˢ pixels less the other; zeros beyond the border."""
    total, first = 0.0, -(size // 2 - 1)
    for j in range(size):
        for i in range(size):
            sign = 1 if (j if upright else i) < size // 2 else -1
            total += sign * at(plane, y + first + j, x + first + i)
    return total / size


def _average(plane: Plane, y: int, x: int) -> float:
    return sum(at(plane, y + j, x + i) for j in (0, 1) for i in (0, 1)) / 4


def mdsi(restored: Image, clean: Image) -> float:
    """``(mean |q − mean q|)^¼``, ``q = (α GS + (1 − α) CS)^¼``, complex where that is below 0 (Nafchi et al., 2016)."""
    rows = ((0.2989, 0.587, 0.114), (0.3, 0.04, -0.35), (0.34, -0.6, 0.17))
    images = [255 * (np.concatenate([i] * 3) if len(i) == 1 else i) for i in (clean, restored)]
    (l_r, h_r, m_r), (l_d, h_d, m_d) = ([weighted(image, row) for row in rows] for image in images)
    edges_r, edges_d, edges_f = (gradient(plane, PREWITT) for plane in (l_r, l_d, (l_r + l_d) / 2))
    found = []
    for place in places(l_r):
        r, d, f = edges_r[place], edges_d[place], edges_f[place]
        gs = similar(r, d, 140) + similar(d, f, 55) - similar(r, f, 55)
        crossed = h_r[place] * h_d[place] + m_r[place] * m_d[place]
        energy = h_r[place] ** 2 + h_d[place] ** 2 + m_r[place] ** 2 + m_d[place] ** 2
        found.append(complex(0.6 * gs + 0.4 * (2 * crossed + 550) / (energy + 550)) ** 0.25)
    middle = sum(found) / len(found)
    return mean(abs(q - middle) for q in found) ** 0.25


def vif(restored: Image, clean: Image) -> float:
    """``1 − Σ log(1 + g²σ²/(σᵥ² + σₙ²)) / Σ log(1 + σ²/σₙ²)`` over four scales (Sheikh & Bovik, 2006), in pixels."""
    y, x, kept, whole = 255 * weighted(restored, LUMA), 255 * weighted(clean, LUMA), 0.0, 0.0
    for scale in range(1, 5):
        size = 2 ** (5 - scale) + 1
        weights = gaussian(size, size / 5)
        if scale > 1:
            y, x = _every_other(y, weights), _every_other(x, weights)
        for a, b in zip(views(x, size), views(y, size), strict=True):
            a, b = a - (weights * a).sum(), b - (weights * b).sum()
            clean_var, var, covariance = ((weights * v).sum() for v in (a * a, b * b, a * b))
            gain = covariance / clean_var
            noise = var - gain * covariance
            if gain < 0:
                gain, noise = 0.0, var
            kept += math.log2(1 + gain**2 * clean_var / (noise + 2))
            whole += math.log2(1 + clean_var / 2)
    return 1 - kept / whole


def _every_other(plane: Plane, weights: np.ndarray) -> Plane:
    size = len(weights)
    rows = range(0, plane.shape[0] - size + 1, 2)
    found = [(weights * view).sum() for view in views(plane, size, 2)]
    return np.array(found).reshape(len(rows), -1)
