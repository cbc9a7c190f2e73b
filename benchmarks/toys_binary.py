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
        """Return the mean over y of an even function of x*, by the trapezoidal rule.

        It is exact to rounding where the function is smooth, and to 1e-4 where it jumps, as flows in odd steps do.
        """
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
            if steps > 1:  # one step leads nowhere: E[x | x*] = x*
                found.append(Estimator(f"flow[steps={steps}]", self._flow(steps), self.flow_mse(steps), None))
        return found

    def flow_mse(self, steps: int) -> float:
        """Return the distortion of the flow in Euler's steps: E(x − F(x*))² = 1 − 2·E x*·F(x*) + E F(x*)²."""

        def excess(mean: Tensor) -> Tensor:
            made = self.flow(mean, steps)
            return made * (made - 2 * mean)

        return 1 + self.expected(excess)

    def flow(self, mean: Tensor, steps: int) -> Tensor:
        """Return the rectified flow from x* to x in Euler's steps, by its exact velocity.

        An even number of steps K ends at sign(x*). An odd one has steps at t = 1/2 ± 1/(2K): the first leaves some
        z within ±1/K, where at the second no path passes, and there they stay.
        """
        for i in range(steps):
            mean = mean + self.velocity(mean, i / steps) / steps
        return mean

    def velocity(self, z: Tensor, t: float) -> Tensor:
        """Return E[x − x* | z_t = z] for z_t = (1 − t)·x* + t·x; (n, 1).

        It is (E[x | z] − z) / (1 − t). Each of x = ±1 leaves one x* = u, where that is within ±1: the density there is
        N(s²·artanh u; x, s²) · s² / (1 − u²). Where neither does, as may be after Euler's steps, no path passes and the
        velocity is 0.
        """
        mean = signs(z)
        if t < 0.5:
            first, second = (((z - t * x) / (1 - t)).clamp(-1 + 1e-15, 1 - 1e-15) for x in (1.0, -1.0))
            a, b = first.atanh(), second.atanh()
            odds = a + b - self.noise**2 * (a**2 - b**2) / 2 + ((1 - second**2) / (1 - first**2)).log()
            mean = torch.where(z.abs() < 1 - 2 * t, (odds / 2).tanh(), mean)
        nowhere = (z.abs() >= 1) | (z.abs() <= 2 * t - 1)
        return ((mean - z) / (1 - t)).masked_fill(nowhere, 0.0)

    def _flow(self, steps: int) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda mean, noise: self.flow(mean, steps)


def signs(values: Tensor) -> Tensor:
    """Return ±1, 1 for 0."""
    return torch.where(values < 0, -1.0, 1.0).double()
