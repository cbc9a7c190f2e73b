"""What a degradation is, and what it returns."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from restoration.degradations.draws import Keys

Draw = dict[str, object]

STEPS = 255  # of an 8-bit image, the unit in which the field writes σ and thresholds: σ = 25 is 25/255 here


@dataclass(frozen=True)
class Degraded:
    """A degraded batch and how it came about; ``draw`` is JSON-able and tells the same story as the keys.

    Every value of ``draw`` is a list with one entry per image, None where a part did not act on that image.
    ``mask`` (N, 1, H, W) is 1 in holes; ``layers`` names further images of the scene, such as the reflection.
    ``clean`` is what restorers shall reach where that is not the image that was given, such as a sharpened one.
    """

    image: Tensor
    mask: Tensor | None = None
    layers: dict[str, Tensor] = field(default_factory=dict)
    draw: Draw = field(default_factory=dict)
    clean: Tensor | None = None


class Degradation(ABC):
    """A pure function of (clean, keys); fields are its configuration. ``keys`` holds one (seed, sample) per image.

    ``scale`` is the size of clean over degraded; it has no value here, lest a field of that name get a default.
    ``varies`` says that images of one batch may come out in different sizes: such a part stands in a chain before one
    that is ``absolute``, whose ``scale`` is against the image that the chain was given. ``together`` is how many
    consecutive samples are the frames of one clip, which the outermost degradation alone can say. ``channels`` is how
    many channels clean must have, None if any. ``aims`` says that the part makes a ``Degraded.clean`` of its own: it
    has to see the clean image, and so stands first.
    """

    scale: int
    varies: ClassVar[bool] = False
    absolute: ClassVar[bool] = False
    together: ClassVar[int] = 1
    channels: ClassVar[int | None] = None
    aims: ClassVar[bool] = False

    @property
    def multiple(self) -> int:
        """Of what the height and width of clean have to be multiples."""
        return self.scale

    @abstractmethod
    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the degraded version of every image; image i depends on ``clean[i]`` and ``keys[i]`` alone."""

    def untouched(self, image: Tensor) -> Degraded:
        """Return images that this part leaves as they are, with what goes with them where it makes masks or layers."""
        return Degraded(image)

    def within(self, image: Tensor, keys: Keys, size: tuple[int, int]) -> Degraded:
        """Return what a chain makes of an image on its way, given the (height, width) that the chain began with."""
        return self(image, keys)


def one_per_image(clean: Tensor, keys: Keys) -> None:
    """Refuse a batch that is empty or not of floats, or whose keys do not name every image once."""
    if clean.ndim != 4:
        raise ValueError(f"clean has shape {tuple(clean.shape)}; expected (images, channels, height, width)")
    if clean.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"clean is {str(clean.dtype).removeprefix('torch.')}; expected float32 in [0, 1]")
    if not clean.numel():
        raise ValueError(f"clean has shape {tuple(clean.shape)}; expected at least one image, and pixels")
    if len(keys) != len(clean):
        raise ValueError(f"{len(keys)} keys for {len(clean)} images; expected one (seed, sample) per image")


def check_scale(scale: int, name: str = "scale") -> None:
    """Refuse a scale that is no whole number from 1."""
    if scale < 1:
        raise ValueError(f"{name} = {scale}; expected a whole number from 1")


def reduced(size: Sequence[int], scale: int) -> tuple[int, int]:
    """Return (height, width) over ``scale``, of which they must be multiples."""
    height, width = size
    if height % scale or width % scale:
        raise ValueError(f"clean is {height}x{width}; expected multiples of the scale {scale}")
    return height // scale, width // scale


def united(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Return the holes of both masks (N, 1, H, W), at the size of the second; a pixel with any hole in it is one."""
    if first is None or second is None:
        return second if first is None else first
    return torch.maximum(pooled(first, second.shape[-2:]), second)


def pooled(mask: Tensor, size: Sequence[int]) -> Tensor:
    """Return a mask at ``size`` (height, width): a pixel with any hole in it is one."""
    return mask if mask.shape[-2:] == tuple(size) else adaptive_max_pool2d(mask, tuple(size))


def on_device_of(image: Tensor, samples: list[Tensor]) -> Tensor:
    """Stack draws made on the CPU and move them to where ``image`` is."""
    return torch.stack(samples).to(image)


def over(image: Tensor, levels: float) -> Tensor:
    """Return ``image``, which is overwritten, divided by a number as processors divide: the same on every device.

    By a plain number, GPUs multiply by its rounded reciprocal.
    """
    return image.div_(image.new_full((), levels))


def of_each(draws: Sequence[Draw]) -> Draw:
    """Return draws of single images as one: name → a value per image, None where an image has no such draw."""
    names = dict.fromkeys(name for draw in draws for name in draw)
    return {name: [draw.get(name) for draw in draws] for name in names}


def joined(given: Tensor, parts: Sequence[tuple[Sequence[int], Degraded]]) -> Degraded:
    """Return one batch of several, each with the places of its images in the batch that was ``given``.

    What only some have, as a chain's parts that act on some images make it, is a mask without holes for the others;
    layers must be the same ones everywhere.
    """
    order = [place for places, _ in parts for place in places]
    back = torch.tensor(order).argsort()
    sizes = {tuple(part.image.shape[-2:]) for _, part in parts}
    if len(sizes) > 1:
        found = ", ".join(f"{height}x{width}" for height, width in sorted(sizes))
        raise ValueError(
            f"images of one batch came out as {found}; expected a part that fits them to one size"
        )
    names = {tuple(sorted(part.layers)) for _, part in parts}
    if len(names) > 1:
        raise ValueError(
            f"images of one batch have different layers: {' and '.join(map(str, sorted(names)))}"
        )
    masked = any(part.mask is not None for _, part in parts)
    aimed = any(part.clean is not None for _, part in parts)
    draws = [{} for _ in order]
    for places, part in parts:
        for name, values in part.draw.items():
            for place, value in zip(places, values, strict=True):
                draws[place][name] = value

    def gathered(tensors: list[Tensor]) -> Tensor:
        return torch.cat(tensors)[back.to(tensors[0].device)]

    return Degraded(
        gathered([part.image for _, part in parts]),
        gathered([_mask(part) for _, part in parts]) if masked else None,
        {name: gathered([part.layers[name] for _, part in parts]) for name in next(iter(names))},
        of_each(draws),
        gathered([given[list(p)] if d.clean is None else d.clean for p, d in parts]) if aimed else None,
    )


def _mask(part: Degraded) -> Tensor:
    return part.mask if part.mask is not None else torch.zeros_like(part.image[:, :1])
