"""A run's state as one file: parameters, optimisers, average and step; written whole or not at all."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor, nn

from restoration.distributed import barrier, rank, whole, world
from restoration.errors import RestorationError
from restoration.files import atomic

PREFIX = "step-"


@dataclass(frozen=True)
class State:
    """Everything that a run must not lose: modules and optimisers are updated in place."""

    groups: Mapping[str, nn.Module]
    optimizers: Mapping[str, list[torch.optim.Optimizer]]
    averages: Mapping[str, nn.Module]


def save(folder: Path, state: State, step: int, record: Mapping[str, Any]) -> Path:
    """Write the state after ``step`` steps, with ``record`` beside it, and return the file."""
    path = folder / f"{PREFIX}{step:08d}.safetensors"
    tensors = _tensors(state)  # on every rank: sharded tensors are put together by all of them
    if rank() == 0:
        write(path, tensors, {**record, "step": step})
    barrier()
    return path


def write(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write a safetensors file with a JSON record, atomically: a crash or a full disk leaves the old file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as stream:
            stream.write(serialised(_storable(tensors), metadata={"restoration": json.dumps(record)}))
    except (OSError, SafetensorError) as error:
        raise RestorationError(f"{path}: could not be written ({error}); nothing was left behind") from None


def load(path: Path, state: State) -> dict[str, Any]:
    """Restore the state of a checkpoint in place and return its record."""
    record = record_of(path)
    try:
        with safe_open(path, framework="pt") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name, module in state.groups.items():
            _fill(module, stored, f"group/{name}/")
        for name, module in state.averages.items():
            _fill(module, stored, f"average/{name}/")
        for name, optimizers in state.optimizers.items():
            for i, optimizer in enumerate(optimizers):
                _fill_optimizer(optimizer, stored, f"optimizer/{name}/{i}/")
    except (OSError, SafetensorError, LookupError, RuntimeError) as error:
        raise _damaged(path, error) from None
    return record


def record_of(path: Path) -> dict[str, Any]:
    """Return the record of a checkpoint without its tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()["restoration"])
    except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> RestorationError:
    return RestorationError(f"{path}: damaged ({error}); delete it to resume from the checkpoint before")


def every(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, oldest first."""
    return sorted(folder.glob(f"{PREFIX}*.safetensors"))


def prune(folder: Path, keep: int, best: int | None) -> None:
    """Delete all but the last ``keep`` checkpoints and the best one."""
    for path in every(folder)[:-keep]:
        if best is None or path.stem != f"{PREFIX}{best:08d}":
            path.unlink()


def _tensors(state: State) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for kind, modules in (("group", state.groups), ("average", state.averages)):
        for name, module in modules.items():
            found |= {f"{kind}/{name}/{key}": whole(value) for key, value in module.state_dict().items()}
    for name, optimizers in state.optimizers.items():
        for i, optimizer in enumerate(optimizers):
            for j, key, value in _entries(optimizer):
                found[f"optimizer/{name}/{i}/{j}/{key}"] = whole(value)
    return found


def _entries(optimizer: torch.optim.Optimizer) -> Iterable[tuple[int, str, Tensor]]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for j, parameter in enumerate(parameters):
        for key, value in optimizer.state[parameter].items():
            yield j, key, value


def _fill(module: nn.Module, stored: Mapping[str, Tensor], prefix: str) -> None:
    with torch.no_grad():
        for key, value in module.state_dict().items():
            value.copy_(_laid_like(stored[prefix + key], value))


def _fill_optimizer(optimizer: torch.optim.Optimizer, stored: Mapping[str, Tensor], prefix: str) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, value in stored.items():
        if name.startswith(prefix):
            j, key = name.removeprefix(prefix).split("/", 1)
            parameter = parameters[int(j)]
            if value.shape == parameter.shape:
                value = torch.empty_like(parameter).copy_(_laid_like(value, parameter))
            optimizer.state[parameter][key] = value


def _laid_like(value: Tensor, like: Tensor) -> Tensor:
    """Return ``value`` sharded as ``like`` is, where ``like`` is sharded."""
    if world() == 1:
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
