"""SwinIR on packed pixels: Swin layers on a coarse grid, enlarged by nearest neighbours and convolutions."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.edsr import MEAN
from restoration.networks.layers import conv3
from restoration.networks.network import Network
from restoration.networks.swin import WindowAttention, heads_of_groups

TAIL = 64  # channels behind the Swin layers


class SwinIrPacked(Network):
    """SwinIR (Liang et al., 2021) as the posterior mean of PMRF (Ohayon et al., 2025), with its authors' names.

    Pixels are packed ``packing`` × ``packing`` before the first convolution, and ``enlargement`` says how far the
    grid grows again at the end: 2, 4 or 8. ``groups`` counts the Swin layers of each residual group, and every second
    one shifts its windows of ``window`` pixels by half; ``heads`` is one number, or one per group. The defaults have
    4,741,007 parameters (the authors' M); width 180 and eight groups 15,792,587 (L). In training, halves of layers are
    left out at random, image by image, from none of the first layer to a share of ``drop`` of the last (Huang et al.,
    2016; the authors: 0.1).
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 120,
        groups: tuple[int, ...] = (6, 6, 6, 6, 6),
        heads: int | tuple[int, ...] = 6,
        window: int = 8,
        expansion: float = 2.0,
        packing: int = 8,
        enlargement: int = 8,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        steps = _steps(enlargement)
        if enlargement % packing:
            raise ValueError(
                f"packing = {packing}, enlargement = {enlargement}: expected a multiple of packing"
            )
        self.scale = enlargement // packing
        self.multiple = packing * window
        self.receptive_field = None
        self.channels, self.packing = channels, packing
        self.mean: Tensor
        mean = torch.tensor(MEAN) if channels == 3 else torch.tensor(MEAN).mean().expand(channels)
        self.register_buffer("mean", mean.clone().view(1, channels, 1, 1), persistent=False)
        self.conv_first = nn.Sequential(nn.PixelUnshuffle(packing), conv3(channels * packing**2, width))
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(width)})
        hidden, shares = round(expansion * width), _shares(drop, groups)
        self.layers = nn.ModuleList(
            Group(width, own, window, hidden, share)
            for own, share in zip(heads_of_groups(heads, len(groups)), shares, strict=True)
        )
        self.norm = nn.LayerNorm(width)
        self.conv_after_body = conv3(width, width)
        self.conv_before_upsample = nn.Sequential(conv3(width, TAIL), nn.LeakyReLU(0.01))
        for i in range(steps):
            setattr(self, f"conv_up{i + 1}", conv3(TAIL, TAIL))
        self.ups = [f"conv_up{i + 1}" for i in range(steps)]
        self.conv_hr = conv3(TAIL, TAIL)
        self.conv_last = conv3(TAIL, channels)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        shallow = self.conv_first(degraded - self.mean)
        grid = self.patch_embed["norm"](shallow.permute(0, 2, 3, 1))
        for layer in self.layers:
            grid = layer(grid)
        deep = self.conv_after_body(self.norm(grid).permute(0, 3, 1, 2)) + shallow
        features = self.conv_before_upsample(deep)
        for name in self.ups:
            larger = functional.interpolate(features, scale_factor=2, mode="nearest")
            features = functional.leaky_relu(getattr(self, name)(larger), 0.2)
        return self.conv_last(functional.leaky_relu(self.conv_hr(features), 0.2)) + self.mean


class Group(nn.Module):
    """Swin layers and a convolution, added to what came in."""

    def __init__(self, width: int, heads: int, window: int, hidden: int, shares: tuple[float, ...]) -> None:
        super().__init__()
        shifts = [window // 2 if i % 2 else 0 for i in range(len(shares))]
        blocks = nn.ModuleList(
            SwinBlock(width, heads, window, shift, hidden, share)
            for shift, share in zip(shifts, shares, strict=True)
        )
        self.residual_group = nn.ModuleDict({"blocks": blocks})
        self.conv = conv3(width, width)

    def forward(self, grid: Tensor) -> Tensor:
        """Return the grid ``(N, H, W, C)`` plus its residual."""
        residual = grid
        for block in self.residual_group["blocks"]:
            residual = block(residual)
        return grid + self.conv(residual.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class SwinBlock(nn.Module):
    """Attention within windows, then a perceptron for every pixel, each normalised first and added."""

    def __init__(
        self, width: int, heads: int, window: int, shift: int, hidden: int, share: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window, shift)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Perceptron(width, hidden)
        self.drop = DropPath(share)

    def forward(self, grid: Tensor) -> Tensor:
        """Return the grid ``(N, H, W, C)`` plus both residuals."""
        grid = grid + self.drop(self.attn(self.norm1(grid)))
        return grid + self.drop(self.mlp(self.norm2(grid)))


class DropPath(nn.Module):
    """In training, a residual of some images of a batch is left out, and those that stay make up for it.

    It draws from the process's generator, as dropout does: another number of ranks or micro-batches is other draws.
    """

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, residual: Tensor) -> Tensor:
        """Return the residual ``(N, …)``, the same in the mean."""
        if not self.training or self.drop_prob == 0:
            return residual
        kept = 1 - self.drop_prob
        drawn = residual.new_empty(residual.shape[:1] + (1,) * (residual.ndim - 1)).bernoulli_(kept)
        return residual * (drawn / kept)


class Perceptron(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, grid: Tensor) -> Tensor:
        """Return each pixel's features, mixed."""
        return self.fc2(functional.gelu(self.fc1(grid)))


def _steps(enlargement: int) -> int:
    if enlargement not in (2, 4, 8):
        raise ValueError(f"enlargement = {enlargement}: expected 2, 4 or 8")
    return int(math.log2(enlargement))


def _shares(drop: float, groups: tuple[int, ...]) -> list[tuple[float, ...]]:
    """Return how often each layer of each group is left out: rising in equal steps over all of them."""
    if not 0 <= drop < 1:
        raise ValueError(f"drop = {drop}; expected a number from 0, below 1")
    last = max(1, sum(groups) - 1)
    rising = iter([drop * i / last for i in range(sum(groups))])
    return [tuple(next(rising) for _ in range(count)) for count in groups]
