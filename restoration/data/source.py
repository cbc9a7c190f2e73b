"""What training images come from."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType

import numpy as np

from restoration.errors import ConfigError

NONE: Mapping[int, str] = MappingProxyType({})


class Source(ABC):
    """Clean images by number, in an order that never changes, and their degraded partners where there are any.

    ``scale`` is the size of clean over partner. ``clip`` consecutive images are the frames of one clip. ``blocks``
    holds the lengths of runs of images (of clips, where there are any) that are read together, ``joined`` how many of
    them an epoch mixes; None where any image is as near as any other. ``damage`` says by number what is known not to be
    readable before anything is read, ``remarks`` says it in lines. ``sizes`` holds (height, width) of every image, 0
    where only reading tells. ``packed`` means that images are read without decoding, ``fits`` that all of them stay in
    memory once read.
    """

    joined: int = 8
    scale: int = 1
    paired: bool = False
    clip: int = 1
    blocks: np.ndarray | None = None
    damage: Mapping[int, str] = NONE
    remarks: tuple[str, ...] = ()
    sizes: np.ndarray | None = None
    packed: bool = False
    fits: bool = False

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def samples(self, index: int) -> np.ndarray:
        """Return a clean image as stored, (H, W, 1 or 3) of uint8 or uint16; damage is an ``ImageError``."""

    @abstractmethod
    def partner(self, index: int) -> np.ndarray | None:
        """Return the degraded image that belongs to a clean one, if there is one."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Return what a person finds the image by."""

    @abstractmethod
    def size(self, index: int) -> tuple[int, int]:
        """Return (height, width) of a clean image, as stored."""

    @abstractmethod
    def share_memory(self, processes: int) -> None:
        """Keep only this process's share of what may be kept in memory."""

    def contents(self) -> Iterator[bytes]:
        """Yield what tells these images in this order from others: their names, but for where all of them lie."""
        for index in range(len(self)):
            yield self.name(index).encode()


class Joined(Source):
    """Several sources as one; their images follow each other."""

    def __init__(self, parts: Sequence[Source]) -> None:
        kinds = {(part.scale, part.paired, part.clip) for part in parts}
        if len(kinds) > 1:
            raise ConfigError("data.images: some images have degraded partners of one scale, others do not")
        self.parts, self.ends = tuple(parts), tuple(accumulate(map(len, parts)))
        ((self.scale, self.paired, self.clip),) = kinds
        self.blocks = _blocks(parts)
        self.joined = max(part.joined for part in parts)
        starts = (0, *self.ends[:-1])
        self.damage = {
            start + i: reason
            for start, part in zip(starts, parts, strict=True)
            for i, reason in part.damage.items()
        }
        self.remarks = tuple(line for part in parts for line in part.remarks)
        self.sizes = np.concatenate([_sizes(part) for part in parts])
        self.packed = all(part.packed for part in parts)
        self.fits = all(part.fits for part in parts)

    def __len__(self) -> int:
        return self.ends[-1]

    def samples(self, index: int) -> np.ndarray:
        """Return a clean image as stored."""
        part, own = self._part(index)
        return part.samples(own)

    def partner(self, index: int) -> np.ndarray | None:
        """Return the degraded image that belongs to a clean one, if there is one."""
        part, own = self._part(index)
        return part.partner(own)

    def name(self, index: int) -> str:
        """Return the name that the image has in its own source."""
        part, own = self._part(index)
        return part.name(own)

    def size(self, index: int) -> tuple[int, int]:
        """Return (height, width) of a clean image."""
        part, own = self._part(index)
        return part.size(own)

    def share_memory(self, processes: int) -> None:
        """Keep only this process's share of what may be kept in memory."""
        for part in self.parts:
            part.share_memory(processes)

    def contents(self) -> Iterator[bytes]:
        """Yield what tells the images of each part from others."""
        for part in self.parts:
            yield str(len(part)).encode()
            yield from part.contents()

    def _part(self, index: int) -> tuple[Source, int]:
        place = bisect_right(self.ends, index)
        return self.parts[place], index - (self.ends[place - 1] if place else 0)


def _blocks(parts: Sequence[Source]) -> np.ndarray | None:
    """Return the blocks of several sources; an image or a clip that lies in none is a block of its own."""
    if all(part.blocks is None for part in parts):
        return None
    alone = [np.ones(len(part) // part.clip, np.int64) for part in parts]
    return np.concatenate([a if p.blocks is None else p.blocks for a, p in zip(alone, parts, strict=True)])


def _sizes(part: Source) -> np.ndarray:
    return np.zeros((len(part), 2), np.int64) if part.sizes is None else part.sizes
