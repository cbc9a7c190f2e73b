"""Losses on pixels, their differences and colours, as loops over them."""

import math

import numpy as np

from .loops import Image, Plane, mean, mirrored, pairs, places, repeated


def l1(restored: Image, clean: Image, data_range: float = 1.0) -> float:
    """``mean |x − y|``."""
    return mean(data_range * abs(x - y) for x, y in pairs(restored, clean))


def l2(restored: Image, clean: Image, data_range: float = 1.0) -> float:
    """``mean (x − y)²``."""
    return mean((data_range * (x - y)) ** 2 for x, y in pairs(restored, clean))


def charbonnier(restored: Image, clean: Image, epsilon: float = 1e-3, data_range: float = 1.0) -> float:
    """``mean √((x − y)² + ε²)`` (Lai et al., 2017, eq. 4)."""
    return mean(math.sqrt((data_range * (x - y)) ** 2 + epsilon**2) for x, y in pairs(restored, clean))


def huber(restored: Image, clean: Image, delta: float = 0.05, data_range: float = 1.0) -> float:
    """``d²/2`` up to δ, ``δ|d| − δ²/2`` beyond (Huber, 1964)."""
    found = []
    for x, y in pairs(restored, clean):
        size = abs(x - y) * data_range
        found.append(size**2 / 2 if size <= delta else delta * size - delta**2 / 2)
    return mean(found)


def psnr(restored: Image, clean: Image) -> float:
    """``−10 log₁₀ (1² / mean square)`` in dB, at least −100."""
    square = mean((x - y) ** 2 for x, y in pairs(restored, clean))
    return -10 * math.log10(1 / max(square, 1e-10))


def total_variation(restored: Image, clean: Image, squared: bool = False, data_range: float = 1.0) -> float:
    """``mean |∂ₕ x| + mean |∂_w x|``, or twice the means of squares (Chadha et al., 2020), of the restored image."""
    size = (lambda step: 2 * step**2) if squared else abs
    down, across = _steps(restored * data_range)
    return mean(map(size, down)) + mean(map(size, across))


def _steps(image: Image) -> tuple[list[float], list[float]]:
    down, across = [], []
    for plane in image:
        height, width = plane.shape
        down += [plane[y + 1, x] - plane[y, x] for y in range(height - 1) for x in range(width)]
        across += [plane[y, x + 1] - plane[y, x] for y in range(height) for x in range(width - 1)]
    return down, across


def gradient(restored: Image, clean: Image, kind: str = "difference") -> float:
    """The mean absolute difference of each derivative, added; borders are repeated by the two 3×3 ones."""
    if kind == "difference":
        return sum(
            mean(abs(a - b) for a, b in zip(one, other, strict=True))
            for one, other in zip(_steps(restored), _steps(clean), strict=True)
        )
    stencils = {
        "sobel": (((-1, -2, -1), (0, 0, 0), (1, 2, 1)), ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))),
        "laplacian": (((0, 1, 0), (1, -4, 1), (0, 1, 0)),),
    }[kind]
    gain = {"sobel": 1 / 8, "laplacian": 1.0}[kind]
    return sum(
        gain * mean(
            abs(_under(x, stencil, *place) - _under(y, stencil, *place))
            for x, y in zip(restored, clean, strict=True)
            for place in places(x)
        )
        for stencil in stencils
    )  # fmt: skip


def _under(plane: Plane, stencil: tuple[tuple[int, ...], ...], y: int, x: int) -> float:
    return sum(stencil[j][i] * repeated(plane, y + j - 1, x + i - 1) for j in range(3) for i in range(3))


def laplacian_pyramid(restored: Image, clean: Image, levels: int = 5, growth: float = 2.0) -> float:
    """``Σⱼ growthʲ mean |Lʲ(x) − Lʲ(y)|`` (Burt & Adelson, 1983; weights 2ʲ of Hou & Liu, 2019)."""
    bands = [[_bands(plane, levels) for plane in image] for image in (restored, clean)]
    total = 0.0
    for j in range(levels):
        differences = [abs(a - b) for x, y in zip(*bands, strict=True) for a, b in pairs(x[j], y[j])]
        total += growth**j * mean(differences)
    return total


def _bands(plane: Plane, levels: int) -> list[Plane]:
    found = []
    for _ in range(levels - 1):
        coarse = _reduced(plane)
        found.append(plane - _expanded(coarse, plane.shape))
        plane = coarse
    return [*found, plane]


BINOMIAL = {-2: 1 / 16, -1: 4 / 16, 0: 6 / 16, 1: 4 / 16, 2: 1 / 16}


def _reduced(plane: Plane) -> Plane:
    """REDUCE: ``Σ_mn w(m) w(n) g(2i + m, 2j + n)``, borders mirrored."""
    found = np.zeros((-(-plane.shape[0] // 2), -(-plane.shape[1] // 2)))
    for y, x in places(found):
        for m, w in BINOMIAL.items():
            for n, v in BINOMIAL.items():
                found[y, x] += w * v * mirrored(plane, 2 * y + m, 2 * x + n)
    return found


def _expanded(plane: Plane, size: tuple[int, ...]) -> Plane:
    """EXPAND: ``4 Σ_mn w(m) w(n) g((i − m)/2, (j − n)/2)`` over whole places, borders repeated."""
    found = np.zeros(size)
    for y, x in places(found):
        for m, w in BINOMIAL.items():
            for n, v in BINOMIAL.items():
                if (y - m) % 2 == 0 and (x - n) % 2 == 0:
                    found[y, x] += 4 * w * v * repeated(plane, (y - m) // 2, (x - n) // 2)
    return found


def colour(restored: Image, clean: Image, measure: str = "blurred-l1", sigma: float = 3.0) -> float:
    """``mean |G_σ ∗ x − G_σ ∗ y|``, or the mean ΔE of the pixels."""
    if measure == "blurred-l1":
        return mean(
            abs(_blurred(x, sigma, *place) - _blurred(y, sigma, *place))
            for x, y in zip(restored, clean, strict=True)
            for place in places(x)
        )
    distance = {"delta-e-76": math.dist, "delta-e-2000": ciede2000}[measure]
    found = []
    for y, x in places(restored[0]):
        found.append(distance(lab(*restored[:, y, x].tolist()), lab(*clean[:, y, x].tolist())))
    return mean(found)


def _blurred(plane: Plane, sigma: float, y: int, x: int) -> float:
    reach, total, whole = math.ceil(3 * sigma), 0.0, 0.0
    for j in range(-reach, reach + 1):
        for i in range(-reach, reach + 1):
            weight = math.exp(-(j * j + i * i) / (2 * sigma**2))
            total += weight * mirrored(plane, y + j, x + i)
            whole += weight
    return total / whole


# linear RGB of the primaries of ITU-R BT.709 and white D65 to CIE XYZ, and that white
XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
WHITE = (0.95047, 1.0, 1.08883)


def lab(red: float, green: float, blue: float) -> tuple[float, float, float]:
    """Return CIE L*a*b* of a colour in sRGB (IEC 61966-2-1; CIE 15.2, 1986, with its rounded constants)."""
    linear = [((v + 0.055) / 1.055) ** 2.4 if v > 0.04045 else v / 12.92 for v in (red, green, blue)]
    cubes = []
    for row, white in zip(XYZ, WHITE, strict=True):
        t = sum(w * v for w, v in zip(row, linear, strict=True)) / white
        cubes.append(t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116)
    x, y, z = cubes
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def ciede2000(first: tuple[float, float, float], second: tuple[float, float, float]) -> float:
    """Return ΔE₀₀ of two colours in L*a*b* (Sharma, Wu & Dalal, 2005, eq. 2 to 22), in degrees as there."""
    (l1, a1, b1), (l2, a2, b2) = first, second
    seventh = ((math.hypot(a1, b1) + math.hypot(a2, b2)) / 2) ** 7
    g = (1 - math.sqrt(seventh / (seventh + 25**7))) / 2
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = h2 - h1 - (360 if h2 - h1 > 180 else -360 if h2 - h1 < -180 else 0)
    hue = (h1 + h2) / 2
    if abs(h1 - h2) > 180:
        hue += 180 if h1 + h2 < 360 else -180
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    cos, sin = (lambda angle: math.cos(math.radians(angle))), (lambda angle: math.sin(math.radians(angle)))
    t = 1 - 0.17 * cos(hue - 30) + 0.24 * cos(2 * hue) + 0.32 * cos(3 * hue + 6) - 0.2 * cos(4 * hue - 63)
    s_l = 1 + 0.015 * (light - 50) ** 2 / math.sqrt(20 + (light - 50) ** 2)
    in_l, in_c = (l2 - l1) / s_l, (c2 - c1) / (1 + 0.045 * chroma)
    in_h = 2 * math.sqrt(c1 * c2) * sin(turn / 2) / (1 + 0.015 * chroma * t)
    r_c = 2 * math.sqrt(chroma**7 / (chroma**7 + 25**7))
    r_t = -r_c * sin(60 * math.exp(-(((hue - 275) / 25) ** 2)))
    return math.sqrt(in_l**2 + in_c**2 + in_h**2 + r_t * in_c * in_h)
