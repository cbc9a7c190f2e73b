"""Work beside other work: in a second thread, one image behind, or on several images at once, in their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")
MOST = 4  # images that are worked on at once: each takes memory


class Aside(Generic[T]):
    """A second thread, in which ``work(items)`` goes through what this thread makes, while this one makes more.

    What waits is bounded: of one ``follow`` a single item, and a call returns when the work of the call before is
    done. An exception of the work is raised by the call after, or by ``finish``.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scores")
        self._before: Future[None] | None = None

    def follow(self, work: Callable[[Iterator[T]], None], items: Iterable[T]) -> None:
        """Hand ``items`` to ``work`` as they come; return when they are made and the work before is done."""
        queue: Queue[tuple[T] | None] = Queue(1)
        before, self._before = self._before, self._pool.submit(_followed, work, queue)
        try:
            for item in items:
                queue.put((item,))
        finally:
            queue.put(None)
        if before is not None:
            before.result()

    def finish(self) -> None:
        """Wait until all work is done."""
        before, self._before = self._before, None
        if before is not None:
            before.result()


class Abreast:
    """Several images at once, each with its part of the threads that PyTorch has; results come in order.

    Operations on one image are short: threads that share each of them spend much of their time waiting for each other.
    """

    def __init__(self) -> None:
        self._threads = torch.get_num_threads()
        self._count = min(MOST, self._threads)
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[tuple[Future[Any], Callable[[Future[Any]], None]]] = deque()

    def follow(self, work: Callable[[], T], then: "Callable[[Future[T]], None]") -> None:
        """Start ``work``; ``then`` gets its future in this thread, in order, by a later call or by ``finish``."""
        if self._pool is None:
            share = (self._threads // self._count,)
            self._pool = ThreadPoolExecutor(self._count, "scores", torch.set_num_threads, share)
        self._waiting.append((self._pool.submit(work), then))
        if len(self._waiting) > self._count:
            self._next()

    def finish(self) -> None:
        """Wait until all work is done, then `close`."""
        try:
            while self._waiting:
                self._next()
        finally:
            self.close()

    def close(self) -> None:
        """Give up what has not begun; this thread has all its threads again."""
        self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
            torch.set_num_threads(self._threads)

    def _next(self) -> None:
        future, then = self._waiting.popleft()
        then(future)


def _followed(work: Callable[[Iterator[T]], None], queue: "Queue[tuple[T] | None]") -> None:
    items = _taken(queue)
    try:
        work(items)
    finally:
        for _ in items:  # else whoever fills the queue would wait for ever
            pass


def _taken(queue: "Queue[tuple[T] | None]") -> Iterator[T]:
    while (item := queue.get()) is not None:
        yield item[0]
