"""Tensors by name from files that others made, without running their code."""

import argparse
import pathlib
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from restoration.errors import WeightsError
from restoration.foreign import pmrf
from restoration.foreign.layout import State

SUFFIXES = (".ckpt", ".pt", ".pth", ".safetensors")
# where training frameworks put the tensors; the moving average first, as BasicSR's own tools prefer it
WRAPPERS = (
    "params_ema", "params-ema", "params", "model_state_dict", "state_dict", "model", "net", "netG", "net_g",
    "generator", "icnn",
)  # fmt: skip
PREFIXES = ("module.", "_orig_mod.", "netG.")
# what training frameworks store beside tensors: plain values, whose making runs nothing
PLAIN = (
    argparse.Namespace,
    pathlib.PosixPath,
    pathlib.PurePosixPath,
    np.dtype,
    np.core.multiarray.scalar if int(np.__version__[0]) < 2 else np._core.multiarray.scalar,
    *(type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64", "bool")),
)
# what torch raises on files that are cut off or are something else; OSError where it seeks before the start
DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def read_state(path: Path) -> State:
    """Return the tensors of a checkpoint by name, unwrapped; nothing in the file is executed.

    A file of several networks under numbers (one per noise level) gives names that begin with the number.
    """
    stored: object = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_pickle(path)
    stored = pmrf.unwrapped(stored)
    while isinstance(stored, Mapping) and not _is_state(stored):
        if numbered := _numbered(stored):
            stored = numbered
            break
        key = next((k for k in WRAPPERS if isinstance(stored.get(k), Mapping) and stored[k]), None)
        inner = [v for v in stored.values() if isinstance(v, Mapping)]
        if key is None and len(inner) != 1:
            break
        stored = inner[0] if key is None else stored[key]
    if not isinstance(stored, Mapping) or not _is_state(stored):
        raise WeightsError(f"{path}: holds no weights; expected tensors by name, as a state_dict")
    return _without_prefixes({str(name): tensor for name, tensor in stored.items()})


def _read_safetensors(path: Path) -> State:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path}: not readable as safetensors ({error}); truncated or corrupt") from None


def _read_pickle(path: Path) -> object:
    try:
        # warnings are about old pickle protocols
        with (
            warnings.catch_warnings(action="ignore", category=UserWarning),
            torch.serialization.safe_globals(list(PLAIN)),
        ):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path}: {_refusal(str(error))}") from None
    except PermissionError:
        raise
    except DAMAGE as error:
        if "TorchScript" in str(error):
            reason = "a TorchScript archive, which is a program; refused. Export its state_dict() instead"
            raise WeightsError(f"{path}: {reason}") from None
        raise WeightsError(f"{path}: not a readable checkpoint; truncated or corrupt") from None


def _refusal(message: str) -> str:
    name = re.search(r"(?:GLOBAL|Unsupported class) ([\w.]+)", message)
    if name is None:
        return "not readable as weights; corrupt, or a pickle of something else; refused"
    return (
        f"holds a pickled {name.group(1)}, and loading one can run any program; refused. "
        f"Save the state_dict() of the network instead"
    )


def _is_state(stored: Mapping[Any, Any]) -> bool:
    return bool(stored) and all(isinstance(value, Tensor) for value in stored.values())


def _numbered(stored: Mapping[Any, Any]) -> State:
    """Return the tensors of networks that are stored under numbers as one set, or nothing."""
    if not all(str(k).isdecimal() and isinstance(v, Mapping) and _is_state(v) for k, v in stored.items()):
        return {}
    return {f"{number}.{name}": t for number, part in stored.items() for name, t in part.items()}


def _without_prefixes(state: State) -> State:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state
