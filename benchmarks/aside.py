"""Work that follows other work in a second thread: in order, and never more than one image behind."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from typing import Generic, TypeVar

T = TypeVar("T")


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
