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
    4,741,007 parameters (the authors' M); width 180 and eight groups 15,792,587 (L). The authors drop whole layers at
    random in training; this network does not.
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
        hidden = round(expansion * width)
        self.layers = nn.ModuleList(
            Group(width, count, own, window, hidden)
            for count, own in zip(groups, heads_of_groups(heads, len(groups)), strict=True)
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

    def __init__(self, width: int, count: int, heads: int, window: int, hidden: int) -> None:
        super().__init__()
        shifts = [window // 2 if i % 2 else 0 for i in range(count)]
        blocks = nn.ModuleList(SwinBlock(width, heads, window, shift, hidden) for shift in shifts)
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

    def __init__(self, width: int, heads: int, window: int, shift: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window, shift)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Perceptron(width, hidden)

    def forward(self, grid: Tensor) -> Tensor:
        """Return the grid ``(N, H, W, C)`` plus both residuals."""
        grid = grid + self.attn(self.norm1(grid))
        return grid + self.mlp(self.norm2(grid))


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
