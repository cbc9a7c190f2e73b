"""Packs of facts about official networks: tensors by formula, inputs by recipe, outputs that were recorded.

A pack lies beside the data root, in ``systems/parity``: ``<pack>.json`` lists tensors by official name with their
shapes, ``<pack>__<sample>.npz`` holds outputs. No weights are stored: they are a formula of their names.

    sample = parity.sample("carn", "carn_x2")         # skips where there are no packs
    state = sample.state()                            # the official state dict
    image = parity.uniform(1, 3, 18, 22)              # the usual input recipe
    sample.check(network(image))                      # within 2e-4 of the output's standard deviation
"""

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

State = dict[str, Tensor]
Entry = tuple[str, list[int], str]
SEED = 7


@dataclass(frozen=True)
class Sample:
    """One recorded run of an official module."""

    entries: list[Entry]
    facts: Mapping[str, Any]
    outputs: Mapping[str, Tensor]

    @property
    def settings(self) -> Mapping[str, Any]:
        """The official constructor's settings."""
        return self.facts["settings"]

    @property
    def parameters(self) -> int:
        """How many parameters the official module has."""
        return self.facts["parameters"]

    def state(self, kept: Mapping[str, Tensor] | None = None) -> State:
        """Return the official state dict; ``kept`` gives the tensors that the formula does not make."""
        own = {k for k in self.facts["kept_float_tensors"] if k not in (kept or {})}
        return formula_state(self.entries, self.facts["gain"], kept, without=own)

    def check(self, output: Tensor, name: str = "output", within: float = 2e-4) -> None:
        """Fail where ``output`` differs from the recorded one by more than ``within`` of its spread."""
        expected = self.outputs[name]
        assert tuple(output.shape) == tuple(expected.shape)
        error = (output.detach().double() - expected.double()).abs().max() / expected.double().std()
        assert error < within, f"{name} differs by {error:.2e} of its standard deviation"


def sample(pack: str, name: str) -> Sample:
    """Return a recorded sample of ``pack``; the test is skipped where there are no packs."""
    facts = facts_of(pack)
    about = facts["samples"][name]
    group, key = about["state_dict_is"].split("/")
    with np.load(root() / about["file"]) as file:
        outputs = {k: torch.from_numpy(np.asarray(file[k])) for k in file.files}
    return Sample(facts[group][key]["state_dict"], about, outputs)


def layout(pack: str, name: str) -> tuple[list[Entry], Mapping[str, Any]]:
    """Return the tensors of an official size (name, shape, type) and what is said of it."""
    about = facts_of(pack)["layouts"][name]
    return about["state_dict"], about


def facts_of(pack: str) -> dict[str, Any]:
    """Return all that ``pack`` says."""
    return json.loads((root() / f"{pack}.json").read_text())


def root() -> Path:
    """Return the folder of packs; the test is skipped where it is absent."""
    data = os.environ.get("RESTORATION_DATA")
    folder = Path(data or ".").resolve().parent / "systems" / "parity"
    if not data or not folder.is_dir():
        pytest.skip("no packs of official networks beside the folder that RESTORATION_DATA names")
    return folder


def formula_state(
    entries: Iterable[Entry],
    gain: float = 1.0,
    kept: Mapping[str, Tensor] | None = None,
    without: Iterable[str] = (),
) -> State:
    """Return tensors by the formula; counters are zero, other integer tensors come from ``kept`` or are left out."""
    kept, without, state = kept or {}, set(without), {}
    for name, shape, kind in entries:
        if name in kept:
            state[name] = kept[name]
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(shape, dtype=torch.int64)
        elif kind.startswith("float") and name not in without:
            state[name] = formula(name, shape, gain)
    return state


def entries_of(state: Mapping[str, Tensor]) -> list[Entry]:
    """Return names, shapes and types of a state dict, as packs list them."""
    return [(k, list(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in state.items()]


def formula(name: str, shape: Iterable[int], gain: float = 1.0) -> Tensor:
    """Return the tensor that the packs' formula gives to an official name."""
    shape = tuple(shape)
    last = name.split(".")[-1]
    draw = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("mask_conv.weight"):
        value = 0.02 * (1 + draw)
    elif len(shape) >= 2:
        value = gain * draw / np.sqrt(np.prod(shape[1:]))
    elif last == "weight" and shape == (1,):
        value = 0.25 + 0.05 * draw
    elif last == "weight":
        value = 1 + 0.1 * draw
    elif last == "running_var":
        value = 1 + 0.1 * abs(draw)
    elif last == "scale":
        value = (10 if name.endswith("self_attn.scale") else 1) * (1 + 0.1 * draw)
    else:
        value = (0.5 if last == "fac" else 0) + 0.1 * draw
    return torch.from_numpy(np.asarray(value)).float()


def draws() -> np.random.RandomState:
    """Return the generator of every input recipe."""
    return np.random.RandomState(SEED)


def uniform(*shape: int, generator: np.random.RandomState | None = None) -> Tensor:
    """Return ``rs.rand(shape)`` as float32, of a fresh generator unless one is given."""
    return torch.from_numpy((generator or draws()).rand(*shape).astype("float32"))
