"""Attention to neighbours by PyTorch's FlexAttention (Dong et al., 2024), and whether it pays on the GPU at hand."""

import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

Attend = Callable[[Tensor, Tensor, Tensor, int], Tensor]
LEAST = 32 * 32  # tokens: of fewer, all fit a few blocks
OFTEN = (
    400  # times that a shape must have come before kernels are compiled for it, which takes up to a minute
)
REPEATS = 5
_asked: Counter[tuple[Any, ...]] = Counter()
_pays: dict[tuple[Any, ...], bool] = {}


def flexed_attention(query: Tensor, key: Tensor, value: Tensor, side: int) -> Tensor:
    """Return `neighbourhood_attention` without copies of keys.

    Blocks of 128 keys that no query of a block of 128 sees are left out. Tokens stand row by row, so a block of
    queries sees the blocks of ``side`` − 1 rows more than its own.
    """
    height, width = query.shape[2:4]
    mask = _near(height, width, side, query.device)
    flat = (part.flatten(2, 3).contiguous() for part in (query, key, value))
    return _kernel(query.device.type)(*flat, block_mask=mask, scale=1.0).unflatten(2, (height, width))


def pays(query: Tensor, side: int, other: Attend) -> bool:
    """Return whether FlexAttention is faster here than ``other``: tried once for a shape that comes often.

    What cannot be compiled, or on this device, does not pay.
    """
    height, width = query.shape[2:4]
    if not query.is_cuda or height * width < LEAST or torch.compiler.is_compiling():
        return False
    learning = torch.is_grad_enabled() and query.requires_grad
    shape = (tuple(query.shape), side, query.dtype, str(query.device), learning)
    if shape not in _pays:
        _asked[shape] += 1
        if _asked[shape] < OFTEN:
            return False
        _pays[shape] = quicker(flexed_attention, other, query, side, learning)
    return _pays[shape]


def quicker(first: Attend, second: Attend, like: Tensor, side: int, learning: bool) -> bool:
    """Return whether the first way takes less time than the second on tensors such as ``like``, gradients included."""
    try:
        with torch.random.fork_rng(devices=[like.device] if like.is_cuda else []):
            parts = [torch.randn_like(like).requires_grad_(learning) for _ in range(3)]
        return _seconds(first, parts, side) < _seconds(second, parts, side)
    except (
        Exception
    ):  # of many kinds: no compiler, a head width or a type that its kernels do not have, no memory
        return False


def _seconds(attend: Attend, parts: list[Tensor], side: int) -> float:
    """Return the least seconds of a call, and of its backward pass where tensors have gradients."""
    seconds = []
    for _ in range(1 + REPEATS):  # the first compiles
        _settled(parts[0])
        started = time.perf_counter()
        mixed = attend(*parts, side)
        if mixed.requires_grad:
            torch.autograd.grad(mixed.sum(), parts)
        _settled(parts[0])
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def _settled(like: Tensor) -> None:
    if like.is_cuda:
        torch.cuda.synchronize(like.device)


@cache
def _near(height: int, width: int, side: int, device: torch.device) -> Any:
    """Return the mask of blocks in which some key is a neighbour of some query."""
    from torch.nn.attention.flex_attention import create_block_mask

    rows, columns = min(side, height), min(side, width)

    def near(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        down = key // width - (query // width - side // 2).clamp(0, height - rows)
        across = key % width - (query % width - side // 2).clamp(0, width - columns)
        return (down >= 0) & (down < rows) & (across >= 0) & (across < columns)

    with torch.inference_mode(False), torch.no_grad():
        return create_block_mask(near, None, None, height * width, height * width, device=device)


@cache
def _kernel(device: str) -> Callable[..., Any]:
    """Return FlexAttention, compiled for GPUs: uncompiled it holds every logit, on processors too."""
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False) if device == "cuda" else flex_attention
