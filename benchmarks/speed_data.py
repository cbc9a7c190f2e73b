"""Paired crops per second from packed shards against BasicSR's paired data set on PNG, in one process, in turn.

``python -m restoration.benchmarks.speed_data --out benchmarks/results/speed_data.json`` (needs the extra basicsr)
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from restoration import memory
from restoration.benchmarks.peers import basicsr, run
from restoration.benchmarks.timing import alternate, environment, medians
from restoration.curation.cutting import Cut, Item
from restoration.curation.packing import pack
from restoration.data import Pairs, prefetch, training_images
from restoration.data.shards import Shards
from restoration.degradations.resize import Bicubic, resize
from restoration.image import Picture, read_samples, to_float, to_samples, write

SCALE = 4
CROP = 192
BATCH = 16
TILE = 256
SMALL_TILE = 64  # of the images whose memory is measured: photographs of 481x321 give 40 each
PLACES = {"photographs of 2K": (4, 4), "as they are": (1, 1)}  # photographs that one PNG is put together of


def main() -> None:
    """Time batches of crops, print the ratio and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="bsds500/train", help="photographs, as data.images names them")
    parser.add_argument("--count", type=int, default=24, help="PNG files of each kind")
    parser.add_argument("--batches", type=int, default=8, help="of each timing")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    memory.keep()
    paths = training_images(arguments.images, CROP)
    rows = {}
    for name, places in PLACES.items():
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = compare(paths, places, arguments, Path(folder))
        row = rows[name]
        print(f"{name:20} {row['samples_per_second']}   {row['ratio']:.2f}x", flush=True)
    record = {
        "command": f"python -m restoration.benchmarks.speed_data --images {arguments.images}",
        "what": f"pairs per second: random crops of {CROP}x{CROP} and their ×{SCALE} partners, flipped and turned, in "
        f"batches of {BATCH}; PNG files read by BasicSR's PairedImageDataset under PyTorch's loader, and shards of "
        f"{TILE}x{TILE} tiles (ppm) packed of the same files; {arguments.workers} workers each, medians",
        "environment": environment(),
        "rows": rows,
        "constant_memory": constant_memory(paths),
    }
    print(json.dumps(record["constant_memory"]))
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def compare(
    paths: list[Path], places: tuple[int, int], arguments: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """Return pairs per second from shards and from PNG files that hold ``places`` photographs each."""
    size = write_pairs(paths, places, arguments.count, folder)
    contenders = {
        "ours": ours(folder, arguments.workers, arguments.batches),
        "basicsr": theirs(folder, arguments.workers, arguments.batches),
    }
    seconds = medians(alternate(contenders, arguments.repeats))
    rates = {name: BATCH * arguments.batches / value for name, value in seconds.items()}
    return {"size": size, "samples_per_second": rates, "ratio": rates["ours"] / rates["basicsr"]}


def write_pairs(paths: list[Path], places: tuple[int, int], count: int, folder: Path) -> str:
    """Write PNG files and their reductions, each put together of photographs side by side; return their size."""
    side = SCALE * 80  # what every photograph has in both directions
    rows, columns = places
    for i in range(count):
        taken = [paths[(i * rows * columns + k) % len(paths)] for k in range(rows * columns)]
        cut = [read_samples(path) for path in taken]
        if rows * columns == 1:
            height, width = (n - n % SCALE for n in cut[0].shape[:2])
            clean = cut[0][:height, :width]
        else:
            tiles = [_turned(samples)[:side, : side * 3 // 2] for samples in cut]
            clean = np.vstack([np.hstack(tiles[r * columns : (r + 1) * columns]) for r in range(rows)])
        small = resize(to_float(clean), scale=Fraction(1, SCALE), levels=255)
        for name, samples in (("clean", np.ascontiguousarray(clean)), ("degraded", to_samples(small))):
            (folder / name).mkdir(exist_ok=True)
            write(folder / name / f"{i:04d}.png", Picture(samples))
    return f"{clean.shape[1]}x{clean.shape[0]}"


def ours(folder: Path, workers: int, batches: int) -> Callable[[], object]:
    """Pack the pairs and return what reads some batches of them as a training run does."""
    names = sorted(path.name for path in (folder / "clean").iterdir())
    items = [Item(name, folder / "clean" / name, folder / "degraded" / name) for name in names]
    pack(items, folder / "packed", Cut(tile=TILE))
    shards = sorted(str(path) for path in (folder / "packed").glob("*.tar"))
    pairs = Pairs(Shards(shards, budget=0), None, CROP, BATCH, seed=0)
    done = [0]

    def work() -> None:
        steps = range(done[0], done[0] + batches)
        done[0] += batches
        for _ in prefetch(pairs.batch, steps, workers, ahead=workers):
            pass

    return work


def theirs(folder: Path, workers: int, batches: int) -> Callable[[], object]:
    """Return what reads as many with BasicSR's data set under PyTorch's loader."""
    options = {
        "dataroot_gt": str(folder / "clean"), "dataroot_lq": str(folder / "degraded"), "filename_tmpl": "{}",
        "io_backend": {"type": "disk"}, "phase": "train", "scale": SCALE, "gt_size": CROP,
        "use_hflip": True, "use_rot": True,
    }  # fmt: skip
    dataset = basicsr("data.paired_image_dataset").PairedImageDataset(options)
    loader = torch.utils.data.DataLoader(
        dataset, BATCH, num_workers=workers, drop_last=True, persistent_workers=True,
        sampler=torch.utils.data.RandomSampler(dataset, replacement=True, num_samples=BATCH * batches),
    )  # fmt: skip

    def work() -> None:
        for _ in loader:
            pass

    return work


def constant_memory(paths: list[Path], images: int = 10_000) -> dict[str, Any]:
    """Return the memory of a process of its own after a tenth of as many images, all different, and after all.

    The images are tiles of photographs in shards, each seen once; a step is what training asks of the data.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "packed"
        packed = pack([Item(path.name, path) for path in paths], folder, Cut(tile=SMALL_TILE))
        if packed.tiles < images:
            raise SystemExit(f"{len(paths)} images give {packed.tiles} tiles; expected {images}")
        shards = sorted(str(path) for path in folder.glob("*.tar"))
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            early, end = fresh.submit(resident_while_reading, shards, images).result()
    return {
        "images": images // BATCH * BATCH,
        "tiles": packed.tiles,
        "mib_after_a_tenth": early,
        "mib_at_the_end": end,
    }


def resident_while_reading(shards: list[str], images: int) -> tuple[float, float]:
    """Return this process's resident MiB after a tenth of the images, and after all; each is another one."""
    memory.keep()
    pairs = Pairs(Shards(shards, budget=2**20), Bicubic(SCALE), SMALL_TILE - SCALE, BATCH, seed=0)
    steps, early = images // BATCH, 0.0
    for step, _ in prefetch(pairs.batch, range(steps), 2, ahead=4):
        if step == steps // 10:
            early = resident()
    return early, resident()


def resident() -> float:
    """Return the MiB of this process that lie in memory now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _turned(samples: np.ndarray) -> np.ndarray:
    return samples if samples.shape[1] >= samples.shape[0] else samples.transpose(1, 0, 2)


if __name__ == "__main__":
    run(main)
