"""What networks compute on processors, computed another way: the same sums in less time and memory.

PyTorch gives dense layers in single precision to a general product of matrices, and convolutions to oneDNN, which is
made for few columns and many rows: the tokens of a tile. (Measured on AVX-512: 60 → 180 channels, 36,864 tokens:
6.7 ms and 2.1 ms.) Under autocast, a small term in single precision makes a large bfloat16 sum one of single
precision, as the position bias does to all of a tile's attention. And windowed attention draws the mask of its
shifted windows anew in every layer.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

ROWS = 2048  # tokens from which on a convolution pays
SMALL = 0.5  # of the larger term's numbers: a term with no more of them is rounded to its precision
SCORES = 4 << 20  # bytes of windows' attention that are computed at once
PLAIN = (
    int,
    float,
    tuple,
    list,
    str,
    torch.dtype,
    torch.device,
)  # what a mask is drawn by, where it is remembered
ADDS = (Tensor.add, Tensor.__add__, torch.add)


class QuickLayers(TorchFunctionMode):
    """Within ``with``: dense layers of many tokens on the CPU as convolutions; large bfloat16 sums stay bfloat16."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call the function, or what gives the same."""
        if kwargs:
            return function(*args, **kwargs)
        if function is functional.linear and _pays(*args):
            return _as_convolution(*args)
        if function in ADDS and len(args) == 2 and _widens(*args):
            return function(args[0], args[1].bfloat16())
        return function(*args)


class Windows:
    """The attention within windows of a network: masks that are known, and few windows at a time.

    Networks of the SwinIR family compute masks of shifted windows in ``calculate_mask``, from the size of the tile
    alone: each kind is computed once for tiles of one size that follow each other. Their ``WindowAttention`` knows
    of no other window than each; on processors, scores of few stay in the cache, and take a fraction of the memory.
    What a module is, is looked at once: one of these serves every tile of every picture.
    """

    def __init__(self, module: nn.Module) -> None:
        # a module with a function of its own in their place keeps it
        parts = [m for m in module.modules() if not {"forward", "calculate_mask"} & set(vars(m))]
        self.masking = [m for m in parts if callable(getattr(type(m), "calculate_mask", None))]
        self.attending = [m for m in parts if _attends(m)]
        self.known: dict[str, tuple[Any, Any]] = {}
        self.remembering = [self._remembering(m) for m in self.masking]
        self.by_few = [partial(_by_few, m) for m in self.attending]

    @contextmanager
    def eased(self, processor: bool) -> Iterator[None]:
        """Let the modules take what is known, and on a processor few windows at a time."""
        for module, remembering in zip(self.masking, self.remembering, strict=True):
            module.calculate_mask = remembering  # type: ignore[assignment]
        for module, by_few in zip(self.attending, self.by_few, strict=True) if processor else ():
            module.forward = by_few  # type: ignore[method-assign]
        try:
            yield
        finally:
            for module in self.masking:  # or another thread, that runs the same network, has done so
                vars(module).pop("calculate_mask", None)
            for module in self.attending if processor else ():
                vars(module).pop("forward", None)

    def _remembering(self, module: nn.Module) -> Callable[..., Any]:
        own = {k: v for k, v in vars(module).items() if isinstance(v, PLAIN)}
        kind = repr((type(module), sorted(own.items())))

        def calculate_mask(*size: Any, **options: Any) -> Any:  # noqa: ANN401
            draws: Callable[..., Any] = type(module).calculate_mask  # type: ignore[attr-defined]
            given = [*size, *options.values()]
            if not all(isinstance(value, PLAIN) for value in given):
                return draws(module, *size, **options)
            asked, (known, mask) = repr((size, options)), self.known.get(kind, (None, None))
            if asked != known:
                mask = draws(module, *size, **options)
                self.known[kind] = asked, mask
            return mask

        return calculate_mask


def _attends(module: nn.Module) -> bool:
    """Return whether a module is the window attention of the SwinIR family, (windows, tokens, channels) and a mask."""
    names = list(inspect.signature(type(module).forward).parameters)
    known = type(module).__name__ == "WindowAttention" and hasattr(module, "num_heads")
    return known and names in (["self", "x", "mask"], ["self", "x", "rpi", "mask"])


def _by_few(module: nn.Module, *given: Tensor | None, **named: Tensor | None) -> Tensor:
    """Return the attention of windows, (B, N, C), a few at a time; a mask is one of all windows of one image."""
    attention = type(module).forward
    bound = inspect.signature(attention).bind(module, *given, **named).arguments
    x, mask = bound["x"], bound.get("mask")
    if x.ndim != 3:
        return attention(**bound)
    count, tokens, _ = x.shape
    size = 2 if torch.is_autocast_enabled("cpu") else 4
    few = max(1, SCORES // (module.num_heads * tokens**2 * size))  # type: ignore[operator]
    if count <= few or (mask is not None and mask.shape[0] != count):
        return attention(**bound)
    masks = repeat(None) if mask is None else mask.split(few)
    parts = zip(x.split(few), masks, strict=False)
    return torch.cat([attention(**bound | {"x": part, "mask": masked}) for part, masked in parts])


def _pays(tokens: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    whole = weight.ndim == 2 and tokens.device.type == "cpu" and tokens.is_contiguous()
    many = weight.numel() > 0 and tokens.numel() >= ROWS * weight.shape[-1]
    return whole and many and tokens.dtype in (torch.float, torch.bfloat16)


def _as_convolution(tokens: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    pixels = tokens.view(1, 1, -1, weight.shape[1]).permute(0, 3, 1, 2)
    made = functional.conv2d(pixels, weight[:, :, None, None], bias)
    return made.permute(0, 2, 3, 1).reshape(*tokens.shape[:-1], weight.shape[0])


def _widens(large: object, small: object) -> bool:
    return (
        isinstance(large, Tensor)
        and isinstance(small, Tensor)
        and large.dtype == torch.bfloat16
        and small.dtype == torch.float
        and small.ndim > 0
        and small.numel() <= SMALL * large.numel()
    )
