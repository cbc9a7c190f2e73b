"""Six metrics of 24 pairs of 2 megapixels: by the harness, and by piq and lpips called one by one on the files.

``python -m restoration.benchmarks.speed_metrics --out benchmarks/results/speed_metrics.json``

LPIPS runs on an AlexNet with drawn weights, the same on both sides: its time and whether values agree do not depend on
what a network has learnt. Memory is measured from outside, of a process that scores 24 and 2,400 files (links to the
24); two ranks are compared with one, each with one thread.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from restoration import distributed
from restoration.benchmarks.growth_apply import enlarge, observed
from restoration.benchmarks.pairs import score_pairs
from restoration.benchmarks.peers import peer, run
from restoration.benchmarks.result import Result, merge
from restoration.benchmarks.scores import ready
from restoration.benchmarks.timing import alternate, environment, medians
from restoration.benchmarks.untrained import drawn_trunks, lpips_package
from restoration.errors import RestorationError
from restoration.image import find_images, quantise, read, read_samples, write_image
from restoration.losses.colour import luma

METRICS = ("psnr-y", "ssim-y", "ms-ssim", "lpips-alex", "gmsd", "vif")
CHEAP = ("psnr-y", "ssim-y")  # for thousands of files
# how far values of the packages may lie from ours; piq's are compared in float64 and timed, as it is used, in float32
AGREEMENT = {"psnr-y": 5e-3, "ssim-y": 1e-5, "ms-ssim": 1e-5, "lpips-alex": 1e-5, "gmsd": 1e-5, "vif": 1e-5}
SIZE = (1224, 1632)
PARTS = ("largest_difference", "speed", "memory", "ranks")
MODULE = "restoration.benchmarks.speed_metrics"
Values = dict[str, dict[str, float]]  # metric → image → value
Calls = dict[str, Callable[[Tensor, Tensor], float]]


def main() -> None:
    """Compare values, then measure time, memory and ranks; print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[24, 2400], help="numbers of files")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, help="parts to measure; --out keeps the others' figures"
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--share", type=Path, help=argparse.SUPPRESS)  # score this folder, as one rank
    parser.add_argument("--metrics", default=",".join(METRICS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    metrics = arguments.metrics.split(",")
    if arguments.share:
        score_share(arguments.share, metrics, arguments.out)
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_pairs(root, arguments.images, tuple(arguments.size))
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "largest_difference": lambda: agreement(
                ours(root, metrics), one_by_one(root, metrics, package_calls(torch.float64))
            ),
            "speed": lambda: speed(root, metrics, arguments.repeats),
            "memory": lambda: memory(root, arguments.memory),
            "ranks": lambda: ranks(root, metrics),
        }
        wanted = arguments.only or list(parts)
        found = {part: parts[part]() for part in wanted}
    print(json.dumps(found, indent=1))
    if arguments.out:
        kept = json.loads(arguments.out.read_text()) if arguments.only and arguments.out.exists() else {}
        record = kept | {
            "command": f"python -m {MODULE}",
            "what": f"{', '.join(metrics)} of {arguments.images} pairs of "
            f"{arguments.size[0]}x{arguments.size[1]}, PNG; seconds; LPIPS with drawn weights",
            "environments": kept.get("environments", {}) | dict.fromkeys(wanted, environment()),
            **found,
        }
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def make_pairs(root: Path, count: int, size: tuple[int, int]) -> None:
    """Write ``clean`` photographs, mirrored up to a size and each another part of one, and noisy ``restored`` ones."""
    photographs = find_images(Path(str(files("restoration"))) / "photos")
    for i in range(count):
        samples = read_samples(photographs[i % len(photographs)])
        part = np.ascontiguousarray(np.roll(samples, 37 * (i // len(photographs)), axis=1))
        clean = root / "clean" / f"{i:04}.png"
        clean.parent.mkdir(parents=True, exist_ok=True)
        (root / "restored").mkdir(exist_ok=True)
        enlarge(part, clean, *size)
        noise = torch.randn(1, part.shape[2], *size, generator=torch.Generator().manual_seed(i))
        write_image(root / "restored" / clean.name, quantise(read(clean).pixels + 0.05 * noise))


def ours(root: Path, metrics: Sequence[str]) -> Values:
    """Return the values that the harness finds: every pair is decoded once for all metrics."""
    return _values(_scored(root, metrics))


def one_by_one(root: Path, metrics: Sequence[str], calls: Calls | None = None) -> Values:
    """Return the values of piq and lpips, each metric called by itself on every pair of files."""
    calls = calls or package_calls()
    names = [path.name for path in find_images(root / "clean")]
    return {
        metric: {
            name: calls[metric](*(read(root / side / name).pixels for side in ("restored", "clean")))
            for name in names
        }
        for metric in metrics
    }


def package_calls(dtype: torch.dtype = torch.float32) -> Calls:
    """Return what a user of the packages would call for each metric, by our conventions; piq computes in ``dtype``."""
    piq, alex = peer("piq", "piq"), lpips_package("alex")

    def of_luma(call: Callable[..., Tensor], **options: object) -> Callable[[Tensor, Tensor], float]:
        return lambda restored, clean: call(luma(restored.to(dtype)), luma(clean.to(dtype)), **options).item()

    @torch.no_grad()
    def perceptual(restored: Tensor, clean: Tensor) -> float:
        return alex(restored, clean, normalize=True).item()

    return {
        "psnr-y": of_luma(piq.psnr),
        "ssim-y": of_luma(piq.ssim, downsample=False),
        "ms-ssim": of_luma(piq.multi_scale_ssim),
        "lpips-alex": perceptual,
        "gmsd": lambda restored, clean: piq.gmsd(restored.to(dtype), clean.to(dtype)).item(),
        "vif": lambda restored, clean: piq.vif_p(restored.to(dtype), clean.to(dtype)).item(),
    }


def agreement(found: Values, theirs: Values) -> dict[str, float]:
    """Return by how much values differ at most, or refuse to time what does not compute the same."""
    worst = {m: max(abs(found[m][name] - value) for name, value in theirs[m].items()) for m in theirs}
    for metric, difference in worst.items():
        if not difference <= AGREEMENT[metric]:
            raise RestorationError(f"{metric}: values differ by {difference:.2g}, over {AGREEMENT[metric]:g}")
    return worst


def speed(root: Path, metrics: Sequence[str], repeats: int) -> dict[str, Any]:
    """Return the seconds of both ways in turn, and how many times as long the packages take."""
    calls = package_calls()  # networks are made once, on either side
    ways = {"ours": lambda: ours(root, metrics), "one by one": lambda: one_by_one(root, metrics, calls)}
    seconds = alternate(ways, repeats)
    middle = medians(seconds)
    return {"seconds": seconds, "median": middle, "ratio": middle["one by one"] / middle["ours"]}


def memory(root: Path, counts: Sequence[int]) -> dict[str, Any]:
    """Return what a process that scores so many pairs holds at most; beyond the files there are, links to them."""
    names = [path.name for path in find_images(root / "clean")]
    found = {}
    for count in counts:
        with tempfile.TemporaryDirectory(dir=root) as folder:
            for side in ("clean", "restored"):
                (Path(folder) / side).mkdir()
                for i in range(count):
                    os.link(root / side / names[i % len(names)], Path(folder) / side / f"{i:05}.png")
            found[str(count)] = observed(
                [sys.executable, "-m", MODULE, "--share", folder, "--metrics", ",".join(CHEAP)]
            )
    return {"metrics": list(CHEAP), "pairs": found}


def ranks(root: Path, metrics: Sequence[str]) -> dict[str, Any]:
    """Return the seconds of one and of two processes with one thread each, whose values must be equal."""
    launchers = {
        "one": [sys.executable, "-m"],
        "two": [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"],
    }
    reports = {}
    for name, launcher in launchers.items():
        report = root / f"{name}.json"
        command = [
            *launcher,
            MODULE,
            "--share",
            str(root),
            "--metrics",
            ",".join(metrics),
            "--out",
            str(report),
        ]
        child = subprocess.run(
            command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
        )
        if child.returncode:
            raise RestorationError(f"{name} rank(s): {child.stderr.strip().splitlines()[-1]}")
        reports[name] = json.loads(report.read_text())
    if reports["one"]["values"] != reports["two"]["values"]:
        raise RestorationError("two ranks find other values than one")
    seconds = {name: report["seconds"] for name, report in reports.items()}
    return {"seconds": seconds, "ratio": seconds["one"] / seconds["two"], "equal": True}


def score_share(root: Path, metrics: Sequence[str], out: Path | None) -> None:
    """Score this rank's share of the pairs in a folder; the first rank writes all values and the seconds."""
    with distributed.process_group(torch.device("cpu")), drawn_trunks():
        ready(metrics)
        distributed.gather(None)  # all are there
        start = time.perf_counter()
        part = _pairs(root, metrics, distributed.rank(), distributed.world())
        parts = distributed.gather(part)
        seconds = time.perf_counter() - start
    if out and distributed.rank() == 0:
        found = merge(parts) if len(parts) > 1 else parts[0]
        out.write_text(json.dumps({"seconds": seconds, "values": _values(found)}))


def _scored(root: Path, metrics: Sequence[str]) -> Result:
    with drawn_trunks():
        return _pairs(root, metrics)


def _pairs(root: Path, metrics: Sequence[str], rank: int = 0, world: int = 1) -> Result:
    """Return what ``restoration benchmark --pairs`` finds of two folders."""
    return score_pairs(root / "restored", root / "clean", metrics, rank=rank, world=world)


def _values(result: Result) -> Values:
    for row in result.rows:
        if row.missing:
            raise RestorationError(f"{row.metric}: {next(iter(row.missing.values()))}")
    return {row.metric: dict(row.per_image) for row in result.rows}


if __name__ == "__main__":
    run(main)
