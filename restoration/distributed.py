"""Ranks under torchrun: start and stop, who am I, how parameters lie, averages over ranks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def rank() -> int:
    """Return this process's rank; 0 without torchrun."""
    return int(os.environ.get("RANK", 0))


def world() -> int:
    """Return the number of processes; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", 1))


def device(name: str = "auto") -> torch.device:
    """Return the device of this rank: the named one, else its own GPU where there is one."""
    if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    if name != "auto":
        return torch.device(name)
    return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")


def usable(on: torch.device) -> torch.device:
    """Return the device if a tensor can live and be read there; else raise what torch raises."""
    if on.type not in ("cpu", "cuda", "mps") or (on.type == "cpu" and on.index):
        raise RuntimeError(f"{on}: not a device to compute on")
    torch.zeros(1, device=on).item()
    return on


def choices() -> str:
    """Return the names of the devices that are here."""
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    apple = ["mps"] if torch.backends.mps.is_available() else []
    return ", ".join(["cpu", *gpus, *apple])


@contextmanager
def process_group(on: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started, and leave them at the end; without torchrun do nothing."""
    if world() == 1:
        yield
        return
    if on.type == "cuda":
        torch.cuda.set_device(on)
    dist.init_process_group("nccl" if on.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def spread(module: nn.Module, strategy: str, on: torch.device) -> None:
    """Lay the module's parameters on all ranks, in place: the same everywhere, or a shard each."""
    if world() == 1 or not any(p.requires_grad for p in module.parameters()):
        return
    if strategy == "fully-shard":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        fully_shard(module, mesh=init_device_mesh(on.type, (world(),)))
    else:
        from torch.distributed._composable.replicate import replicate

        replicate(module)


def synchronise_gradients(module: nn.Module, now: bool) -> None:
    """Let the next forward and backward pass average gradients over ranks, or keep them local until a later one."""
    if world() > 1 and hasattr(module, "set_requires_gradient_sync"):
        module.set_requires_gradient_sync(now)


def whole(tensor: Tensor) -> Tensor:
    """Return a sharded tensor put together, on every rank; any other as it is."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def mean(values: Tensor) -> Tensor:
    """Return the average of ``values`` over ranks."""
    if world() == 1:
        return values
    values = values.clone()
    dist.all_reduce(values)
    return values / world()


def gather(value: Any) -> list[Any]:  # noqa: ANN401
    """Return what every rank holds, by rank."""
    if world() == 1:
        return [value]
    found: list[Any] = [None] * world()
    dist.all_gather_object(found, value)
    return found


def barrier() -> None:
    """Wait until every rank is here."""
    if world() > 1:
        dist.barrier()
