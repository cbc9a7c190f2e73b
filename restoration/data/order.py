"""In which order images are seen: a pure function of the seed, so that a run goes on at the exact sample."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from restoration.data.kept import Latest, each
from restoration.data.source import Source
from restoration.degradations.draws import Key, generator

GROUPS = 16  # kept: threads work on few batches at a time, which lie in one group or two


class Order:
    """Which image a (seed, sample) is: every epoch is a permutation of all of them.

    Consecutive samples of a source of clips are the frames of one clip. Where images or clips lie in blocks, an epoch
    permutes the blocks, joins groups of ``source.joined`` and permutes within each group: at most two groups are in use
    at a time, and each block is read once an epoch.
    """

    def __init__(self, source: Source) -> None:
        self.units, self.clip = len(source) // source.clip, source.clip
        self.blocks, self.joined = source.blocks, source.joined
        self._plans: Latest[_Plan] = Latest(4, each)
        self._groups: Latest[np.ndarray] = Latest(GROUPS, each)

    def index(self, key: Key) -> int:
        """Return the image of a sample."""
        seed, sample = key
        unit, frame = divmod(sample, self.clip)
        epoch, place = divmod(unit, self.units)
        if self.blocks is None:
            return int(_permutation(seed, epoch, self.units)[place]) * self.clip + frame
        plan = self._plans.get((seed, epoch), lambda: self._plan(seed, epoch))
        group = int(np.searchsorted(plan.ends, place, side="right"))
        images = self._groups.get((seed, epoch, group), lambda: plan.images(group))
        return int(images[place - (int(plan.ends[group - 1]) if group else 0)]) * self.clip + frame

    def _plan(self, seed: int, epoch: int) -> "_Plan":
        blocks = generator((seed, epoch), "blocks").permutation(len(self.blocks))
        lasts = np.r_[np.arange(self.joined, len(blocks), self.joined), len(blocks)] - 1
        starts = np.cumsum(self.blocks) - self.blocks
        return _Plan(
            (seed, epoch),
            starts[blocks],
            self.blocks[blocks],
            np.cumsum(self.blocks[blocks])[lasts],
            self.joined,
        )


@dataclass(frozen=True)
class _Plan:
    """The blocks of one epoch in order, as (start, length), and the samples at which its groups end."""

    key: Key
    starts: np.ndarray
    lengths: np.ndarray
    ends: np.ndarray
    joined: int

    def images(self, group: int) -> np.ndarray:
        """Return the images of a group in the order in which they are seen."""
        part = slice(group * self.joined, (group + 1) * self.joined)
        runs = [
            np.arange(start, start + length)
            for start, length in zip(self.starts[part], self.lengths[part], strict=True)
        ]
        return generator(self.key, f"group {group}").permutation(np.concatenate(runs))


@lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    return generator((seed, epoch), "order").permutation(length)
