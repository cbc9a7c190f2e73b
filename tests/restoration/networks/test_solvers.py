"""Ways to follow a flow: their order, the schedulers of diffusers, how often they ask for the velocity."""

import pytest
import torch
from torch import Tensor

from restoration.losses.flow import euler, heun
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.networks.solvers import SOLVERS, calls, check_solver, solved

VARIANCE = 0.5  # of z_0, and its covariance with clean ~ N(0, 1)
EXACT = VARIANCE**-0.5  # what the flow multiplies z_0 by
# diffusers takes seconds to import
every = pytest.mark.parametrize(
    "solver", [s if ":" not in s else pytest.param(s, marks=pytest.mark.slow) for s in SOLVERS]
)


def velocity(between: Tensor, t: Tensor) -> Tensor:
    """Return E[clean − z_0 | z_t], which is linear in z_t."""
    t = t.view(-1, 1, 1, 1)
    joint = (1 - t) * VARIANCE + t - (1 - t) * VARIANCE - t * VARIANCE
    return joint / ((1 - t) ** 2 * VARIANCE + t**2 + 2 * t * (1 - t) * VARIANCE) * between


def gain(solver: str, steps: int, dtype: torch.dtype = torch.double) -> float:
    return float(solved(solver, velocity, torch.ones(2, 1, 3, 3, dtype=dtype), steps)[0, 0, 1, 1])


def test_euler_is_of_first_order_and_heun_of_second():
    for solver, order in (("euler", 1), ("heun", 2)):
        coarse, fine = (abs(gain(solver, steps) - EXACT) for steps in (40, 80))
        assert coarse / fine == pytest.approx(2**order, rel=0.1)
    assert abs(gain("heun", 8) - EXACT) < abs(gain("euler", 16) - EXACT) / 5


@every
def test_every_solver_reaches_clean_images(solver):
    error = abs(gain(solver, 25, torch.float) - EXACT)
    assert error < 0.02 and error <= abs(gain("euler", 25) - EXACT) + 1e-5


@pytest.mark.parametrize("steps", [1, 2, 7])
@every
def test_the_velocity_is_asked_for_as_often_as_is_said_and_never_at_the_end(solver, steps):
    times = []

    def watched(between: Tensor, t: Tensor) -> Tensor:
        times.append(t)
        return velocity(between, t)

    result = solved(solver, watched, torch.ones(2, 1, 3, 3), steps)
    assert len(times) == calls(solver, steps)
    assert all(t.shape == (2,) and 0 <= float(t[0]) < 1 and t[0] == t[1] for t in times)
    # one scheduler begins a thousandth late
    assert float(times[0][0]) < 1.001e-3 and result.dtype == torch.float and result.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 6])
@pytest.mark.parametrize(("name", "own"), [("Euler", euler), ("Heun", heun)])
def test_schedulers_of_flow_matching_take_the_same_steps(name, own, steps):
    start = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    found = solved(f"scheduler:FlowMatch{name}DiscreteScheduler", velocity, start, steps)
    torch.testing.assert_close(found, own(velocity, start, steps), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("solver", [s for s in SOLVERS if ":" in s])
def test_the_image_between_steps_is_not_rounded_to_the_precision_of_the_velocity(solver):
    start = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0))

    def coarse(between: Tensor, t: Tensor) -> Tensor:
        return velocity(between, t).bfloat16()

    found = solved(solver, coarse, start, 6)
    assert torch.equal(found, solved(solver, lambda between, t: coarse(between, t).float(), start, 6))
    assert not torch.equal(found, found.bfloat16().float())


@pytest.mark.slow
@pytest.mark.parametrize("solver", [s for s in SOLVERS if "DPM" not in s])
def test_in_double_precision_what_single_would_round_is_kept(solver):
    # DPMSolverMultistepScheduler rounds, which `shortened` says
    start = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    little = 1e-10
    near, far = (solved(solver, velocity, start + shift, 6) for shift in (0, little))
    assert near.dtype == torch.double
    expected = torch.full_like(near, little * gain(solver, 6))
    torch.testing.assert_close(far - near, expected, rtol=1e-4, atol=0)


def test_one_step_of_heun_is_one_of_euler():
    start = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(heun(velocity, start, 1), euler(velocity, start, 1))


@pytest.mark.parametrize("name", ["Heun", "scheduler:heun", "rk4"])
def test_an_unknown_solver_is_one_line(name):
    with pytest.raises(ValueError) as caught:
        check_solver(name)
    assert str(caught.value).startswith(f"solver = '{name}' is not known; ") and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="is not known"):
        PosteriorMeanFlow(source="degraded", solver=name)


@every
def test_a_flow_restores_by_every_solver(solver):
    torch.manual_seed(0)
    network = PosteriorMeanFlow(source="degraded", width=4, steps=3, solver=solver, sigma=0.1).eval()
    degraded = torch.rand(1, 3, 8, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, second = network(degraded), network(degraded)
    assert first.shape == degraded.shape and first.isfinite().all() and torch.equal(first, second)
