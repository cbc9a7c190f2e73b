"""How much memory ``restoration apply`` takes for a photograph and for one many times as large, from disk to disk.

``python -m restoration.benchmarks.growth_apply --out benchmarks/results/growth_apply.json``

Memory is that of the command itself, a process of its own, looked at from outside: RssAnon is what cannot leave
memory, VmRSS counts the parts of mapped files too that happen to be there.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from restoration.apply import Inference, restore_picture
from restoration.benchmarks.timing import environment
from restoration.image import Picture, find_images, read, read_samples, rows_to
from restoration.weights import load

BAND = 256  # rows that are written, and compared, at once
ASPECT = 4 / 3
MARGIN = 192  # pixels around what is compared: more than the field of small networks
GRID = 64  # what crops begin at multiples of, for networks that shrink the picture


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--restorer", default="denoise-color-small")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[12, 200])
    parser.add_argument("--formats", nargs="+", default=["png", "tiff"])
    parser.add_argument("--image", type=Path, help="any photograph; it is mirrored up to the sizes")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    source = arguments.image or find_images(Path(str(files("restoration"))) / "photos")[0]
    record = {
        "what": "`restoration apply` from disk to disk; memory of its process at most, in MiB",
        "command": f"python -m restoration.benchmarks.growth_apply --restorer {arguments.restorer}",
        "image": source.name,
        "environment": environment(),
        "runs": grown(
            arguments.restorer, read_samples(source), arguments.megapixels, arguments.formats
        ),
    }  # fmt: skip
    print(table(record))
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def grown(
    restorer: str, photograph: np.ndarray, megapixels: Sequence[float], formats: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what the command takes for every size in every format."""
    runs = []
    for suffix in formats:
        for size in megapixels:
            with tempfile.TemporaryDirectory() as folder:
                given, made = Path(folder) / f"given.{suffix}", Path(folder) / f"made.{suffix}"
                width = round((size * 1e6 * ASPECT) ** 0.5)
                enlarge(photograph, given, round(width / ASPECT), width)
                run = {"format": suffix, "megapixels": size} | observed(
                    [sys.executable, "-m", "restoration", "apply", restorer, str(given), "--out", str(made)]
                )
                run["largest_difference"] = difference(restorer, given, made)
            print(json.dumps(run), file=sys.stderr, flush=True)
            runs.append(run)
    return runs


def enlarge(photograph: np.ndarray, path: Path, height: int, width: int) -> None:
    """Write the photograph continued by mirroring, row by row."""
    columns = _mirrored(np.arange(width), photograph.shape[1])
    with rows_to(path, Picture(photograph), height, width) as writer:
        for top in range(0, height, BAND):
            rows = _mirrored(np.arange(top, min(top + BAND, height)), photograph.shape[0])
            writer.write(top, photograph[rows[:, None], columns])


def observed(command: Sequence[str]) -> dict[str, Any]:
    """Run a command; return its seconds, and the memory that it held at most."""
    start, most = time.perf_counter(), {"RssAnon": 0, "VmRSS": 0}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        while child.poll() is None:
            with suppress(OSError, ValueError):
                for line in Path(f"/proc/{child.pid}/status").read_text().splitlines():
                    name, _, value = line.partition(":")
                    if name in most:
                        most[name] = max(most[name], int(value.split()[0]) // 1024)
            time.sleep(0.05)
        if child.returncode:
            raise SystemExit(child.stderr.read() if child.stderr else child.returncode)
    return {
        "seconds": time.perf_counter() - start, "anonymous_mib": most["RssAnon"], "resident_mib": most["VmRSS"],
    }  # fmt: skip


def difference(restorer: str, given: Path, made: Path) -> int:
    """Return the largest difference, in levels, of three bands of the result from bands restored by themselves."""
    network = load(restorer)
    before, after = read(given, max_pixels=1 << 32).samples, read(made, max_pixels=1 << 32).samples
    height, scale, worst = len(before), network.scale, 0
    side = min(BAND, before.shape[1])
    for top in (0, (height - side) // 2 // GRID * GRID, (height - side) // GRID * GRID):
        left = (before.shape[1] - side) // 2 // GRID * GRID
        first, last = max(0, top - MARGIN), min(height, top + side + MARGIN)
        near, far = max(0, left - MARGIN), min(before.shape[1], left + side + MARGIN)
        crop = Picture(np.array(before[first:last, near:far]))
        alone = restore_picture(network, crop, Inference(tile="off")).samples
        rows = slice((top - first) * scale, (top - first + side) * scale)
        columns = slice((left - near) * scale, (left - near + side) * scale)
        result = after[top * scale : (top + side) * scale, left * scale : (left + side) * scale]
        worst = max(worst, int(np.abs(alone[rows, columns].astype(np.int32) - result).max()))
    return worst


def table(record: dict[str, Any]) -> str:
    """Return the record as Markdown."""
    lines = [
        "| format | megapixels | seconds | RssAnon MiB | VmRSS MiB | largest difference |", "|---|---|---|---|---|---|"
    ]  # fmt: skip
    lines += [
        f"| {run['format']} | {run['megapixels']:g} | {run['seconds']:.0f} | {run['anonymous_mib']} "
        f"| {run['resident_mib']} | {run['largest_difference']} |"
        for run in record["runs"]
    ]
    return "\n".join(lines)


def _mirrored(places: np.ndarray, length: int) -> np.ndarray:
    """Return the indices of an axis that goes on by mirroring about its ends."""
    turned = places % (2 * length)
    return np.where(turned < length, turned, 2 * length - 1 - turned)


if __name__ == "__main__":
    main()
