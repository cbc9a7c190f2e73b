"""Modules of spandrel's, for the time of an export in a form whose sizes stay open.

SwinIR and its relatives (HAT, Swin2SR, DRCT) keep the mask of one size, compute others by writing into slices,
and count images by dividing floating-point numbers: a graph of that holds for one size alone. Here masks come from
the places of pixels, and counts are whole numbers.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from restoration.networks.swin import BLOCKED, strangers

REVERSE = "window_reverse"


@contextmanager
def open_sizes(model: nn.Module) -> Iterator[None]:
    """Within the block, ``model`` computes the same in operations that keep sizes open; afterwards as before."""
    with ExitStack() as stack:
        for module in model.modules():
            for name, value in _replacements(module).items():
                stack.enter_context(patch.object(module, name, value))
        for home in {type(module).__module__ for module in model.modules()}:
            if home.startswith("spandrel.") and hasattr(sys.modules[home], REVERSE):
                stack.enter_context(patch.object(sys.modules[home], REVERSE, joined))
        yield


def joined(windows: Tensor, window_size: int, height: int, width: int) -> Tensor:
    """Return windows ``(N · H/w · W/w, w, w, C)`` as grids ``(N, H, W, C)``."""
    down, across = height // window_size, width // window_size
    count = windows.shape[0] // (down * across)
    cut = windows.reshape(count, down, across, window_size, window_size, windows.shape[-1])
    return cut.transpose(2, 3).reshape(count, height, width, windows.shape[-1])


def _replacements(module: nn.Module) -> dict[str, Any]:
    found: dict[str, Any] = {}
    numbers = (getattr(module, name, None) for name in ("window_size", "shift_size"))
    if hasattr(module, "calculate_mask") and all(isinstance(number, int) for number in numbers):
        found["calculate_mask"] = _masker(module)
    if hasattr(module, "input_resolution"):
        found["input_resolution"] = None  # of no picture: the kept mask is never taken
    if hasattr(module, "update_params") and hasattr(module, "eval_conv"):
        module.update_params()  # SPAN merges its kernels anew at every call
        found["update_params"] = _nothing
    return found


def _nothing() -> None:
    pass


def _masker(module: nn.Module) -> Callable[..., Tensor]:
    side, shift = module.window_size, module.shift_size
    assert isinstance(side, int) and isinstance(shift, int)

    def mask(size: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
        blocked = strangers(size[0], size[1], side, shift, next(module.parameters()).device)
        return BLOCKED * blocked.to(dtype)

    return mask
