"""How a flow is followed from its source to clean images: by Euler's or Heun's steps, or a scheduler of diffusers."""

from typing import Any

import torch
from torch import Tensor

from restoration.config import nearest
from restoration.losses.flow import Velocity, euler, heun

PREFIX = "scheduler:"
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
# diffusers' deterministic schedulers that know straight paths, with what tells them
SCHEDULERS: dict[str, dict[str, Any]] = {
    "DPMSolverMultistepScheduler": FLOW,
    "FlowMatchEulerDiscreteScheduler": {},
    "FlowMatchHeunDiscreteScheduler": {},
    "UniPCMultistepScheduler": FLOW,
}
SOLVERS = ("euler", "heun", *(PREFIX + name for name in SCHEDULERS))


def check_solver(solver: str) -> None:
    """Raise ``ValueError`` for a solver that is not known."""
    if solver not in SOLVERS:
        hint = nearest(solver, SOLVERS) or f"; expected {', '.join(SOLVERS[:-1])} or {SOLVERS[-1]}"
        raise ValueError(f"solver = {solver!r} is not known{hint}")


def calls(solver: str, steps: int) -> int:
    """Return how often the velocity is asked for: Heun's steps ask twice, but for the last."""
    return 2 * steps - 1 if "heun" in solver.lower() else steps


def solved(solver: str, velocity: Velocity, start: Tensor, steps: int) -> Tensor:
    """Return z_1 of dz = velocity(z, t) dt from z_0 = ``start``."""
    if solver == "euler":
        return euler(velocity, start, steps)
    if solver == "heun":
        return heun(velocity, start, steps)
    return _scheduled(solver.removeprefix(PREFIX), velocity, start, steps)


def _scheduled(name: str, velocity: Velocity, start: Tensor, steps: int) -> Tensor:
    """Return z_1 by a scheduler, whose σ is 1 − t and whose slope leads from clean to the source.

    Those of flow matching round the image to single precision, so that theirs are steps from 0, added to it here;
    that of Heun's steps takes two calls for one step. DPMSolverMultistepScheduler is left to round it.
    """
    scheduler, matching = _scheduler(name), name.startswith("FlowMatch")
    if matching:  # its own last step is a thousandth long, whatever the others are; these are equal
        scheduler.sigma_min = 1 / steps
    scheduler.set_timesteps(steps, device=start.device)
    between, begin, zero = start, start, torch.zeros_like(start)
    for timestep, sigma in zip(scheduler.timesteps, scheduler.sigmas.tolist(), strict=False):
        slope = velocity(between, between.new_full(between.shape[:1], 1 - sigma)).to(start)
        if not matching:
            between = scheduler.step(-slope, timestep, between).prev_sample.to(start.dtype)
            continue
        between = begin + scheduler.step(-slope, timestep, zero).prev_sample
        if getattr(scheduler, "state_in_first_order", True):
            begin = between
    return between


def _scheduler(name: str) -> Any:
    """Return a new scheduler; diffusers takes seconds to import."""
    try:
        import diffusers
    except ImportError as error:
        raise ValueError(
            f'solver = "{PREFIX}{name}" needs diffusers, which cannot be imported ({error}); '
            f'pip install "diffusers>=0.32"'
        ) from None
    return getattr(diffusers, name)(**SCHEDULERS[name])
