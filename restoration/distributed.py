"""Ranks under torchrun: start and stop, who am I, how parameters lie, averages over ranks."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from restoration.errors import RequestError

# seconds that gloo's threads have to let go of the last exchange's tensors, for which they need the interpreter: if it
# ended before, the process would be aborted
SETTLING = 0.2


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


def named(name: str) -> torch.device:
    """Return the device of this rank by a name such as ``auto`` or ``cuda:1``, or refuse one that is not here."""
    try:
        return usable(device(name))
    except (RuntimeError, AssertionError, NotImplementedError):  # PyTorch's, of builds that lack a device
        raise RequestError(f"--device {name}: not to be had here; expected auto, {choices()}") from None


def fast_bfloat16(on: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 in hardware; emulation takes ten times as long."""
    if on.type == "cuda":
        return torch.cuda.get_device_capability(on) >= (8, 0)
    if on.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def fast_channels_last(on: torch.device) -> bool:
    """Return whether training is faster with channels last: on GPUs, and on processors with AVX-512."""
    return on.type != "cpu" or torch.cpu._is_avx512_supported()


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
        dist.barrier()  # the one that leaves first would take the others' store with it
    finally:
        dist.destroy_process_group()
        time.sleep(SETTLING)


def spread(module: nn.Module, strategy: str, on: torch.device) -> None:
    """Lay the module's parameters on all ranks, in place: the same everywhere, or a shard each."""
    if world() == 1 or not any(p.requires_grad for p in module.parameters()):
        return
    if isinstance(module, nn.ModuleDict):  # a dictionary is never called; its parts are
        for part in module.values():
            spread(part, strategy, on)
        return
    if strategy == "fully-shard":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        fully_shard(module, mesh=init_device_mesh(on.type, (world(),)))
        # a gradient penalty goes backward before the loss does, which needs parameters that are whole: see settle
        module.set_reshard_after_backward(False)
        _gather_beside_forward(module, [name for name in ("features", "outputs") if hasattr(module, name)])
    else:
        from torch.distributed._composable.replicate import replicate

        replicate(module)


def _gather_beside_forward(module: nn.Module, names: list[str]) -> None:
    """Let methods of a sharded module be called beside ``forward``, and by it and each other.

    Only the outermost call puts parameters together: within one, torch would shard them again before the backward pass.
    """
    from torch.distributed.fsdp import register_fsdp_forward_method

    running: list[str] = []
    module.register_forward_pre_hook(lambda *_: running.append("forward"))
    module.register_forward_hook(lambda *_: running.clear(), always_call=True)
    for name in names:
        plain = getattr(module, name)
        register_fsdp_forward_method(module, name)
        setattr(module, name, _outermost(name, running, plain, getattr(module, name)))


def _outermost(
    name: str, running: list[str], plain: Callable[..., Any], gathering: Callable[..., Any]
) -> Callable[..., Any]:
    def method(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if running:
            return plain(*args, **kwargs)
        running.append(name)
        try:
            return gathering(*args, **kwargs)
        finally:
            running.clear()

    return method


def synchronise_gradients(module: nn.Module, now: bool) -> None:
    """Let the next forward and backward pass average gradients over ranks, or keep them local until a later one."""
    if world() == 1:
        return
    for part in module.values() if isinstance(module, nn.ModuleDict) else [module]:
        if hasattr(part, "set_requires_gradient_sync"):
            part.set_requires_gradient_sync(now)


def settle(module: nn.Module) -> None:
    """Lay sharded parameters back into their shards after a backward pass: there their gradients are."""
    for part in module.values() if isinstance(module, nn.ModuleDict) else [module]:
        if hasattr(part, "reshard"):
            part.reshard()


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


def average_buffers(module: nn.Module) -> None:
    """Give every rank the average of what each counted in its own images, such as batch statistics."""
    if world() == 1:
        return
    with torch.no_grad():
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.copy_(mean(buffer))


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
