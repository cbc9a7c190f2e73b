"""Random draws of the loss stack, keyed by (seed, sample): they depend on no batch neighbour, worker or rank."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Key = tuple[int, int]
Keys = Sequence[Key]


def generator(key: Key, purpose: str) -> np.random.Generator:
    """Return the generator that belongs to one (seed, sample) and one purpose, such as ``"sharpness"``."""
    return np.random.default_rng([*key, zlib.crc32(purpose.encode())])


def uniform(keys: Keys, purpose: str, shape: Sequence[int], low: float, high: float, like: Tensor) -> Tensor:
    """Return draws from U(low, high) of the given shape per key, with the type and device of ``like``: (N, …)."""
    draws = np.stack([generator(key, purpose).uniform(low, high, tuple(shape)) for key in keys])
    return torch.from_numpy(draws).to(like)


def whole(keys: Keys, purpose: str, shape: Sequence[int], low: int, high: int, like: Tensor) -> Tensor:
    """Return whole numbers from low up to but not including high, on the device of ``like``: (N, …)."""
    draws = np.stack([generator(key, purpose).integers(low, high, tuple(shape)) for key in keys])
    return torch.from_numpy(draws).to(like.device)


def one_key_each(keys: Keys, images: int, name: str) -> None:
    """Refuse a batch without one (seed, sample) per image: what ``name`` draws would not be repeatable."""
    if len(keys) != images:
        raise ValueError(
            f"{name}: {len(keys)} keys for {images} images; expected one (seed, sample) for each"
        )
