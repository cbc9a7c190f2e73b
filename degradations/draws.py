"""Random draws keyed by (seed, sample), so that they depend on no batch neighbour, worker or rank."""

import zlib
from collections.abc import Sequence

import numpy as np

Key = tuple[int, int]
Keys = Sequence[Key]


def generator(key: Key, purpose: str) -> np.random.Generator:
    """Return the generator that belongs to one (seed, sample) and one purpose, such as ``"noise"``."""
    return np.random.default_rng([*key, zlib.crc32(purpose.encode())])
