"""Images per second of the Real-ESRGAN chain against BasicSR's data set and feed, in one process, in turn.

``python -m restoration.benchmarks.speed_degradations --out benchmarks/results/speed_degradations.json`` (needs the
extra basicsr)
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from restoration import memory
from restoration.benchmarks.peers import basicsr, run
from restoration.benchmarks.timing import alternate, environment, medians
from restoration.data import Pairs, Photographs, prefetch, training_images
from restoration.degradations import DEGRADATIONS
from restoration.image import read_samples

CROP = 256
BATCH = 16
SCALE = 4
CROWDED = "ours, torch's threads in each worker"
PADDED = 400  # the side of the crops that BasicSR degrades, whatever gt_size is
# the published options of Real-ESRGAN ×4 (Wang et al., 2021)
KERNELS = {
    "kernel_list": ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"],
    "kernel_prob": [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
    "blur_kernel_size": 21,
    "betag_range": [0.5, 4],
    "betap_range": [1, 2],
    "sinc_prob": 0.1,
}
FEED = {
    "scale": SCALE, "gt_size": CROP, "gt_usm": True, "second_blur_prob": 0.8,
    "resize_prob": [0.2, 0.7, 0.1], "resize_range": [0.15, 1.5], "gaussian_noise_prob": 0.5, "noise_range": [1, 30],
    "poisson_scale_range": [0.05, 3], "gray_noise_prob": 0.4, "jpeg_range": [30, 95],
    "resize_prob2": [0.3, 0.4, 0.3], "resize_range2": [0.3, 1.2], "gaussian_noise_prob2": 0.5,
    "noise_range2": [1, 25], "poisson_scale_range2": [0.05, 2.5], "gray_noise_prob2": 0.4, "jpeg_range2": [30, 95],
}  # fmt: skip


def main() -> None:
    """Time batches of training pairs, print the ratio and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="package:photos", help="photographs, as data.images names them")
    parser.add_argument("--batches", type=int, default=4, help="of each timing")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    memory.keep()
    paths = [path for path in training_images(arguments.images, CROP) if _suits(path)]
    with tempfile.TemporaryDirectory() as folder:
        contenders = {
            "ours": ours(paths, CROP, arguments.workers, arguments.batches),
            "ours, crops of 400": ours(paths, PADDED, arguments.workers, arguments.batches),
            CROWDED: ours(paths, CROP, arguments.workers, arguments.batches, crowded=True),
            "basicsr": theirs(paths, arguments.workers, arguments.batches, Path(folder)),
        }
        seconds = medians(alternate(contenders, arguments.repeats))
    images = BATCH * arguments.batches
    rates = {name: images / value for name, value in seconds.items()}
    record = {
        "command": f"python -m restoration.benchmarks.speed_degradations --images {arguments.images}",
        "what": f"images per second: {BATCH} crops of {CROP}x{CROP} and their ×{SCALE} Real-ESRGAN degradation per "
        f"batch, {len(paths)} photographs, {arguments.workers} workers, medians of {arguments.repeats} timings of "
        f"{arguments.batches} batches",
        "note": "BasicSR always degrades crops of 400x400, of which it keeps gt_size: 'ours, crops of 400' degrades as "
        "many pixels. Its own code puts the JPEG module and the sharpener on a GPU by .cuda(); here they are on the "
        "device of the images. Its draws of sizes and of kinds of noise are one per batch, ours one per image. "
        "Its training-pair pool, which costs nothing here, is left out, and its filter gets contiguous images.",
        "environment": environment(),
        "images_per_second": rates,
        "ratio": {name: rates[name] / rates["basicsr"] for name in rates if name != "basicsr"},
    }
    for name, rate in rates.items():
        print(f"{name:38} {rate:8.1f} images/s   {rate / rates['basicsr']:.2f}x")
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def ours(
    paths: list[Path], crop: int, workers: int, batches: int, crowded: bool = False
) -> Callable[[], object]:
    """Return what makes some batches as a training run does; ``crowded``: with torch's own threads in every worker."""
    chain = DEGRADATIONS["real-esrgan"](scale=SCALE)
    pairs = Pairs(Photographs(tuple(paths), budget=2**30), chain, crop, BATCH, seed=0)
    threads = torch.get_num_threads()

    def batch(step: int) -> object:
        if crowded:
            torch.set_num_threads(threads)
        return pairs.batch(step)

    return lambda: [made for _, made in prefetch(batch, range(batches), workers, ahead=workers)]


def theirs(paths: list[Path], workers: int, batches: int, folder: Path) -> Callable[[], object]:
    """Return what makes as many with BasicSR's data set, PyTorch's loader, and its model's feed."""
    dataset = basicsr("data.realesrgan_dataset").RealESRGANDataset(_options(paths, folder))
    loader = torch.utils.data.DataLoader(
        dataset, BATCH, num_workers=workers, drop_last=True, persistent_workers=True,
        sampler=torch.utils.data.RandomSampler(dataset, replacement=True, num_samples=BATCH * batches),
    )  # fmt: skip
    module = basicsr("models.realesrnet_model")
    utilities = basicsr("utils.diffjpeg"), basicsr("utils.img_process_util")
    filtered = utilities[1].filter2D  # views its input, which on today's PyTorch is not always contiguous
    module.filter2D = lambda image, kernel: filtered(image.contiguous(), kernel)
    model = object.__new__(module.RealESRNetModel)
    model.opt, model.is_train, model.device = FEED, True, torch.device("cpu")
    model.jpeger = utilities[0].DiffJPEG(differentiable=False)
    model.usm_sharpener = utilities[1].USMSharp()
    model._dequeue_and_enqueue = lambda: None

    def work() -> None:
        for data in loader:
            model.feed_data(data)

    return work


def _options(paths: list[Path], folder: Path) -> dict[str, Any]:
    meta = folder / "meta.txt"
    for i, path in enumerate(paths):
        (folder / f"{i:04d}{path.suffix}").symlink_to(path.resolve())
    meta.write_text("\n".join(f"{i:04d}{path.suffix}" for i, path in enumerate(paths)) + "\n")
    second = {f"{key}2": value for key, value in KERNELS.items()} | {"blur_sigma2": [0.2, 1.5]}
    return {
        **KERNELS, **second, "blur_sigma": [0.2, 3], "final_sinc_prob": 0.8, "use_hflip": True, "use_rot": True,
        "dataroot_gt": str(folder), "meta_info": str(meta), "io_backend": {"type": "disk"},
    }  # fmt: skip


def _suits(path: Path) -> bool:
    """Return whether BasicSR can take its crop of the image without padding it."""
    samples = read_samples(path)
    return samples.shape[2] == 3 and min(samples.shape[:2]) >= PADDED


if __name__ == "__main__":
    run(main)
