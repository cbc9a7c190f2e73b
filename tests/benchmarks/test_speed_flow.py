"""What a flow costs beyond its calls: how it is counted, not how long it takes."""

import json
import sys

import pytest
from torch.overrides import _get_current_function_mode_stack

from restoration.applying.quick_layers import QuickLayers
from restoration.applying.running import Runner
from restoration.benchmarks import speed_flow


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return speed_flow.flow_of("pmrf-denoise-small", 2)


def test_the_whole_is_compared_with_its_calls(small, monkeypatch):
    called = []

    def alternate(ways, repeats):
        called.extend((name, way()) for name, way in ways.items())
        return {"calls": [2.0, 2.5, 9.0], "apply": [2.6, 2.0, 9.0]}

    monkeypatch.setattr(speed_flow, "alternate", alternate)
    found = speed_flow.measured(small, 24, 2)
    assert [name for name, _ in called] == ["calls", "apply"]
    assert called[0][1].shape == (1, 3, 24, 24) and called[1][1].samples.shape == (24, 24, 3)
    assert found["calls"] == {"mean": 1, "velocity": 2}
    assert found["seconds"] == {"calls": 2.5, "apply": 2.6} and found["overhead"] == pytest.approx(0.04)


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_calls_are_those_of_apply_and_nothing_around_them(monkeypatch, solver):
    flow, seen, wrapped = speed_flow.flow_of("pmrf-denoise-small", 3, solver), [], []
    for network in (flow.posterior_mean, flow.velocity):
        network.register_forward_hook(lambda module, inputs, output: seen.append(call(module, inputs[0])))
    monkeypatch.setattr(
        Runner, "__call__", lambda self, tile, run=Runner.__call__: wrapped.append(1) or run(self, tile)
    )
    asked = {}

    def alternate(ways, repeats):
        for name, way in ways.items():
            before = len(seen), len(wrapped)
            way()
            asked[name] = seen[before[0] :], len(wrapped) - before[1]
        return {name: [1.0] for name in ways}

    monkeypatch.setattr(speed_flow, "alternate", alternate)
    speed_flow.measured(flow, 20, 1)
    (bare, through), (own, runs) = asked["calls"], asked["apply"]
    assert bare == own and len(bare) == 1 + (3 if solver == "euler" else 5)
    assert (through, runs) == (0, 1)
    assert bare[0][1:] == ((1, 3, 24, 24), (24 * 24 * 3, 1, 24 * 3, 3), True)


def call(module, image):
    """Return what decides what a call costs: the network, the tile's size and order in memory, the quick layers."""
    quick = any(isinstance(mode, QuickLayers) for mode in _get_current_function_mode_stack())
    return type(module), tuple(image.shape), image.stride(), quick


def test_the_command_writes_what_it_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "flow.json"
    asked = ["--sides", "16", "24", "--steps", "1", "--repeats", "1", "--solver", "heun", "--out", out.name]
    monkeypatch.setattr(sys, "argv", ["speed_flow", *asked])
    speed_flow.main()
    record = json.loads(out.read_text())
    assert record["command"] == (
        "python -m restoration.benchmarks.speed_flow --experiment pmrf-denoise-small --sides 16 24 --steps 1 "
        "--solver heun --repeats 1 --out flow.json"
    )
    assert record["sizes"]["16"]["calls"] == {"mean": 1, "velocity": 1}
    assert capsys.readouterr().out.startswith("| side |") and str(tmp_path) not in out.read_text()


def test_an_experiment_without_a_flow_is_refused():
    with pytest.raises(
        SystemExit, match=r"^sr-x2-small: expected an experiment of a flow from a posterior mean"
    ):
        speed_flow.flow_of("sr-x2-small", 2)
