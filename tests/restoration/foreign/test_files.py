"""Files as trainers write them: what wraps the tensors, what stands beside them, and what is refused."""

import collections
import datetime
import functools
import os
import pickle
import sys
import types
import warnings
from argparse import Namespace

import numpy as np
import pytest
import torch

from restoration.errors import WeightsError
from restoration.foreign import read_state
from restoration.foreign.pickles import Shell
from restoration.networks.imdn_chain import ImdnChain
from restoration.networks.msrresnet import MsrResNet
from restoration.weights import load

NETWORK = MsrResNet(scale=2, width=8, blocks=1)
IMAGE = torch.rand(1, 3, 7, 9, generator=torch.Generator().manual_seed(0))


def state(prefix="", factor=1.0):
    return {prefix + name: factor * tensor for name, tensor in NETWORK.state_dict().items()}


def under(module, kind, base=object):
    """Return an importable class of another program."""
    for i in range(len(module.split("."))):
        name = ".".join(module.split(".")[: i + 1])
        sys.modules.setdefault(name, types.ModuleType(name))
    made = type(kind, (base,), {"__module__": module})
    setattr(sys.modules[module], kind, made)
    return made


@pytest.fixture
def alien():
    before = set(sys.modules)
    yield under
    for name in set(sys.modules) - before:
        del sys.modules[name]


def lightning(prefix="model.", **more):
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
    return {
        "epoch": 3, "global_step": 7, "pytorch-lightning_version": "2.4.0", "state_dict": state(prefix),
        "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {"best": {"score": torch.tensor(3.0)}},
        "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [schedule.state_dict()],
        "hyper_parameters": {"lr": 1e-4}, **more,
    }  # fmt: skip


def check(path, within=0.0):
    with torch.no_grad():
        restored, expected = load(path)(IMAGE), NETWORK.eval()(IMAGE)
    assert (restored - expected).abs().max() <= within * expected.std()


WRAPS = {
    "params_ema beside params": {"params": state(factor=0), "params_ema": state()},
    "an average beside the state": {"state_dict": state(factor=0), "ema_state_dict": state()},
    "averaged generator": {"net_g": state(factor=0), "net_g_ema": state(), "net_d": {"a": torch.ones(1)}},
    "generator": {"generator": state("module."), "discriminator": {"a": torch.ones(1)}},
    "G": {"G": state(), "D": {"a": torch.ones(1)}, "opt": {"state": {0: {"step": torch.ones(1)}}}},
    "another name": {"sr": state(), "optimizer": {"state": {0: {"m": torch.ones(1)}}}, "step": 3},
    "three deep": {"checkpoint": {"state_dict": {"params": state()}}},
    "a tensor of a trainer's beside": {"state_dict": state(), "running.loss": torch.ones(1)},
    "plain values beside tensors": {**state(), "epoch": 3, "best": 31.5},
    "numpy's values": {"params": state(), "psnr": np.float64(31.5), "step": np.int64(7), "mean": np.zeros(3)},
    "tensors of others beside": {"state_dict": {**state("generator."), "discriminator.a": torch.ones(1)}},
    "a compiled module of Lightning": lightning("model._orig_mod."),
    "a parallel generator of Lightning": lightning("net_g.module."),
    "a module of a name of its own": lightning("my_restorer."),
    "parameters": {name: torch.nn.Parameter(tensor) for name, tensor in state().items()},
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrap", WRAPS)
def test_the_restorer_is_found(wrap, legacy, tmp_path):
    path = tmp_path / "theirs.ckpt"
    torch.save(WRAPS[wrap], path, _use_new_zipfile_serialization=not legacy)
    check(path)


def test_the_moving_average_of_torch_is_preferred(tmp_path):
    averaged = {**state("ema_model.module."), "ema_model.n_averaged": torch.tensor(3)}
    stored = lightning()
    stored["state_dict"] = {**state("model.", factor=0), **averaged}
    torch.save(stored, tmp_path / "theirs.ckpt")
    check(tmp_path / "theirs.ckpt")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_other_precisions_become_float32(kind, tmp_path):
    torch.save({"params": {k: v.to(kind) for k, v in state().items()}}, tmp_path / "theirs.pth")
    restorer = load(tmp_path / "theirs.pth")
    assert {tensor.dtype for tensor in restorer.parameters()} == {torch.float32}
    for name, tensor in restorer.network.state_dict().items():
        assert torch.equal(tensor, state()[name].to(kind).float())


def beside(alien):
    """Return what Lightning's files of others hold as settings."""
    config, attributes = alien("omegaconf.dictconfig", "DictConfig"), alien("lightning_x.data", "Hyper", dict)
    made = config()
    made._content = {"lr": 1}
    return {
        "config": made, "attributes": attributes(lr=1), "callbacks": {alien("lightning_x.point", "Point"): {"a": 1}},
        "partial": functools.partial(torch.optim.Adam, lr=1), "class": torch.optim.Adam,
        "namespace": Namespace(lr=1), "counts": collections.Counter([1]), "default": collections.defaultdict(int),
        "when": datetime.datetime(2020, 1, 1), "set": {1, 2}, "array": np.array([1.0, 2.0]), "text": np.str_("a"),
        "generator": np.random.get_state(), "network": torch.nn.Linear(2, 2),
    }  # fmt: skip


def test_objects_of_other_programs_are_passed_over_and_never_made(alien, tmp_path):
    path = tmp_path / "theirs.ckpt"
    stored = lightning(hyper_parameters=beside(alien))
    torch.save(stored, path)
    check(path)


class Evil:
    def __init__(self, what):
        self.what = what

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ((os.mkdir, ("MARK",)), "posix.mkdir"),
        ((eval, ("1",)), "eval"),
        ((getattr, ("a", "upper")), "getattr"),
        ((functools.reduce, (max, [1])), "functools.reduce"),
        ((pickle.loads, (b"",)), "pickle.loads"),
    ],
)
def test_functions_of_the_standard_library_are_refused(what, name, tmp_path):
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": state(), "hyper_parameters": {"a": Evil(what)}}, path)
    with pytest.raises(WeightsError) as refusal:
        read_state(path)
    assert str(refusal.value).startswith(
        f"{path}: holds a pickled {name}, and loading one can run any program"
    )


def test_a_network_that_is_pickled_whole_is_refused_wherever_it_stands(alien, tmp_path):
    kind = alien("theirs.archs", "Network", torch.nn.Module)
    for stored in (kind(), {"model": kind(), "epoch": 3}):
        torch.save(stored, tmp_path / "whole.pth")
        with pytest.raises(
            WeightsError, match=r"holds a pickled theirs\.archs\.Network, .*Save the state_dict"
        ):
            read_state(tmp_path / "whole.pth")


def test_a_shell_takes_anything_and_keeps_nothing():
    shell = Shell(1, a=2)
    shell.__setstate__({"a": 1})
    assert vars(shell) == {}


def test_a_complete_misfit_is_not_looked_for_within_its_parts(tmp_path):
    whole = {f"{i}.{name}": tensor for i in range(2) for name, tensor in state().items()}
    torch.save(whole, tmp_path / "theirs.pth")
    with pytest.raises(WeightsError, match="of no known network"):
        load(tmp_path / "theirs.pth")


def test_spandrels_warnings_reach_nobody(tmp_path, monkeypatch):
    spandrel = pytest.importorskip("spandrel")

    def loud(state):
        warnings.warn("an affair of spandrel's", stacklevel=1)
        raise spandrel.UnsupportedModelError

    monkeypatch.setattr(spandrel.MAIN_REGISTRY, "load", loud)
    torch.save({"foo.weight": torch.zeros(2, 2)}, tmp_path / "theirs.pth")
    with warnings.catch_warnings(action="error"), pytest.raises(WeightsError, match="of no known network"):
        load(tmp_path / "theirs.pth")


def test_an_unknown_file_names_the_nearest_layout(tmp_path):
    bad = {k: v for k, v in ImdnChain(width=12, blocks=2).state_dict().items()}
    torch.save({"conv_first.weight": torch.zeros(8, 3, 3, 3), **{f"x{k}": v for k, v in bad.items()},
                "recon_trunk.0.conv1.weight": torch.zeros(8, 8, 3, 3), "HRconv.weight": torch.zeros(8, 8, 3, 3)},
               tmp_path / "theirs.pth")  # fmt: skip
    with pytest.raises(WeightsError) as refusal:
        load(tmp_path / "theirs.pth")
    line = str(refusal.value)
    assert line.endswith("; the nearest layout is MSRResNet1 (KAIR), which has upconv1.weight besides")
    assert "\n" not in line
