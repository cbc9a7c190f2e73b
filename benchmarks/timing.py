"""Timings that compare: every candidate in one process, in turn, with a record of the machine."""

import datetime
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "basicsr",
    "piq",
    "opencv-python",
    "opencv-python-headless",
)


def alternate(callables: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of every call, by name: one warm-up each, then A B A B …, so that a slow minute hits all."""
    if repeats < 1:
        raise ValueError(f"repeats = {repeats}; expected a whole number from 1")
    for call in callables.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in callables}
    for _ in range(repeats):
        for name, call in callables.items():
            seconds[name].append(_seconds(call))
    return seconds


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of every candidate's seconds."""
    return {name: median(times) for name, times in seconds.items()}


def environment() -> dict[str, object]:
    """Return what a timing depends on: processor, threads, platform, versions, date. No path of the machine."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": len(_cores()),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
    } | {name: found for name in PACKAGES if (found := _version(name))}


def _seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
