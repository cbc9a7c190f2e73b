"""The loop's batches, made ahead by threads or processes; a probe says once how long the loop waits for them."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from types import FrameType
from typing import Any, Literal, TypeVar

import torch
import torch.multiprocessing  # lets tensors travel between processes as shared memory

from restoration.data.pairs import Pairs
from restoration.data.probe import Probe
from restoration.errors import RestorationError
from restoration.method import Batch
from restoration.pool import alone, one_thread

Made = TypeVar("Made")
Note = Callable[[str], None]
Worker = Literal["thread", "process"]


@dataclass(frozen=True)
class Feeding:
    """How batches are made: by how many threads or processes, how many ahead, and where they are degraded."""

    workers: int = 2
    worker: Worker = "thread"
    ahead: int = 4
    degrade_on: Literal["workers", "device"] = "workers"


@dataclass(frozen=True)
class Prepared:
    """A batch with what the worker has to tell: seconds per part of the work, and images skipped, with the reason."""

    batch: Batch
    reading: float
    degrading: float
    busy: float  # of the processor while degrading, in this thread
    skipped: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Preparer:
    """Makes a rank's share of the batch of a step, degraded or not; what workers are given."""

    pairs: Pairs
    rank: int
    world: int
    degrades: bool

    def __call__(self, step: int) -> Prepared:
        """Return the batch of a step."""
        started = time.perf_counter()
        batch = self.pairs.crops(self.pairs.keys(step, self.rank, self.world), step)
        read, busy = time.perf_counter(), time.thread_time()
        if self.degrades:
            batch = self.pairs.degrade(batch)
        return Prepared(
            batch,
            read - started,
            time.perf_counter() - read,
            time.thread_time() - busy,
            dict(self.pairs.skipped),
        )


def feed(
    pairs: Pairs,
    steps: range,
    feeding: Feeding,
    *,
    rank: int = 0,
    world: int = 1,
    device: torch.device | None = None,
    note: Note = lambda line: None,
) -> Iterator[tuple[int, Batch]]:
    """Yield (step, batch) in order; what is skipped, and on the first rank how long it waits, is told to ``note``.

    With ``degrade_on = "device"`` workers only cut crops, and each batch is degraded on the device when it is asked
    for. The bytes are the same whatever the workers; a GPU's degradations differ from a processor's by rounding.
    """
    here = feeding.degrade_on == "device"
    maker = Preparer(pairs, rank, world, degrades=not here)
    probe = Probe(pairs, feeding, pairs.batch_size // world, device)
    told = set(pairs.source.damage)  # by the source's remarks
    with closing(prefetch(maker, steps, feeding.workers, feeding.ahead, feeding.worker)) as made:
        while True:
            started = time.perf_counter()
            step, prepared = next(made, (None, None))
            if prepared is None:
                return
            probe.waited(time.perf_counter() - started, prepared)
            for index in prepared.skipped.keys() - told:
                told.add(index)
                pairs.skipped[index] = prepared.skipped[index]
                note(f"data: skipped {prepared.skipped[index]}; {len(told)} of {len(pairs.source)} so far")
            batch = _degraded(pairs, _moved(prepared.batch, device)) if here else prepared.batch
            yield step, batch
            if (line := probe.stepped()) and rank == 0:
                note(line)


def prefetch(
    make: Callable[[int], Made], steps: range, workers: int, ahead: int, worker: Worker = "thread"
) -> Iterator[tuple[int, Made]]:
    """Yield (step, what ``make`` returns) in order while ``workers`` make the next ``ahead``.

    Threads serve most: decoding and tensor work release the interpreter lock, one cache serves all, and nothing has to
    survive pickling. Processes serve degradations that hold the lock: they are spawned, ``make`` is pickled once, and
    tensors come back in shared memory.
    """
    own = torch.get_num_threads()
    pool = _pool(make, workers, worker)
    waiting: list[tuple[int, Future[Made]]] = []
    try:
        for step in steps:
            waiting.append((step, _submitted(pool, make, step, worker)))
            if len(waiting) > ahead:
                first, future = waiting.pop(0)
                made = _result(future)
                torch.set_num_threads(
                    own
                )  # part of the setting is the process's, which a new worker has lowered
                yield first, made
        for step, future in waiting:
            made = _result(future)
            torch.set_num_threads(own)
            yield step, made
    finally:
        # processes are waited for: their semaphores are theirs until they end, whichever way this one does
        pool.shutdown(wait=worker == "process", cancel_futures=True)


def _submitted(pool: Executor, make: Callable[[int], Made], step: int, worker: Worker) -> Future[Made]:
    if worker == "thread":
        return pool.submit(make, step)
    with undisturbed():  # the first ones start a process each
        return pool.submit(_make, step)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold back an interrupt (SIGINT) within the block; processes started in it never see one.

    They inherit that it is blocked, and so do not die half begun, with a traceback each.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which else starts with the first process, and ends the blocking
    caught: list[tuple[int, FrameType | None]] = []
    handler = signal.signal(signal.SIGINT, lambda *seen: caught.append(seen))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if caught and callable(handler):
            handler(*caught[-1])


def _degraded(pairs: Pairs, batch: Batch) -> Batch:
    """Return the degraded batch; on a processor with one thread, as workers have, for the same bytes."""
    if batch.clean.device.type != "cpu":
        return pairs.degrade(batch)
    with one_thread():
        return pairs.degrade(batch)


def _moved(batch: Batch, device: torch.device | None) -> Batch:
    """Return a batch on the device; an image that stands in both places is moved once."""
    if device is None:
        return batch
    if batch.degraded is batch.clean:
        batch = replace(batch, degraded=batch.clean[:0])
        batch = batch.to(device)
        return replace(batch, degraded=batch.clean)
    return batch.to(device)


def _result(future: Future[Made]) -> Made:
    try:
        return future.result()
    except BrokenProcessPool:
        raise RestorationError(
            'data.worker = "process": a process that makes batches ended by itself, for want of memory perhaps; '
            'data.worker = "thread" needs less'
        ) from None


def _pool(make: Callable[[int], Any], workers: int, worker: Worker) -> Executor:
    if worker == "thread":
        return ThreadPoolExecutor(workers, thread_name_prefix="data", initializer=alone)
    return ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(make, workers),
    )


_MAKE: Callable[[int], Any]


def _begin(make: Callable[[int], Any], workers: int) -> None:
    """Begin a process of the pool."""
    global _MAKE
    _MAKE = make
    alone()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its pool
    if isinstance(make, Preparer):
        make.pairs.source.share_memory(workers)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _make(step: int) -> Any:  # noqa: ANN401
    return _MAKE(step)


def _end_with_parent() -> None:
    """End this process when its parent is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
