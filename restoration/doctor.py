"""Does this installation work: versions, devices, known values, weights found."""

import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from restoration import catalogue
from restoration.data import data_root

PACKAGES = (
    "torch",
    "torchvision",
    "kornia",
    "piq",
    "lpips",
    "spandrel",
    "diffusers",
    "safetensors",
    "pillow",
)
EXTRAS = ("tensorboard", "opencv-python-headless", "scikit-image", "torch-fidelity", "timm", "av", "basicsr")


def findings() -> Iterator[tuple[str, str, bool]]:
    """Yield (what, what was found, whether that is fine) one by one."""
    yield "python", f"{platform.python_version()} on {platform.platform()}", True
    for name in PACKAGES:
        found = _version(name)
        yield name, found or "missing: install this package again", found is not None
    yield "extras", ", ".join(f"{n} {v}" for n in EXTRAS if (v := _version(n))) or "none", True
    yield "processor", f"{os.cpu_count()} cores, bfloat16 {'fast' if _fast_bfloat16() else 'emulated'}", True
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield "gpus", ", ".join(gpus) or "none", True
    root = data_root()
    yield "data root", f"{root}" + ("" if root.is_dir() else " (no such folder yet)"), True
    here = [name for name in catalogue.CATALOGUE if catalogue.find(name)]
    yield (
        "weights",
        f"{', '.join(here) or 'none'} of {', '.join(catalogue.CATALOGUE)} in {catalogue.folder()}",
        True,
    )
    for name, check in CHECKS.items():
        yield name, *check()


def _resize_check() -> tuple[str, bool]:
    """MATLAB's imresize of [0, 64, 128, 255] by 1/2 with reflected edges, rounded to 8 bits, worked out by hand."""
    from restoration.degradations.resize import resize

    ramp = torch.tensor([0.0, 64.0, 128.0, 255.0]).view(1, 1, 1, 4) / 255
    found = (resize(ramp, size=(1, 2), levels=255) * 255).round().flatten().tolist()
    return f"bicubic ×1/2 of a ramp gives {[int(v) for v in found]}", found == _halved([0, 64, 128, 255])


def _halved(row: list[int]) -> list[int]:
    weights = [-3, -9, 29, 111, 111, 29, -9, -3]  # the widened cubic at ±7/4, ±5/4, ±3/4, ±1/4, in 1/256
    mirrored = row[::-1] + row + row[::-1]
    windows = [mirrored[len(row) + 2 * i - 3 :][:8] for i in range(2)]
    return [(2 * sum(w * v for w, v in zip(weights, window, strict=True)) + 256) // 512 for window in windows]


def _psnr_check() -> tuple[str, bool]:
    from restoration.losses.pixel import psnr

    found = psnr(torch.full((1, 3, 8, 8), 0.6), torch.full((1, 3, 8, 8), 0.5)).item()
    return f"PSNR of a constant difference of 0.1 is {found:.4f} dB", abs(found - 20) < 1e-4


def _ssim_check() -> tuple[str, bool]:
    from restoration.losses.ssim import ssim

    found = ssim(torch.full((1, 1, 16, 16), 0.75), torch.full((1, 1, 16, 16), 0.25)).item()
    expected = (2 * 0.75 * 0.25 + 1e-4) / (0.75**2 + 0.25**2 + 1e-4)  # constants: the contrast part is 1
    return f"SSIM of constants 0.75 and 0.25 is {found:.5f}", abs(found - expected) < 1e-5


def _write_check() -> tuple[str, bool]:
    folder = Path.cwd()
    return f"{folder} can be written", os.access(folder, os.W_OK)


CHECKS: dict[str, Callable[[], tuple[str, bool]]] = {
    "resize": _resize_check,
    "psnr": _psnr_check,
    "ssim": _ssim_check,
    "folder": _write_check,
}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _fast_bfloat16() -> bool:
    from restoration.distributed import fast_bfloat16

    return fast_bfloat16(torch.device("cpu"))
