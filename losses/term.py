"""One entry of a stack: what it asks of the restored image, when, where and how strongly."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from restoration.losses.colour import luma
from restoration.losses.features import Backbone, backbone
from restoration.losses.loss import Compares, Loss, Pointwise

BAND = 4  # pixels on either side of a hole's edge that count as its boundary


class Pair(Protocol):
    """What a term sees of a batch; ``mask`` is 1 in holes, ``keys`` hold one (seed, sample) per image."""

    degraded: Tensor
    clean: Tensor
    mask: Tensor | None
    layers: Mapping[str, Tensor]
    frames: Tensor | None
    keys: tuple[tuple[int, int], ...]
    step: int


class Term(ABC):
    """One entry of a stack; it may own parts that learn. The class variables mean what they mean for a `Loss`.

    A part is called as a module wherever its own parameters learn: that is where gradients are averaged over ranks.
    ``method`` names the one training method that can evaluate the term; any can where it is empty. ``clip`` is how many
    consecutive samples must be the frames of one clip; 1 takes photographs. ``sized_by`` says whose minimum size an
    instance takes, where the class has none.
    """

    compares: ClassVar[Compares] = "batch"
    minimum_size: ClassVar[int] = 1
    multiple: ClassVar[int] = 1
    value_range: ClassVar[str] = "from 0"
    sized_by: ClassVar[str] = ""
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    as_metric: ClassVar[tuple[str, ...]] = ()
    method: ClassVar[str] = ""
    clip: int = 1

    def connect(self, terms: Mapping[str, "Term"]) -> None:
        """Take what this term needs of its neighbours, by entry name; nothing by default.

        The stack calls it once, when all terms are built. What is taken stays its owner's: it is no group of this
        term. A neighbour that is not there is a `ValueError`.
        """
        return

    @abstractmethod
    def groups(self) -> dict[str, nn.Module]:
        """Return the parts that this term trains, by name."""

    @abstractmethod
    def of_restored(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return what the restorer is asked to lower, one number per image: (N,)."""

    def of_batch(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the mean of `of_restored` over the images, which is what a stack weighs: a scalar."""
        return self.of_restored(restored, batch).mean()

    @abstractmethod
    def of_own_parts(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the scalar that this term's own parts lower, given the detached restored image."""


class Partless(Term):
    """A term that owns no parts that learn."""

    def groups(self) -> dict[str, nn.Module]:
        """Return no parts."""
        return {}

    def of_own_parts(self, restored: Tensor, batch: Pair) -> Tensor:
        """Refuse: there are no parts, so the stack never asks."""
        raise AssertionError("this term owns no parts")


@dataclass(frozen=True)
class Options:
    """What every entry of a stack may say beside its term's own keys.

    ``start``, ``stop`` and ``ramp`` are steps: the term acts from ``start`` up to but not including ``stop`` (0: to the
    end), and its weight rises linearly over the first ``ramp`` of them. ``region`` needs masks: in a hole, outside it,
    or within 4 pixels of its edge; losses per pixel are averaged over the region, others see the clean image outside.
    ``colour`` = "luma" shows the term BT.601 luma only. Both are for losses of a pair; other terms see whole images in
    RGB. ``balance`` multiplies the weight by the ratio of the gradient
    norms of all unbalanced terms and of this one at the restorer's last layer (Esser et al., 2021, eq. 7).
    ``initial`` names the NAME.safetensors of an earlier run, from which the term's own parts start.
    """

    weight: float = 1.0
    start: int = 0
    stop: int = 0
    ramp: int = 0
    region: Literal["all", "hole", "known", "boundary"] = "all"
    colour: Literal["rgb", "luma"] = "rgb"
    balance: bool = False
    initial: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.weight):
            raise ValueError(f"weight = {self.weight}; expected a finite number")
        for name in ("start", "stop", "ramp"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}; expected a number of steps from 0")
        if self.stop and self.stop <= self.start:
            raise ValueError(f"stop = {self.stop}; expected more than start = {self.start}, or 0")

    def acts(self, step: int) -> bool:
        """Return whether the term is evaluated at ``step``, counted from 0."""
        return step >= self.start and (not self.stop or step < self.stop)

    def weight_at(self, step: int) -> float:
        """Return the weight at a step at which the term acts."""
        done = step - self.start + 1
        return self.weight * min(1.0, done / self.ramp) if self.ramp else self.weight


@dataclass(frozen=True)
class PairTerm(Partless):
    """A loss of (restored, clean) as a term; it owns nothing."""

    loss: Loss
    region: str = "all"
    colour: str = "rgb"

    @property
    def multiple(self) -> int:
        """Return what the sides of training crops are a multiple of, as the loss and its features say."""
        features = getattr(self.loss, "features", "")
        own = features == "inn" or isinstance(features, Backbone)
        return math.lcm(self.loss.multiple, backbone(features).multiple if own else 1)

    def of_restored(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the loss of each image, in the colour space and region that were asked for: (N,)."""
        restored, clean = self._seen(restored, batch.clean)
        if self.region == "all":
            return self.loss(restored, clean)
        where = region_of(batch.mask, self.region)
        if isinstance(self.loss, Pointwise):
            return self.loss.within(restored, clean, where)
        return self.loss(restored * where + clean * (1 - where), clean)

    def of_batch(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the mean over the images, by the loss's own way where it sees them whole."""
        if self.region != "all":
            return self.of_restored(restored, batch).mean()
        return self.loss.mean(*self._seen(restored, batch.clean))

    def _seen(self, restored: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        return (luma(restored), luma(clean)) if self.colour == "luma" else (restored, clean)


def region_of(mask: Tensor | None, region: str) -> Tensor:
    """Return 1 where ``region`` of a mask (1 in holes) is, else 0: (N, 1, H, W)."""
    if mask is None:
        raise ValueError(f'region = "{region}": these images come without masks')
    if region == "boundary":
        grown, shrunk = _widest(mask), 1 - _widest(1 - mask)
        return grown - shrunk
    return mask if region == "hole" else 1 - mask


def _widest(mask: Tensor) -> Tensor:
    return max_pool2d(mask, 2 * BAND + 1, stride=1, padding=BAND)
