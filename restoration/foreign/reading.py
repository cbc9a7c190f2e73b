"""Tensors by name from files that others made, without running their code."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from restoration.errors import WeightsError
from restoration.foreign import pmrf
from restoration.foreign.layout import State
from restoration.foreign.pickles import read_pickle, refuse_module

SUFFIXES = (".ckpt", ".pt", ".pth", ".safetensors")
# where training frameworks put the tensors; moving averages first, as BasicSR's own tools prefer them
WRAPPERS = (
    "params_ema", "params-ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "netG_ema", "net_g_ema",
    "generator_ema", "g_ema", "G_ema", "params", "model_state_dict", "state_dict", "model_state", "model", "net",
    "netG", "net_g", "generator", "G", "g", "network", "weights", "icnn",
)  # fmt: skip
# what stands beside the restorer in files of trainers, and is none
OTHERS = re.compile(
    r"(opt|sched|lr_|hyper|hparams|callbacks|loops|loss|criterion|amp|scaler|arg|conf|netD|net_d|disc|critic|d$|D$).*",
    re.IGNORECASE,
)
PREFIXES = ("module.", "_orig_mod.", "netG.")


def read_state(path: Path) -> State:
    """Return the tensors of a checkpoint by name, unwrapped; nothing in the file is executed.

    A file of several networks under numbers (one per noise level) gives names that begin with the number.
    """
    stored: object = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else read_pickle(path)
    stored = pmrf.unwrapped(stored)
    while isinstance(stored, Mapping) and not _is_state(stored):
        if numbered := _numbered(stored):
            stored = numbered
            break
        inner = _wrapped(stored)
        if inner is None:
            break
        stored = inner
    if not isinstance(stored, Mapping) or not _is_state(stored):
        refuse_module(stored, path)
        raise WeightsError(f"{path}: holds no weights; expected tensors by name, as a state_dict")
    return _without_prefixes({str(k): tensor for k, tensor in stored.items() if isinstance(tensor, Tensor)})


def _read_safetensors(path: Path) -> State:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path}: not readable as safetensors ({error}); truncated or corrupt") from None


def _wrapped(stored: Mapping[Any, Any]) -> Mapping[Any, Any] | None:
    """Return the mapping within that holds the restorer's tensors, or None where that is not clear."""
    inner = {k: v for k, v in stored.items() if isinstance(v, Mapping) and v}
    key = next((name for name in WRAPPERS if name in inner and _tensors(inner[name])), None)
    if key is not None:
        return inner[key]
    left = [v for k, v in inner.items() if not OTHERS.match(str(k)) and _tensors(v)]
    return left[0] if len(left) == 1 else None


def _tensors(stored: Mapping[Any, Any]) -> bool:
    return any(isinstance(v, Tensor) or (isinstance(v, Mapping) and _tensors(v)) for v in stored.values())


def _is_state(stored: Mapping[Any, Any]) -> bool:
    """Return whether these are tensors by name, plain values beside them aside."""
    names = [name for name, value in stored.items() if isinstance(value, Tensor)]
    if len(names) == len(stored):
        return bool(stored)
    within = any(isinstance(value, Mapping) and _tensors(value) for value in stored.values())
    return not within and any("." in str(name) for name in names)


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
