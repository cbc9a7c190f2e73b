"""Laws in closed form: published formulas, and that the self-test notices what is wrong."""

import dataclasses
import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from restoration.benchmarks import toys
from restoration.benchmarks.plane import BOUNDED, planes
from restoration.benchmarks.toys import Linear, System, Toy, load_toy, measured
from restoration.benchmarks.toys_binary import Binary, signs
from restoration.benchmarks.toys_checks import self_test, summary
from restoration.errors import ConfigError
from restoration.losses import flow

SMALL = Toy(batches=24, vectors=512)
FEWER = Toy(noises=(1.0,), binary=(), steps=(1, 5), sigmas=(), batches=50)


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
    "steps, variance, mse",
    [
        (1, 0.4997, 0.498),
        (2, 0.719, 0.517),
        (5, 0.876, 0.553),
        (10, 0.940, 0.570),
        (25, 0.975, 0.579),
        (100, 0.9946, 0.5847),
    ],
)
def test_flows_in_few_steps_reach_what_simulation_found(steps, variance, mse):
    (flow,) = (e for e in scalar(1.0).estimators(Toy()) if e.name == f"flow[steps={steps}]")
    assert flow.mse == pytest.approx(mse, abs=0.004)
    assert (1 - flow.w2) ** 2 == pytest.approx(variance, abs=0.004)


@pytest.mark.parametrize("sigma, mse", [(0.0, 0.5858), (0.1, 0.5997), (0.3, 0.6981)])
def test_noise_at_the_source_costs_what_its_formula_says(sigma, mse):
    a = 0.5
    assert 2 - 2 * a / (a + sigma**2) ** 0.5 == pytest.approx(mse, abs=5e-5)
    assert Linear(a + sigma**2, a, 20_000).mse == pytest.approx(mse, abs=1e-4)


@pytest.mark.parametrize("s", [0.5, 1.0, 2.0])
def test_a_flow_from_y_is_worse_than_nothing_where_y_is_far_from_x(s):
    """y = −x + s·n: a monotone map of y, of variance 1; from x* the sign of y does not matter."""
    variance, mean = 1 + s**2, 1 / (1 + s**2)
    far = Linear(variance, -1.0, 40_000).mse
    assert far == pytest.approx(2 + 2 / variance**0.5, rel=1e-3)
    assert Linear(variance, 1.0, 40_000).mse == pytest.approx(2 - 2 / variance**0.5, rel=1e-3)
    assert Linear(mean, mean, 40_000).mse == pytest.approx(2 - 2 / variance**0.5, rel=1e-3)
    if s == 1:
        assert far == pytest.approx(3.414, abs=0.001)
    exact = {e.name: e for e in systems()["mirror"].estimators(Toy())}
    assert exact["naive[steps=100]"].mse > 3 and exact["flow[steps=100]"].mse < 0.6


def test_a_linear_flow_moves_by_its_exact_velocity():
    """E[x − z_0 | z_t] by regression on draws."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(400_000, dtype=torch.double, generator=generator)
    seen = -clean + torch.randn(400_000, dtype=torch.double, generator=generator)
    for t in (0.0, 0.3, 0.8):
        between = (1 - t) * seen + t * clean
        found = (between * (clean - seen)).mean() / between.square().mean()
        assert Linear(2.0, -1.0, 10).speed(t) == pytest.approx(found.item(), abs=0.01)
    z = torch.tensor([[0.5], [-2.0]], dtype=torch.double)
    assert torch.allclose(Linear(0.5, 0.5, 7)(z), Linear(0.5, 0.5, 7).gain * z)


@pytest.mark.parametrize(
    "s, least, posterior, optimal", [(0.7, 0.2253, 0.4496, 0.3063), (1.0, 0.4506, 0.8980, 0.6346), (1.5, 0.6776, 1.3566, 1.0100)]
)  # fmt: skip
def test_the_binary_system_by_simulation_and_formula(s, least, posterior, optimal):
    system = Binary("binary", s)
    assert system.least == pytest.approx(least, abs=0.002)  # found by simulation
    assert 2 * system.least == pytest.approx(posterior, abs=0.003)
    assert system.bound(0.0) == pytest.approx(optimal, abs=5e-5)
    assert system.bound(system.gap) == pytest.approx(system.least)
    clean, mean = system.draw(200_000, torch.Generator().manual_seed(1))
    assert (mean - clean).square().mean().item() == pytest.approx(system.least, abs=0.006)
    assert (signs(mean) - clean).square().mean().item() == pytest.approx(system.bound(0.0), abs=0.012)
    assert system.flow_mse(1) == pytest.approx(system.least)
    for steps in (2, 10, 100):
        assert torch.allclose(system.flow(mean[:5000], steps), signs(mean[:5000]))
        assert system.flow_mse(steps) == pytest.approx(optimal, abs=5e-5)


@pytest.mark.parametrize("s", [0.7, 1.0, 1.5])
def test_odd_steps_leave_some_of_the_binary_system_near_0(s):
    """As simulation found: 4 to 8 % in 5 steps, which at s = 1 have an MSE of 0.576, and 0.4 to 1 % in 25."""
    system = Binary("binary", s)
    clean, mean = system.draw(100_000, torch.Generator().manual_seed(3))
    for steps, least, most in ((5, 0.04, 0.08), (25, 0.004, 0.01)):
        reached = system.flow(mean, steps)
        near = reached.abs() <= 1 / steps + 1e-9
        assert least < near.double().mean() < most
        assert torch.allclose(reached[~near], signs(mean)[~near])
        found = (reached - clean).square().mean().item()
        assert system.flow_mse(steps) == pytest.approx(found, abs=0.015)
        assert system.flow_mse(steps) < system.bound(0.0)
    if s == 1:
        assert system.flow_mse(5) == pytest.approx(0.576, abs=0.005)


@pytest.mark.parametrize("s", [0.7, 1.5])
@pytest.mark.parametrize("t", [0.0, 0.3, 0.49, 0.5, 0.6, 0.9])
def test_the_binary_velocity_is_the_weighted_mean_of_the_lines_that_pass(s, t):
    z, slopes, weights = torch.linspace(-0.999, 0.999, 999, dtype=torch.double)[:, None], [], []
    for x in (-1.0, 1.0):
        u = (z - t * x) / (1 - t)
        law = (-((s**2 * u.atanh() - x) ** 2) / (2 * s**2)).exp() / (1 - u**2)
        weights.append(torch.where(u.abs() < 1, law, 0.0))
        slopes.append(x - u)
    mean = sum(w * v for w, v in zip(weights, slopes, strict=True)) / sum(weights)
    assert torch.allclose(Binary("binary", s).velocity(z, t), mean.nan_to_num(0.0), atol=1e-12)


@pytest.mark.parametrize("t", [0.0, 0.2, 0.45])
def test_the_binary_velocity_is_the_mean_of_what_passes_there(t):
    system, generator = Binary("binary", 1.0), torch.Generator().manual_seed(2)
    clean, mean = system.draw(400_000, generator)
    between = (1 - t) * mean + t * clean
    for low in (-0.45, 0.0, 0.4):
        near = ((between > low) & (between < low + 0.05))[:, 0]
        found = (clean - mean)[near].mean().item()
        said = system.velocity(between[near], t).mean().item()
        assert near.sum() > 500 and said == pytest.approx(found, abs=4 / near.sum().item() ** 0.5)


@pytest.mark.parametrize("name", ["scalar-1", "vector", "vector-of-means"])
def test_transport_and_flows_lie_on_the_bound(name):
    system = systems()[name]
    for estimator in system.estimators(Toy()):
        if estimator.w2 is not None and estimator.name.startswith(
            ("posterior-mean", "optimal", "transport", "flow[steps")
        ):
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


@pytest.mark.slow
def test_the_self_test_holds_as_shipped():
    toy = Toy()
    result, checks = self_test(toy)
    assert [check.sentence for check in checks if not check.holds] == []
    assert len({check.system for check in checks}) == 9 and len(checks) > 250
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
    assert {curve.key for curve in plane.curves} == {"alpha", "steps", "sigma"}
    text = summary(toy, result, checks)
    assert "| mirror: naive |" in text and "| binary-1.5: flow |" in text and "| 0.5000 (" in text
    assert text.count("\n") == 24 and "| scalar-1 |" in text and "0.5858" in text
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
    assert {check.system for check in found} == {"scalar-1", "mirror", "vector", "vector-of-means"}
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
    assert {check.system for check in found} == {"scalar-1", "mirror", "vector", "vector-of-means"}
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
        ("sigmas=[0.1,0.1]", "expected each value once"),
        ("binary=[-1.0]", "binary"),
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


class Mlp(torch.nn.Module):
    """A velocity of numbers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        sizes = (9, 64, 64, 1)
        layers = [m for i, o in pairwise(sizes) for m in (torch.nn.Linear(i, o), torch.nn.SiLU())]
        self.layers = torch.nn.Sequential(*layers[:-1])

    def forward(self, z, t):
        waves = [f(math.pi * k * t) for k in (1, 2, 4) for f in (torch.cos, torch.sin)]
        return self.layers(torch.stack([z, z.clamp(-1, 1).abs(), t, *waves], -1))[..., 0]


def learnt(draw, steps=2000, batch=1024):
    """Return a velocity trained on pairs (z_0, x), both (n,), as the suite trains its flows."""
    velocity, generator = Mlp(), torch.Generator().manual_seed(1)
    average = torch.optim.swa_utils.AveragedModel(
        velocity, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995)
    )
    optimizer = torch.optim.AdamW(velocity.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        start, clean = (values.float() for values in draw(batch, generator))
        t = (torch.arange(batch) + torch.rand(batch, generator=generator)) / batch
        loss = (velocity(flow.path(start, clean, t), t) - flow.target(start, clean)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        average.update_parameters(velocity)
    return average.module.eval().requires_grad_(False)


def error(velocity, exact, draw):
    """Return the root mean square error over the path, as a share of the exact velocity's own."""
    start, clean = draw(20_000, torch.Generator().manual_seed(3))
    t = torch.rand(20_000, dtype=torch.double, generator=torch.Generator().manual_seed(4)).clamp(max=0.98)
    between = flow.path(start, clean, t)
    said, truth = velocity(between.float(), t.float()).double(), exact(between, t)
    return ((said - truth).square().mean() / truth.square().mean()).sqrt().item()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, source, steps, mse",
    [("scalar-1", "mean", 100, 0.5839), ("mirror", "mean", 100, 0.5839), ("mirror", "seen", 100, 3.2876)],
)
def test_a_learnt_flow_has_the_exact_velocity_and_its_error(name, source, steps, mse):
    system = systems()[name]
    scale = 1.0 if source == "mean" else 1 / system.gain.item()

    def draw(n, generator):
        clean, mean = system.draw(n, generator)
        return scale * mean[:, 0], clean[:, 0]

    a, gain = system.explained.item(), system.gain.item()
    linear = Linear(a, a, steps) if source == "mean" else Linear(a / gain**2, a / gain, steps)
    assert linear.mse == pytest.approx(mse, abs=1e-4)
    velocity = learnt(draw)
    speeds = lambda z, t: z * torch.tensor([linear.speed(x) for x in t.tolist()])  # noqa: E731
    assert error(velocity, speeds, draw) < 0.03
    start, clean = draw(20_000, torch.Generator().manual_seed(5))
    reached, exact = flow.euler(velocity, start.float(), steps), linear(start)
    found, known = ((end - clean).square().mean().item() for end in (reached, exact))
    assert known == pytest.approx(mse, rel=0.03)  # of these draws
    assert found == pytest.approx(known, rel=0.02)


@pytest.mark.slow
def test_a_learnt_flow_of_the_binary_system_reaches_its_optimum():
    system = Binary("binary", 1.0)

    def draw(n, generator):
        clean, mean = system.draw(n, generator)
        return mean[:, 0], clean[:, 0]

    velocity = learnt(draw)
    start, clean = draw(20_000, torch.Generator().manual_seed(5))
    reached, exact = flow.euler(velocity, start.float(), 100), signs(start)
    found, known = ((end - clean).square().mean().item() for end in (reached, exact))
    assert known == pytest.approx(0.6346, rel=0.04)
    assert found == pytest.approx(known, rel=0.03)
    assert (reached.abs() - 1).abs().mean() < 0.05
    assert (reached.sign() == exact).double().mean() > 0.99
