"""Blur kernels of files, such as those measured from real camera shake."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor

from restoration.degradations.blur import blurred
from restoration.degradations.degraded import Degradation, Degraded, Draw
from restoration.degradations.draws import Keys
from restoration.degradations.filtering import Edges
from restoration.degradations.kernels import WIDEST, padded

VERSION_7_3 = b"MATLAB 7.3 MAT-file"
EXTRA = 'pip install "restoration-suite[matlab]"'
REAL = "fiub"  # kinds of NumPy's types


class MissingExtra(Exception):
    """A package that reads a kind of file is not installed."""


@dataclass(frozen=True)
class KernelFiles(Degradation):
    """Blur by the kernels of MATLAB ``.mat`` or NumPy ``.npy`` files: one of ``path``, a file or a folder, per image.

    They are applied as they stand (see ``filtered``), which is how the images of Levin et al. (2009) follow from their
    kernels; ``turned`` also draws one of the eight turns and reflections.
    """

    scale: ClassVar[int] = 1

    path: str
    turned: bool = False
    edges: Edges = "reflect"

    def __post_init__(self) -> None:
        _of_one_size(self.path)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the blurred image; the draw holds the place of its ``kernel`` among those of ``read_kernels``."""
        return blurred(clean, keys, "kernel-files", self._drawn, self.edges)

    def _drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, Draw]:
        kernels = _of_one_size(self.path)
        chosen = int(rng.integers(len(kernels)))
        if not self.turned:
            return kernels[chosen], {"kernel": chosen}
        turn = int(rng.integers(8))
        kernel = np.rot90(kernels[chosen], turn % 4)
        return kernel.T if turn >= 4 else kernel, {"kernel": chosen, "turn": turn}


def read_kernels(path: str | Path) -> list[np.ndarray]:
    """Return the kernels of a ``.mat`` or ``.npy`` file, or of all of a folder by name, each float64 (k, k) of sum 1.

    A file holds a cell array of kernels, or one kernel, or an array of them, (N, k, k) in NumPy and (k, k, N) in
    MATLAB. Kernels that are not square or of even size are set amid zeros, the odd row or column of them at the end.
    MATLAB's version 7.3 needs h5py, others SciPy.
    """
    path = Path(path).expanduser()
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".mat", ".npy"))
    if not path.exists() or not files:
        raise ValueError(f'path = "{path}"; expected a .mat or .npy file, or a folder of them')
    return [_square(kernel, file) for file in files for kernel in _arrays(file)]


@lru_cache(maxsize=16)
def _of_one_size(path: str) -> np.ndarray:
    kernels = read_kernels(path)
    size = max(len(kernel) for kernel in kernels)
    return np.stack([padded(kernel, size) for kernel in kernels])


def _arrays(file: Path) -> list[np.ndarray]:
    """Return the kernels of a file as they stand."""
    kernels = _of_numpy(file) if file.suffix == ".npy" else _of_matlab(file)
    if not kernels:
        raise ValueError(f'path = "{file}"; holds no arrays of real numbers, expected kernels')
    return kernels


def _of_numpy(file: Path) -> list[np.ndarray]:
    try:
        array = np.load(file, allow_pickle=False)
    except (OSError, EOFError, ValueError, SyntaxError) as error:
        raise _unreadable(file, error) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in REAL:
        return []
    height, width, count = array.shape if array.ndim == 3 else (0, 0, 0)
    if height == width != count:
        raise ValueError(
            f'path = "{file}"; holds an array of shape {array.shape}; expected (kernels, size, size), '
            "as NumPy has it, not MATLAB's (size, size, kernels)"
        )
    return list(array) if array.ndim == 3 else [array]


def _of_matlab(file: Path) -> list[np.ndarray]:
    try:
        with file.open("rb") as opened:
            hierarchical = opened.read(len(VERSION_7_3)) == VERSION_7_3
        found = _hierarchical(file) if hierarchical else _classic(file)
    except MissingExtra as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # readers of damaged files raise whatever they come upon
        raise _unreadable(file, error) from None
    return [
        kernel for array in found for kernel in (np.moveaxis(array, 2, 0) if array.ndim == 3 else [array])
    ]


def _unreadable(file: Path, error: Exception) -> ValueError:
    lines = str(error).splitlines() or [type(error).__name__]
    return ValueError(f'path = "{file}"; cannot be read as kernels ({lines[0]})')


def _classic(file: Path) -> list[np.ndarray]:
    try:
        from scipy.io import loadmat
    except ImportError:
        raise MissingExtra(f'path = "{file}"; needs SciPy: {EXTRA}') from None
    content = {name: value for name, value in loadmat(file).items() if not name.startswith("__")}
    cells = [
        cell for value in content.values() for cell in (value.flat if value.dtype == object else [value])
    ]
    return [cell for cell in cells if isinstance(cell, np.ndarray) and cell.dtype.kind in REAL]


def _hierarchical(file: Path) -> list[np.ndarray]:
    """Return the arrays of a version 7.3 file, which holds them transposed and the cells behind references."""
    try:
        import h5py
    except ImportError:
        raise MissingExtra(
            f'path = "{file}"; is of MATLAB\'s version 7.3, which needs h5py: {EXTRA}'
        ) from None
    with h5py.File(file, "r") as opened:
        found = []
        for value in opened.values():
            if not isinstance(value, h5py.Dataset) or value.attrs.get("MATLAB_class") == b"char":
                continue
            if value.dtype == object:
                found += [opened[reference][()].T for reference in value[()].flat]
            else:
                found.append(value[()].T)
        return [array for array in found if array.dtype.kind in REAL]


def _square(kernel: np.ndarray, file: Path) -> np.ndarray:
    """Return a kernel square, of odd size and of sum 1."""
    kernel = np.asarray(kernel, dtype=np.float64)
    if max(kernel.shape, default=0) >= WIDEST:
        raise ValueError(
            f'path = "{file}"; holds an array of shape {kernel.shape}; expected kernels below {WIDEST}'
        )
    if kernel.ndim != 2 or not kernel.size or not np.isfinite(kernel).all() or kernel.sum() <= 0:
        raise ValueError(
            f'path = "{file}"; expected kernels, got an array of shape {kernel.shape} or of sum 0'
        )
    size = max(kernel.shape) | 1
    return np.pad(kernel, [((size - n) // 2, (size - n + 1) // 2) for n in kernel.shape]) / kernel.sum()
