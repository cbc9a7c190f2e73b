"""A training step of MSRResNet ×4 here against BasicSR's own loop and network, in one process.

``python -m restoration.benchmarks.speed_train --out benchmarks/results/speed_train.json`` (needs the basicsr extra)
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from restoration import memory
from restoration.benchmarks.peers import basicsr
from restoration.benchmarks.peers import run as run_comparison
from restoration.benchmarks.timing import alternate, environment, medians
from restoration.experiment import load
from restoration.method import Batch
from restoration.runs import build_run
from restoration.toml import dumps
from restoration.train import take_step, update_averages

DOCUMENT = {
    "name": "speed-train",
    "task": "super-resolution",
    "schedule": {"steps": 1_000_000, "batch": 16, "decay": "constant", "average": 0.999},
    "data": {"crop": 192, "degradation": {"name": "bicubic", "scale": 4}},
    "network": {"name": "msrresnet", "scale": 4},
    "stack": [{"name": "l1"}],
    "optimizer": {"default": {"name": "adam", "lr": 2e-4, "betas": [0.9, 0.99]}},
}


def main() -> None:
    """Time one optimisation step each, in turn, and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    batch = Batch(torch.rand(arguments.batch, 3, 48, 48), torch.rand(arguments.batch, 3, 192, 192))
    with tempfile.TemporaryDirectory() as folder:
        steps = {
            "ours, fp32": ours(Path(folder), batch, bfloat16=False),
            "ours, bf16 autocast": ours(Path(folder), batch, bfloat16=True),
            "basicsr": theirs(batch),
        }
        seconds = alternate(steps, arguments.repeats)
    middle = medians(seconds)
    record = {
        "command": "python -m restoration.benchmarks.speed_train",
        "what": f"one training step of MSRResNet x4, batch {arguments.batch} of 48x48 inputs, Adam, moving average",
        "environment": environment(),
        "seconds": seconds,
        "median": middle,
        "ratio": {n: middle["basicsr"] / m for n, m in middle.items() if n != "basicsr"},
    }
    print(json.dumps({k: record[k] for k in ("what", "median", "ratio")}, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def ours(folder: Path, batch: Batch, bfloat16: bool) -> Callable[[], None]:
    """Return one step of this project's loop."""
    Image.new("RGB", (192, 192)).save(folder / "any.png")
    document = {**DOCUMENT, "data": DOCUMENT["data"] | {"images": str(folder)}}
    document["schedule"] = DOCUMENT["schedule"] | {"bfloat16": bfloat16, "batch": len(batch)}
    path = folder / "speed.toml"
    path.write_text(dumps(document))
    run = build_run(load(str(path)), folder / "run", torch.device("cpu"))

    def step() -> None:
        memory.keep()  # as the loop does
        take_step(run, batch, 0)
        update_averages(run, 10_000)

    return step


def theirs(batch: Batch) -> Callable[[], None]:
    """Return one step of BasicSR's SRModel with its MSRResNet."""
    model = _basicsr_model()

    def step() -> None:
        memory.give_back()
        model.feed_data({"lq": batch.degraded, "gt": batch.clean})
        model.optimize_parameters(10_000)

    return step


def _basicsr_model() -> object:
    model = basicsr("models.sr_model").SRModel
    train = {
        "ema_decay": 0.999,
        "optim_g": {"type": "Adam", "lr": 2e-4, "weight_decay": 0, "betas": [0.9, 0.99]},
        "scheduler": {"type": "MultiStepLR", "milestones": [10**9], "gamma": 0.5},
        "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"},
    }
    network = {
        "type": "MSRResNet",
        "num_in_ch": 3,
        "num_out_ch": 3,
        "num_feat": 64,
        "num_block": 16,
        "upscale": 4,
    }
    return model(
        {"num_gpu": 0, "dist": False, "is_train": True, "network_g": network, "path": {}, "train": train}
    )


if __name__ == "__main__":
    run_comparison(main)
