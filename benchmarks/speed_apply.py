"""A 12-megapixel photograph restored by ``apply`` and by a plain loop over 512² tiles: time, memory, growth.

``python -m restoration.benchmarks.speed_apply --set msrresnet-x4 --out benchmarks/results/speed_apply_msrresnet.json``

Networks of ``--set`` have random weights. Speed depends on weights in one thing: how far from a pixel they still show,
which decides the margin of tiles; it is printed, and weights of one's own are given by ``--restorer FILE``.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from restoration.apply import Inference, restore_picture
from restoration.distributed import fast_bfloat16
from restoration.image import Picture, find_images, read, read_samples, write
from restoration.networks import NETWORKS
from restoration.restorers import Card, Restorer
from restoration.tiling.memory import resident
from restoration.tiling.receptive import field_of
from restoration.weights import load

SIZES = {
    0.2: (512, 384),
    0.75: (1000, 750),
    3.0: (2000, 1500),
    12.0: (4000, 3000),
}  # megapixels: width, height
PLAIN_TILE = 512
SETS: dict[str, dict[str, Any]] = {
    "msrresnet-x4": {"name": "msrresnet", "scale": 4},
    "swinir-small-x4": {
        "name": "spandrel", "architecture": "SwinIR", "upscale": 4, "img_size": 64, "window_size": 8,
        "depths": [6, 6, 6, 6], "embed_dim": 60, "num_heads": [6, 6, 6, 6], "mlp_ratio": 2,
        "upsampler": "pixelshuffledirect", "resi_connection": "1conv",
    },
}  # fmt: skip
Way = Callable[[Restorer, Picture], Picture]


def main() -> None:
    """Measure, print and write; ``--measure`` is one measurement, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--restorer", default="sr-x4-small")
    parser.add_argument("--set", choices=list(SETS), dest="restorer", help="a network with random weights")
    parser.add_argument("--image", type=Path, help="any photograph; it is mirrored up to the sizes")
    parser.add_argument("--megapixels", type=float, default=12.0, choices=list(SIZES))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--growth", action="store_true", help="measure ours at all smaller sizes too")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", choices=list(MEASURED), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.restorer, arguments.image)))
        return
    source = arguments.image or find_images(Path(str(files("restoration"))) / "photos")[0]
    photograph = read_samples(source)
    record = compare(
        arguments.restorer, photograph, arguments.megapixels, arguments.repeats, arguments.growth
    )
    flag = "set" if arguments.restorer in SETS else "restorer"
    record["command"] = f"python -m restoration.benchmarks.speed_apply --{flag} {arguments.restorer}"
    record["image"] = source.name
    print(table(record))
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def compare(
    restorer: str, photograph: np.ndarray, megapixels: float, repeats: int, growing: bool = True
) -> dict[str, Any]:
    """Return all ways' seconds and memory at one size, measured in turn, and ours at all sizes up to it."""
    from restoration.benchmarks.timing import (
        environment,
    )  # late: a measuring process imports what `apply` imports

    machine = environment()
    ways = [way for way in MEASURED if way != "ours-bf16" or fast_bfloat16(torch.device("cpu"))]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    growth: dict[float, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        sizes = [size for size in SIZES if size == megapixels or (growing and size < megapixels)]
        images = {size: Path(folder) / f"{size}.png" for size in sizes}
        for size, path in images.items():
            write(path, Picture(mirrored(photograph, *SIZES[size])))
        for _ in range(repeats):
            for name in runs:
                runs[name].append(_in_own_process(name, restorer, images[megapixels]))
        results = {name: read_samples(Path(folder) / f"{name}.png") for name in runs}
        network = restorer_of(restorer)
        radius = field_of(network).radius
        agreement = {
            name: away_from_seams(result, results["plain"], network.scale, radius)
            for name, result in results.items()
            if name != "plain"
        }
        for size, path in images.items():
            growth[size] = _in_own_process("ours", restorer, path) if size < megapixels else runs["ours"][-1]
    middle = {name: median(run["restore"] for run in of_name) for name, of_name in runs.items()}
    return {
        "peer": f"{type(described(restorer_of(restorer))).__name__} over {PLAIN_TILE}² tiles",
        "what": f"{restorer} on a photograph of {megapixels:g} megapixels; seconds of restoring, peak of the process",
        "bfloat16": fast_bfloat16(torch.device("cpu")),
        "environment": machine,
        "runs": runs,
        "median": middle,
        "ratio": middle["plain"] / middle["ours"],
        "memory": {
            figure: {name: max(run[figure] for run in of_name) for name, of_name in runs.items()}
            for figure in ("loaded_mib", "peak_mib", "taken_mib", "anonymous_mib")
        },
        "agreement": agreement,
        "growth": {
            f"{size:g}": run | {"seconds_per_megapixel": run["restore"] / size}
            for size, run in growth.items()
        },
    }


def measure(way: str, restorer: str, path: Path) -> dict[str, Any]:
    """Return the seconds of reading, restoring and writing one file, and this process's peak memory."""
    network = restorer_of(restorer)
    before = resident("VmRSS")
    with watched("VmRSS", "RssAnon") as most:
        times = [time.perf_counter()]
        picture = read(path)
        times.append(time.perf_counter())
        restored = MEASURED[way](network, picture)
        times.append(time.perf_counter())
        write(path.with_name(f"{way}.png"), restored)
        times.append(time.perf_counter())
    seconds: dict[str, Any] = dict(zip(("read", "restore", "write"), np.diff(times).tolist(), strict=True))
    memory = {
        "loaded_mib": before, "peak_mib": most["VmRSS"], "taken_mib": most["VmRSS"] - before,
        "anonymous_mib": most["RssAnon"],
    }  # fmt: skip
    return seconds | {name: value / 2**20 for name, value in memory.items()} | {"tiles": dict(_plans)}


@contextmanager
def watched(*figures: str) -> Iterator[dict[str, int]]:
    """Watch this process's memory, at its most: VmRSS is all of it, RssAnon what is not of files or mapped to one."""
    most, done = {name: resident(name) for name in figures}, threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            most.update({name: max(value, resident(name)) for name, value in most.items()})

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def restorer_of(name: str) -> Restorer:
    """Return the restorer of a name or file, or one of `SETS` with weights drawn from a fixed seed."""
    if name not in SETS:
        return load(name)
    spec = dict(SETS[name])
    torch.manual_seed(0)
    network = NETWORKS[spec.pop("name")](**spec)
    return Restorer(network.eval(), Card(name, "super-resolution", SETS[name], network.scale))


def ours(restorer: Restorer, picture: Picture) -> Picture:
    """Restore as ``restoration apply --precision fp32`` does."""
    return _by_apply(restorer, picture, Inference(precision="fp32"))


def ours_in_bfloat16(restorer: Restorer, picture: Picture) -> Picture:
    """Restore as ``restoration apply --precision bf16`` does."""
    return _by_apply(restorer, picture, Inference(precision="bf16"))


def plain(restorer: Restorer, picture: Picture) -> Picture:
    """Restore as most scripts do: tiles of 512² side by side, contiguous float32, one after the other.

    By spandrel's descriptor where spandrel knows the network, else by the network alone.
    """
    network = described(restorer)
    height, width, channels = picture.samples.shape
    scale = restorer.scale
    restored = np.empty((height * scale, width * scale, channels), np.uint8)
    with torch.no_grad():
        for top in range(0, height, PLAIN_TILE):
            for left in range(0, width, PLAIN_TILE):
                tile = picture.samples[top : top + PLAIN_TILE, left : left + PLAIN_TILE]
                image = torch.from_numpy(tile.transpose(2, 0, 1)[None] / np.float32(255)).contiguous()
                result = (network(image).clamp(0, 1) * 255).round()[0].permute(1, 2, 0).byte().numpy()
                rows = slice(top * scale, top * scale + result.shape[0])
                restored[rows, left * scale : left * scale + result.shape[1]] = result
    return Picture(restored)


def described(restorer: Restorer) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return spandrel's descriptor of a restorer's weights; the restorer itself where spandrel does not know them."""
    from spandrel import ModelLoader, UnsupportedModelError

    network = getattr(restorer, "network", restorer)
    try:
        return ModelLoader("cpu").load_from_state_dict(
            getattr(network, "adapter", network).model.state_dict()
        )
    except (AttributeError, UnsupportedModelError):
        return restorer


MEASURED: dict[str, Way] = {"plain": plain, "ours": ours, "ours-bf16": ours_in_bfloat16}
_plans: dict[str, Any] = {}


def away_from_seams(
    found: np.ndarray, expected: np.ndarray, scale: int, radius: int | None
) -> dict[str, float] | None:
    """Return how results differ, in levels of 255, in the middles of plain tiles, which their seams do not reach."""
    if radius is None or 2 * radius >= PLAIN_TILE:
        return None
    step, edge = PLAIN_TILE * scale, radius * scale
    errors = []
    for top in range(0, len(found), step):
        for left in range(0, found.shape[1], step):
            middle = np.s_[top + edge : top + step - edge, left + edge : left + step - edge]
            errors.append(np.abs(found[middle].astype(np.int16) - expected[middle]))
    total, count = sum(int(e.sum()) for e in errors), sum(e.size for e in errors)
    return {"largest": max(int(e.max(initial=0)) for e in errors), "mean": total / max(1, count)}


def mirrored(photograph: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the photograph continued by mirroring to the given size."""
    down, across = (math.ceil(n / m) for n, m in zip((height, width), photograph.shape[:2], strict=True))
    rows = np.concatenate([photograph if i % 2 == 0 else photograph[::-1] for i in range(down)])
    whole = np.concatenate([rows if i % 2 == 0 else rows[:, ::-1] for i in range(across)], axis=1)
    return np.ascontiguousarray(whole[:height, :width])


def table(record: dict[str, Any]) -> str:
    """Return the record as Markdown."""
    agreement, memory = record.get("agreement", {}), record["memory"]
    lines = ["| way | seconds | peak MiB | beyond the loaded network |", "|---|---|---|---|"]
    lines += [
        f"| {n} | {s:.1f} | {memory['peak_mib'][n]:.0f} | {memory['taken_mib'][n]:.0f} |"
        for n, s in record["median"].items()
    ]
    lines += ["", f"ours is {record['ratio']:.2f} times as fast", ""]
    if "ours-bf16" in record["median"]:
        faster = record["median"]["plain"] / record["median"]["ours-bf16"]
        lines += [f"in bfloat16 it is {faster:.2f} times as fast", ""]
    for name, error in agreement.items():
        if error is not None:
            lines += [
                f"{name} differs from plain by {error['largest']} levels at most, {error['mean']:.1e} in the mean", ""
            ]  # fmt: skip
    lines += ["| megapixels | seconds | seconds per megapixel | peak MiB |", "|---|---|---|---|"]
    for size, run in record["growth"].items():
        lines.append(
            f"| {size} | {run['restore']:.1f} | {run['seconds_per_megapixel']:.2f} | {run['peak_mib']:.0f} |"
        )
    return "\n".join(lines)


def _by_apply(restorer: Restorer, picture: Picture, inference: Inference) -> Picture:
    return restore_picture(restorer, picture, inference, on_plan=lambda plan: _plans.update(plan.facts))


def _in_own_process(way: str, restorer: str, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-P", __file__, "--measure", way]  # -P: this folder's names shadow no module
    command += ["--restorer", restorer, "--image", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
