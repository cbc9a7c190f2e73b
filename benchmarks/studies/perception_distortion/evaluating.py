"""One arm from its training to its record: trained by ``restoration train``, measured, written as JSON."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from restoration import catalogue, cost, weights
from restoration.benchmarks.provenance import circumstances
from restoration.benchmarks.studies.perception_distortion import measures
from restoration.benchmarks.studies.perception_distortion.arms import (
    ARMS,
    MEAN,
    Arm,
    Task,
    digest,
    experiment,
    run_folder,
)
from restoration.benchmarks.studies.perception_distortion.measures import Reference, measured
from restoration.benchmarks.studies.perception_distortion.photographs import NOISE, Photographs, prepared
from restoration.benchmarks.studies.perception_distortion.restoring import restored, variants
from restoration.errors import RestorationError
from restoration.files import atomic
from restoration.toml import dumps

MODULE = "restoration.benchmarks.studies.perception_distortion"
VERSION = 1  # of what is measured: raised where a record of before would say something else


@dataclass(frozen=True)
class Place:
    """Where a study works: ``work`` holds photographs and trainings, ``results`` a folder of records for each task.

    ``steps`` of None are those of the arms. ``training`` and ``held_out`` name folders of photographs.
    """

    work: Path
    results: Path
    steps: int | None = None
    training: str | None = None
    held_out: str | None = None

    def record(self, task: str, arm: str, seed: int) -> Path:
        """Return the file of an arm's record."""
        return self.results / task / (f"{arm}.json" if seed == 0 else f"{arm}-seed{seed}.json")

    def weights(self, task: str, arm: str, seed: int = 0) -> Path:
        """Return the file of an arm's weights."""
        return run_folder(self.work, task, arm, seed, self.steps) / "restorer.safetensors"

    def photographs(self) -> Photographs:
        """Return the photographs, made where they are missing."""
        return prepared(self.work, self.training, self.held_out)


def run_arm(place: Place, task: Task, arm: Arm, seed: int) -> Path:
    """Train and measure an arm, going on where that stopped; return its record. A finished one is left as it is."""
    photographs, path = place.photographs(), place.record(task.name, arm.name, seed)
    identity = identity_of(place, photographs, task, arm, seed)
    if is_finished(path, identity) and not (
        arm.learns and not place.weights(task.name, arm.name, seed).is_file()
    ):
        return path
    files = {name: place.weights(task.name, name) for name in arm.needs}  # of seed 0, which all seeds share
    if arm.learns:
        files[arm.name] = _trained(place, photographs, task, arm, seed, files)
    started = time.monotonic()
    record = {
        "study": "perception-distortion", "task": task.name, "arm": arm.name, "title": arm.title, "seed": seed,
        "digest": identity, "command": _command(place, task, arm, seed),
        "environment": circumstances(torch.device("cpu")),
        "photographs": _photographs(photographs),
        "training": _training(place, task, arm, seed, files),
    }  # fmt: skip
    found = list(_measured(task, arm, files, photographs))
    record["seconds"] = {"measuring": round(time.monotonic() - started)}
    if arm.name == MEAN:
        record["floor"] = Reference(photographs.clean).floor
    write_record(path, record | {"variants": found})
    return path


def identity_of(place: Place, photographs: Photographs, task: Task, arm: Arm, seed: int) -> str:
    """Return the digest of all that decides what an arm's record says: its training, those it needs, the measures."""
    needed = {name: identity_of(place, photographs, task, ARMS[name], 0) for name in arm.needs}
    document = experiment(task, arm, seed, "", needed, place.steps) if arm.learns else _unlearnt(arm)
    return digest({
        "version": VERSION, "experiment": document, "needs": needed, "photographs": photographs.identity,
        "noise": NOISE, "task": dict(task.degradation),
    })  # fmt: skip


def _unlearnt(arm: Arm) -> dict[str, Any]:
    """Return what an arm without a training is, its autoencoder's file by its digest."""
    asked = dict(arm.network or {})
    if latent := asked.get("latent"):
        asked["sha256"] = catalogue.digest(weights.shipped()[latent])
    return {"arm": arm.name, **asked}


def is_finished(path: Path, identity: str) -> bool:
    """Return whether a record is there and says what would be found again."""
    return path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("digest") == identity


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record, one line for each variant."""
    head = {key: value for key, value in record.items() if key != "variants"}
    lines = ",\n".join("  " + json.dumps(v, ensure_ascii=False) for v in record["variants"])
    text = (
        json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
        + f',\n "variants": [\n{lines}\n ]\n}}\n'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as stream:
        stream.write(text.encode())


def _measured(
    task: Task, arm: Arm, files: Mapping[str, Path], photographs: Photographs
) -> Iterator[dict[str, Any]]:
    """Yield the measures of each variant."""
    reference = Reference(photographs.clean)
    seen = photographs.degraded(task)
    mean = restored(weights.load(files[MEAN]), seen)
    if arm.name == MEAN:  # the degraded photographs themselves, for comparison
        yield {"settings": {"restorer": "none"}, **measured(reference, seen, mean, "intervals")}
    for variant in variants(task, arm, files, photographs):
        found = measured(reference, variant.images, mean, variant.detail)
        yield {"settings": dict(variant.settings), **variant.facts, **found}


def _trained(
    place: Place, photographs: Photographs, task: Task, arm: Arm, seed: int, files: Mapping[str, Path]
) -> Path:
    """Return the weights of an arm, trained by the command for an experiment's file; that resumes by itself."""
    folder = place.weights(task.name, arm.name, seed).parent
    named = {name: str(path.resolve()) for name, path in files.items()}
    document = experiment(task, arm, seed, str(photographs.training.resolve()), named, place.steps)
    folder.parent.mkdir(parents=True, exist_ok=True)
    source = folder.parent / f"{folder.name}.toml"
    with atomic(source) as stream:
        stream.write(f"# {task.name}, {arm.title}: written by python -m {MODULE}\n{dumps(document)}".encode())
    options = [f"--out={folder}", "--device=cpu", "--quiet"]
    command = [sys.executable, "-m", "restoration", "train", str(source), *options]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    if done.returncode:
        raise RestorationError(
            f"{source}: training failed with exit code {done.returncode}; its line is above"
        )
    return folder / "restorer.safetensors"


def _training(place: Place, task: Task, arm: Arm, seed: int, files: Mapping[str, Path]) -> dict[str, Any]:
    """Return what an arm's training was; nothing of one that learns nothing."""
    if not arm.learns:
        return {}
    restorer = weights.load(files[arm.name])
    learnt = restorer.network.velocity if arm.kind == "flow" else restorer.network
    document = experiment(
        task, arm, seed, "photographs at half size", dict.fromkeys(arm.needs, "its weights"), place.steps
    )
    facts = {key: restorer.card.training[key] for key in ("seconds", "hardware")}
    return facts | {"parameters": cost.parameters(learnt), "experiment": document}


def _photographs(photographs: Photographs) -> dict[str, Any]:
    return {
        "held_out": photographs.source, "names": photographs.names, "sha256": photographs.identity,
        "resamples": measures.RESAMPLES,
    }  # fmt: skip


def _command(place: Place, task: Task, arm: Arm, seed: int) -> str:
    steps = f" --steps {place.steps}" if place.steps else ""
    other = "".join(
        f" --{key} {Path(name).name if Path(name).is_dir() else name}"
        for key, name in (("training", place.training), ("held-out", place.held_out))
        if name
    )
    return f"python -m {MODULE} --task {task.name} --arm {arm.name} --seeds {seed + 1}{steps}{other}"
