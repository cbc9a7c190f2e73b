"""Attention of each pixel to those around it, whose window is moved inward at borders (Hassani et al., 2023)."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from restoration.networks.flexed import flexed_attention

BLOCK = 8  # side of the squares of queries that are treated at once
KERNELS = (torch.float16, torch.bfloat16, torch.float32)  # what kernels for GPUs compute in


def neighbourhood_attention(
    query: Tensor, key: Tensor, value: Tensor, side: int, *, flex: bool = False
) -> Tensor:
    """Return the attention of every pixel to ``side`` × ``side`` neighbours: ``(N, heads, H, W, head width)``.

    Of L pixels in a row, the i-th sees those from ``clamp(i − side // 2, 0, L − side)``: the window never leaves the
    image and nothing is padded; where L < side it is the whole row. Logits are plain products. On a GPU, PyTorch's
    FlexAttention is used for gradients where ``flex`` asks for it; else natten's kernels where that package is
    installed. The device, the type, the sizes and what is asked for decide, and nothing that went before.
    """
    if torch.compiler._is_exporting_flag:  # is_exporting() is true of every graph that PyTorch 2.11 compiles
        return gathered_attention(query, key, value, side)
    if _has_kernels(query):
        # a forward pass alone gains too little to compile a kernel for
        if flex and torch.is_grad_enabled():
            return flexed_attention(query, key, value, side)
        if min(query.shape[2:4]) >= side and (kernel := _natten()) is not None:
            return natten_attention(kernel, query, key, value, side)
    return blocked_attention(query, key, value, side)


def natten_attention(
    kernel: Callable[..., Tensor], query: Tensor, key: Tensor, value: Tensor, side: int
) -> Tensor:
    """Return the same by natten's ``na2d``, which has heads behind places and wants H, W ≥ ``side``."""
    parts = (part.permute(0, 2, 3, 1, 4).contiguous() for part in (query, key, value))
    return kernel(*parts, kernel_size=(side, side), scale=1.0).permute(0, 3, 1, 2, 4)


def blocked_attention(query: Tensor, key: Tensor, value: Tensor, side: int) -> Tensor:
    """Return the same by squares of 8² queries, each with all the keys that any of them sees, and a mask."""
    height, width = query.shape[2:4]
    rows, columns = (_Blocks(length, side, query.device) for length in (height, width))
    n, heads, _, _, features = query.shape
    asked = rows.queries(columns.queries(query, 3), 2)
    seen = (
        rows.keys(columns.keys(part, 3), 2)
        .permute(0, 1, 2, 4, 3, 5, 6)
        .flatten(4, 5)
        .flatten(2, 3)
        .flatten(0, 1)
        for part in (key, value)
    )
    asked = asked.permute(0, 1, 2, 4, 3, 5, 6).flatten(4, 5).flatten(2, 3).flatten(0, 1)
    # squares of rows and columns: (rows, 1, queries, 1, keys, 1) and (1, columns, 1, queries, 1, keys)
    near = rows.near()[:, None, :, None, :, None] & columns.near()[None, :, None, :, None, :]
    mask = near.flatten(4, 5).flatten(2, 3).flatten(0, 1)
    mixed = functional.scaled_dot_product_attention(asked, *seen, attn_mask=mask, scale=1.0)
    mixed = mixed.view(n, heads, rows.count, columns.count, rows.block, columns.block, features)
    mixed = mixed.transpose(3, 4).reshape(n, heads, rows.padded, columns.padded, features)
    return mixed[:, :, :height, :width]


def gathered_attention(query: Tensor, key: Tensor, value: Tensor, side: int) -> Tensor:
    """Return the same with every pixel's neighbours gathered, without a branch on the size: for exported graphs.

    It holds ``side²`` keys and values per pixel, more than blocks do.
    """
    n, heads, height, width, features = query.shape
    (rows, here), (columns, there) = (_places(length, side, query.device) for length in (height, width))

    def around(part: Tensor) -> Tensor:
        part = part.index_select(2, rows.flatten()).index_select(3, columns.flatten())
        part = part.reshape(n, heads, height, side, width, side, features).transpose(3, 4)
        return part.reshape(n, heads, height, width, side * side, features)

    inside = (here[:, None, :, None] & there[None, :, None, :]).reshape(height, width, side * side)
    logits = (query[..., None, :] * around(key)).sum(-1).masked_fill(~inside, float("-inf"))
    return (logits.softmax(-1)[..., None] * around(value)).sum(-2)


def _places(length: int, side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the neighbours of every pixel of an axis, and which of them are there: ``(length, side)``."""
    last = torch.scalar_tensor(length - 1, dtype=torch.long, device=device)
    begin = torch.arange(length, device=device) - side // 2
    begin = torch.minimum(begin.clamp(min=0), (last + 1 - side).clamp(min=0))
    place = begin[:, None] + torch.arange(side, device=device)
    return torch.minimum(place, last), place <= last


class _Blocks:
    """One axis, cut into blocks of queries with the keys that any of them sees."""

    def __init__(self, length: int, side: int, device: torch.device) -> None:
        side = min(side, length)
        self.block = min(BLOCK, length)
        self.count = -(-length // self.block)
        self.padded = self.count * self.block
        reach = min(length, self.block + side - 1)
        place = torch.arange(self.padded, device=device).clamp(max=length - 1)
        self.place = place.view(self.count, self.block)
        begin = (self.place[:, :1] - side // 2).clamp(0, length - reach)
        self.seen = begin + torch.arange(reach, device=device)
        self.first = (self.place - side // 2).clamp(0, length - side)
        self.side = side

    def queries(self, part: Tensor, axis: int) -> Tensor:
        """Return ``part`` with ``axis`` cut into (blocks, queries); the last block repeats the last pixel."""
        return part.index_select(axis, self.place.flatten()).unflatten(axis, self.place.shape)

    def keys(self, part: Tensor, axis: int) -> Tensor:
        """Return ``part`` with ``axis`` cut into (blocks, keys), which overlap."""
        return part.index_select(axis, self.seen.flatten()).unflatten(axis, self.seen.shape)

    def near(self) -> Tensor:
        """Return which keys each query sees: ``(blocks, queries, keys)``."""
        key, first = self.seen[:, None], self.first[..., None]
        return (key >= first) & (key < first + self.side)


def _has_kernels(query: Tensor) -> bool:
    return query.is_cuda and query.dtype in KERNELS


@cache
def _natten() -> Callable[..., Tensor] | None:
    try:
        from natten import na2d
    except ImportError:
        return None
    return na2d
