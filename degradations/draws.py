"""Random draws keyed by (seed, sample), so that they depend on no batch neighbour, worker or rank."""

import math
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

Key = tuple[int, int]
Keys = Sequence[Key]
Range = float | tuple[float, float]  # a number, or (lowest, highest): one value per image, drawn uniformly


def generator(key: Key, purpose: str) -> np.random.Generator:
    """Return the generator that belongs to one (seed, sample) and one purpose, such as ``"noise"``."""
    return np.random.default_rng([*key, zlib.crc32(purpose.encode())])


def part_key(key: Key, purpose: str) -> Key:
    """Return the key of a part, which no other part has: equal parts of a chain must draw differently.

    Samples keep their number, by which a part may know which of them belong together.
    """
    return _part_seed(key[0], purpose), key[1]


@lru_cache(maxsize=1024)
def _part_seed(seed: int, purpose: str) -> int:
    return int(generator((seed, 0), purpose).integers(2**62))


def ends(value: Range) -> tuple[float, float]:
    """Return the lowest and the highest value of a range."""
    return value if isinstance(value, tuple) else (value, value)


def uniform(rng: np.random.Generator, value: Range) -> float:
    """Return one value of a range; a number is itself, and draws nothing from the generator."""
    low, high = ends(value)
    return float(low) if low == high else float(rng.uniform(low, high))


def check_range(name: str, value: Range, least: float = 0.0, most: float = math.inf) -> None:
    """Refuse a range that is not within [least, most], or whose ends are exchanged."""
    low, high = ends(value)
    if not least <= low <= high <= most or math.isinf(high):
        limits = f"from {least:g}" if math.isinf(most) else f"from {least:g} to {most:g}"
        raise ValueError(
            f"{name} = {_shown(value)}; expected a number {limits}, or [lowest, highest] of such"
        )


def check_probability(name: str, value: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} = {value:g}; expected a probability from 0 to 1")


def _shown(value: Range) -> str:
    return f"[{value[0]:g}, {value[1]:g}]" if isinstance(value, tuple) else f"{value:g}"
