"""Protocol ``gaussian-toy``: laws whose whole perception-distortion trade-off is known in closed form.

It measures what is known, by the metrics, intervals and planes that images are measured by: a test of the instrument.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from restoration.benchmarks.distances import Moments, frechet
from restoration.benchmarks.metrics.patches import w2
from restoration.benchmarks.protocol import TOY
from restoration.benchmarks.toys_binary import Binary, Estimator
from restoration.config import override, typed
from restoration.errors import ConfigError
from restoration.toml import dumps
from restoration.transport.gaussian import Gaussian, between, square_root

NAME = TOY
Positive = Annotated[float, Field(gt=0)]
FINE = 100  # steps of flows from x* with noise


@dataclass(frozen=True)
class Toy:
    """What is drawn: scalar systems x ~ N(0, 1), y = x + s·n, one for each of ``noises``; y = −x + n; two of vectors.

    There are binary ones too, x = ±1, for each of ``binary``. Flows are Euler's in each of ``steps``, by their exact
    velocity, from x* and, but for binary systems, from y; and in 100 steps from x* + σ·n, for each σ of ``sigmas``.
    Vectors have a covariance ρ^|i − j|, ``correlation`` ρ, and are seen with noise ``noise``: all components, or the
    means of pairs alone, so that the posterior mean lies in a subspace. A batch of ``vectors`` stands for an image; of
    fewer, or more batches, what few vectors add to W₂² would show.
    """

    noises: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.5, 1.0, 2.0)
    components: Annotated[int, Field(ge=2, multiple_of=2)] = 6
    correlation: Annotated[float, Field(ge=0, lt=1)] = 0.9
    noise: Positive = 0.5
    alphas: tuple[float, ...] = (-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
    steps: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2, 5, 10, 25, 100)
    sigmas: tuple[Positive, ...] = (0.1, 0.3)
    binary: tuple[Positive, ...] = (0.7, 1.0, 1.5)
    batches: Annotated[int, Field(ge=8, le=1000)] = 100
    vectors: Annotated[int, Field(ge=512)] = 4096
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    def systems(self) -> "list[System | Binary]":
        """Return the systems in order."""
        one = torch.ones(1, 1, dtype=torch.double)
        scalars = [System(f"scalar-{s:g}", one, one, s) for s in self.noises]
        places = torch.arange(self.components, dtype=torch.double)
        prior = self.correlation ** (places[:, None] - places).abs()
        whole = torch.eye(self.components, dtype=torch.double)
        pairs = whole.reshape(-1, 2, self.components).mean(1)
        return [
            *scalars,
            System("mirror", one, -one, 1.0),
            *(Binary(f"binary-{s:g}", s) for s in self.binary),
            System("vector", prior, whole, self.noise),
            System("vector-of-means", prior, pairs, self.noise),
        ]


@dataclass(frozen=True)
class System:
    """x ~ N(0, ``prior``) seen as y = ``operator`` x + ``noise`` · n; errors and distances are per component."""

    name: str
    prior: Tensor
    operator: Tensor
    noise: float
    tight: ClassVar[bool] = True  # whether Gaussians that are fitted to its laws tell all of them

    @cached_property
    def gain(self) -> Tensor:
        """Return K of the posterior mean x* = K y."""
        seen = self.operator @ self.prior @ self.operator.T
        seen = seen + self.noise**2 * torch.eye(len(seen), dtype=seen.dtype)
        return torch.linalg.solve(seen, self.operator @ self.prior).T

    @cached_property
    def explained(self) -> Tensor:
        """Return the covariance of x*."""
        explained = self.gain @ self.operator @ self.prior
        return (explained + explained.T) / 2

    @property
    def least(self) -> float:
        """Return D*, the mean squared error of the posterior mean."""
        return (self.prior - self.explained).trace().item() / len(self.prior)

    @property
    def gap(self) -> float:
        """Return W₂(p*, p), by another implementation than that of the transport which is tested."""
        nothing = np.zeros(len(self.prior))
        first, second = (Moments(2, nothing, c.numpy()) for c in (self.explained, self.prior))
        return math.sqrt(max(frechet(first, second), 0.0) / len(self.prior))

    def bound(self, perception: float) -> float:
        """Return D(P)."""
        return self.least + max(self.gap - perception, 0.0) ** 2

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return ``n`` clean vectors and their posterior means."""
        clean = _normal(n, len(self.prior), generator) @ square_root(self.prior)
        seen = clean @ self.operator.T + self.noise * _normal(n, len(self.operator), generator)
        return clean, seen @ self.gain.T

    def estimators(self, toy: Toy) -> list[Estimator]:
        """Return posterior mean, posterior sampling, optimum, transport at each α, and flows of scalars."""
        zero = torch.zeros(len(self.prior), dtype=torch.double)
        plan = between(Gaussian(zero, self.explained), Gaussian(zero, self.prior))
        root = square_root(self.prior - self.explained)

        def moved(alpha: float) -> Callable[[Tensor, Tensor], Tensor]:
            at = plan.towards_identity(alpha)

            def make(mean: Tensor, noise: Tensor) -> Tensor:
                found = mean @ at.matrix.T + at.shift
                return found if at.root is None else found + noise[:, : at.root.shape[1]] @ at.root.T

            return make

        found = [
            Estimator("posterior-mean", lambda mean, noise: mean, self.least, self.gap),
            Estimator("posterior-sampling", lambda mean, noise: mean + noise @ root, 2 * self.least, 0.0),
            Estimator("optimal", moved(0.0), self.bound(0.0), 0.0),
        ]
        for alpha in toy.alphas:
            mse = self.least + (1 - alpha) ** 2 * self.gap**2
            known = alpha * self.gap if 0 <= alpha <= 1 else None
            found.append(Estimator(f"transport[alpha={alpha:g}]", moved(alpha), mse, known))
        return [*found, *self._flows(toy)] if len(self.prior) == 1 else found

    def _flows(self, toy: Toy) -> Iterator[Estimator]:
        """Yield the rectified flows of a scalar system: from x*, y, x* with noise; 1 step of the first two is x*."""
        a, gain = self.explained.item(), self.gain.item()
        of_y = a / gain**2  # the variance of y; its covariance with x is a / gain
        for steps in toy.steps:
            yield self._flow(f"flow[steps={steps}]", Linear(a, a, steps), 1.0, 0.0)
            if steps > 1:
                yield self._flow(f"naive[steps={steps}]", Linear(of_y, a / gain, steps), 1 / gain, 0.0)
        for sigma in toy.sigmas:
            flow = Linear(a + sigma**2, a, FINE)
            yield self._flow(f"flow[sigma={sigma:g}]", flow, 1.0, sigma)

    def _flow(self, name: str, flow: "Linear", scale: float, sigma: float) -> Estimator:
        """Return the flow from ``scale`` · x* + σ · n."""

        def make(mean: Tensor, noise: Tensor) -> Tensor:
            return flow(scale * mean + sigma * noise)

        return Estimator(name, make, flow.mse, flow.w2)


@dataclass(frozen=True)
class Linear:
    """Euler's steps of the rectified flow from z_0 ~ N(0, ``variance``) to x ~ N(0, 1) of this ``covariance``.

    Its exact velocity is E[x − z_0 | z_t], which is linear in z.
    """

    variance: float
    covariance: float
    steps: int

    def speed(self, t: float) -> float:
        """Return v(z, t) / z."""
        v, c = self.variance, self.covariance
        return ((1 - t) * c + t - (1 - t) * v - t * c) / ((1 - t) ** 2 * v + t**2 + 2 * t * (1 - t) * c)

    def __call__(self, start: Tensor) -> Tensor:
        """Return z_1, step by step."""
        for i in range(self.steps):
            start = start + self.speed(i / self.steps) * start / self.steps
        return start

    @property
    def gain(self) -> float:
        """Return z_1 / z_0."""
        return math.prod(1 + self.speed(i / self.steps) / self.steps for i in range(self.steps))

    @property
    def mse(self) -> float:
        """Return E(x − z_1)²."""
        return 1 - 2 * self.gain * self.covariance + self.gain**2 * self.variance

    @property
    def w2(self) -> float:
        """Return the distance of z_1 from x."""
        return abs(1 - abs(self.gain) * math.sqrt(self.variance))


@dataclass(frozen=True)
class Measured:
    """What the batches of one system gave, by estimator: distortions, W₂, and squares of W₂ without their bias."""

    system: "System | Binary"
    estimators: Sequence[Estimator]
    mse: dict[str, np.ndarray]
    w2: dict[str, np.ndarray]
    squared: dict[str, np.ndarray]


def load_toy(settings: Sequence[str] = ()) -> Toy:
    """Return the protocol with ``KEY=VALUE`` settings applied."""
    toy = typed(Toy, override(_document(), settings), NAME)
    for key in ("noises", "alphas", "steps", "sigmas", "binary"):
        values = getattr(toy, key)
        if len(set(values)) < len(values):
            raise ConfigError(f"{NAME}.{key} = {list(values)}: expected each value once")
    return toy


def described() -> str:
    """Return the protocol as it stands, in the form of those in files."""
    first = "Laws whose trade-off is known in closed form: a test of the plane, which needs no restorer"
    return f"# {first}\n{dumps(_document())}"


def measured(toy: Toy) -> Iterator[Measured]:
    """Yield what each system's batches give; every draw follows from the seed, the system and the batch."""
    for place, system in enumerate(toy.systems()):
        yield _measured(toy, system, place)


def _measured(toy: Toy, system: "System | Binary", place: int) -> Measured:
    """Return the measurements of one system.

    The W₂ of two finite sets of one law is above 0. Its square, less that of two clean sets as large, is 0 in the mean.
    """
    estimators = system.estimators(toy)
    found: dict[str, dict[str, list[float]]] = {
        what: {e.name: [] for e in estimators} for what in ("mse", "w2", "squared")
    }
    for batch in range(toy.batches):
        generator = torch.Generator().manual_seed((toy.seed * 1000 + place) * 1_000_003 + batch)
        clean, mean = system.draw(toy.vectors, generator)
        noise = _normal(toy.vectors, len(system.prior), generator)
        reference, other = (system.draw(toy.vectors, generator)[0] for _ in range(2))
        floor = w2(other, reference).item() ** 2
        for estimator in estimators:
            restored = estimator.make(mean, noise)
            away = w2(restored, reference).item()
            found["mse"][estimator.name].append((restored - clean).square().mean().item())
            found["w2"][estimator.name].append(away)
            found["squared"][estimator.name].append(away**2 - floor)
    arrays = {what: {n: np.array(v) for n, v in values.items()} for what, values in found.items()}
    return Measured(system, estimators, **arrays)


def _document() -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(Toy()).items()}


def _normal(n: int, d: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, d, dtype=torch.double, generator=generator)
