"""How much memory is free and how much is held, and whether an error means that it ran out."""

import gc
from contextlib import suppress
from pathlib import Path

import torch

from restoration.memory import trim

# bytes that a processor's tile may take: half as many cost SwinIR a third of its speed, in margins
BUDGET = 512 << 20
BUDGET_SHARE = 0.02  # or, where it is more, this part of what is free
MOST = 0.5  # of what is free
WORDS = ("can't allocate memory", "not enough memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out: PyTorch's own, Python's, or words of an allocator."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(w in str(error) for w in WORDS)


def let_go() -> None:
    """Give back what a call held that failed, or that is not made again."""
    gc.collect()
    trim()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def free(device: torch.device) -> int | None:
    """Return the bytes that may still be taken on a device; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    limits = []
    with suppress(OSError, ValueError, LookupError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")))
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # "max" where there is no limit
        limits.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(0, min(limits)) if limits and device.type == "cpu" else None


def room(device: torch.device) -> float | None:
    """Return the bytes that a tile may take; None where the system does not say what is free."""
    there = free(device)
    if there is None:
        return None
    most = MOST * there
    return min(most, max(BUDGET, BUDGET_SHARE * there)) if device.type == "cpu" else most


class Ceiling:
    """What tiles leave behind in the C library's care goes back to the system where it is more than a tile takes."""

    def __init__(self, device: torch.device) -> None:
        taken = room(device) if device.type == "cpu" else None
        self.bytes = None if taken is None else resident("RssAnon") + taken

    def hold(self) -> None:
        """Look, and give back."""
        if self.bytes is not None and resident("RssAnon") > self.bytes:
            trim()


def held(device: torch.device) -> int:
    """Return the bytes that this process holds on a device; 0 where that cannot be seen."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else resident("VmRSS")


def peak(device: torch.device) -> int:
    """Return the most bytes that this process held on a device since `forget_peak`; 0 where that cannot be seen."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident("VmHWM")


def forget_peak(device: torch.device) -> None:
    """Let the peak start anew, where the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def resident(what: str) -> int:
    """Return one of the figures of this process's memory in bytes, such as VmRSS, VmHWM or RssAnon; 0 if unknown."""
    with suppress(OSError, ValueError, LookupError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) * 1024
    return 0
