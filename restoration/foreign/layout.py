"""What a layout is: how a file that others made is known by names and shapes, and what it becomes here."""

import re
from collections.abc import Callable, Iterable, Mapping
from math import isqrt
from typing import Any, NamedTuple

from torch import Tensor

State = dict[str, Tensor]
Spec = dict[str, Any]


class Match(NamedTuple):
    """A network's table (``name`` and the keywords that shapes tell), and its tensors under our names."""

    spec: Spec
    state: State


# what a name becomes: a pattern's replacement, or a function of its match
Names = Mapping[str, str | Callable[[re.Match[str]], str]]
# None where the file is none of its kind; a bare table where the tensors' names are ours already
Layout = Callable[[State], Match | Spec | None]


def renamed(state: Mapping[str, Tensor], names: Names, dropped: Iterable[str] = ()) -> State:
    """Return the tensors under our names.

    ``names`` maps patterns of whole official names to ours (the first that fits; groups as ``\\1``); what fits none
    keeps its name, and is reported as superfluous by who loads it. ``dropped`` are patterns of tensors that the
    network here computes itself.
    """
    result: State = {}
    for name, tensor in state.items():
        if any(re.fullmatch(pattern, name) for pattern in dropped):
            continue
        found = next(((p, ours) for p, ours in names.items() if re.fullmatch(p, name)), None)
        result[name if found is None else re.sub(found[0], found[1], name)] = tensor
    return result


def count(state: Mapping[str, Tensor], pattern: str) -> int:
    """Return one more than the highest number that ``pattern`` finds at the start of the names."""
    return max((int(m.group(1)) + 1 for name in state if (m := re.match(pattern, name))), default=0)


def has(state: Mapping[str, Tensor], *names: str) -> bool:
    """Return whether all of ``names`` are there and hold more than a number."""
    return all(name in state and state[name].ndim > 0 for name in names)


def width_and_channels(state: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    """Return the outputs and inputs of the kernel ``name``."""
    outputs, inputs = state[name].shape[:2]
    return int(outputs), int(inputs)


def root(number: int) -> int:
    """Return the whole root of a square, 0 for other numbers: the scale of a pixel shuffle."""
    return isqrt(number) if isqrt(number) ** 2 == number else 0
