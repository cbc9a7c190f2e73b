"""Degradations composed: one after the other, one of several, sometimes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from restoration.degradations.degraded import (
    Degradation,
    Degraded,
    Draw,
    joined,
    one_per_image,
    pooled,
    united,
)
from restoration.degradations.draws import Keys, check_probability, generator, part_key


@dataclass(frozen=True)
class Chain(Degradation):
    """Several degradations in order; each part draws under a key of its own, and its draws are kept under its place."""

    of: tuple[Degradation, ...]

    def __post_init__(self) -> None:
        if not self.of:
            raise ValueError("of = []; expected at least one degradation")
        refuse_clips(self.of)
        refuse_aims(self.of[1:], 1)

    @property
    def scale(self) -> int:
        """The product of the parts' scales, from the last absolute one on."""
        return scale_of(self.of)

    @property
    def multiple(self) -> int:
        """Of what the sides have to be multiples for every part to see whole pixels."""
        return multiple_of(self.of)

    @property
    def varies(self) -> bool:
        """Whether sizes still vary after the last part."""
        varies = False
        for part in self.of:
            varies = part.varies or (varies and not part.absolute)
        return varies

    @property
    def absolute(self) -> bool:
        """Whether some part's scale is against the image that the outermost chain was given."""
        return any(part.absolute for part in self.of)

    @property
    def channels(self) -> int | None:
        """How many channels some part needs."""
        return channels_of(self.of)

    @property
    def aims(self) -> bool:
        """Whether the first part says what restorers shall reach."""
        return self.of[0].aims

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the image after the last part; the mask has the holes of all parts, layers are those of the last.

        What restorers shall reach is as the first part says, which saw the clean image; later ones see no such image.
        """
        one_per_image(clean, keys)
        return self.within(clean, keys, tuple(clean.shape[-2:]))

    def within(self, image: Tensor, keys: Keys, size: tuple[int, int]) -> Degraded:
        """Return the image after the last part; images go one by one where a part gives them sizes of their own."""
        if len(image) > 1 and any(part.varies for part in self.of):
            alone = [_fitted(self._of(image[i : i + 1], keys[i : i + 1], size)) for i in range(len(image))]
            return joined(image, [([i], degraded) for i, degraded in enumerate(alone)])
        made = self._of(image, keys, size)
        return _fitted(made) if any(part.varies for part in self.of) else made

    def untouched(self, image: Tensor) -> Degraded:
        """Return images that no part acted on."""
        return untouched_by(self.of, image)

    def _of(self, image: Tensor, keys: Keys, size: tuple[int, int]) -> Degraded:
        mask, layers, draws, clean = None, {}, Draw(), None
        for place, part in enumerate(self.of):
            degraded = part.within(image, [part_key(key, f"chain.{place}") for key in keys], size)
            image = degraded.image
            clean = degraded.clean if place == 0 else clean
            mask = united(mask, degraded.mask)
            layers = {**layers, **degraded.layers}
            draws |= {f"{place}.{name}": value for name, value in degraded.draw.items()}
        return Degraded(image, mask, layers, draws, clean)


@dataclass(frozen=True)
class OneOf(Degradation):
    """One of several degradations for each image, drawn with ``weights`` (all alike by default)."""

    of: tuple[Degradation, ...]
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.of:
            raise ValueError("of = []; expected at least one degradation")
        refuse_clips(self.of)
        if self.weights and len(self.weights) != len(self.of):
            raise ValueError(
                f"{len(self.weights)} weights for {len(self.of)} degradations; expected one each"
            )
        if self.weights and not (min(self.weights) >= 0 and 0 < sum(self.weights) < np.inf):
            raise ValueError(f"weights = {list(self.weights)}; expected numbers from 0, not all 0")
        scales = {part.scale for part in self.of}
        if len(scales) > 1 and not self.varies:
            raise ValueError(
                f"scales {', '.join(map(str, sorted(scales)))}; expected one scale for all parts"
            )
        if len({part.absolute for part in self.of}) > 1 and not self.varies:
            raise ValueError("some parts fit the image to a size and others do not; expected all or none")

    @property
    def scale(self) -> int:
        """The scale of every part; 1 where sizes vary."""
        return 1 if self.varies else self.of[0].scale

    @property
    def multiple(self) -> int:
        """Of what the sides have to be multiples for every part."""
        return math.lcm(*(part.multiple for part in self.of))

    @property
    def varies(self) -> bool:
        """Whether some part gives images sizes of their own."""
        return any(part.varies for part in self.of)

    @property
    def absolute(self) -> bool:
        """Whether the parts' scale is against the image that the outermost chain was given."""
        return not self.varies and self.of[0].absolute

    @property
    def channels(self) -> int | None:
        """How many channels some part needs."""
        return channels_of(self.of)

    @property
    def aims(self) -> bool:
        """Whether some part says what restorers shall reach."""
        return any(part.aims for part in self.of)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return each image degraded by its part."""
        one_per_image(clean, keys)
        return self.within(clean, keys, tuple(clean.shape[-2:]))

    def within(self, image: Tensor, keys: Keys, size: tuple[int, int]) -> Degraded:
        """Return each image degraded by its part; those of one part go together."""
        shares = np.cumsum(self.weights or np.ones(len(self.of)))
        chosen = [
            int(np.searchsorted(shares, generator(k, "one-of").random() * shares[-1], "right")) for k in keys
        ]
        parts = [(_where(chosen, i), part, f"one-of.{i}", f"{i}.") for i, part in enumerate(self.of)]
        return _applied(image, keys, size, parts, {"chosen": chosen})

    def untouched(self, image: Tensor) -> Degraded:
        """Return images that no part acted on."""
        return untouched_by(self.of, image)


@dataclass(frozen=True)
class Sometimes(Degradation):
    """A degradation for a share ``probability`` of the images; the others stay as they are."""

    of: Degradation
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_probability("probability", self.probability)
        refuse_clips([self.of])
        if not self.of.varies and (self.of.scale != 1 or self.of.absolute):
            raise ValueError("a part that changes the size cannot be left out for some images; see one-of")

    @property
    def scale(self) -> int:
        """Always 1."""
        return 1

    @property
    def multiple(self) -> int:
        """Of what the sides have to be multiples for the part."""
        return self.of.multiple

    @property
    def varies(self) -> bool:
        """Whether the part gives images sizes of their own."""
        return self.of.varies

    @property
    def channels(self) -> int | None:
        """How many channels the part needs."""
        return self.of.channels

    @property
    def aims(self) -> bool:
        """Whether the part says what restorers shall reach."""
        return self.of.aims

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return each image, degraded or not."""
        one_per_image(clean, keys)
        return self.within(clean, keys, tuple(clean.shape[-2:]))

    def within(self, image: Tensor, keys: Keys, size: tuple[int, int]) -> Degraded:
        """Return each image, degraded or not."""
        acts = [bool(generator(key, "sometimes").random() < self.probability) for key in keys]
        parts = [(_where(acts, True), self.of, "sometimes.0", "of."), (_where(acts, False), None, "", "")]
        return _applied(image, keys, size, parts, {"applied": acts})


def untouched_by(parts: Sequence[Degradation], image: Tensor) -> Degraded:
    """Return images that none of the parts acted on, with what any of them would have made beside."""
    whole = [part.untouched(image) for part in parts]
    mask = next((each.mask for each in whole if each.mask is not None), None)
    return Degraded(image, mask, {name: layer for each in whole for name, layer in each.layers.items()})


def refuse_clips(parts: Sequence[Degradation]) -> None:
    """Refuse parts that make clips: which samples belong together, the outermost degradation has to say."""
    if any(part.together > 1 for part in parts):
        raise ValueError("of holds a moving-clip; expected it outermost, with what it holds in its own of")


def refuse_aims(parts: Sequence[Degradation], first: int) -> None:
    """Refuse parts that say what restorers shall reach where they do not see the clean image; ``first`` is a place."""
    for place, part in enumerate(parts, first):
        if part.aims:
            raise ValueError(
                f"of.{place} makes what restorers shall reach, of a degraded image; "
                "expected it first in a chain, or its target or sharpen = false"
            )


def scale_of(parts: Sequence[Degradation]) -> int:
    """Return the scale of parts that act one after the other: an absolute one is against the image before all."""
    scale = 1
    for part in parts:
        scale = part.scale if part.absolute else scale * part.scale
    return scale


def channels_of(parts: Sequence[Degradation]) -> int | None:
    """Return how many channels some of the parts need, None if any do."""
    return next((part.channels for part in parts if part.channels is not None), None)


def multiple_of(parts: Sequence[Degradation]) -> int:
    """Return of what the sides of clean have to be multiples for parts that act one after the other."""
    multiple, scale, whole = 1, 1, True  # whole: sizes are still those of clean over the scale
    for part in parts:
        if part.absolute or whole:
            multiple = math.lcm(multiple, part.multiple * (1 if part.absolute else scale))
        scale = part.scale if part.absolute else scale * part.scale
        whole = not part.varies and (whole or part.absolute)
    return multiple


def _fitted(degraded: Degraded) -> Degraded:
    """Return what came of a size of its own with the mask at the size of the image."""
    if degraded.mask is None:
        return degraded
    return replace(degraded, mask=pooled(degraded.mask, degraded.image.shape[-2:]))


Share = tuple[list[int], Degradation | None, str, str]  # places, part, its key's purpose, its draws' prefix


def _where(values: Sequence[object], wanted: object) -> list[int]:
    return [place for place, value in enumerate(values) if value == wanted]


def _applied(image: Tensor, keys: Keys, size: tuple[int, int], shares: list[Share], draws: Draw) -> Degraded:
    """Return every image degraded by the part that it is shared out to."""
    done, parts = [], [part for _, part, _, _ in shares if part is not None]
    for places, part, purpose, prefix in shares:
        if not places:
            continue
        taken = image if len(places) == len(image) else image[places]
        whole = untouched_by(parts, taken)
        if part is None:
            done.append((places, whole))
            continue
        made = part.within(taken, [part_key(keys[i], purpose) for i in places], size)
        mask = made.mask if made.mask is not None else whole.mask
        renamed = {f"{prefix}{name}": value for name, value in made.draw.items()}
        layers = whole.layers | made.layers
        done.append((places, replace(made, mask=mask, layers=layers, draw=renamed)))
    if len(done) == 1:
        only = done[0][1]
        return replace(only, draw=draws | only.draw)
    merged = joined(image, done)
    return replace(merged, draw=draws | merged.draw)
