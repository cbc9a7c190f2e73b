"""The VGG-style discriminators of SRGAN and ESRGAN: one logit for a whole image."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from restoration.losses.checks import from_one
from restoration.losses.discriminators.discriminator import Discriminator
from restoration.losses.discriminators.layers import block


class VggStyle(Discriminator):
    """Pairs of a 3×3 convolution and a strided one, 1, 2, 4, 8 and again 8 times as wide, then two full layers.

    ``layout`` = "srgan" is that of Ledig et al. (2017, fig. 4): four pairs, strided 3×3, 23,565,505 parameters at
    96 pixels. "esrgan" is that of Wang et al. (2018) as BasicSR trains it: strided 4×4, as many pairs as leave about
    4×4, 14,499,401 parameters at 128 pixels. ``head`` = "fixed" takes images of ``size`` only; "adaptive" averages
    over the last map first, and takes any size (5,215,425 parameters in SRGAN's layout).
    """

    name = "vgg-style"

    def __init__(
        self,
        layout: Literal["esrgan", "srgan"] = "esrgan",
        head: Literal["fixed", "adaptive"] = "fixed",
        size: int = 128,
        width: int = 64,
        channels: int = 3,
        norm: Literal["batch", "instance", "none"] = "batch",
    ) -> None:
        super().__init__()
        from_one("width", width)
        srgan, fixed = layout == "srgan", head == "fixed"
        pairs = 4 if srgan else max(1, round(math.log2(max(size, 4) / 4))) if fixed else 5
        smallest = 2**pairs + 1 if srgan else 2 ** (pairs + 1)  # leaves 2x2 to normalise over
        if fixed and size < smallest:
            raise ValueError(f"size = {size}; expected at least {smallest} in the layout of {layout}")
        self.size = size if fixed else None
        self.channels, self.minimum_size = channels, size if fixed else smallest
        blocks, before = [], channels
        for pair in range(pairs):
            wide, bias = width * min(2**pair, 8), True if srgan or norm != "batch" else None
            first = block(before, wide, 3, 1, norm, bias) if pair else block(channels, wide, 3, 1)
            blocks += [first, block(wide, wide, 3 if srgan else 4, 2, norm, bias)]
            before = wide
        self.blocks = nn.ModuleList(blocks)
        side = (math.ceil(size / 2**pairs) if srgan else size // 2**pairs) if fixed else 1
        hidden = max(1, (1024 if srgan else 100) * width // 64)
        self.head = nn.Sequential(
            nn.Identity() if fixed else nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(before * side * side, hidden),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(hidden, 1),
        )

    def outputs(self, image: Tensor) -> list[list[Tensor]]:
        """Return the outputs of all blocks and one logit, (N, 1)."""
        if self.size and image.shape[-2:] != torch.Size([self.size, self.size]):
            height, width = image.shape[-2:]
            expected = f'expected {self.size}x{self.size}, or head = "adaptive", which takes any size'
            raise ValueError(f"{self.name}: images are {height}x{width}; {expected}")
        self.expect(image)
        found = [image]
        for layer in self.blocks:
            found.append(layer(found[-1]))
        return [[*found[1:], self.head(found[-1])]]
