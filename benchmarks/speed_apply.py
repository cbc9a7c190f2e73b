"""A 12-megapixel photograph restored by ``apply`` and by a plain loop over 512² tiles: time, memory, growth.

``python -m restoration.benchmarks.speed_apply --restorer sr-x4-small --out benchmarks/results/speed_apply.json``
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from restoration.apply import Inference, restore_picture
from restoration.distributed import fast_bfloat16
from restoration.image import Picture, find_images, read, read_samples, write
from restoration.restorers.network import Restorer
from restoration.weights import load

SIZES = {0.75: (1000, 750), 3.0: (2000, 1500), 12.0: (4000, 3000)}  # megapixels: width, height
PLAIN_TILE = 512


def main() -> None:
    """Measure, print and write; ``--measure`` is one measurement, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--restorer", default="sr-x4-small")
    parser.add_argument("--image", type=Path, help="any photograph; it is mirrored up to the sizes")
    parser.add_argument("--megapixels", type=float, default=12.0, choices=list(SIZES))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", choices=list(MEASURED), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.restorer, arguments.image)))
        return
    source = arguments.image or find_images(Path(str(files("restoration"))) / "photos")[0]
    record = compare(arguments.restorer, read_samples(source), arguments.megapixels, arguments.repeats)
    record["command"] = f"python -m restoration.benchmarks.speed_apply --restorer {arguments.restorer}"
    record["image"] = source.name
    print(table(record))
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def compare(restorer: str, photograph: np.ndarray, megapixels: float, repeats: int) -> dict[str, Any]:
    """Return both ways' seconds and memory at one size, measured in turn, and ours at all sizes up to it."""
    from restoration.benchmarks.timing import (
        environment,
    )  # late: a measuring process imports what `apply` imports

    machine = environment()
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in MEASURED}
    growth: dict[float, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        images = {size: Path(folder) / f"{size}.png" for size in SIZES if size <= megapixels}
        for size, path in images.items():
            write(path, Picture(mirrored(photograph, *SIZES[size])))
        for _ in range(repeats):
            for name in runs:
                runs[name].append(_in_own_process(name, restorer, images[megapixels]))
        for size, path in images.items():
            growth[size] = _in_own_process("ours", restorer, path) if size < megapixels else runs["ours"][-1]
    middle = {name: median(run["restore"] for run in of_name) for name, of_name in runs.items()}
    return {
        "what": f"{restorer} on a photograph of {megapixels:g} megapixels; seconds of restoring, peak of the process",
        "bfloat16": fast_bfloat16(torch.device("cpu")),
        "environment": machine,
        "runs": runs,
        "median": middle,
        "ratio": middle["plain"] / middle["ours"],
        "peak_mib": {name: max(run["peak_mib"] for run in of_name) for name, of_name in runs.items()},
        "growth": {
            f"{size:g}": run | {"seconds_per_megapixel": run["restore"] / size}
            for size, run in growth.items()
        },
    }


def measure(way: str, restorer: str, path: Path) -> dict[str, float]:
    """Return the seconds of reading, restoring and writing one file, and this process's peak memory."""
    network, times = load(restorer), [time.perf_counter()]
    picture = read(path)
    times.append(time.perf_counter())
    restored = MEASURED[way](network, picture)
    times.append(time.perf_counter())
    write(path.with_name(f"{way}.png"), restored)
    times.append(time.perf_counter())
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kibibytes elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    return dict(zip(("read", "restore", "write"), np.diff(times).tolist(), strict=True)) | {"peak_mib": peak}


def ours(restorer: Restorer, picture: Picture) -> Picture:
    """Restore as ``restoration apply`` does."""
    return restore_picture(restorer, picture, Inference())


def plain(restorer: Restorer, picture: Picture) -> Picture:
    """Restore as most scripts do: tiles of 512² side by side, contiguous float32, one after the other."""
    height, width, channels = picture.samples.shape
    scale = restorer.scale
    restored = np.empty((height * scale, width * scale, channels), np.uint8)
    with torch.no_grad():
        for top in range(0, height, PLAIN_TILE):
            for left in range(0, width, PLAIN_TILE):
                tile = picture.samples[top : top + PLAIN_TILE, left : left + PLAIN_TILE]
                image = torch.from_numpy(tile.transpose(2, 0, 1)[None] / np.float32(255)).contiguous()
                result = (restorer(image).clamp(0, 1) * 255).round()[0].permute(1, 2, 0).byte().numpy()
                rows = slice(top * scale, top * scale + result.shape[0])
                restored[rows, left * scale : left * scale + result.shape[1]] = result
    return Picture(restored)


MEASURED = {"ours": ours, "plain": plain}


def mirrored(photograph: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the photograph continued by mirroring to the given size."""
    down, across = (math.ceil(n / m) for n, m in zip((height, width), photograph.shape[:2], strict=True))
    rows = np.concatenate([photograph if i % 2 == 0 else photograph[::-1] for i in range(down)])
    whole = np.concatenate([rows if i % 2 == 0 else rows[:, ::-1] for i in range(across)], axis=1)
    return np.ascontiguousarray(whole[:height, :width])


def table(record: dict[str, Any]) -> str:
    """Return the record as Markdown."""
    lines = ["| way | seconds | peak MiB |", "|---|---|---|"]
    lines += [f"| {n} | {s:.1f} | {record['peak_mib'][n]:.0f} |" for n, s in record["median"].items()]
    lines += ["", f"ours is {record['ratio']:.2f} times as fast", ""]
    lines += ["| megapixels | seconds | seconds per megapixel | peak MiB |", "|---|---|---|---|"]
    for size, run in record["growth"].items():
        lines.append(
            f"| {size} | {run['restore']:.1f} | {run['seconds_per_megapixel']:.2f} | {run['peak_mib']:.0f} |"
        )
    return "\n".join(lines)


def _in_own_process(way: str, restorer: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-P", __file__, "--measure", way]  # -P: this folder's names shadow no module
    command += ["--restorer", restorer, "--image", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
