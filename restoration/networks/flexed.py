"""Attention to neighbours by PyTorch's FlexAttention (Dong et al., 2024), whose kernels are compiled for a GPU."""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

BLOCK = 128  # queries or keys, one after another, of which all pairs are computed or left out
KINDS = 64  # kernels: one for each width of heads, type, with and without gradients, of one image or more


def flexed_attention(query: Tensor, key: Tensor, value: Tensor, side: int) -> Tensor:
    """Return `neighbourhood_attention` without copies of keys.

    Blocks of 128 keys that no query of a block of 128 sees are left out. Tokens stand row by row, so a block of
    queries sees the blocks of ``side`` − 1 rows more than its own. Within a network that is compiled it is a part of
    its graph; elsewhere on a GPU one kernel serves all sizes, so that a picture's does not depend on those before.
    """
    from torch.nn.attention.flex_attention import flex_attention

    height, width = query.shape[2:4]
    flat = (part.flatten(2, 3).contiguous() for part in (query, key, value))
    traced = torch.compiler.is_compiling()
    mask = (near if traced else _near)(height, width, side, query.device)
    attend = flex_attention if traced else _kernel(query.device.type)
    return attend(*flat, block_mask=mask, scale=1.0).unflatten(2, (height, width))


def near(height: int, width: int, side: int, device: torch.device) -> Any:
    """Return the mask of keys that are neighbours of queries, and of blocks in which there is one.

    Time and memory grow with the tokens and the square of their blocks, not with the square of the tokens.
    """
    from torch.nn.attention.flex_attention import BlockMask

    rows, columns = min(side, height), min(side, width)
    token = torch.arange(height * width, device=device)
    row, column = token // width, token % width
    top, left = (row - side // 2).clamp(0, height - rows), (column - side // 2).clamp(0, width - columns)
    below, right = top + rows, left + columns  # tensors: compilers of graphs of any size take no numbers here

    def neighbours(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        vertical = (row[key] >= top[query]) & (row[key] < below[query])
        return vertical & (column[key] >= left[query]) & (column[key] < right[query])

    # in each row a query's neighbours are tokens one after another: one of every block that they lie in
    first = (top[:, None] + torch.arange(rows, device=device)) * width + left[:, None]
    along = torch.tensor([*range(0, columns, BLOCK), columns - 1], device=device)
    count = -(-height * width // BLOCK)
    seen = torch.zeros(count, count, dtype=torch.int32, device=device)
    seen[(token // BLOCK)[:, None, None], (first[..., None] + along) // BLOCK] = 1
    order = seen.argsort(descending=True, stable=True).int()
    return BlockMask.from_kv_blocks(
        seen.sum(1, dtype=torch.int32)[None, None], order[None, None], BLOCK_SIZE=BLOCK, mask_mod=neighbours,
        seq_lengths=(height * width, height * width),
    )  # fmt: skip


@lru_cache(maxsize=16)
def _near(height: int, width: int, side: int, device: torch.device) -> Any:
    with torch.inference_mode(False), torch.no_grad():
        return near(height, width, side, device)


@cache
def _kernel(device: str) -> Callable[..., Any]:
    """Return FlexAttention, compiled for GPUs: uncompiled it holds every logit, on processors too."""
    from torch.nn.attention.flex_attention import flex_attention

    if device != "cuda":
        return flex_attention
    compiled = torch.compile(flex_attention, dynamic=True, fullgraph=True)
    return torch._dynamo.config.patch(recompile_limit=KINDS)(compiled)
