"""Rectified flow: the path's identities, times by key, and flows between Gaussians whose velocity is known."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from restoration.losses import TERMS, flow
from restoration.losses.flow import RectifiedFlow, Start, euler, noise, one_step, path, target, times

KEYS = [(7, sample) for sample in range(48)]


@dataclass(frozen=True)
class Pair:
    degraded: Tensor
    clean: Tensor
    keys: tuple[tuple[int, int], ...]
    mask: None = None
    layers: dict = field(default_factory=dict)
    frames: None = None
    step: int = 0


def drawn(count: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(count))


def mean_square(error: Tensor) -> float:
    return float(error.square().mean())


@dataclass(frozen=True)
class Gaussian:
    """The exact velocity between jointly Gaussian z_0 and clean ~ N(0, 1): E[clean − z_0 | z_t], linear in z_t."""

    variance: float  # of z_0
    covariance: float  # of z_0 and clean

    def slope(self, t: Tensor) -> Tensor:
        v, c = self.variance, self.covariance
        joint = (1 - t) * c + t - (1 - t) * v - t * c
        return joint / ((1 - t) ** 2 * v + t**2 + 2 * t * (1 - t) * c)

    def __call__(self, z: Tensor, t: Tensor) -> Tensor:
        return self.slope(t) * z

    def gain(self, steps: int) -> float:
        """Return what Euler steps multiply z_0 by; the flow is linear."""
        return float(euler(self, torch.ones(1, dtype=torch.float64), steps))


def test_path_runs_from_the_start_to_clean_at_a_constant_velocity():
    rng = torch.Generator().manual_seed(0)
    start, clean = torch.rand(2, 3, 3, 4, 5, generator=rng, dtype=torch.float64)
    assert torch.equal(path(start, clean, torch.zeros(3)), start)
    assert torch.equal(path(start, clean, torch.ones(3)), clean)
    t = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    slope = (path(start, clean, t + 1e-3) - path(start, clean, t - 1e-3)) / 2e-3
    torch.testing.assert_close(slope, target(start, clean))
    torch.testing.assert_close(one_step(path(start, clean, t), target(start, clean), t), clean)


def test_euler_integrates_a_velocity_that_is_constant_along_the_path_exactly():
    start, clean = torch.randn(2, 4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    for steps in (1, 3, 25):
        torch.testing.assert_close(euler(lambda z, t: target(start, clean), start, steps), clean)
    seen = []
    euler(lambda z, t: seen.append(t.tolist()) or torch.zeros_like(z), start, 4)
    assert seen == [[i / 4] * 4 for i in range(4)]  # t = 1 is never evaluated


def test_term_is_the_mean_square_error_of_the_velocity():
    rng = torch.Generator().manual_seed(1)
    start, clean, velocity = torch.rand(3, 48, 3, 4, 4, generator=rng, dtype=torch.float64)
    for term in (RectifiedFlow(), RectifiedFlow(times="uniform"), RectifiedFlow(times="logit-normal")):
        batch = Pair(start, clean, tuple(KEYS))
        t = term.drawn_times(KEYS, clean)
        restored = one_step(path(start, clean, t), velocity, t)
        expected = (velocity - target(start, clean)).square().mean((1, 2, 3))
        torch.testing.assert_close(term.of_restored(restored, batch), expected)
        # in float32 too, at whatever time was drawn
        single = Pair(start.float(), clean.float(), tuple(KEYS))
        restored = one_step(path(single.degraded, single.clean, t.float()), velocity.float(), t.float())
        torch.testing.assert_close(term.of_restored(restored, single), expected.float(), rtol=2e-3, atol=1e-4)


def test_term_owns_nothing_and_needs_keys():
    term = TERMS["rectified-flow"]()
    assert term.groups() == {} and term.method == "rectified-flow"
    with pytest.raises(
        ValueError,
        match=r"^rectified-flow: 0 keys for 2 images; expected one \(seed, sample\) for each$",
    ):
        term.of_restored(torch.zeros(2, 3, 4, 4), Pair(torch.zeros(0), torch.zeros(2, 3, 4, 4), ()))


@pytest.mark.parametrize("kind", ["uniform", "stratified", "logit-normal"])
def test_times_depend_on_their_key_alone(kind):
    together = times(KEYS, kind)
    assert torch.equal(times(KEYS[5:9], kind), together[5:9])
    assert torch.equal(times(KEYS[::-1], kind), together.flip(0))
    assert not torch.equal(times([(8, s) for _, s in KEYS], kind), together)
    assert together.unique().numel() == len(KEYS)


def test_stratified_times_fall_one_into_each_part_of_every_step():
    for first in (0, 12, 36):  # three steps of twelve images, whatever rank or micro-batch holds them
        drawn_now = times([(3, s) for s in range(first, first + 12)], "stratified", strata=12)
        assert (drawn_now * 12).floor().tolist() == list(range(12))
    within = times([(3, s) for s in range(3600)], "stratified", strata=12) * 12 % 1
    assert within.mean() == pytest.approx(0.5, abs=0.02) and within.var() == pytest.approx(1 / 12, abs=0.004)


def test_uniform_and_logit_normal_times_have_their_moments():
    keys = [(5, s) for s in range(5000)]
    uniform = times(keys, "uniform")
    assert uniform.mean() == pytest.approx(0.5, abs=0.015)
    assert uniform.var() == pytest.approx(1 / 12, abs=0.003)
    logits = torch.logit(times(keys, "logit-normal", mean=0.3, deviation=0.8))
    assert logits.mean() == pytest.approx(0.3, abs=0.04) and logits.std() == pytest.approx(0.8, abs=0.03)
    assert times(keys, "logit-normal", mean=50.0).max() == 1


def test_the_last_thousandth_of_the_times_is_drawn_as_the_others_are():
    keys = [(5, s) for s in range(16_000)]
    for kind in ("uniform", "stratified"):
        t = times(keys, kind)
        late = t[t > 0.999]
        assert t.max() <= 1 and 4 <= len(late) <= 30 and late.unique().numel() == len(late)


def test_the_regression_of_late_times_is_finite_and_weighs_less():
    rng = torch.Generator().manual_seed(2)
    start, clean, velocity = torch.rand(3, 5, 3, 8, 8, generator=rng)
    velocity.requires_grad_()
    t = torch.tensor([0.9, 0.999, 0.9995, 0.99999, 1.0])
    found = flow.velocity_regression(one_step(path(start, clean, t), velocity, t), clean, t)
    weights = torch.tensor([1.0, 1.0, 0.25, 1e-4, 0.0])
    expected = weights * (velocity - target(start, clean)).square().mean((1, 2, 3))
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-6)
    (slope,) = torch.autograd.grad(found.sum(), velocity)
    assert slope.isfinite().all() and (slope[-1] == 0).all()


def test_noise_is_normal_and_keyed():
    like = torch.zeros(3, 3, 40, 50)
    keys = [(1, 4), (1, 5), (2, 4)]
    epsilon = noise(keys, like)
    assert torch.equal(noise(keys[1:2], like[1:2])[0], epsilon[1])
    assert epsilon.mean() == pytest.approx(0, abs=0.02) and epsilon.var() == pytest.approx(1, abs=0.03)
    correlation = torch.corrcoef(epsilon.flatten(1))
    assert (correlation - torch.eye(3)).abs().max() < 0.06
    # ε is independent of the time that the same key draws
    t = times([(0, s) for s in range(2000)], "uniform")
    first = noise([(0, s) for s in range(2000)], torch.zeros(2000, 1, 1, 1)).flatten()
    assert abs(float(torch.corrcoef(torch.stack((t, first)))[0, 1])) < 0.07


def test_sources():
    image, epsilon = torch.full((1, 1, 2, 2), 0.5), torch.ones(1, 1, 2, 2)
    assert torch.equal(Start("posterior-mean", 0.25)(image, epsilon), torch.full_like(image, 0.75))
    assert torch.equal(Start("degraded", 0.0)(image, epsilon), image)
    assert torch.equal(Start("noise", 0.25)(image, epsilon), epsilon)


def test_enlarged_keeps_a_plane_and_the_size_of_clean():
    rows = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 2, 8, 6)
    assert flow.enlarged(rows, 1) is rows
    double = flow.enlarged(rows, 2)
    assert double.shape == (1, 2, 16, 12)
    places = (torch.arange(16.0) + 0.5) / 2 - 0.5
    torch.testing.assert_close(double[0, 0, 4:-4, 0], places[4:-4])


def test_refusals():
    for make, message in (
        (lambda: Start(sigma=-0.1), "sigma = -0.1; expected a number from 0"),
        (lambda: RectifiedFlow(strata=0), "strata = 0; expected a number from 1"),
        (lambda: RectifiedFlow(sigma=-1.0), "sigma = -1.0; expected a number from 0"),
        (
            lambda: RectifiedFlow(logit_deviation=-1.0),
            "logit_deviation = -1.0; expected a number from 0",
        ),
    ):
        with pytest.raises(ValueError) as caught:
            make()
        assert str(caught.value) == message


# Gaussian data: clean x ~ N(0, 1), degraded y = x + s·n, posterior mean x* = a·y with a = 1 / (1 + s²). Then a is the
# variance of x* and its covariance with x; of z_0 = x* + σ·ε the variance is a + σ².


@pytest.mark.parametrize(
    ("steps", "variance", "error"),
    [(1, 0.4997, 0.498), (2, 0.719, 0.517), (5, 0.876, 0.553), (10, 0.940, 0.570), (25, 0.975, 0.579),
     (100, 0.9946, 0.5847)],
)  # fmt: skip
def test_euler_steps_trade_error_for_variance_as_measured(steps, variance, error):
    """Values measured by simulation with the exact velocity at s = 1, σ = 0; here without chance."""
    a = 0.5
    gain = Gaussian(a, a).gain(steps)
    assert gain**2 * a == pytest.approx(variance, abs=4e-3)
    assert 1 + gain**2 * a - 2 * gain * a == pytest.approx(error, abs=4e-3)


@pytest.mark.parametrize(("sigma", "error"), [(0.0, 0.5858), (0.1, 0.5997), (0.3, 0.6981)])
def test_flow_reaches_the_least_error_under_perfect_perception(sigma, error):
    """2 − 2a/√(a + σ²) (Freirich et al., 2021, for σ = 0: 2 − 2/√(1 + s²)); posterior sampling has 2·MMSE = 1."""
    a = 0.5
    velocity, steps = Gaussian(a + sigma**2, a), 1000
    gain = velocity.gain(steps)
    assert gain**2 * (a + sigma**2) == pytest.approx(1, abs=1e-3)
    assert 1 + gain**2 * (a + sigma**2) - 2 * gain * a == pytest.approx(error, abs=1e-3)
    assert error == pytest.approx(2 - 2 * a / math.sqrt(a + sigma**2), abs=1e-4)
    y = drawn(60_000, 0) + drawn(60_000, 1)
    restored = euler(velocity, Start(sigma=sigma)(a * y, drawn(60_000, 2)), 100)
    assert mean_square(restored - drawn(60_000, 0)) == pytest.approx(error, abs=0.015)
    assert mean_square(restored - a * y) + 0.5 == pytest.approx(error, abs=0.015)  # MMSE + E‖x* − restored‖²


def test_flow_from_an_inverted_degraded_image_is_worse_than_from_its_posterior_mean():
    """y = −x + n: a flow on the line is monotone, so from y it keeps the wrong sign: 2 + 2/√2; from x* it does not."""
    naive = Gaussian(variance=2.0, covariance=-1.0).gain(1000)
    assert naive**2 * 2 == pytest.approx(1, abs=0.01)
    assert 1 + naive**2 * 2 + 2 * naive == pytest.approx(2 + math.sqrt(2), abs=0.02)
    ours = Gaussian(0.5, 0.5).gain(1000)  # x* = −y / 2: variance and covariance are as for y = x + n
    assert 1 + ours**2 * 0.5 - 2 * ours * 0.5 == pytest.approx(2 - math.sqrt(2), abs=1e-3)


@pytest.mark.parametrize(
    ("s", "mmse", "optimal"), [(0.7, 0.2253, 0.3063), (1.0, 0.4506, 0.6346), (1.5, 0.6776, 1.0100)]
)
def test_flow_of_a_binary_signal_decides_its_sign(s, mmse, optimal):
    """x = ±1, y = x + s·n, x* = tanh(y/s²); the best estimator of perfect perception is sign(y), 4·Q(1/s)."""
    x, y = drawn(40_000, 0).sign(), drawn(40_000, 0).sign() + s * drawn(40_000, 1)
    mean = torch.tanh(y / s**2)
    restored = euler(Binary(s), mean, 100)
    assert mean_square(mean - x) == pytest.approx(mmse, abs=0.012)
    assert mean_square(restored - x) == pytest.approx(optimal, abs=0.025)
    assert optimal == pytest.approx(2 * math.erfc(1 / s / math.sqrt(2)), abs=1e-4)
    assert float((restored.abs() - 1).abs().max()) < 1e-3


def test_few_odd_steps_leave_a_binary_signal_undecided():
    x, y = drawn(40_000, 0).sign(), drawn(40_000, 0).sign() + drawn(40_000, 1)
    restored = euler(Binary(1.0), torch.tanh(y), 5)
    assert mean_square(restored - x) == pytest.approx(0.576, abs=0.015)
    assert 0.04 < float((restored.abs() < 0.5).double().mean()) < 0.08


@dataclass(frozen=True)
class Binary:
    """The exact velocity from x* = tanh(y/s²) to x = ±1: the mean of x − u over the two lines through z_t."""

    s: float

    def __call__(self, z: Tensor, t: Tensor) -> Tensor:
        weights, slopes = [], []
        for x in (-1.0, 1.0):
            u = (z - t * x) / (1 - t)
            inside = u.abs() < 1
            safe = torch.where(inside, u, 0)
            y = self.s**2 * torch.atanh(safe)
            density = torch.exp(-((y - x) ** 2) / (2 * self.s**2)) * self.s**2 / (1 - safe**2)
            weights.append(torch.where(inside, density, 0))
            slopes.append(x - u)
        total = weights[0] + weights[1]
        mixed = (weights[0] * slopes[0] + weights[1] * slopes[1]) / total.clamp(min=1e-300)
        return torch.where(total > 0, mixed, 0)  # where no line passes


@pytest.mark.parametrize("t", [0.0, 0.3, 0.8])
def test_regression_is_least_at_the_exact_velocity(t):
    """The least square error over functions of z_t is Var(u) − Cov(u, z_t)² / Var(z_t), u = clean − z_0."""
    a, sigma, count = 0.5, 0.1, 100_000
    x, y = drawn(count, 0), drawn(count, 0) + drawn(count, 1)
    start, clean = a * y + sigma * drawn(count, 2), x
    start, clean = start.view(-1, 1), clean.view(-1, 1)  # one value per image
    now = torch.full((count,), t, dtype=torch.float64)
    between = path(start, clean, now)
    exact = Gaussian(a + sigma**2, a)

    def loss(slope: Tensor) -> Tensor:
        return flow.velocity_regression(one_step(between, slope * between, now), clean, now).mean()

    slope = exact.slope(torch.tensor(t, dtype=torch.float64)).requires_grad_()
    least = loss(slope)
    spread = (1 - t) ** 2 * (a + sigma**2) + t**2 + 2 * t * (1 - t) * a
    u = 1 - 2 * a + a + sigma**2
    assert least.item() == pytest.approx(u - exact.slope(torch.tensor(t)).item() ** 2 * spread, rel=0.02)
    (gradient,) = torch.autograd.grad(least, slope)
    assert abs(gradient.item()) < 0.02
    assert loss(slope + 0.1) > least and loss(slope - 0.1) > least


def test_heun_integrates_a_velocity_that_is_constant_along_the_path_exactly():
    start, clean = torch.randn(2, 4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    for steps in (1, 3, 25):
        torch.testing.assert_close(flow.heun(lambda z, t: target(start, clean), start, steps), clean)
    seen = []
    flow.heun(lambda z, t: seen.append(float(t[0])) or torch.zeros_like(z), start, 3)
    assert seen == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])


def test_heun_takes_fewer_steps_than_euler_for_the_same_error():
    exact = Gaussian(0.5, 0.5)
    ones, gain = torch.ones(1, dtype=torch.float64), math.sqrt(2)
    error = {k: abs(float(flow.heun(exact, ones, k)) - gain) for k in (5, 10)}
    assert error[5] < abs(exact.gain(25) - gain) and error[10] < error[5] / 3
