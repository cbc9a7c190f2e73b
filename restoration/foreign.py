"""Checkpoints that others made: read without running their code, recognised by names and shapes."""

import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from restoration.errors import WeightsError
from restoration.networks import NETWORKS
from restoration.networks.network import Network
from restoration.networks.spandrel import Adapter

State = dict[str, Tensor]
Spec = dict[str, Any]
SUFFIXES = (".ckpt", ".pt", ".pth", ".safetensors")
# where training frameworks put the tensors; the moving average first, as BasicSR's own tools prefer it
WRAPPERS = ("params_ema", "params-ema", "params", "model_state_dict", "state_dict", "model", "net")
PREFIXES = ("module.", "_orig_mod.", "netG.")
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
    """Return the tensors of a checkpoint by name, unwrapped; nothing in the file is executed."""
    stored: object = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_pickle(path)
    while isinstance(stored, Mapping) and not _is_state(stored):
        key = next((k for k in WRAPPERS if isinstance(stored.get(k), Mapping)), None)
        inner = [v for v in stored.values() if isinstance(v, Mapping)]
        if key is None and len(inner) != 1:
            break
        stored = inner[0] if key is None else stored[key]
    if not isinstance(stored, Mapping) or not _is_state(stored):
        raise WeightsError(f"{path}: holds no weights; expected tensors by name, as a state_dict")
    return _without_prefixes({str(name): tensor for name, tensor in stored.items()})


def recognise(state: State, path: Path) -> tuple[Network, Spec]:
    """Return the network that ``state`` belongs to, filled with it, and the table that describes it."""
    complaint = ""
    for layout in LAYOUTS:
        spec = layout(state)
        if spec is None:
            continue
        network = NETWORKS[spec["name"]](**{k: v for k, v in spec.items() if k != "name"})
        complaint = difference(network.state_dict(), state)
        if not complaint:
            network.load_state_dict(state)
            return network, spec
        complaint = f"looks like {spec['name']}, but {complaint}"
    return _recognised_by_spandrel(state, path, complaint)


def difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Return the first ways in which two sets of tensors differ in names or shapes, or nothing."""
    parts = [f"it lacks {_few(missing)}"] if (missing := [k for k in expected if k not in found]) else []
    if extra := [k for k in found if k not in expected]:
        parts.append(f"it has {_few(extra)} besides")
    for name in expected:
        if name in found and expected[name].shape != found[name].shape:
            shapes = tuple(found[name].shape), tuple(expected[name].shape)
            parts.append(f"{name} has shape {shapes[0]}; expected {shapes[1]}")
            break
    return "; ".join(parts)


def _recognised_by_spandrel(state: State, path: Path, complaint: str) -> tuple[Network, Spec]:
    from spandrel import MAIN_REGISTRY, UnsupportedModelError

    try:
        descriptor = MAIN_REGISTRY.load(state)
    except UnsupportedModelError:
        names = _few(list(state))
        raise WeightsError(
            f"{path}: {complaint or f'of no known network (its tensors begin with {names})'}"
        ) from None
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise WeightsError(f"{path}: {complaint or f'fits no known network ({reason})'}") from None
    keywords = getattr(descriptor.model, "hyperparameters", {})
    plain = {k: v for k, v in keywords.items() if isinstance(v, (bool, int, float, str, list, tuple))}
    spec = {"name": "spandrel", "architecture": str(descriptor.architecture.id), **plain}
    return Adapter(descriptor.model, descriptor), spec


def _read_safetensors(path: Path) -> State:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path}: not readable as safetensors ({error}); truncated or corrupt") from None


def _read_pickle(path: Path) -> object:
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # about old pickle protocols
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


def _without_prefixes(state: State) -> State:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _count(state: State, pattern: str) -> int:
    """Return one more than the highest number that ``pattern`` finds at the start of the names."""
    return max((int(m.group(1)) + 1 for name in state if (m := re.match(pattern, name))), default=0)


def _has(state: State, *names: str) -> bool:
    return all(name in state and state[name].ndim > 0 for name in names)


def _dncnn(state: State) -> Spec | None:
    depth = sum(1 for tensor in state.values() if tensor.ndim == 4)
    first = state.get("model.0.weight")
    if first is None or first.ndim != 4 or not all(name.startswith("model.") for name in state) or depth < 3:
        return None
    norm = any(name.endswith("running_mean") for name in state)
    channels, width = first.shape[1], first.shape[0]
    return {"name": "dncnn", "channels": channels, "width": width, "depth": depth, "batch_norm": norm}


def _edsr(state: State) -> Spec | None:
    if not _has(
        state, "conv_first.weight", "conv_after_body.weight", "upsample.0.weight", "body.0.conv1.weight"
    ):
        return None
    width, channels = state["conv_first.weight"].shape[:2]
    shuffles = _count(state, r"upsample\.(\d+)\.weight") // 2 + 1
    scale = isqrt(state["upsample.0.weight"].shape[0] // width) ** shuffles
    # not in the file: the authors scale residuals by 0.1 in the large model alone
    residual_scale = 0.1 if width == 256 else 1.0
    blocks = _count(state, r"body\.(\d+)\.")
    return {
        "name": "edsr", "scale": scale, "channels": channels, "width": width, "blocks": blocks,
        "residual_scale": residual_scale, "span": 255.0,
    }  # fmt: skip


def _imdn(state: State) -> Spec | None:
    if not _has(state, "FEM.0.weight", "FEM.1.sub.0.c1.weight", "FEM.1.sub.0.c2.weight", "RM.0.weight"):
        return None
    width, channels = state["FEM.0.weight"].shape[:2]
    distilled = width - state["FEM.1.sub.0.c2.weight"].shape[0]
    if distilled <= 0 or width % distilled or width == distilled:
        return None
    scale = isqrt(state["RM.0.weight"].shape[0] // channels)
    blocks = _count(state, r"FEM\.1\.sub\.(\d+)\.c1\.")
    return {
        "name": "imdn", "scale": scale, "channels": channels, "width": width, "blocks": blocks,
        "distilled": distilled,
    }  # fmt: skip


def _msrresnet(state: State) -> Spec | None:
    if not _has(state, "conv_first.weight", "body.0.conv1.weight", "upconv1.weight", "conv_hr.weight"):
        return None
    width, channels = state["conv_first.weight"].shape[:2]
    scale = 4 if "upconv2.weight" in state else isqrt(state["upconv1.weight"].shape[0] // width)
    if scale not in (2, 3, 4):
        return None
    blocks = _count(state, r"body\.(\d+)\.")
    return {"name": "msrresnet", "scale": scale, "channels": channels, "width": width, "blocks": blocks}


def _nafnet(state: State) -> Spec | None:
    if not _has(state, "intro.weight", "ending.weight", "middle_blks.0.beta", "downs.0.weight"):
        return None
    levels = _count(state, r"downs\.(\d+)\.")
    width, channels = state["intro.weight"].shape[:2]
    return {
        "name": "nafnet", "channels": channels, "width": width,
        "encoders": tuple(_count(state, rf"encoders\.{i}\.(\d+)\.") for i in range(levels)),
        "middle": _count(state, r"middle_blks\.(\d+)\."),
        "decoders": tuple(_count(state, rf"decoders\.{i}\.(\d+)\.") for i in range(levels)),
        "attention": "global" if "middle_blks.0.sca.1.weight" in state else "none",
    }  # fmt: skip


def _rrdbnet(state: State) -> Spec | None:
    if not _has(
        state, "conv_first.weight", "body.0.rdb1.conv1.weight", "conv_up1.weight", "conv_last.weight"
    ):
        return None
    width, packed = state["conv_first.weight"].shape[:2]
    channels = state["conv_last.weight"].shape[0]
    scale = {1: 4, 4: 2, 16: 1}.get(packed // channels)
    if scale is None:
        return None
    growth = state["body.0.rdb1.conv1.weight"].shape[0]
    blocks = _count(state, r"body\.(\d+)\.")
    return {
        "name": "rrdbnet", "scale": scale, "channels": channels, "width": width, "blocks": blocks,
        "growth": growth,
    }  # fmt: skip


# our networks that carry other people's names; spandrel is asked for the rest
LAYOUTS: tuple[Callable[[State], Spec | None], ...] = (_dncnn, _edsr, _imdn, _msrresnet, _nafnet, _rrdbnet)
