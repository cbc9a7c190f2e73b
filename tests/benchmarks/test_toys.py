"""Gaussians in closed form: published formulas, and that the self-test notices what is wrong."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from restoration.benchmarks import toys
from restoration.benchmarks.plane import BOUNDED, planes
from restoration.benchmarks.toys import System, Toy, load_toy, measured
from restoration.benchmarks.toys_checks import self_test, summary
from restoration.errors import ConfigError

SMALL = Toy(batches=24, vectors=512)
FEWER = Toy(noises=(1.0,), batches=50)


def scalar(s):
    one = torch.ones(1, 1, dtype=torch.double)
    return System("scalar", one, one, s)


def systems():
    return {system.name: system for system in Toy().systems()}


@pytest.mark.parametrize("s", [0.3, 0.5, 1.0, 2.0])
def test_the_scalar_system_by_its_formulas(s):
    system = scalar(s)
    assert system.least == pytest.approx(s**2 / (1 + s**2))
    assert system.bound(0.0) == pytest.approx(2 - 2 / (1 + s**2) ** 0.5)
    assert system.gap == pytest.approx(1 - 1 / (1 + s**2) ** 0.5)
    exact = {e.name: e for e in system.estimators(Toy())}
    assert exact["posterior-sampling"].mse == pytest.approx(2 * s**2 / (1 + s**2))
    assert exact["optimal"].mse == pytest.approx(2 - 2 / (1 + s**2) ** 0.5)
    y = torch.linspace(-2, 2, 9, dtype=torch.double)[:, None]
    made = exact["optimal"].make(y @ system.gain.T, torch.zeros(9, 1, dtype=torch.double))
    assert torch.allclose(made, y / (1 + s**2) ** 0.5)


@pytest.mark.parametrize(
    "steps, variance, mse", [(1, 0.4997, 0.498), (2, 0.719, 0.517), (5, 0.876, 0.553), (25, 0.975, 0.579)]
)
def test_flows_in_few_steps_reach_what_simulation_found(steps, variance, mse):
    (flow,) = (e for e in scalar(1.0).estimators(Toy()) if e.name == f"flow[steps={steps}]")
    assert flow.mse == pytest.approx(mse, abs=0.004)
    assert (1 - flow.w2) ** 2 == pytest.approx(variance, abs=0.004)


@pytest.mark.parametrize("name", ["scalar-1", "vector", "vector-of-means"])
def test_transport_and_flows_lie_on_the_bound(name):
    system = systems()[name]
    for estimator in system.estimators(Toy()):
        if estimator.w2 is not None and estimator.name != "posterior-sampling":
            assert estimator.mse == pytest.approx(system.bound(estimator.w2), rel=1e-9), estimator.name
    assert system.least < system.bound(0.0) < 2 * system.least


def test_the_posterior_mean_is_that_of_the_joint_gaussian():
    system = systems()["vector-of-means"]
    d, k = 6, 3
    assert torch.linalg.matrix_rank(system.explained, atol=1e-9) == k
    joint = torch.zeros(d + k, d + k, dtype=torch.double)
    joint[:d, :d], joint[:d, d:] = system.prior, system.prior @ system.operator.T
    joint[d:, :d] = joint[:d, d:].T
    joint[d:, d:] = system.operator @ system.prior @ system.operator.T + system.noise**2 * torch.eye(k)
    precision = torch.linalg.inv(joint)[:d, :d]
    assert torch.allclose(torch.linalg.inv(precision), system.prior - system.explained)
    assert system.least == pytest.approx(torch.linalg.inv(precision).trace().item() / d)


def test_the_self_test_holds_as_shipped():
    toy = Toy()
    result, checks = self_test(toy)
    assert [check.sentence for check in checks if not check.holds] == []
    assert len({check.system for check in checks}) == 5 and len(checks) > 100
    words = " ".join(check.what for check in checks)
    for claim in (
        "MSE = D*",
        "MSE = 2·D*",
        "MSE = D* + W₂(p*, p)²",
        "(1 − α)²·W₂(p*, p)²",
        "W₂² = 0",
        "on the bound",
    ):
        assert claim in words
    (plane,) = planes(
        dataclasses.replace(result, rows=[r for r in result.rows if r.protocol.endswith("scalar-1")]),
        *BOUNDED,
    )
    assert plane.bound.least == pytest.approx(0.5, abs=0.01) and plane.bound.gap == pytest.approx(
        0.2929, abs=0.01
    )
    assert "the vectors themselves" in plane.bound.space
    assert {curve.key for curve in plane.curves} == {"alpha", "steps"}
    text = summary(toy, result, checks)
    assert text.count("\n") == 6 and "| scalar-1 |" in text and "0.5858" in text
    json.loads(result.to_json())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_the_self_test_holds_with_other_draws(seed):
    _, checks = self_test(dataclasses.replace(SMALL, seed=seed))
    assert [check.sentence for check in checks if not check.holds] == []


def failures(monkeypatch, name, broken):
    right = System.estimators

    def wrong(system, toy):
        return [e._replace(make=broken(e, system)) if e.name == name else e for e in right(system, toy)]

    monkeypatch.setattr(System, "estimators", wrong)
    _, checks = self_test(FEWER)
    return [check for check in checks if not check.holds]


def test_a_wrong_amplitude_of_posterior_noise_is_noticed(monkeypatch):
    found = failures(
        monkeypatch,
        "posterior-sampling",
        lambda e, _: lambda mean, noise: mean + 0.95 * (e.make(mean, noise) - mean),
    )
    assert {check.system for check in found} == {"scalar-1", "vector", "vector-of-means"}
    assert any("posterior-sampling: MSE = 2·D*: expected 1.000000, found 0.9" in c.sentence for c in found)


def test_an_optimum_that_is_a_scaled_posterior_mean_is_noticed_where_directions_differ(monkeypatch):
    def scaled(estimator, system):
        gain = (system.prior.trace() / system.explained.trace()).sqrt()
        return lambda mean, noise: gain * mean

    found = failures(monkeypatch, "optimal", scaled)
    assert {check.system for check in found} == {"vector", "vector-of-means"}


def test_interpolation_with_another_square_is_noticed(monkeypatch):
    name = "transport[alpha=0.5]"
    found = failures(
        monkeypatch, name, lambda e, _: lambda mean, noise: mean + 2**0.5 * (e.make(mean, noise) - mean)
    )
    assert {check.system for check in found} == {"scalar-1", "vector", "vector-of-means"}
    assert all(name in check.what or name in check.found for check in found)


def test_a_metric_that_is_wrong_by_a_hundredth_is_noticed(monkeypatch):
    right = toys.w2
    monkeypatch.setattr(toys, "w2", lambda first, second: 1.05 * right(first, second))
    _, checks = self_test(FEWER)
    assert any("posterior-mean: W₂²" in check.what for check in checks if not check.holds)


def test_draws_do_not_depend_on_what_else_is_measured():
    whole = {m.system.name: m for m in measured(SMALL)}
    fewer = {m.system.name: m for m in measured(dataclasses.replace(SMALL, steps=(5,), alphas=(0.5,)))}
    for name, m in fewer.items():
        for estimator, values in m.mse.items():
            assert np.array_equal(values, whole[name].mse[estimator])


@pytest.mark.parametrize(
    "setting, words",
    [
        ("batches=7", "batches = 7"),
        ("vectors=many", 'vectors = "many": expected a whole number'),
        ("noises=[0.0]", "noises"),
        ("noises=[1.0,1.0]", "expected each value once"),
        ("components=5", "components = 5"),
        ("batchs=9", "batchs: unknown key; did you mean 'batches'?"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, words):
    with pytest.raises(ConfigError) as caught:
        load_toy([setting])
    assert words in str(caught.value)


def test_settings_hold():
    assert load_toy(["vectors=1024", "noises=[0.7]"]) == Toy(vectors=1024, noises=(0.7,))
