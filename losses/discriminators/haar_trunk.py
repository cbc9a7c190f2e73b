"""The discriminator of PCL-SR: a trunk over the Haar detail bands of an image."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from restoration.losses.checks import from_one
from restoration.losses.discriminators.discriminator import Discriminator
from restoration.losses.haar import details

# of the blocks, in units of the first one's; every other block halves the sides
WIDTHS = (1, 1, 2, 2, 4, 4, 8, 8)
BANDS = 3


class HaarTrunk(Discriminator):
    """The three detail bands of each colour, then eight blocks of 3×3 convolution, batch norm, leaky ReLU 0.2.

    That of Wu et al. (2023), as released: 4,690,752 parameters at width 64 and 513 in the "patch" head, which averages
    to 4×4 and gives a logit for each. The "scalar" head has 1024 hidden units, and takes images of ``size`` only.
    ``front`` = "none" shows the trunk the image itself, as the released code does without its wavelet option.
    ``features`` are the outputs of blocks 0 to 7; ``before_activation`` gives them before the leaky ReLU, which the
    released code means to do too, but its activations overwrite them. Odd sides are mirrored on by one pixel.
    """

    name = "haar-trunk"

    def __init__(
        self,
        width: int = 64,
        head: Literal["patch", "scalar"] = "patch",
        size: int = 192,
        front: Literal["haar", "none"] = "haar",
        before_activation: bool = False,
        channels: int = 3,
    ) -> None:
        super().__init__()
        from_one("width", width)
        shrinks = 32 if front == "haar" else 16
        self.size = size if head == "scalar" else None
        self.minimum_size = self.size or shrinks
        if self.minimum_size < shrinks:
            raise ValueError(f"size = {size}; expected at least {shrinks}")
        self.multiple = 2 if front == "haar" else 1
        self.front, self.before_activation, self.channels = front, before_activation, channels
        widths = [channels * (BANDS if front == "haar" else 1), *(width * times for times in WIDTHS)]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, stride=1 + index % 2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
            )
            for index, (inputs, outputs) in enumerate(pairwise(widths))
        )
        self.head = _patch(widths[-1]) if head == "patch" else _scalar(widths[-1], math.ceil(size / shrinks))

    def outputs(self, image: Tensor) -> list[list[Tensor]]:
        """Return the outputs of all blocks and the logits: (N, 1, 4, 4), or (N, 1) of a scalar head."""
        if self.size and image.shape[-2:] != (self.size, self.size):
            height, width = image.shape[-2:]
            expected = f'expected {self.size}x{self.size}, or head = "patch", which takes any size'
            raise ValueError(f"{self.name}: images are {height}x{width}; {expected}")
        found = self.features(image)
        last = leaky_relu(found[-1], 0.2) if self.before_activation else found[-1]
        return [[*found, self.head(last)]]

    def features(self, image: Tensor, count: int = len(WIDTHS)) -> list[Tensor]:
        """Return the outputs of the first ``count`` blocks: what comes after them costs nothing."""
        self.expect(image)
        if count == len(self.blocks):
            self._expect_statistics(image)
        found, before = [], details(image) if self.front == "haar" else image
        for block in self.blocks[:count]:
            normalised = block(before)
            before = leaky_relu(normalised, 0.2, inplace=not self.before_activation)
            found.append(normalised if self.before_activation else before)
        return found

    def _expect_statistics(self, image: Tensor) -> None:
        """Refuse a single image that the last block would shrink to one pixel, which has no statistics."""
        smallest = 32 if self.front == "haar" else 16
        if self.blocks[-1][1].training and len(image) == 1 and max(image.shape[-2:]) <= smallest:
            size = f"{image.shape[-2]}x{image.shape[-1]}"
            expected = f"expected two images, or a side above {smallest} pixels, to take statistics of"
            raise ValueError(f"{self.name}: a single image of {size}; {expected}")


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a released discriminator, or of a file that holds one, under the names of `HaarTrunk`.

    The released code stacks its bands as LH, HL and HH of all colours in turn; here every colour's three bands stand
    together, so the inputs of the first convolution change places.
    """
    prefix = "loss_module.1."
    inner = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    found = {}
    for name, tensor in (inner or state).items():
        part, index, rest = name.split(".", 2)
        found[f"blocks.{int(index) // 2}.{rest}" if part == "features" else f"head.{index}.{rest}"] = tensor
    first = found["blocks.0.0.weight"]
    if first.shape[1] == 9:
        by_colour = first.unflatten(1, (BANDS, 3)).transpose(1, 2).flatten(1, 2)
        found["blocks.0.0.weight"] = by_colour.contiguous()
    return found


def _patch(width: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Conv2d(width, 1, 1))


def _scalar(width: int, side: int) -> nn.Sequential:
    hidden = 1024
    return nn.Sequential(
        nn.Flatten(), nn.Linear(width * side * side, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1)
    )
