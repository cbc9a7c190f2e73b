"""What a layout is: how a file that others made is known by names and shapes, and what it becomes here."""

import re
from collections.abc import Callable, Iterable, Mapping
from math import isqrt
from typing import Any, NamedTuple

from torch import Tensor

from restoration.printing import listed

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


def heads(state: Mapping[str, Tensor], pattern: str, groups: int) -> int | tuple[int, ...]:
    """Return how many heads the groups have, by their position tables: one number where all have as many.

    ``pattern`` names a group's table, with ``{}`` for the group's number.
    """
    counts = tuple(
        int(state[pattern.format(i)].shape[1]) for i in range(groups) if pattern.format(i) in state
    )
    return counts[0] if len(set(counts)) == 1 else counts


def width_and_channels(state: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    """Return the outputs and inputs of the kernel ``name``."""
    outputs, inputs = state[name].shape[:2]
    return int(outputs), int(inputs)


def root(number: int) -> int:
    """Return the whole root of a square, 0 for other numbers: the scale of a pixel shuffle."""
    return isqrt(number) if isqrt(number) ** 2 == number else 0


def difference(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], called: Callable[[str], str] = str
) -> str:
    """Return the first ways in which two sets of tensors differ in names or shapes, or nothing.

    ``called`` turns our names into those of the file.
    """
    missing = [called(name) for name in expected if name not in found]
    parts = [f"it lacks {few(missing)}"] if missing else []
    if extra := [called(name) for name in found if name not in expected]:
        parts.append(f"it has {few(extra)} besides")
    for name in expected:
        if name in found and expected[name].shape != found[name].shape:
            shapes = tuple(found[name].shape), tuple(expected[name].shape)
            parts.append(f"{called(name)} has shape {shapes[0]}; expected {shapes[1]}")
            break
    return "; ".join(parts)


def names_in(state: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> Callable[[str], str]:
    """Return what turns our names of the tensors of ``state`` into theirs.

    A tensor that is missing is called by what stands beside it in its layer; where nothing does, by our name.
    """
    theirs_by_tensor = {id(tensor): name for name, tensor in state.items()}
    kept = {name: name for name, tensor in ours.items() if state.get(name) is tensor}
    theirs = {name: theirs_by_tensor[id(t)] for name, t in ours.items() if id(t) in theirs_by_tensor} | kept
    layers = {name.rpartition(".")[0]: official.rpartition(".")[0] for name, official in theirs.items()}

    def called(name: str) -> str:
        layer, _, last = name.rpartition(".")
        return theirs.get(name) or (f"{layers[layer]}.{last}" if layer in layers else name)

    return called


def few(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    return listed(names, 3)
