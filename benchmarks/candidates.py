"""Which network for a shipped restorer: candidates trained for the same processor time, scored on development images.

``python -m restoration.benchmarks.candidates sr-x4-small --seconds 300 --out benchmarks/results/candidates.json``
"""

import argparse
import json
import math
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from restoration import cost
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.timing import environment
from restoration.benchmarks.validation import scores
from restoration.experiment import Experiment, load
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer
from restoration.runs import build_run
from restoration.toml import dumps
from restoration.train import Run, take_step, update_averages

SUPER_RESOLUTION: dict[str, dict[str, Any]] = {
    "plain-sr 32x16": {"name": "plain-sr", "width": 32, "blocks": 16},
    "plain-sr 48x8": {"name": "plain-sr", "width": 48, "blocks": 8},
    "plain-sr 48x8, muon": {
        "name": "plain-sr",
        "width": 48,
        "blocks": 8,
        "optimizer": {"name": "muon", "lr": 1e-3},
    },
    "plain-sr 48x8, 2e-3": {
        "name": "plain-sr",
        "width": 48,
        "blocks": 8,
        "optimizer": {"name": "adamw", "lr": 2e-3},
    },
    "plain-sr 48x14": {"name": "plain-sr", "width": 48, "blocks": 14},
    "plain-sr 64x5": {"name": "plain-sr", "width": 64, "blocks": 5},
    "plain-sr 64x8": {"name": "plain-sr", "width": 64, "blocks": 8},
    "plain-sr 64x10": {"name": "plain-sr", "width": 64, "blocks": 10},
    "imdn 36x8": {"name": "imdn"},
    "msrresnet 64x16": {"name": "msrresnet"},
}
DENOISING: dict[str, dict[str, Any]] = {
    "res-unet 32-64-112": {"name": "res-unet", "widths": [32, 64, 112], "blocks": [2, 2, 2]},
    "res-unet 32-64-128": {"name": "res-unet", "widths": [32, 64, 128], "blocks": [1, 2, 2]},
    "res-unet 48-96": {"name": "res-unet", "widths": [48, 96], "blocks": [2, 4]},
    "dncnn 32x10": {"name": "dncnn", "channels": 3, "width": 32, "depth": 10},
    "nafnet 16": {"name": "nafnet", "width": 16},
}


def main() -> None:
    """Train every candidate of one task for the same time and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--only", nargs="*", help="names of candidates")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    base = load(arguments.experiment, arguments.settings)
    table = SUPER_RESOLUTION if base.task == "super-resolution" else DENOISING
    rows = []
    for name in arguments.only or table:
        rows.append({"candidate": name, **candidate(base, table[name], arguments.seconds)})
        print(json.dumps(rows[-1]), flush=True)
    command = shlex.join(["python", "-m", "restoration.benchmarks.candidates", *sys.argv[1:]])
    record = {"command": command, "environment": environment(), "experiment": base.resolved(), "rows": rows}
    arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def candidate(base: Experiment, part: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Train one network for ``seconds`` of processor time and return its cost and its development scores."""
    network = {k: v for k, v in part.items() if k != "optimizer"}
    network |= {"scale": base.network["scale"]} if "scale" in base.network else {}
    optimizer = part.get("optimizer", base.optimizer["default"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candidate.toml"
        changed = {"network": network, "optimizer": {"default": optimizer}, "initial": ""}
        path.write_text(dumps(base.resolved() | changed))
        run = build_run(load(str(path), ["schedule.decay=constant"]), Path(folder), torch.device("cpu"))
        steps = _train_for(run, seconds)
    restorer = run.restorer()
    return {
        "network": network,
        "optimizer": optimizer,
        "parameters": cost.parameters(restorer),
        "multiply_adds_per_pixel": cost.multiply_adds(
            restorer, side=run.data.crop // run.data.degradation.scale
        ),
        "steps": steps,
        **development_scores(base, restorer),
    }


def development_scores(base: Experiment, network: nn.Module) -> dict[str, float]:
    """Return what a network reaches on images that are neither trained nor reported on."""
    names = {"super-resolution": f"bsds-dev30-x{network.scale}", "denoising": "bsds-dev30-color-25"}
    restorer = Restorer(network, Card("candidate", base.task, base.network, network.scale))
    return dict(scores(restorer, [load_protocol(names[base.task])], torch.device("cpu")))


def _train_for(run: Run, seconds: float) -> int:
    """Train until ``seconds`` of processor time are spent, the rate falling as a cosine of that time."""
    step, started = 0, time.process_time()
    full = {name: [list(group) for group in rates] for name, rates in run.rates.items()}
    while (share := (time.process_time() - started) / seconds) < 1:
        factor = 0.5 * (1 + math.cos(math.pi * share))
        run.rates = {n: [[r * factor for r in group] for group in rates] for n, rates in full.items()}
        take_step(run, run.data.batch(step), step)
        update_averages(run, step)
        step += 1
    return step


if __name__ == "__main__":
    main()
