"""Attention within windows that shift from layer to layer (Liu et al., 2021), on grids with channels last."""

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCKED = -100.0  # what is added to the logit of two pixels that do not see each other


def heads_of_groups(heads: int | tuple[int, ...], groups: int) -> tuple[int, ...]:
    """Return the heads of every group, given one number for all or one for each."""
    if isinstance(heads, int):
        return (heads,) * groups
    if len(heads) != groups:
        raise ValueError(f"heads = {tuple(heads)}: expected one number, or one for each of {groups} groups")
    return tuple(heads)


def to_windows(grid: Tensor, side: int) -> Tensor:
    """Return ``(N, H, W, C)`` cut into windows: ``(N, H·W / side², side², C)``, row after row."""
    n, height, width, channels = grid.shape
    cut = grid.view(n, height // side, side, width // side, side, channels).transpose(2, 3)
    return cut.reshape(n, -1, side * side, channels)


def from_windows(windows: Tensor, height: int, width: int, side: int) -> Tensor:
    """Undo `to_windows`."""
    n, channels = windows.shape[0], windows.shape[-1]
    cut = windows.view(n, height // side, width // side, side, side, channels).transpose(2, 3)
    return cut.reshape(n, height, width, channels)


def strangers(height: int, width: int, side: int, shift: int, device: torch.device) -> Tensor:
    """Return which pixels of a window were no neighbours before the roll by ``-shift``: ``(windows, side², side²)``."""
    rows, columns = (_label(length, side, shift, device) for length in (height, width))
    labels = to_windows((3 * rows[:, None] + columns).view(1, height, width, 1), side)[0, :, :, 0]
    return labels[:, :, None] != labels[:, None]


def transposed_strangers(height: int, width: int, side: int, shift: int, device: torch.device) -> Tensor:
    """Return what the authors of ResShift take for `strangers`.

    They label rows alone, and give the labels to each window's pixels with rows and columns exchanged. So windows at
    the lower border are parted into left and right, and those at the right border not at all.
    """
    rows = _label(height, side, shift, device).view(height // side, side)
    labels = rows[:, None, None].expand(-1, width // side, side, -1).reshape(-1, side * side)
    return labels[:, :, None] != labels[:, None]


def _label(length: int, side: int, shift: int, device: torch.device) -> Tensor:
    place = torch.arange(length, device=device)
    return (place >= length - side).long() + (place >= length - shift)


class WindowAttention(nn.Module):
    """Multi-head attention among the pixels of each window, with a learnt bias for every offset of two pixels.

    Windows are ``side`` wide and begin ``shift`` pixels late, around the border. Both sides of the grid are
    multiples of ``side``. ``transposed`` masks as `transposed_strangers` does.
    """

    def __init__(self, width: int, heads: int, side: int, shift: int, *, transposed: bool = False) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width = {width}, heads = {heads}: expected a multiple of the heads")
        self.heads, self.side, self.shift = heads, side, shift
        self.strangers = transposed_strangers if transposed else strangers
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        place = torch.arange(side)
        row = (place[:, None] - place + side - 1).view(side, 1, side, 1)
        column = (place[:, None] - place + side - 1).view(1, side, 1, side)
        self.offsets: Tensor
        offsets = ((2 * side - 1) * row + column).reshape(side * side, side * side)
        self.register_buffer("offsets", offsets, persistent=False)

    def forward(self, grid: Tensor) -> Tensor:
        """Return what each pixel of the grid ``(N, H, W, C)`` gathers from its window."""
        height, width = grid.shape[1:3]
        if self.shift:
            grid = grid.roll((-self.shift, -self.shift), (1, 2))
        windows = to_windows(grid, self.side)
        n, count, pixels, channels = windows.shape
        parts = self.qkv(windows).view(n, count, pixels, 3, self.heads, channels // self.heads)
        query, key, value = parts.permute(3, 0, 1, 4, 2, 5).flatten(2, 3)
        bias = self._bias(height, width, count).to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        mixed = (
            mixed.view(n, count, self.heads, pixels, -1).transpose(2, 3).reshape(n, count, pixels, channels)
        )
        grid = from_windows(self.proj(mixed), height, width, self.side)
        return grid.roll((self.shift, self.shift), (1, 2)) if self.shift else grid

    def _bias(self, height: int, width: int, count: int) -> Tensor:
        """Return what is added to the logits: ``(1, windows · heads, side², side²)``."""
        bias = self.relative_position_bias_table[self.offsets].permute(2, 0, 1).expand(count, -1, -1, -1)
        if self.shift:
            blocked = self.strangers(height, width, self.side, self.shift, bias.device)
            bias = bias + BLOCKED * blocked.to(bias.dtype)[:, None]
        return bias.flatten(0, 1)[None]
