"""What ``apply`` of a posterior-mean flow costs beyond its network calls: one of the mean, K of the velocity.

``python -m restoration.benchmarks.speed_flow --out benchmarks/results/speed_flow.json``

Each call is timed by itself, as `apply` runs it; the flow, as a whole, with all that `apply` does to a picture in
memory. Networks have random weights; speed does not depend on them.
"""

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from restoration.apply import restore_picture
from restoration.applying.running import Inference, Runner
from restoration.benchmarks.timing import alternate, environment, medians
from restoration.experiment import load
from restoration.image import Picture
from restoration.networks.network import Network
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.networks.solvers import calls
from restoration.parts import build_network
from restoration.restorers import Card, Restorer
from restoration.tiling import fetch_from
from restoration.tiling.windows import Tiling

FLOW = ("posterior-mean-flow", "posterior-mean", "none")  # network, source, condition
FP32 = Inference(tile="off", precision="fp32")


class Velocity(Network):
    """One call of a flow's velocity, as a restorer."""

    def __init__(self, flow: PosteriorMeanFlow) -> None:
        super().__init__()
        self.velocity, self.multiple = flow.velocity, flow.multiple
        self.receptive_field = flow.velocity.receptive_field

    def forward(self, between: Tensor) -> Tensor:
        """Return the velocity halfway."""
        return self.velocity(between, between.new_full(between.shape[:1], 0.5), None)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiment", default="pmrf-denoise-small", help="of a flow without a condition")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--solver", default="euler")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    flow = flow_of(arguments.experiment, arguments.steps, arguments.solver)
    record = {
        "what": f"{arguments.experiment} of {arguments.steps} steps by {arguments.solver}, random weights, float32; "
        "seconds, medians",
        "command": command(arguments),
        "environment": environment(),
        "sizes": {str(side): measured(flow, side, arguments.repeats) for side in arguments.sides},
    }
    print(table(record))
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def command(arguments: argparse.Namespace) -> str:
    """Return the command line that says every argument."""
    words = ["python", "-m", "restoration.benchmarks.speed_flow"]
    for key, value in vars(arguments).items():
        if value is not None:
            words += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


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
    """Return the seconds of one call of each part and of the whole, by median, and what the whole takes beyond."""
    samples = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    image = torch.from_numpy(samples.transpose(2, 0, 1)[None] / np.float32(255))
    whole = _restorer(flow)
    with torch.inference_mode():
        ways = {
            "mean": _call(_restorer(flow.posterior_mean), image),
            "velocity": _call(_restorer(Velocity(flow)), image),
            "apply": lambda: restore_picture(whole, Picture(samples), FP32),
        }
        seconds = medians(alternate(ways, repeats))
    asked = calls(flow.solver, flow.steps)
    alone = seconds["mean"] + asked * seconds["velocity"]
    return {
        "seconds": seconds,
        "calls": {"mean": 1, "velocity": asked},
        "calls_alone": alone,
        "overhead": seconds["apply"] / alone - 1,
    }


def table(record: dict[str, Any]) -> str:
    """Return the record as Markdown."""
    lines = [
        "| side | mean, s | velocity, s | calls | their sum, s | apply, s | beyond |",
        "|---|---|---|---|---|---|---|",
    ]
    for side, found in record["sizes"].items():
        seconds = found["seconds"]
        lines.append(
            f"| {side} | {seconds['mean']:.4f} | {seconds['velocity']:.4f} | {sum(found['calls'].values())} "
            f"| {found['calls_alone']:.3f} | {seconds['apply']:.3f} | {found['overhead']:+.1%} |"
        )
    return "\n".join(lines)


def _restorer(network: Network) -> Restorer:
    return Restorer(network, Card("flow", "denoising", {"name": "flow"}, network.scale))


def _call(restorer: Restorer, image: Tensor) -> Any:  # noqa: ANN401
    """Return what calls a restorer on an image as `apply` does on a tile, without the picture around it."""
    runner = Runner(restorer, FP32)
    height, width = image.shape[-2:]
    tiling = Tiling(restorer.scale, restorer.multiple, restorer.receptive_field, tile="off")
    padded = fetch_from(image)(tiling.whole(height, width))
    return lambda: runner(padded)


if __name__ == "__main__":
    main()
