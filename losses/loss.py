"""What every loss is: a function of two batches of images that says how it may be used."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor

# a pair of images; the restored image alone; two sets of images; more of the batch than the pair
Compares = Literal["pair", "restored", "set", "batch"]


class Loss(ABC):
    """``loss(restored, clean) -> (N,)``, lower is better; NCHW in [0, 1], values outside are legal.

    The class says what it ``compares``, the ``minimum_size`` in pixels of the shorter side at its defaults, of what
    ``multiple`` the sides of training crops are (others are continued by mirroring, which crops can avoid), in what
    ``value_range`` a loss lies, in words, which direction of its metric is ``better``, and under which names the
    benchmark measures it (``as_metric``; none for what only makes sense as a loss). ``metric`` turns a loss value into
    the benchmark's.
    """

    compares: ClassVar[Compares] = "pair"
    minimum_size: ClassVar[int] = 1
    multiple: ClassVar[int] = 1
    value_range: ClassVar[str] = "from 0"
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    as_metric: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""

    def mean(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the mean over the batch, a scalar; some losses have a shorter way to it than by every image."""
        return self(restored, clean).mean()

    def metric(self, value: Tensor) -> Tensor:
        """Return the benchmark's number for a loss value; the same number unless the class says otherwise."""
        return value


class Pointwise(Loss):
    """A loss that is a function of the mean over pixels of an error map; so it has an exact value on any region."""

    @abstractmethod
    def errors(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the error of every sample: (N, C, H, W)."""

    def finish(self, mean: Tensor) -> Tensor:
        """Return the loss, given the mean error of each image: (N,)."""
        return mean

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        return self.finish(per_image(self.errors(restored, same_shape(restored, clean))))

    def within(self, restored: Tensor, clean: Tensor, region: Tensor) -> Tensor:
        """Return the loss over the pixels where ``region`` (N, 1, H, W) is 1; 0 error where it is empty: (N,)."""
        errors = self.errors(restored, same_shape(restored, clean)) * region
        count = region.flatten(1).sum(1) * restored.shape[1]
        return self.finish(errors.flatten(1).sum(1) / count.clamp(min=1))


def per_image(values: Tensor) -> Tensor:
    """Return the mean over everything but the batch: (N,)."""
    # the division comes after the sum: the gradient of a mean would be written out at full size
    if values.dtype in (torch.float16, torch.bfloat16):  # sums overflow
        return per_image(values.float()).to(values.dtype)
    return values.sum(tuple(range(1, values.ndim))) / math.prod(values.shape[1:])


def same_shape(restored: Tensor, clean: Tensor) -> Tensor:
    """Return ``clean``, or refuse: a loss never broadcasts, which would compare the wrong pixels."""
    if restored.shape != clean.shape:
        raise ValueError(
            f"restored is {size_of(restored)} but clean is {size_of(clean)}; expected equal sizes"
        )
    return clean


def large_enough(image: Tensor, smallest: int, name: str) -> None:
    """Refuse images whose shorter side has fewer than ``smallest`` pixels."""
    height, width = image.shape[-2:]
    if min(height, width) < smallest:
        raise ValueError(f"{name}: images are {height}x{width}; expected at least {smallest} pixels a side")


def size_of(image: Tensor) -> str:
    """Return the sides as refusals show them: 8x3x64x64."""
    return "x".join(str(n) for n in image.shape)
