"""MEDFE: inpainting by an encoder and decoder whose skips are filled and equalised between them."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import enlarged_to
from restoration.networks.medfe_middle import Middle
from restoration.networks.network import Network

HOLE = (123 / 255, 104 / 255, 117 / 255)  # what holes are painted with
FACTORS = (1, 2, 4, 8, 8, 8)  # widths of the encoder's stages, in units of the first
TRAINED_SIZE = 256


class Medfe(Network):
    """Inpainting by equalised skips (Liu et al., 2020): 103,118,630 parameters that learn.

    Its three released files hold 27,197,440 more, random and frozen kernels. ``form`` = "released"
    computes what the released code does, defects and all: every cell of the feature mask counts as known, partial
    convolutions divide by sums of random kernels, and the spatial mixing scrambles positions and channels.
    "repaired" computes what it means to: hole fractions above 1/16 are holes, sums count known cells, positions
    stay. ``counting`` holds those random kernels, which "released" needs; ``heads`` holds the output that losses
    look at. Images below 256 pixels are enlarged to it by repeating their borders.
    """

    multiple = 64
    edge = "repeated"
    conditions = ("mask",)

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 64,
        blocks: int = 4,
        form: Literal["repaired", "released"] = "repaired",
        counting: bool = False,
        heads: bool = False,
    ) -> None:
        super().__init__()
        if form == "released" and not counting:
            raise ValueError('form = "released" needs counting = true: it divides by kernels of the file')
        self.channels = channels
        self.encoder = Encoder(2 * channels, width, blocks)
        self.middle = Middle(width, form == "released", counting)
        self.heads = nn.Conv2d(4 * width, channels, 1) if heads else None
        self.decoder = Decoder(channels, width)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the whole image, of an image whose last channel is the mask (1 in holes)."""
        height, width = degraded.shape[-2:]
        padded = enlarged_to(degraded, TRAINED_SIZE, self.multiple)
        image, mask = padded[:, :-1], padded[:, -1:]
        maps = self.middle(self.encoder(self.seen(image, mask)), mask).maps
        return (self.decoder(maps) + 1)[..., :height, :width] / 2

    def seen(self, image: Tensor, mask: Tensor) -> Tensor:
        """Return what the encoder takes: the painted image in [−1, 1], and where it is known, once per colour."""
        paint = image.new_tensor(HOLE if self.channels == 3 else [sum(HOLE) / 3] * self.channels)
        painted = torch.lerp(image, paint.view(1, -1, 1, 1).expand_as(image), mask)
        return torch.cat((2 * painted - 1, (1 - mask).expand_as(image)), 1)


class Encoder(nn.Module):
    """Six convolutions that halve, and residual blocks at the coarsest of their six maps."""

    def __init__(self, inputs: int, width: int, blocks: int) -> None:
        super().__init__()
        widths = [inputs, *(width * factor for factor in FACTORS)]
        last = len(FACTORS) - 1
        self.stages = nn.ModuleList(
            Halving(a, b, norm=0 < i < last) for i, (a, b) in enumerate(pairwise(widths))
        )
        self.blocks = nn.Sequential(*[Residual(widths[-1]) for _ in range(blocks)])

    def forward(self, seen: Tensor) -> list[Tensor]:
        """Return six maps, from a half to 1/64 of the size; all but the last are activated.

        In the released code each stage activates its input in place, so the skips before it are activated too.
        """
        maps = [self.stages[0](seen)]
        for stage in self.stages[1:]:
            maps[-1] = functional.leaky_relu(maps[-1], 0.2)
            maps.append(stage(maps[-1]))
        maps[-1] = self.blocks(maps[-1])
        return maps


class Halving(nn.Module):
    """A strided convolution, normalised per image and channel or not."""

    def __init__(self, inputs: int, outputs: int, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
        self.norm = nn.InstanceNorm2d(outputs, affine=True) if norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Return features of half the size."""
        return self.norm(self.conv(features))


class Residual(nn.Module):
    """Two convolutions on mirrored borders, the first dilated by two, each normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=2, dilation=2, bias=False, padding_mode="reflect")
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False, padding_mode="reflect")

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus their residual."""
        inner = functional.instance_norm(self.conv1(features)).relu()
        return features + functional.instance_norm(self.conv2(inner))


class Decoder(nn.Module):
    """Six transposed convolutions that double; each but the first sees a skip beside what came before."""

    def __init__(self, outputs: int, width: int) -> None:
        super().__init__()
        skips = [width * factor for factor in reversed(FACTORS)]
        after = [*skips[1:], outputs]
        self.stages = nn.ModuleList(
            Doubling(skip if i == 0 else 2 * skip, out, norm=i < len(skips) - 1)
            for i, (skip, out) in enumerate(zip(skips, after, strict=True))
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Return the image in [−1, 1], of six maps, the finest first."""
        first, *rest = reversed(maps)
        features = self.stages[0](first)
        for stage, skip in zip(self.stages[1:], rest, strict=True):
            features = stage(torch.cat((features, skip), 1))
        return features.tanh()


class Doubling(nn.Module):
    """A ReLU and a transposed convolution, normalised or not."""

    def __init__(self, inputs: int, outputs: int, norm: bool) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        self.norm = nn.InstanceNorm2d(outputs, affine=True) if norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Return features of twice the size."""
        return self.norm(self.conv(features.relu()))
