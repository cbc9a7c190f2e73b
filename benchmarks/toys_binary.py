"""A law that is no Gaussian, and its trade-off: x = ±1 at equal odds, seen as y = x + s·n."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

POINTS, REACH = (
    20_001,
    12.0,
)  # of the sums that stand for integrals over y, and to how many s beyond x they go
MOST = 5  # steps of the flow that are measured: from 2 on it is the optimum, but for rounding


class Estimator(NamedTuple):
    """What is made of the posterior mean and fresh noise, both (n, d); its distortion and W₂ are known exactly.

    ``w2`` is None where no closed form is at hand.
    """

    name: str
    make: Callable[[Tensor, Tensor], Tensor]
    mse: float
    w2: float | None


@dataclass(frozen=True)
class Binary:
    """The system of one noise s; of its laws, fitted Gaussians see the variance alone."""

    name: str
    noise: float
    tight: ClassVar[bool] = False

    @property
    def prior(self) -> Tensor:
        """Return the variance of x."""
        return torch.ones(1, 1, dtype=torch.double)

    @cached_property
    def least(self) -> float:
        """Return D* = 1 − E x*², x* = tanh(y / s²)."""
        return 1 - self.expected(lambda mean: mean.square())

    @property
    def gap(self) -> float:
        """Return W₂(p*, p)."""
        return math.sqrt(self.bound(0.0) - self.least)

    def bound(self, perception: float) -> float:
        """Return D(P), from that of the optimum sign(y), 4·Q(1 / s)."""
        gap = math.sqrt(2 * math.erfc(1 / (self.noise * math.sqrt(2))) - self.least)
        return self.least + max(gap - perception, 0.0) ** 2

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return ``n`` clean values and their posterior means."""
        drawn = torch.randn(n, 2, dtype=torch.double, generator=generator)
        clean = torch.where(drawn[:, :1] < 0, -1.0, 1.0).double()
        return clean, ((clean + self.noise * drawn[:, 1:]) / self.noise**2).tanh()

    def expected(self, of: Callable[[Tensor], Tensor]) -> float:
        """Return the mean over y of an even function of x*, by the trapezoidal rule, exact to rounding here."""
        y = torch.linspace(1 - REACH * self.noise, 1 + REACH * self.noise, POINTS, dtype=torch.double)
        density = (-((y - 1) ** 2) / (2 * self.noise**2)).exp()
        values = of((y / self.noise**2).tanh()[:, None])[:, 0]
        return ((density * values).sum() / density.sum()).item()

    def estimators(self, toy: Any) -> list[Estimator]:  # noqa: ANN401
        """Return posterior mean, posterior sampling, optimum, transport at each α, and flows in few steps."""

        def sampled(mean: Tensor, noise: Tensor) -> Tensor:
            return torch.where(torch.special.ndtr(noise) < (1 + mean) / 2, 1.0, -1.0).double()

        def moved(alpha: float) -> Callable[[Tensor, Tensor], Tensor]:
            return lambda mean, noise: (1 - alpha) * signs(mean) + alpha * mean

        found = [
            Estimator("posterior-mean", lambda mean, noise: mean, self.least, None),
            Estimator("posterior-sampling", sampled, 2 * self.least, 0.0),
            Estimator("optimal", moved(0.0), self.bound(0.0), 0.0),
        ]
        for alpha in toy.alphas:
            mse = self.least + (1 - alpha) ** 2 * self.gap**2
            found.append(Estimator(f"transport[alpha={alpha:g}]", moved(alpha), mse, None))
        for steps in toy.steps:
            if 1 < steps <= MOST:
                found.append(Estimator(f"flow[steps={steps}]", self._flow(steps), self.flow_mse(steps), None))
        return found

    def flow_mse(self, steps: int) -> float:
        """Return the distortion of the flow in Euler's steps: E(x − F(x*))² = 1 − 2·E x*·F(x*) + E F(x*)²."""

        def excess(mean: Tensor) -> Tensor:
            made = self.flow(mean, steps)
            return made * (made - 2 * mean)

        return 1 + self.expected(excess)

    def flow(self, mean: Tensor, steps: int) -> Tensor:
        """Return the rectified flow from x* to x in Euler's steps, by its exact velocity."""
        for i in range(steps):
            mean = mean + self.velocity(mean, i / steps) / steps
        return mean

    def velocity(self, z: Tensor, t: float) -> Tensor:
        """Return E[x − x* | z_t = z] for z_t = (1 − t)·x* + t·x; (n, 1).

        Each of x = ±1 leaves one x* = u: the density there is N(s²·artanh u; x, s²) · s² / (1 − u²). Where neither
        does, as may be after Euler's steps, the nearer one is meant.
        """
        clean = torch.tensor([-1.0, 1.0], dtype=torch.double)
        u = (z - t * clean) / (1 - t)
        inside = u.clamp(-1 + 1e-15, 1 - 1e-15)
        logs = -((self.noise**2 * inside.atanh() - clean) ** 2) / (2 * self.noise**2) - (1 - inside**2).log()
        logs = logs.masked_fill(u.abs() >= 1, -torch.inf)
        nearer = torch.where(clean == signs(z), 0.0, -torch.inf).double()
        logs = torch.where(logs.isinf().all(1, keepdim=True), nearer, logs)
        return (logs.softmax(1) * (clean - u)).sum(1, keepdim=True)

    def _flow(self, steps: int) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda mean, noise: self.flow(mean, steps)


def signs(values: Tensor) -> Tensor:
    """Return ±1, 1 for 0."""
    return torch.where(values < 0, -1.0, 1.0).double()
