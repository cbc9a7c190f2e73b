"""Attention by cosine similarity with rotary positions: among all, near or windowed tokens (Crowson et al., 2024)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.hdit_layers import EPSILON, AdaRmsNorm, linear
from restoration.networks.layers import longer
from restoration.networks.neighbourhood import neighbourhood_attention
from restoration.networks.swin import from_windows, to_windows


class SelfAttention(nn.Module):
    """What every token gathers from others; logits are cosines times a learnt scale per head.

    ``kind`` is "global", "neighbourhood" of ``side`` × ``side`` tokens, or "shifted-window" of that side, whose grid
    is rolled down and right by half a window where it is ``shifted``. ``flex`` is `neighbourhood_attention`'s.
    """

    def __init__(
        self, width: int, head: int, mapping: int, kind: str, side: int, *, shifted: bool, flex: bool = False
    ) -> None:
        super().__init__()
        if width % head or head % 8:
            raise ValueError(f"width = {width}, head = {head}: expected a multiple of head, and that of 8")
        self.heads, self.kind, self.side, self.flex = width // head, kind, side, flex
        self.shift = side // 2 if shifted and kind == "shifted-window" else 0
        self.scale = nn.Parameter(torch.full((self.heads,), 10.0))
        self.norm = AdaRmsNorm(width, mapping)
        self.qkv_proj = linear(width, 3 * width)
        self.freqs: Tensor
        self.register_buffer("freqs", frequencies(self.heads, head), persistent=False)
        self.out_proj = linear(width, width, small=True)

    def forward(self, grid: Tensor, condition: Tensor) -> Tensor:
        """Return the residual of the grid ``(N, H, W, C)``."""
        n, height, width, channels = grid.shape
        parts = self.qkv_proj(self.norm(grid, condition)).view(n, height, width, 3, self.heads, -1)
        query, key, value = parts.permute(3, 0, 4, 1, 2, 5)
        angles = _angles(height, width, self.freqs)
        # the scale on one side alone: the product is the same as with its root on both
        query = rotated(_unit(query) * self.scale.view(-1, 1, 1, 1), angles).to(value.dtype)
        key = rotated(_unit(key), angles).to(value.dtype)
        mixed = self._mixed(query, key, value)
        return self.out_proj(mixed.permute(0, 2, 3, 1, 4).reshape(n, height, width, channels))

    def _mixed(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if self.kind == "neighbourhood":
            return neighbourhood_attention(query, key, value, self.side, flex=self.flex)
        if self.kind == "shifted-window":
            return _windowed(query, key, value, self.side, self.shift)
        flat = (part.flatten(2, 3) for part in (query, key, value))
        return functional.scaled_dot_product_attention(*flat, scale=1.0).view_as(value)


def frequencies(heads: int, head: int) -> Tensor:
    """Return rotations per unit of length, from π up to 10π: ``(heads, head width / 8)``, rising over heads first."""
    count = heads * head // 8
    rising = math.pi * 10 ** (torch.arange(count, dtype=torch.float64) / count)
    return rising.view(head // 8, heads).T.contiguous().float()


def rotated(features: Tensor, angles: Tensor) -> Tensor:
    """Return the first half of each head rotated: element i with that a quarter of the head on (Su et al., 2021)."""
    quarter = angles.shape[-1]
    first, second, rest = features.split((quarter, quarter, features.shape[-1] - 2 * quarter), -1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((first * cos - second * sin, second * cos + first * sin, rest), -1)


def _angles(height: int, width: int, freqs: Tensor) -> Tensor:
    """Return angles by row, then by column: ``(heads, H, W, head width / 4)``."""
    rows, columns = (_centres(length, longer(height, width), freqs) for length in (height, width))
    down = rows[:, None, None] * freqs[:, None, None]
    across = columns[:, None] * freqs[:, None, None]
    size = (-1, height, width, -1)
    return torch.cat((down.expand(size), across.expand(size)), -1)


def _centres(length: int, longest: int, like: Tensor) -> Tensor:
    """Return where the tokens of a side lie, in a box whose longer side runs from -1 to 1."""
    place = torch.arange(length, device=like.device, dtype=like.dtype)
    return (2 * place + 1 - length) / longest


def _unit(features: Tensor) -> Tensor:
    exact = features if features.dtype == torch.float64 else features.float()
    return exact * torch.rsqrt(exact.square().sum(-1, keepdim=True) + EPSILON)


def _windowed(query: Tensor, key: Tensor, value: Tensor, side: int, shift: int) -> Tensor:
    n, heads, height, width, _ = value.shape

    def cut(part: Tensor) -> Tensor:
        part = part.flatten(0, 1)
        return to_windows(part.roll((shift, shift), (1, 2)) if shift else part, side)

    mask = _together(height, width, side, shift, value.device) if shift else None
    mixed = functional.scaled_dot_product_attention(
        cut(query), cut(key), cut(value), attn_mask=mask, scale=1.0
    )
    grid = from_windows(mixed, height, width, side)
    grid = grid.roll((-shift, -shift), (1, 2)) if shift else grid
    return grid.view(n, heads, height, width, -1)


def _together(height: int, width: int, side: int, shift: int, device: torch.device) -> Tensor:
    """Return which tokens of a window lay together before the roll: ``(windows, side², side²)``."""
    row, column = (torch.arange(length, device=device) < shift for length in (height, width))
    labels = (2 * row.long()[:, None] + column.long()).view(1, height, width, 1)
    labels = to_windows(labels, side)[0, :, :, 0]
    return labels[:, :, None] == labels[:, None]
