"""What tests of methods share: a training by one process and by two, a compiler that writes down who is called."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
State = dict[str, Tensor]


@pytest.fixture
def by_one_and_two() -> Callable[[Path, Sequence[str]], tuple[State, State]]:
    """Return what trains an experiment's file by one process and by two, with settings, and returns both weights."""

    def trained(experiment: Path, settings: Sequence[str]) -> tuple[State, State]:
        chosen = [part for setting in settings for part in ("--set", setting)]
        command = ["-m", "restoration", "train", str(experiment), "--quiet", "--device", "cpu", *chosen]
        environment, found = os.environ | {"OMP_NUM_THREADS": "1"}, []
        for folder, launcher in (("one", ()), ("two", TORCHRUN)):
            out = experiment.parent / folder
            subprocess.run(
                [sys.executable, *launcher, *command, "--out", str(out)], check=True, env=environment
            )
            found.append(load_file(out / "restorer.safetensors"))
        return found[0], found[1]

    return trained


@pytest.fixture
def compiled(monkeypatch):
    """Replace PyTorch's compiler, and return the list of modules that are called compiled, in order."""
    found = []

    def compile(function, **options):
        def call(*args, **kwargs):
            found.append(function.__self__)
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(torch, "compile", compile)
    return found
