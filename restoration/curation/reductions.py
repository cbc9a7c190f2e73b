"""The ways in which published low-resolution sets were made, each as a function of samples; see ``identify``."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from restoration.degradations.resize import Edges, resize
from restoration.image import PEAKS, to_float, to_samples

Size = tuple[int, int]  # height, width
Make = Callable[[np.ndarray, Size, int], np.ndarray]  # samples (H, W, C), size, scale → samples of that size

EVERY_PHASE = (
    16  # the largest scale at which a pixel may come from any place; beyond, from corners and middle
)
EDGES: tuple[tuple[Edges, str], ...] = (("reflect", "reflecting"), ("clamp", "clamped"))


@dataclass(frozen=True)
class Reduction:
    """One way: ``{}`` in its name stands for the scale; ``deep`` ones take 16 bits too."""

    name: str
    make: Make
    deep: bool = True


def reductions(scale: int) -> list[Reduction]:
    """Return all ways that need no parameter found from images; those made with equal results stand in this order."""
    places = range(scale) if scale <= EVERY_PHASE else sorted({0, (scale - 1) // 2, scale // 2, scale - 1})
    phases = [(row, column) for row in places for column in places]
    return [*_matlab(), *_pillow(), *_opencv(), *_torch(), *(_nearest(*phase) for phase in phases)]


def gaussian(sigma: float, phase: float, radius: int | None = None, edges: str = "reflect") -> Reduction:
    """Return a Gaussian blur of ``sigma`` pixels, then every scale-th pixel from ``phase``; cut off at ``radius``."""
    radius = int(np.ceil(4 * sigma)) if radius is None else radius

    def make(samples: np.ndarray, size: Size, scale: int) -> np.ndarray:
        rows, columns = (
            _gaussian_rows(n, target, scale, sigma, phase, radius, edges)
            for n, target in zip(samples.shape, size, strict=False)
        )
        reduced = np.einsum("hH,HWc,wW->hwc", rows, samples.astype(np.float64), columns, optimize=True)
        return np.floor(reduced + 0.5).clip(0, np.iinfo(samples.dtype).max).astype(samples.dtype)

    beyond = {"reflect": "reflecting", "mirror": "mirroring", "clamp": "clamped", "zero": "black"}[edges]
    kernel = f"{2 * radius + 1}x{2 * radius + 1}"
    return Reduction(
        f"Gaussian blur of sigma {sigma:.3g} ({kernel}), one pixel in {{}} from {phase:g}, {beyond} edges",
        make,
    )


def _gaussian_rows(
    length: int, target: int, scale: int, sigma: float, phase: float, radius: int, edges: str
) -> np.ndarray:
    """Return the weights of every output on the inputs of one axis, (target, length)."""
    centre = scale * np.arange(target) + phase
    index = np.floor(centre + 0.5).astype(int)[:, None] + np.arange(-radius, radius + 1)
    weights = np.exp(-((index - centre[:, None]) ** 2) / (2 * sigma**2))
    weights /= weights.sum(1, keepdims=True)
    if edges == "zero":
        weights = np.where((index >= 0) & (index < length), weights, 0)
    if edges in ("reflect", "mirror"):  # the border pixel twice, or once
        period = 2 * length if edges == "reflect" else max(1, 2 * length - 2)
        index = index % period
        index = np.where(index >= length, period - index - (edges == "reflect"), index)
    rows = np.zeros((target, length))
    np.add.at(rows, (np.arange(target)[:, None], index.clip(0, length - 1)), weights)
    return rows


def _matlab() -> list[Reduction]:
    ways = []
    for kernel in ("bicubic", "bilinear", "box"):
        for edges, beyond in EDGES if kernel != "box" else EDGES[:1]:  # a box sees nothing beyond
            for each_pass, rounding in ((True, ""), (False, ", rounded once at the end")):
                name = f"MATLAB {kernel} ×{{}}, {beyond} edges{rounding}"
                ways.append(Reduction(name, _matlab_make(kernel, edges, each_pass, True)))
    ways += [
        Reduction(f"MATLAB {kernel} ×{{}} without antialiasing", _matlab_make(kernel, "reflect", True, False))
        for kernel in ("bicubic", "bilinear")
    ]
    return ways


def _matlab_make(kernel: str, edges: Edges, each_pass: bool, antialias: bool) -> Make:
    def make(samples: np.ndarray, size: Size, scale: int) -> np.ndarray:
        depth = samples.itemsize * 8
        levels = PEAKS[depth] if each_pass else None
        by_scale = all(-(-n // scale) == target for n, target in zip(samples.shape, size, strict=False))
        how = {"scale": Fraction(1, scale)} if by_scale else {"size": size}
        image = to_float(samples) if each_pass else to_float(samples).double()
        reduced = resize(image, **how, kernel=kernel, antialias=antialias, edges=edges, levels=levels)
        return to_samples(reduced, depth)

    return make


def _pillow() -> list[Reduction]:
    names = ("bicubic", "bilinear", "lanczos", "box", "hamming", "nearest")
    ways = [Reduction(f"Pillow {name} ×{{}}", _pillow_make(name, None), False) for name in names]
    return ways + [
        Reduction(f"Pillow {name} ×{{}}, reducing gap {gap:g}", _pillow_make(name, gap), False)
        for name in ("bicubic", "lanczos")
        for gap in (2.0, 3.0)
    ]


def _pillow_make(name: str, gap: float | None) -> Make:
    def make(samples: np.ndarray, size: Size, scale: int) -> np.ndarray:
        image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
        filter_ = Image.Resampling[name.upper()]
        reduced = np.asarray(image.resize(size[::-1], filter_, reducing_gap=gap))
        return reduced.reshape(*size, -1)

    return make


def _opencv() -> list[Reduction]:
    """Return OpenCV's ways, none where it is not installed."""
    try:
        import cv2
    except ImportError:
        return []
    names = {
        "cubic": "CUBIC",
        "linear": "LINEAR",
        "area": "AREA",
        "Lanczos": "LANCZOS4",
        "nearest": "NEAREST",
    }
    ways = [Reduction(f"OpenCV {name} ×{{}}", _opencv_make(cv2, flag, False)) for name, flag in names.items()]
    return ways + [
        Reduction(f"OpenCV {name} ×{{}}, in floating point", _opencv_make(cv2, names[name], True))
        for name in ("cubic", "linear", "area")
    ]


def _opencv_make(cv2: ModuleType, flag: str, floats: bool) -> Make:
    def make(samples: np.ndarray, size: Size, scale: int) -> np.ndarray:
        image = samples.astype(np.float32) if floats else samples
        reduced = cv2.resize(image, size[::-1], interpolation=getattr(cv2, f"INTER_{flag}")).reshape(
            *size, -1
        )
        peak = np.iinfo(samples.dtype).max
        return np.floor(reduced + 0.5).clip(0, peak).astype(samples.dtype) if floats else reduced

    return make


def _torch() -> list[Reduction]:
    ways = [
        Reduction(f"PyTorch {mode} ×{{}}{suffix}", _torch_make(mode, antialias))
        for mode in ("bicubic", "bilinear")
        for antialias, suffix in ((True, ", antialiased"), (False, " without antialiasing"))
    ]
    return [*ways, Reduction("PyTorch area ×{}", _torch_make("area", False))]


def _torch_make(mode: str, antialias: bool) -> Make:
    def make(samples: np.ndarray, size: Size, scale: int) -> np.ndarray:
        with torch.inference_mode():
            image = functional.interpolate(to_float(samples), size, mode=mode, antialias=antialias)
        return to_samples(image, samples.itemsize * 8)

    return make


def _nearest(row: int, column: int) -> Reduction:
    def make(samples: np.ndarray, size: Size, scale: int) -> np.ndarray:
        return samples[row::scale, column::scale][: size[0], : size[1]]

    return Reduction(f"one pixel in {{}}, from row {row} and column {column}, unfiltered", make)
