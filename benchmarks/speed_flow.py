"""What ``apply`` of a posterior-mean flow costs beyond its network calls: one of the mean, K of the velocity.

``python -m restoration.benchmarks.speed_flow --out benchmarks/results/speed_flow.json``

The calls are those of the bare networks, one after the other, on the tile and under the settings that `apply` gives
them, without what it does around them; the flow is timed as a whole, with all that `apply` does to a picture in
memory. Both are timed in turn, in one process. Networks have random weights; speed does not depend on them.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from restoration.apply import restore_picture
from restoration.applying.planning import tiling_of
from restoration.applying.running import Inference, Runner
from restoration.benchmarks.timing import alternate, command, environment, medians
from restoration.experiment import load
from restoration.image import Picture
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.networks.solvers import calls
from restoration.parts import build_network
from restoration.restorers import Card, Restorer
from restoration.tiling import fetch_from

FLOW = ("posterior-mean-flow", "posterior-mean", "none")  # network, source, condition
FP32 = Inference(tile="off", precision="fp32")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiment", default="pmrf-denoise-small", help="of a flow without a condition")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--solver", default="euler")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    flow = flow_of(arguments.experiment, arguments.steps, arguments.solver)
    record = {
        "what": f"{arguments.experiment} of {arguments.steps} steps by {arguments.solver}, random weights, float32; "
        "seconds, medians",
        "command": command("speed_flow", arguments),
        "environment": environment(),
        "sizes": {str(side): measured(flow, side, arguments.repeats) for side in arguments.sides},
    }
    print(table(record))
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def flow_of(experiment: str, steps: int, solver: str = "euler") -> PosteriorMeanFlow:
    """Return the flow of an experiment, of so many steps, with random weights."""
    found = load(experiment).network
    if (found["name"], found.get("source"), found.get("condition")) != FLOW:
        raise SystemExit(
            f"{experiment}: expected an experiment of a flow from a posterior mean, without a condition"
        )
    network = build_network(
        load(experiment, (f"network.steps={steps}", f"network.solver={solver}")), described=True
    )
    return network.eval()


def measured(flow: PosteriorMeanFlow, side: int, repeats: int) -> dict[str, Any]:
    """Return the seconds of the calls and of the whole, by median, and what part of the calls' the whole takes more."""
    samples = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    image = torch.from_numpy(samples.transpose(2, 0, 1)[None] / np.float32(255))
    whole = Restorer(flow, Card("flow", "denoising", {"name": "flow"}, flow.scale))
    with torch.inference_mode():
        ways = {
            "calls": bare_calls(flow, Runner(whole, FP32), image),
            "apply": lambda: restore_picture(whole, Picture(samples), FP32),
        }
        seconds = medians(alternate(ways, repeats))
    return {
        "calls": {"mean": 1, "velocity": calls(flow.solver, flow.steps)},
        "seconds": seconds,
        "overhead": seconds["apply"] / seconds["calls"] - 1,
    }


def bare_calls(flow: PosteriorMeanFlow, runner: Runner, image: Tensor) -> Callable[[], Tensor]:
    """Return what calls the networks of a flow as often as the flow does on an image, and does nothing else."""
    height, width = image.shape[-2:]
    tile = runner.placed(fetch_from(image)(tiling_of(runner.restorer, FP32).whole(height, width)))
    with runner.computing(False):
        between, seen = flow.origin(tile)
    asked = calls(flow.solver, flow.steps)
    times = [between.new_full(between.shape[:1], i / asked) for i in range(asked)]

    def called() -> Tensor:
        with runner.computing(False):
            flow.posterior_mean(tile)
            for t in times:
                velocity = flow.velocity(between, t, seen)
        return velocity

    return called


def table(record: dict[str, Any]) -> str:
    """Return the record as Markdown."""
    lines = ["| side | calls | by themselves, s | apply, s | beyond |", "|---|---|---|---|---|"]
    for side, found in record["sizes"].items():
        seconds = found["seconds"]
        lines.append(
            f"| {side} | {sum(found['calls'].values())} | {seconds['calls']:.3f} | {seconds['apply']:.3f} "
            f"| {found['overhead']:+.1%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
