"""SSIM of a 1080p RGB pair here against piq and BasicSR (OpenCV), in one process, in turn.

``python -m restoration.benchmarks.speed_ssim --out benchmarks/results/speed_ssim.json`` (needs the extra basicsr)
"""

import argparse
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from restoration.benchmarks.peers import basicsr, peer, run
from restoration.benchmarks.timing import alternate, environment, medians
from restoration.degradations.resize import resize
from restoration.errors import RestorationError
from restoration.image import read, to_samples
from restoration.losses.ssim import ssim

LARGE = (1080, 1920)
CROPS = (16, 3, 128, 128)
PHOTOGRAPH = "china.jpg"
AGREEMENT = 1e-5


def main() -> None:
    """Time the value of a 1080p pair, and value with gradient of a training batch; print and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    differences = agreement(*pair())
    print(
        "value, 1080p RGB: differs by " + ", ".join(f"{d:.1e} from {name}" for name, d in differences.items())
    )
    rows = {
        "value, 1080p RGB": compare(metric_contenders(*pair()), arguments.repeats),
        "value and gradient, 16 crops of 128x128": compare(loss_contenders(), arguments.repeats),
    }
    for name, row in rows.items():
        print(_lines(name, row), flush=True)
    record = {
        "command": "python -m restoration.benchmarks.speed_ssim",
        "what": "SSIM, 11x11 Gaussian window of sigma 1.5, valid region, mean over channels",
        "environment": environment(),
        "difference_from_float64": differences,
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def pair() -> tuple[Tensor, Tensor]:
    """Return a noisy and a clean 8-bit photograph of 1080p."""
    photograph = read(Path(str(files("restoration"))) / "photos" / PHOTOGRAPH).pixels
    clean = resize(photograph, size=LARGE, levels=255)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return ((clean + noise * 0.1) * 255).round().clamp(0, 255) / 255, clean


def metric_contenders(restored: Tensor, clean: Tensor) -> dict[str, Callable[[], float]]:
    """Return the three ways to the same number; each is given the pair in the form it wants."""
    piq, metrics = peer("piq", "piq"), basicsr("metrics.psnr_ssim")
    samples = [np.ascontiguousarray(to_samples(image)) for image in (restored, clean)]
    return {
        "ours": lambda: ssim(restored, clean).item(),
        "piq": lambda: piq.ssim(restored, clean, downsample=False).item(),
        "basicsr": lambda: float(metrics.calculate_ssim(*samples, crop_border=0)),
    }


def loss_contenders() -> dict[str, Callable[[], float]]:
    """Return both ways to the value and the gradient of a training batch."""
    piq = peer("piq", "piq")
    clean = torch.rand(CROPS, generator=torch.Generator().manual_seed(0))
    restored = (0.8 * clean + 0.1).requires_grad_()

    def descend(similarity: Callable[[], Tensor]) -> Callable[[], float]:
        def step() -> float:
            value = similarity()
            torch.autograd.grad(value, restored)
            return value.item()

        return step

    return {
        "ours": descend(lambda: ssim(restored, clean).mean()),
        "piq": descend(lambda: piq.ssim(restored, clean, downsample=False)),
    }


def compare(contenders: dict[str, Callable[[], float]], repeats: int) -> dict[str, object]:
    """Return values, seconds and ratios of contenders."""
    values = {name: contender() for name, contender in contenders.items()}
    seconds = alternate(contenders, repeats)
    middle = medians(seconds)
    ratio = {name: middle[name] / middle["ours"] for name in middle if name != "ours"}
    return {"value": values, "seconds": seconds, "median": middle, "ratio": ratio}


def agreement(restored: Tensor, clean: Tensor) -> dict[str, float]:
    """Return how far our float32 value is from each peer's in float64, or refuse to go on.

    In float32 piq loses up to 3e-5 on photographs with flat areas: it subtracts squares of means of up to 1.
    """
    piq, metrics = peer("piq", "piq"), basicsr("metrics.psnr_ssim")
    samples = [np.ascontiguousarray(to_samples(image)) for image in (restored, clean)]
    ours = ssim(restored, clean).item()
    found = {
        "piq": abs(ours - piq.ssim(restored.double(), clean.double(), downsample=False).item()),
        "basicsr": abs(ours - float(metrics.calculate_ssim(*samples, crop_border=0))),
    }
    if max(found.values()) > AGREEMENT:
        raise RestorationError(f"the values differ by more than {AGREEMENT:g}: {found}")
    return found


def _lines(name: str, row: dict) -> str:
    lines = [name]
    for contender, seconds in row["median"].items():
        times = f"{1000 * seconds:8.1f} ms   {row['ratio'].get(contender, 1):.1f}x"
        lines.append(f"  {contender:8} {row['value'][contender]:.7f} {times}")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
