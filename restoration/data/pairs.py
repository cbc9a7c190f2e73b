"""Training pairs: ``batch(step, rank, world)`` is a pure function of the seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from restoration.data.order import Order
from restoration.data.source import Source
from restoration.degradations import Degradation
from restoration.degradations.draws import Key, generator
from restoration.degradations.plain import rgb2gray
from restoration.errors import ConfigError, ImageError
from restoration.image import rgb, to_float
from restoration.method import Batch
from restoration.tiling import turned


@dataclass(frozen=True)
class Pairs:
    """Random crops of clean images and their degraded versions; sizes are pixels.

    The degraded version is the image's partner, if the source has partners, and then what ``degradation`` makes of
    it. ``damaged = "skip"`` lets the next sample of the order take the place of one that cannot be read; ``skipped``
    says why, by number. ``augment`` = "mirror" exchanges left and right in half of the samples and turns nothing. The
    frames of a clip share its crop, its flips and turns; clips are the source's, or what
    ``moving-clip`` makes of one crop of a photograph.
    """

    source: Source
    degradation: Degradation | None
    crop: int
    batch_size: int
    seed: int
    augment: bool | Literal["mirror"] = True
    grey: bool = False
    damaged: Literal["stop", "skip"] = "stop"
    skipped: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.degradation is None and not self.source.paired:
            raise ConfigError(
                'data.degradation: missing; expected a table, such as { name = "bicubic", scale = 4 }, '
                "or degraded partners of the images (data.degraded)"
            )
        if self.degradation is not None and self.degradation.varies:
            raise ConfigError(
                "data.degradation: leaves the size to chance; expected a chain that ends in a part that fits it"
            )
        if self.crop % self.scale:
            raise ConfigError(f"data.crop = {self.crop}: expected a multiple of the scale {self.scale}")
        multiple = self.source.scale * (1 if self.degradation is None else self.degradation.multiple)
        if self.crop % multiple:
            raise ConfigError(
                f"data.crop = {self.crop}: expected a multiple of {multiple}, as data.degradation needs"
            )
        channels = None if self.degradation is None else self.degradation.channels
        if self.grey and channels not in (None, 1):
            raise ConfigError(f"data.degradation: needs {channels} channels, but data.grey = true gives 1")
        made = self.degradation.together if self.degradation else 1
        if made > 1 and (self.source.clip > 1 or self.source.paired):
            found = "clips" if self.source.clip > 1 else "pairs"
            raise ConfigError(
                f"data.degradation: 'moving-clip' makes clips of photographs; data.images are {found}"
            )
        object.__setattr__(self, "_order", Order(self.source))

    @property
    def scale(self) -> int:
        """Return the size of clean over degraded."""
        return self.source.scale * (1 if self.degradation is None else self.degradation.scale)

    @property
    def clip(self) -> int:
        """Return how many consecutive samples are the frames of one clip."""
        made = self.degradation.together if self.degradation else 1
        return made if made > 1 else self.source.clip

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """Return this rank's share of the batch of ``step``, counted from 0."""
        return self.of_keys(self.keys(step, rank, world), step)

    def keys(self, step: int, rank: int = 0, world: int = 1) -> list[Key]:
        """Return the (seed, sample) keys of this rank's share of a batch."""
        share = self.batch_size // world
        first = step * self.batch_size + rank * share
        return [(self.seed, sample) for sample in range(first, first + share)]

    def of_keys(self, keys: Sequence[Key], step: int = 0) -> Batch:
        """Return the pairs of the given (seed, sample) keys."""
        return self.degrade(self.crops(keys, step))

    def crops(self, keys: Sequence[Key], step: int = 0) -> Batch:
        """Return crops before their degradation; ``degraded`` are the partners, or clean itself."""
        pairs = [self._crop(key) for key in keys]
        clean = torch.cat([clean for clean, _ in pairs])
        partners = torch.cat([partner for _, partner in pairs]) if self.source.paired else clean
        return Batch(partners, clean, keys=tuple((s, i) for s, i in keys), step=step)

    def degrade(self, batch: Batch) -> Batch:
        """Return the pairs of crops: ``degraded`` goes through the degradation, on the device where it is."""
        if self.degradation is None:
            return batch
        degraded = self.degradation(batch.degraded, batch.keys)
        layers = {name: layer for name, layer in degraded.layers.items() if name != "frames"}
        # a partner's own clean image stays what is asked for
        clean = batch.clean if degraded.clean is None or self.source.paired else degraded.clean
        frames = degraded.layers.get("frames")
        return replace(
            batch, degraded=degraded.image, clean=clean, mask=degraded.mask, layers=layers, frames=frames
        )

    def names(self, keys: Sequence[Key]) -> list[str]:
        """Return the images that the given keys draw from; where others are skipped, reading them tells."""
        if self.damaged == "stop":
            return [self.source.name(next(self._candidates(key))) for key in keys]
        return [self.source.name(self._read(key)[0]) for key in keys]

    def _crop(self, key: Key) -> tuple[Tensor, Tensor]:
        """Return the crop of a sample, and the same of its partner."""
        _, clean, partner = self._read(key)
        seed, sample = key
        rng = generator((seed, sample // self.clip), "crop")
        scale = self.source.scale
        sides = [n // scale for n in clean.shape[:2]]
        if partner is not None:
            sides = [min(pair) for pair in zip(sides, partner.shape[:2], strict=True)]
        crop = self.crop // scale  # a pair is cut at whole pixels of both
        top, left = (int(rng.integers(side - crop + 1)) for side in sides)
        turn = int(rng.integers(2 if self.augment == "mirror" else 8)) if self.augment else 0
        cut = self._cut(clean, top * scale, left * scale, self.crop, turn)
        return cut, cut if partner is None else self._cut(partner, top, left, crop, turn)

    def _cut(self, samples: np.ndarray, top: int, left: int, crop: int, turn: int) -> Tensor:
        image = to_float(samples[top : top + crop, left : left + crop])
        image = rgb2gray(image) if self.grey else rgb(image)
        return turned(image, turn) if self.augment else image

    def _read(self, key: Key) -> tuple[int, np.ndarray, np.ndarray | None]:
        """Return a sample's image, by number and decoded, and its partner: the next sample's where it is damaged."""
        for index in self._candidates(key):
            if index in self.skipped:
                continue
            try:
                if index in self.source.damage:
                    raise ImageError(self.source.damage[index])
                clean, partner = self.source.samples(index), self.source.partner(index)
                self._check(index, clean, partner)
            except ImageError as error:
                # a frame that is missing from a clip cannot be made up for: only whole clips known before are skipped
                if self.damaged == "stop" or (self.source.clip > 1 and index not in self.source.damage):
                    raise
                self.skipped[index] = str(error)
                continue
            return index, clean, partner
        raise ImageError("data.images: no image can be read")

    def _candidates(self, key: Key) -> Iterator[int]:
        """Yield the image of a sample, then those of the next ones of the order; the same frame of other clips."""
        (seed, sample), clip = key, self.source.clip
        first = sample if clip == self.clip else sample // self.clip
        for n in range(2 * len(self.source) // clip if self.damaged == "skip" else 1):
            yield self._order.index((seed, first + n * clip))

    def _check(self, index: int, clean: np.ndarray, partner: np.ndarray | None) -> None:
        """Refuse an image that is smaller than the crop, and a partner of another scale."""
        height, width = clean.shape[:2]
        if min(height, width) < self.crop:
            name = self.source.name(index)
            raise ImageError(f"{name}: {width}x{height} pixels, smaller than data.crop = {self.crop}")
        if partner is None:
            return
        scale, (rows, columns) = self.source.scale, partner.shape[:2]
        if rows not in (height // scale, -(-height // scale)) or columns not in (
            width // scale,
            -(-width // scale),
        ):
            raise ImageError(
                f"{self.source.name(index)}: {width}x{height} pixels, degraded {columns}x{rows}; "
                f"expected a scale of {scale}"
            )
