"""Training pairs: ``batch(step, rank, world)`` is a pure function of the seed."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from restoration.degradations import Degradation
from restoration.degradations.chain import rgb2gray
from restoration.degradations.draws import Key, generator
from restoration.errors import ConfigError, ImageError
from restoration.image import find_images, read_samples, rgb, stored_size, to_float
from restoration.method import Batch
from restoration.tiling import turned

PACKAGED = "package:"  # begins what is looked for in the package: its photographs are package:photos


def data_root() -> Path:
    """Return ``RESTORATION_DATA``, else the user's data folder."""
    if os.environ.get("RESTORATION_DATA"):
        return Path(os.environ["RESTORATION_DATA"]).expanduser()
    shared = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(shared) / "restoration"


def training_images(sources: str | Sequence[str], crop: int) -> list[Path]:
    """Return the image files of folders and files, in order; a relative name may also be one of the data root.

    Every file's header is read, so that a file that is no image or smaller than the crop is refused before the run.
    """
    sources = [sources] if isinstance(sources, str) else list(sources)
    if not sources or not all(sources):
        raise ConfigError("data.images: names no folder or file")
    paths = [path for source in sources for path in _expand(source)]
    for path in paths:
        try:
            height, width = stored_size(path)
        except ImageError as error:
            raise ConfigError(f"data.images: {error}") from None
        if min(width, height) < crop:
            raise ConfigError(f"{path}: {width}x{height} pixels, smaller than data.crop = {crop}")
    return paths


@dataclass(frozen=True)
class Photographs:
    """Decoded images of a list of files; each is decoded once, as long as ``budget`` bytes last."""

    paths: tuple[Path, ...]
    budget: int
    _cache: dict[int, np.ndarray] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _spent: list[int] = field(default_factory=lambda: [0], repr=False)

    def __len__(self) -> int:
        return len(self.paths)

    def samples(self, index: int) -> np.ndarray:
        """Return image ``index`` as stored, (H, W, C) of uint8 or uint16."""
        if index in self._cache:
            return self._cache[index]
        samples = read_samples(self.paths[index])
        with self._lock:
            if index not in self._cache and self._spent[0] + samples.nbytes <= self.budget:
                self._spent[0] += samples.nbytes
                self._cache[index] = samples
        return samples


@dataclass(frozen=True)
class Pairs:
    """Random crops of photographs and their degraded versions; sizes are pixels."""

    clip: ClassVar[int] = 1  # consecutive samples are no frames of one clip

    photographs: Photographs
    degradation: Degradation
    crop: int
    batch_size: int
    seed: int
    augment: bool = True
    grey: bool = False

    def __post_init__(self) -> None:
        if self.crop % self.degradation.scale:
            raise ConfigError(
                f"data.crop = {self.crop}: expected a multiple of the scale {self.degradation.scale}"
            )

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """Return this rank's share of the batch of ``step``, counted from 0."""
        share = self.batch_size // world
        first = step * self.batch_size + rank * share
        return self.of_keys([(self.seed, sample) for sample in range(first, first + share)], step)

    def of_keys(self, keys: Sequence[Key], step: int = 0) -> Batch:
        """Return the pairs of the given (seed, sample) keys."""
        clean = torch.cat([self._crop(key) for key in keys])
        degraded = self.degradation(clean, keys)
        return Batch(
            degraded.image,
            clean,
            mask=degraded.mask,
            layers=degraded.layers,
            keys=tuple((s, i) for s, i in keys),
            step=step,
        )

    def names(self, keys: Sequence[Key]) -> list[str]:
        """Return the files that the given keys draw from."""
        return [str(self.photographs.paths[self._index(key)]) for key in keys]

    def _index(self, key: Key) -> int:
        """Return the photograph of a sample: every epoch is a permutation of all of them."""
        seed, sample = key
        epoch, place = divmod(sample, len(self.photographs))
        return int(_permutation(seed, epoch, len(self.photographs))[place])

    def _crop(self, key: Key) -> Tensor:
        samples = self.photographs.samples(self._index(key))
        rng = generator(key, "crop")
        top, left = (int(rng.integers(n - self.crop + 1)) for n in samples.shape[:2])
        window = samples[top : top + self.crop, left : left + self.crop]
        image = to_float(window)
        image = rgb2gray(image) if self.grey else rgb(image)
        return turned(image, int(rng.integers(8))) if self.augment else image


def prefetch(
    make: Callable[[int], Batch], steps: range, workers: int, ahead: int
) -> Iterator[tuple[int, Batch]]:
    """Yield (step, batch) in order while ``workers`` threads make the next ``ahead`` batches.

    Threads, not processes: decoding and tensor work release the interpreter lock, one cache serves all, and nothing
    has to survive pickling.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="data")
    waiting: list[tuple[int, Future[Batch]]] = []
    try:
        for step in steps:
            waiting.append((step, pool.submit(make, step)))
            if len(waiting) > ahead:
                first, future = waiting.pop(0)
                yield first, future.result()
        for step, future in waiting:
            yield step, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    return generator((seed, epoch), "order").permutation(length)


def _expand(source: str) -> list[Path]:
    if source.startswith(PACKAGED):
        places = [Path(str(files("restoration"))) / source.removeprefix(PACKAGED)]
    else:
        places = [Path(source).expanduser(), data_root() / source]
    path = next((place for place in places if place.exists()), None)
    if path is None:
        tried = "" if places[0].is_absolute() else f" (nor {places[1]})"
        raise ConfigError(f'data.images = "{source}": no such folder or file{tried}')
    if path.is_file():
        return [path]
    found = find_images(path)
    if not found:
        raise ConfigError(f'data.images = "{source}": no images in this folder')
    return found
