"""Work on many files in threads: results in order, few of them waiting at a time."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    function: Callable[[T], R], things: Sequence[T], workers: int | None = None
) -> Iterator[Future[R]]:
    """Yield the future of ``function`` for each thing, in order, while threads work on the next ones.

    At most two results per worker wait, so memory does not grow with the number of things. Left early, what has not
    begun is not done.
    """
    workers = workers or processors()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="files")
    waiting: list[Future[R]] = []
    try:
        for thing in things:
            waiting.append(pool.submit(function, thing))
            if len(waiting) > 2 * workers:
                yield waiting.pop(0)
        while waiting:
            yield waiting.pop(0)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def alone() -> None:
    """Let torch's operators called by this thread run on it alone.

    Workers are what runs side by side: threads of theirs would wait for each other, at a quarter of the speed. And sums
    are split alike whatever the machine. A part of the setting is the process's: whoever owns the workers sets its own
    number again.
    """
    import torch

    torch.get_num_threads()  # settles this thread's number, so that it is not taken from the process's later
    torch.set_num_threads(1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch's operators run on one thread within the block."""
    import torch

    own = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(own)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
