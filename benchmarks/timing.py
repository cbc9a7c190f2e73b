"""Timings that compare: every candidate in one process, in turn, with a record of the machine."""

import os
import shlex
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from random import Random
from statistics import median
from time import perf_counter

import torch

from restoration.benchmarks.provenance import circumstances

PEERS = ("basicsr", "piq", "opencv-python", "opencv-python-headless", "torchvision")


def alternate(callables: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of every call, by name: one warm-up each, then all in turn, in an order that is drawn anew.

    So a slow minute hits all, and so does what the call before leaves in the caches: no one always follows the same.
    """
    if repeats < 1:
        raise ValueError(f"repeats = {repeats}; expected a whole number from 1")
    for call in callables.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in callables}
    order, draw = list(callables), Random(0)
    for _ in range(repeats):
        draw.shuffle(order)
        for name in order:
            seconds[name].append(_seconds(callables[name]))
    return seconds


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of every candidate's seconds."""
    return {name: median(times) for name, times in seconds.items()}


def command(module: str, arguments: Namespace) -> str:
    """Return the command line that says every argument of a module of benchmarks."""
    words = ["python", "-m", f"restoration.benchmarks.{module}"]
    for key, value in vars(arguments).items():
        if value is not None:
            words += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


def environment() -> dict[str, object]:
    """Return what a timing depends on: processor, threads, platform, versions, date. No path of the machine."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = circumstances(device)
    found["hardware"] |= {"cores": os.cpu_count(), "instructions": torch.backends.cpu.get_cpu_capability()}
    for name in PEERS:
        with suppress(PackageNotFoundError):
            found["versions"][name] = version(name)
    return found


def _seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start
