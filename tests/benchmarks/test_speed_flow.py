"""What a flow costs beyond its calls: how it is counted, not how long it takes."""

import json
import sys

import pytest

from restoration.benchmarks import speed_flow


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return speed_flow.flow_of("pmrf-denoise-small", 2)


def test_the_whole_is_compared_with_the_sum_of_its_calls(small, monkeypatch):
    seconds = {"mean": [0.5, 0.5], "velocity": [1.0, 1.0], "apply": [2.6, 2.6]}
    called = []

    def alternate(ways, repeats):
        for name, way in ways.items():
            called.append((name, way()))
        return seconds

    monkeypatch.setattr(speed_flow, "alternate", alternate)
    found = speed_flow.measured(small, 24, 2)
    assert [name for name, _ in called] == ["mean", "velocity", "apply"]
    assert all(result.shape == (1, 3, 24, 24) for _, result in called[:2])
    assert called[2][1].samples.shape == (24, 24, 3)
    assert found["calls"] == {"mean": 1, "velocity": 2} and found["calls_alone"] == 2.5
    assert found["overhead"] == pytest.approx(0.04)


def test_a_call_is_that_of_the_flow_itself(small):
    asked = []
    small.velocity.register_forward_hook(lambda module, inputs, output: asked.append(inputs[0].shape))
    small.posterior_mean.register_forward_hook(lambda module, inputs, output: asked.append("mean"))
    found = speed_flow.measured(small, 16, 1)
    # a warm-up and a timed call of each: alone, and within the whole
    assert asked.count("mean") == 4 and len(asked) - 4 == 2 * (1 + 2)
    assert set(found["seconds"]) == {"mean", "velocity", "apply"}


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
