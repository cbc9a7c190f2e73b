"""The middle of MEDFE: skips joined to texture and structure, filled, equalised, and given back."""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNELS = (3, 5, 7)  # of the three stacks that fill
DEPTH = 5
DEVIATION = 1.5  # of the spatial weights, in cells
HOLE_FRACTION = 1 / 16


class Filled(NamedTuple):
    """The six maps for the decoder, the finest first, and the filled structure and texture (N, 4w, H/8, W/8)."""

    maps: list[Tensor]
    structure: Tensor
    texture: Tensor


class Middle(nn.Module):
    """Filling by partial convolutions at 1/8 of the size, and equalisation of what they give.

    As in the released code one reduction serves both branches, before and after filling, one serves the three
    coarse maps, and the three stacks serve both branches.
    """

    def __init__(self, width: int, released: bool, counting: bool) -> None:
        super().__init__()
        self.released = released
        w2, w4, w8 = 2 * width, 4 * width, 8 * width
        self.fine = nn.ModuleList([Steps(width, w2, w4), Steps(w2, w4), Steps(w4, w4, kernel=1)])
        self.coarse = Steps(w8, w4, kernel=1)
        self.reduce = Steps(3 * w4, w4, kernel=1)
        self.stacks = nn.ModuleList(
            nn.ModuleList(PartialConv(w4, kernel, counting) for _ in range(DEPTH)) for kernel in KERNELS
        )
        self.fuse = Steps(w8, w8, kernel=1)
        self.equalise = Equalisation(w8, released)
        self.enlarged = nn.ModuleList(Steps(w8, n, kernel=1) for n in (width, w2, w4))
        self.reduced = nn.ModuleList(Steps(*([w8] * (halvings + 1)), last=False) for halvings in (1, 2, 3))

    def forward(self, maps: list[Tensor], mask: Tensor) -> Filled:
        """Return what the decoder takes, of the encoder's six maps and the mask (N, 1, H, W; 1 in holes)."""
        active = [functional.leaky_relu(m, 0.2) for m in maps]
        size = active[2].shape[-2:]
        texture = self.reduce(torch.cat([path(m) for path, m in zip(self.fine, active[:3], strict=True)], 1))
        structure = self.reduce(torch.cat([self.coarse(_resized(m, size)) for m in active[3:]], 1))
        known = self.known(mask)
        structure, texture = self.filled(structure, known), self.filled(texture, known)
        joined = self.equalise(self.fuse(torch.cat((structure, texture), 1)))
        fine = [
            m + path(_resized(joined, m.shape[-2:])) for path, m in zip(self.enlarged, maps[:3], strict=True)
        ]
        coarse = [m + path(joined) for path, m in zip(self.reduced, maps[3:], strict=True)]
        return Filled([*fine, *coarse], structure, texture)

    def known(self, mask: Tensor) -> Tensor:
        """Return which cells of 8×8 pixels are known, (N, 1, H/8, W/8): three means over 4×4 at stride 2."""
        for _ in range(3):
            mask = functional.avg_pool2d(mask, 4, stride=2, padding=1)
        # the released code compares with 1, which no mean exceeds
        return (mask <= (1.0 if self.released else HOLE_FRACTION)).to(mask.dtype)

    def filled(self, features: Tensor, known: Tensor) -> Tensor:
        """Return features whose unknown cells the three stacks fill from around them."""
        results = []
        for stack in self.stacks:
            inner, valid = features, known
            for layer in stack:
                inner, valid = layer(inner, valid, self.released)
            results.append(inner)
        return self.reduce(torch.cat(results, 1))


class Steps(nn.Module):
    """Convolutions without bias from width to width, each normalised and activated; ``last`` = False: not the last.

    Kernels of 4 halve, kernels of 1 keep the size.
    """

    def __init__(self, *widths: int, kernel: int = 4, last: bool = True) -> None:
        super().__init__()
        stride, padding = (2, 1) if kernel == 4 else (1, 0)
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, kernel, stride=stride, padding=padding, bias=False) for a, b in pairwise(widths)
        )
        self.last = last

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the last width."""
        for conv in self.convs[:-1]:
            features = functional.leaky_relu(functional.instance_norm(conv(features)), 0.2)
        features = functional.instance_norm(self.convs[-1](features))
        return functional.leaky_relu(features, 0.2) if self.last else features


class PartialConv(nn.Module):
    """A convolution of known cells, divided by how many values it saw (Liu et al., 2018), normalised, activated.

    ``counting`` is a kernel that released files hold in place of ones; only the released form divides by its sums.
    """

    def __init__(self, width: int, kernel: int, counting: bool) -> None:
        super().__init__()
        self.width, self.kernel = width, kernel
        self.conv = nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False)
        self.counting = (
            nn.Parameter(torch.ones(width, width, kernel, kernel), requires_grad=False) if counting else None
        )
        self.norm = nn.InstanceNorm2d(width, affine=True)

    def forward(self, features: Tensor, known: Tensor, released: bool) -> tuple[Tensor, Tensor]:
        """Return features and which cells (N, 1, H, W) are known now."""
        if released and self.counting is not None:
            counts = functional.conv2d(
                known.expand(-1, self.width, -1, -1), self.counting, padding=self.kernel // 2
            )
        else:
            ones = known.new_ones(1, 1, self.kernel, self.kernel)
            counts = self.width * functional.conv2d(known, ones, padding=self.kernel // 2)
        reached = counts != 0
        divided = self.conv(features * known) / torch.where(reached, counts, 1)
        features = functional.leaky_relu(self.norm(torch.where(reached, divided, 0)), 0.2)
        return features, reached[:, :1].to(known.dtype)


class Equalisation(nn.Module):
    """Channels weighted by their means, then means over space and over like neighbours, joined."""

    def __init__(self, width: int, released: bool) -> None:
        super().__init__()
        self.released = released
        self.squeeze = nn.Conv2d(width, max(1, width // 16), 1)
        self.excite = nn.Conv2d(max(1, width // 16), width, 1)
        self.join = Steps(2 * width, width, kernel=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, H, W)."""
        weights = self.excite(self.squeeze(features.mean((2, 3), keepdim=True)).relu()).sigmoid()
        features = features * weights
        means = [_near(features), _alike(features)]
        if self.released:
            means = [_scrambled(mean) for mean in means]
        return self.join(torch.cat(means, 1))


def _near(features: Tensor) -> Tensor:
    """Return Gaussian-weighted means over all cells; the weights of every cell sum to 1, at borders too."""

    def weights(side: int) -> Tensor:
        steps = torch.arange(side, device=features.device, dtype=features.dtype)
        return (-(steps[:, None] - steps).square() / (2 * DEVIATION**2)).softmax(1)

    height, width = features.shape[-2:]
    return weights(height) @ features @ weights(width).T


def _alike(features: Tensor) -> Tensor:
    """Return means over 3×3 cells, weighted by the softmax of how alike their sigmoids are.

    Cells beyond the border are zero, alike in nothing, and keep their part of the softmax.
    """
    height, width = features.shape[-2:]
    own = features.sigmoid()
    around, around_own = functional.pad(features, (1, 1, 1, 1)), functional.pad(own, (1, 1, 1, 1))
    places = [(slice(y, y + height), slice(x, x + width)) for y in range(3) for x in range(3)]
    alike = torch.stack([(own * around_own[..., y, x]).mean(1) for y, x in places], 1).softmax(1)
    return sum(alike[:, i : i + 1] * around[..., y, x] for i, (y, x) in enumerate(places))


def _scrambled(features: Tensor) -> Tensor:
    """Return what the released code makes of features: rows of positions read as rows of channels."""
    return features.flatten(2).transpose(1, 2).reshape(features.shape)


def _resized(features: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(features, size, mode="bilinear", align_corners=False)
