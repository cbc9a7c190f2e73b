"""Losses on spectra and bands, as loops over frequencies, scales, orientations and blocks."""

import math
import statistics

import numpy as np

from .loops import Image, Plane, gradient, haar, mean, pairs, places, similar, spectrum, weighted
from .loops_structure import YIQ

SCHARR = (3 / 16, 10 / 16, 3 / 16)


def _orthonormal(plane: Plane) -> Plane:
    return spectrum(plane) / math.sqrt(plane.size)


def focal_frequency(restored: Image, clean: Image, alpha: float = 1.0) -> float:
    """``mean w |F_x − F_y|²``, ``w = |F_x − F_y|^α`` over its largest value (Jiang et al., 2021, eq. 8 and 9)."""
    found = []
    for x, y in zip(restored, clean, strict=True):
        sizes = [abs(a - b) for a, b in pairs(_orthonormal(x), _orthonormal(y))]
        largest = max(size**alpha for size in sizes)
        found += [size**alpha / largest * size**2 for size in sizes]
    return mean(found)


def fourier(
    restored: Image, clean: Image, amplitude: float = 1.0, phase: float = 1.0, epsilon: float = 1e-3
) -> float:
    """``a mean ||F_x| − |F_y|| + p mean ½|F_x/√(|F_x|² + ε²) − F_y/√(|F_y|² + ε²)|²``."""
    sizes, turns = [], []
    for x, y in zip(restored, clean, strict=True):
        for a, b in pairs(_orthonormal(x), _orthonormal(y)):
            sizes.append(abs(abs(a) - abs(b)))
            one, other = (f / math.sqrt(abs(f) ** 2 + epsilon**2) for f in (a, b))
            turns.append(abs(one - other) ** 2 / 2)
    return amplitude * mean(sizes) + phase * mean(turns)


def wavelet(
    restored: Image, clean: Image, levels: int = 3, weights: tuple[float, float, float, float] = (1, 1, 1, 1)
) -> float:
    """``Σ w_b mean |b(x) − b(y)|`` over the details of every level and the LL of the last."""
    total = 0.0
    images = [list(restored), list(clean)]
    for level in range(1, levels + 1):
        bands = [[haar(plane) for plane in image] for image in images]
        for b, weight in enumerate(weights):
            if b or level == levels:
                differences = [abs(p - q) for x, y in zip(*bands, strict=True) for p, q in pairs(x[b], y[b])]
                total += weight * mean(differences)
        images = [[band[0] for band in image] for image in bands]
    return total


def high_frequency(
    restored: Image, clean: Image, features: str = "haar", channels: str = "details", space: str = "pixel"
) -> float:
    """The mean square of the differences of Haar bands, or of images (the controls of Sami et al., 2024)."""
    if features == "identity":
        return mean((x - y) ** 2 for x, y in pairs(restored, clean))
    chosen = {"details": (1, 2, 3), "coarse": (0,), "all": (0, 1, 2, 3)}[channels]
    found = []
    for x, y in zip(restored, clean, strict=True):
        for b, (one, other) in enumerate(zip(haar(x), haar(y), strict=True)):
            found += [(p - q) ** 2 for p, q in pairs(one, other)] if b in chosen else []
    return mean(found)


def fsim(restored: Image, clean: Image) -> float:
    """``1 − Σ S_L PC_m / Σ PC_m``, ``S_L = S_PC S_G (S_I S_Q)^0.03``, S_I S_Q of RGB only (Zhang et al., 2011)."""
    x, y = ([255 * weighted(image, row) for row in YIQ[: len(image)]] for image in (restored, clean))
    congruent = [phase_congruency(plane) for plane in (x[0], y[0])]
    edges = [gradient(plane, SCHARR) for plane in (x[0], y[0])]
    above = below = 0.0
    for place in places(x[0]):
        value = similar(congruent[0][place], congruent[1][place], 0.85)
        value *= similar(edges[0][place], edges[1][place], 160)
        if len(x) == 3:
            chroma = similar(x[1][place], y[1][place], 200) * similar(x[2][place], y[2][place], 200)
            value *= abs(chroma) ** 0.03
        largest = max(congruent[0][place], congruent[1][place])
        above, below = above + value * largest, below + largest
    return 1 - above / below


def phase_congruency(plane: Plane) -> Plane:
    """Return ``Σₒ max(Eₒ − Tₒ, 0) / Σₒₛ Aₒₛ`` over four orientations and four scales (Kovesi, 1999).

    ``E = Σₛ (eₛ ē + oₛ ō) − |eₛ ō − oₛ ē|`` of the even and odd answers of a scale and the direction (ē, ō) of their
    sums; T is the mean of the noise's energy and two deviations, over 1.7, the noise that of the finest scale.
    """
    of_plane = spectrum(plane)
    energy, amplitudes = np.zeros(plane.shape), np.zeros(plane.shape)
    for orientation in range(4):
        filters = [_log_gabor(plane.shape, orientation, scale) for scale in range(4)]
        answers = [spectrum(of_plane * f, +1) / plane.size for f in filters]
        threshold = _noise(answers[0], filters)
        for place in places(plane):
            here = [complex(answer[place]) for answer in answers]
            whole = sum(here)
            e, o = whole.real / abs(whole), whole.imag / abs(whole)
            found = sum(a.real * e + a.imag * o - abs(a.real * o - a.imag * e) for a in here)
            energy[place] += max(found - threshold, 0)
            amplitudes[place] += sum(map(abs, here))
    return energy / amplitudes


def _noise(finest: Plane, filters: list[Plane]) -> float:
    """Return T: by the median energy of the finest scale, and what filters of white noise add up to.

    Of an even number of energies it is the lower of the two in the middle, as in piq; the authors' is their mean.
    """
    squares = sorted(abs(a) ** 2 for a in finest.ravel().tolist())
    power = statistics.median_low(squares) / math.log(2) / (filters[0] ** 2).sum()
    kernels = [spectrum(f, +1).real / math.sqrt(f.size) for f in filters]
    own = sum((k**2).sum() for k in kernels)
    crossed = sum((kernels[s] * kernels[t]).sum() for t in range(4) for s in range(t))
    tau = math.sqrt((2 * power * own + 4 * power * crossed) / 2)
    return (tau * math.sqrt(math.pi / 2) + 2 * math.sqrt((2 - math.pi / 2) * tau**2)) / 1.7


def _log_gabor(shape: tuple[int, int], orientation: int, scale: int) -> Plane:
    """Return a filter's transfer function: log-Gaussian of the radius, Gaussian of the angle, less than 0.45."""
    found, middle = np.zeros(shape), orientation * math.pi / 4
    for u, v in places(found):
        y, x = (_frequency(n, length) for n, length in zip((u, v), shape, strict=True))
        radius = math.hypot(x, y)
        if radius == 0:
            continue
        angle = math.atan2(-x, y)  # from the axis of rows, as in piq; the authors count from that of columns
        off = abs(math.atan2(math.sin(angle - middle), math.cos(angle - middle)))
        radial = math.exp(-(math.log(radius * 6 * 2**scale) ** 2) / (2 * math.log(0.55) ** 2))
        low_pass = 1 / (1 + (radius / 0.45) ** 30)
        found[u, v] = radial * low_pass * math.exp(-(off**2) / (2 * (math.pi / 4 / 1.2) ** 2))
    return found


def _frequency(n: int, length: int) -> float:
    """Return the frequency of a sample in cycles per pixel; of odd lengths −½ to ½, as the authors have it."""
    centred = n if n < (length + 1) // 2 else n - length
    return centred / (length - 1 if length % 2 else length)
