"""What is compared: tasks, arms, and the experiment that each arm's training is."""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from restoration.config import read_toml
from restoration.experiment import find

GAN_STEPS = 2500  # each takes twice as long, and it starts from the posterior mean
GAN_OPTIMIZERS = {
    "default": {"name": "adamw", "lr": 2e-4},
    "adversarial": {"name": "adam", "lr": 2e-4, "betas": [0.5, 0.99]},
}
CROP = 64  # pixels that photographs must have at half size
EULER = (1, 2, 5, 10, 25, 50)  # the steps of flows that are measured
CHOSEN = 25  # the steps at which arms are compared
MEAN = "posterior-mean"
SEEDS = 3  # where two arms are so close that one does not tell


SIZE = {  # of all tasks alike, whatever the shipped experiments have
    "mean": {"steps": 4000, "network": {"widths": [24, 48, 72], "blocks": [1, 1, 2]}},
    "flow": {"steps": 5000, "network": {"width": 24}},
}


@dataclass(frozen=True)
class Task:
    """A task of the paper at the study's size, else as its shipped experiments say: pmrf-NAME-small, and -mean."""

    name: str
    degradation: Mapping[str, Any]

    @cached_property
    def mean(self) -> dict[str, Any]:
        """Return the experiment of the posterior mean."""
        return self._sized(f"pmrf-{self.name}-small-mean", "mean")

    @cached_property
    def flow(self) -> dict[str, Any]:
        """Return the experiment of the flow from it."""
        return self._sized(f"pmrf-{self.name}-small", "flow")

    def _sized(self, name: str, kind: str) -> dict[str, Any]:
        document = read_toml(find(name))
        document["data"]["degradation"] = dict(self.degradation)
        document["schedule"]["steps"] = SIZE[kind]["steps"]
        document["network"] |= SIZE[kind]["network"]
        return document

    @property
    def sigma(self) -> float:
        """Return σ_s of the flow's source."""
        return self.flow["network"]["sigma"]


@dataclass(frozen=True)
class Arm:
    """One way to restore. ``needs`` names arms whose weights it takes; ``tasks`` is empty where it is in all.

    ``network`` holds keywords of posterior-mean-flow, and a transport's latent and patch where it is not of pixels.
    """

    name: str
    title: str
    kind: str  # mean, flow, gan or transport
    needs: tuple[str, ...] = (MEAN,)
    network: Mapping[str, Any] | None = None
    tasks: tuple[str, ...] = ()

    @property
    def learns(self) -> bool:
        """Return whether it has a training of its own."""
        return self.kind != "transport"


TASKS = {
    task.name: task
    for task in (
        Task("denoise", {"name": "pmrf-denoise", "sigma": 0.35}),
        Task("super-resolution", {"name": "pmrf-sr", "factor": 4, "sigma": 0.05}),
        Task("inpainting", {"name": "pmrf-inpaint", "ratio": 0.9, "sigma": 0.1}),
        Task("colourisation", {"name": "pmrf-colorize", "sigma": 0.25}),
    )
}
ADVERSARIAL = {
    "name": "adversarial", "weight": 0.02,
    "discriminator": {"name": "patch", "layers": 2, "width": 32, "norm": "spectral"},
}  # fmt: skip
OTHER_SIGMAS = (0.0, 0.1, 0.2)  # beside the task's own
ARMS = {
    arm.name: arm
    for arm in (
        Arm(MEAN, "posterior mean", "mean", ()),
        Arm("pmrf", "PMRF", "flow", network={"source": "posterior-mean"}),
        Arm("flow-degraded", "flow given y", "flow", network={"source": "noise", "condition": "degraded"}),
        Arm("flow-mean", "flow given x*", "flow", network={"source": "noise", "condition": MEAN}),
        Arm("naive", "flow from y", "flow", network={"source": "degraded"}),
        Arm("gan", "GAN", "gan"),
        Arm("transport", "DOT", "transport"),
        Arm("transport-gan", "DOT of the GAN", "transport", (MEAN, "gan")),
        Arm("transport-latents", "DOT in latents", "transport", network={"latent": "kl-vae-small", "patch": 3}),
        *(
            Arm(
                f"pmrf-sigma-{sigma:g}", f"PMRF, σ_s = {sigma:g}", "flow",
                network={"source": "posterior-mean", "sigma": sigma},
                tasks=tuple(task.name for task in TASKS.values() if task.sigma != sigma),
            )
            for sigma in OTHER_SIGMAS
        ),
    )
}  # fmt: skip


def arms_of(task: str) -> list[Arm]:
    """Return the arms of a task, each behind those that it needs."""
    return [arm for arm in ARMS.values() if not arm.tasks or task in arm.tasks]


def experiment(
    task: Task, arm: Arm, seed: int, photographs: str, weights: Mapping[str, str], steps: int | None
) -> dict[str, Any]:
    """Return the training of an arm as a document; ``weights`` holds the files of the arms that it needs."""
    document = copy.deepcopy(task.flow if arm.kind == "flow" else task.mean)
    document |= {"name": f"{task.name}-{arm.name}-{seed}", "seed": seed, "validation": {"previews": 0}}
    document["data"] |= {"images": photographs, "workers": 1}
    schedule = document["schedule"]
    schedule |= {"bfloat16": False, "checkpoint": 250}  # the same numbers on every processor
    if arm.kind == "flow":
        document["network"] |= arm.network or {}
        document["network"].pop("posterior_mean")
        if MEAN in (document["network"].get("source", MEAN), document["network"].get("condition")):
            document["network"]["posterior_mean"] = weights[MEAN]
    if arm.kind == "gan":
        schedule["steps"] = GAN_STEPS
        document |= {"initial": weights[MEAN], "stack": [{"name": "l1", "weight": 1.0}, ADVERSARIAL]}
        document["optimizer"] = copy.deepcopy(GAN_OPTIMIZERS)
    if steps:
        schedule |= {"steps": steps, "warmup": min(schedule["warmup"], steps // 10)}
    return document


def digest(parts: Any) -> str:  # noqa: ANN401
    """Return the sha256 of anything that JSON holds."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def run_folder(work: Path, task: str, arm: str, seed: int, steps: int | None = None) -> Path:
    """Return where an arm is trained; one of other than its own ``steps`` has a place of its own."""
    return work / "trainings" / task / (f"{arm}-{seed}" + (f"-{steps}-steps" if steps else ""))
