"""Degradations in an order drawn for each image."""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from restoration.degradations.chain import (
    channels_of,
    multiple_of,
    refuse_aims,
    refuse_clips,
    scale_of,
    untouched_by,
)
from restoration.degradations.degraded import Degradation, Degraded, joined, one_per_image, united
from restoration.degradations.draws import Key, Keys, generator, part_key


@dataclass(frozen=True)
class Shuffle(Degradation):
    """Several degradations in random order (Zhang et al., BSRGAN, 2021, section 3.5); ``ordered`` ones keep theirs.

    ``ordered`` are places in ``of``, counted from 0: those parts come in the order in which they are listed. All orders
    that respect it are equally likely.
    """

    varies: ClassVar[bool] = False

    of: tuple[Degradation, ...]
    ordered: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.of) < 2:
            raise ValueError(f"{len(self.of)} degradations to shuffle; expected at least two")
        refuse_clips(self.of)
        refuse_aims(self.of, 0)
        if sorted({*self.ordered} & {*range(len(self.of))}) != sorted(self.ordered):
            raise ValueError(
                f"ordered = {list(self.ordered)}; expected places from 0 to {len(self.of) - 1}, each once"
            )
        absolute = [i for i, part in enumerate(self.of) if part.absolute]
        sized = [i for i, part in enumerate(self.of) if part.varies or part.scale != 1]
        if len(sized) > 1 and not {*sized, *absolute} <= {*self.ordered}:
            raise ValueError(f"parts {sized} change the size; expected them in ordered")
        last = max(self.ordered, default=-1)
        if any(self.of[i].varies for i in sized) and not (absolute and absolute[-1] == last):
            raise ValueError(
                "sizes are left to chance; expected a part that fits the image last among the ordered"
            )

    @property
    def scale(self) -> int:
        """The scale after all parts."""
        return scale_of(self.of)

    @property
    def multiple(self) -> int:
        """Of what the sides have to be multiples, whatever the order."""
        return multiple_of(self.of)

    @property
    def absolute(self) -> bool:
        """Whether the scale is against the image that the outermost chain was given."""
        return any(part.absolute for part in self.of)

    @property
    def channels(self) -> int | None:
        """How many channels some part needs."""
        return channels_of(self.of)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return each image after all parts."""
        one_per_image(clean, keys)
        return self.within(clean, keys, tuple(clean.shape[-2:]))

    def within(self, image: Tensor, keys: Keys, size: tuple[int, int]) -> Degraded:
        """Return each image after all parts."""
        alone = [self._of(image[i : i + 1], key, size) for i, key in enumerate(keys)]
        return joined(image, [([i], degraded) for i, degraded in enumerate(alone)])

    def untouched(self, image: Tensor) -> Degraded:
        """Return images that no part acted on."""
        return untouched_by(self.of, image)

    def order(self, key: Key) -> list[int]:
        """Return the order of the parts for one image."""
        drawn = generator(key, "shuffle").permutation(len(self.of)).tolist()
        following = iter(sorted(self.ordered))
        return [next(following) if place in self.ordered else place for place in drawn]

    def _of(self, image: Tensor, key: Key, size: tuple[int, int]) -> Degraded:
        degraded, draws = Degraded(image), {}
        order = self.order(key)
        for place in order:
            made = self.of[place].within(degraded.image, [part_key(key, f"shuffle.{place}")], size)
            draws |= {f"{place}.{name}": value for name, value in made.draw.items()}
            mask = united(degraded.mask, made.mask)
            degraded = replace(made, mask=mask, layers={**degraded.layers, **made.layers}, clean=None)
        return replace(degraded, draw={"order": [order], **draws})
