"""Work of one request shared over the ranks that torchrun started: files, and the tiles of giant pictures."""

import datetime
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from restoration import distributed
from restoration.errors import RestorationError
from restoration.outcome import Report
from restoration.tiling import Window

T = TypeVar("T")
PATIENCE = datetime.timedelta(days=7)  # ranks that have few files wait long for those that have many


@contextmanager
def group() -> Iterator[None]:
    """Join the other ranks, if there are any, by messages between processors: results leave devices anyway."""
    if distributed.world() == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield
        dist.barrier()
    finally:
        dist.destroy_process_group()


def share(windows: Sequence[Window], compute: Callable[[Window], Tensor]) -> Iterator[Tensor | None]:
    """Yield every window's result on rank 0, and None on the others: each computes every n-th.

    All ranks give the same windows, and go step by step. What fails on one fails on all.
    """
    rank, world = distributed.rank(), distributed.world()
    for first in range(0, len(windows), world):
        mine, result, failure = first + rank, None, None
        if mine < len(windows):
            try:
                result = compute(windows[mine]).contiguous()
            except Exception as error:
                failure = error
        failures = gathered(None if failure is None else _line(failure))
        if failure is not None:
            raise failure
        if any(failures):
            raise RestorationError(next(line for line in failures if line))
        count = min(world, len(windows) - first)
        for other in range(count):
            yield _moved(result, other)


def agreed(value: T) -> T:
    """Return rank 0's value, on every rank."""
    if distributed.world() == 1:
        return value
    held: list[Any] = [value]
    dist.broadcast_object_list(held, 0)
    return held[0]


def reported(report: Report) -> Report:
    """Return the report of all ranks on the first of them, and an empty one on the others.

    So the first tells everything once, and it alone leaves with an exit code other than 0: torchrun would end ranks
    that are still printing.
    """
    reports = gathered(report)
    return Report.joined(reports) if distributed.rank() == 0 else Report()


def gathered(value: T) -> list[T]:
    """Return every rank's value, by rank."""
    return distributed.gather(value)


def _moved(result: Tensor | None, source: int) -> Tensor | None:
    """Return rank ``source``'s tensor on rank 0; every rank calls."""
    rank = distributed.rank()
    if source == 0:
        return result if rank == 0 else None
    if rank == source:
        assert result is not None
        shape = torch.tensor(result.shape)
        dist.send(torch.tensor([len(shape)]), 0)
        dist.send(shape, 0)
        dist.send(result.float(), 0)
    elif rank == 0:
        length = torch.zeros(1, dtype=torch.long)
        dist.recv(length, source)
        shape = torch.zeros(int(length), dtype=torch.long)
        dist.recv(shape, source)
        tensor = torch.empty(shape.tolist())
        dist.recv(tensor, source)
        return tensor
    return None


def _line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
