"""Rectified flow from a source to clean images: path, times, sources, steps, velocity regression.

``z_t = (1 − t)·z_0 + t·clean`` for t in [0, 1]; along it the velocity is ``clean − z_0``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from restoration.losses.draws import Keys, generator, one_key_each
from restoration.losses.loss import per_image, same_shape
from restoration.losses.term import Pair, Partless

Times = Literal["stratified", "uniform", "logit-normal"]
Source = Literal["posterior-mean", "degraded", "noise"]
Velocity = Callable[[Tensor, Tensor], Tensor]

# At later times float32 would lose the velocity's error in the one-step estimate's, which is 1 − t times as large.
LEAST = 1e-3


@dataclass(frozen=True)
class Start:
    """Where a flow begins: ``z_0 = image + σ·ε``, and ε alone for the source "noise"; ε ~ N(0, 1).

    The image is the posterior mean (Ohayon et al., 2025), or the degraded image at the size of clean: a flow that must
    map it to clean monotonically, however far that is. σ makes a source that fills the space around its images.
    """

    source: Source = "posterior-mean"
    sigma: float = 0.1

    def __post_init__(self) -> None:
        if self.sigma < 0:
            raise ValueError(f"sigma = {self.sigma}; expected a number from 0")

    def __call__(self, image: Tensor, noise: Tensor) -> Tensor:
        """Return z_0, given the source's image and ε of its size."""
        return noise if self.source == "noise" else image + self.sigma * noise


def path(start: Tensor, clean: Tensor, t: Tensor) -> Tensor:
    """Return ``z_t = (1 − t)·z_0 + t·clean`` (Liu et al., 2023); ``t`` holds one time per image: (N,)."""
    t = _each(t, clean)
    return (1 - t) * start + t * clean


def target(start: Tensor, clean: Tensor) -> Tensor:
    """Return the velocity along the path, ``clean − z_0``."""
    return clean - start


def one_step(between: Tensor, velocity: Tensor, t: Tensor) -> Tensor:
    """Return the one-step estimate of clean, ``z_t + (1 − t)·velocity``."""
    return between + (1 - _each(t, between)) * velocity


def euler(velocity: Velocity, start: Tensor, steps: int) -> Tensor:
    """Return z_1 after K steps ``z ← z + velocity(z, i / K) / K``, i = 0 … K − 1; nothing is clamped between them."""
    between = start
    for i in range(steps):
        between = between + velocity(between, between.new_full(between.shape[:1], i / steps)) / steps
    return between


def heun(velocity: Velocity, start: Tensor, steps: int) -> Tensor:
    """Return z_1 after K steps along the mean of the slopes at both ends, of which the last is Euler's.

    So t = 1, where no velocity is trained, is never asked for; the velocity is called 2K − 1 times. (Heun, 1900;
    Karras et al., 2022, algorithm 1, with σ for 1 − t.)
    """
    between = start
    for i in range(steps):
        slope = velocity(between, between.new_full(between.shape[:1], i / steps))
        if i < steps - 1:
            ahead = velocity(between + slope / steps, between.new_full(between.shape[:1], (i + 1) / steps))
            slope = (slope + ahead) / 2
        between = between + slope / steps
    return between


def velocity_regression(restored: Tensor, clean: Tensor, t: Tensor) -> Tensor:
    """Return the mean over values of ``(velocity − (clean − z_0))²``, given the one-step estimate: (N,).

    As ``restored = z_t + (1 − t)·velocity``, the velocity's error is ``(restored − clean) / (1 − t)``
    (Liu et al., 2023, eq. 1; Ohayon et al., 2025). It is divided by 0.001 where 1 − t is less: the last thousandth of
    the times weighs less, down to nothing at t = 1, where the estimate holds nothing of the velocity.
    """
    left = _each((1 - t).clamp(min=LEAST), restored)
    return per_image(((restored - same_shape(restored, clean)) / left).square())


def enlarged(degraded: Tensor, scale: int) -> Tensor:
    """Return the degraded image at the size of clean: bicubic (Keys, 1981; a = −1/2), the same image at scale 1."""
    if scale == 1:
        return degraded
    # torch has Keys' a = −1/2 where it antialiases, which in an enlargement means nothing else; elsewhere a = −3/4
    return interpolate(degraded, scale_factor=scale, mode="bicubic", antialias=True)


def times(
    keys: Keys, kind: Times = "stratified", strata: int = 16, mean: float = 0.0, deviation: float = 1.0
) -> Tensor:
    """Return one time in [0, 1] per (seed, sample): (N,).

    "uniform": t = u. "stratified": t = ((sample mod strata) + u) / strata. A step's samples are consecutive, so with as
    many strata as its batch has images, each falls into one part of its own, over all ranks and micro-batches, though
    no draw knows of another. "logit-normal": t = sigmoid(mean + deviation·n) (Esser et al., 2024, eq. 19; their t runs
    from clean to noise, so that a positive mean here is a negative one there). u ~ U(0, 1), n ~ N(0, 1).
    """
    drawn = [generator(key, "rectified-flow time") for key in keys]
    if kind == "logit-normal":
        # one by one: a vectorised sigmoid rounds by an image's place in the batch
        normal = [mean + deviation * rng.standard_normal() for rng in drawn]
        sigmoids = [0.5 + 0.5 * math.tanh(x / 2) for x in normal]
        return torch.tensor(sigmoids, dtype=torch.float32)
    uniform = torch.tensor([rng.uniform() for rng in drawn], dtype=torch.float32)
    if kind == "stratified":
        stratum = torch.tensor([sample % strata for _, sample in keys], dtype=torch.float32)
        return (stratum + uniform) / strata
    return uniform


def noise(keys: Keys, like: Tensor) -> Tensor:
    """Return ε ~ N(0, 1) of the size, type and device of ``like``, each image drawn from its (seed, sample)."""
    one_key_each(keys, len(like), "rectified-flow")
    rngs = [generator(key, "rectified-flow noise") for key in keys]
    drawn = [rng.standard_normal(tuple(like.shape[1:]), dtype=np.float32) for rng in rngs]
    return torch.from_numpy(np.stack(drawn)).to(like)


@dataclass(frozen=True)
class RectifiedFlow(Partless):
    """The mean of (velocity − (clean − z_0))²: what method rectified-flow trains with, and valid under it alone.

    ``times`` is "stratified" over ``strata`` parts (the batch size of the experiment where it says nothing else),
    "uniform" or "logit-normal" with ``logit_mean`` and ``logit_deviation``. ``source`` and ``sigma`` are those of the
    network, and need to be said in one of the two places only. (Liu et al., 2023; Ohayon et al., 2025)
    """

    method: ClassVar[str] = "rectified-flow"

    times: Times = "stratified"
    strata: int = 16
    logit_mean: float = 0.0
    logit_deviation: float = 1.0
    source: Source | None = None
    sigma: float | None = None

    def __post_init__(self) -> None:
        if self.strata < 1:
            raise ValueError(f"strata = {self.strata}; expected a number from 1")
        if self.logit_deviation < 0:
            raise ValueError(f"logit_deviation = {self.logit_deviation}; expected a number from 0")
        if self.sigma is not None and self.sigma < 0:
            raise ValueError(f"sigma = {self.sigma}; expected a number from 0")

    def drawn_times(self, keys: Keys, like: Tensor) -> Tensor:
        """Return the time of each image, with the type and device of ``like``: (N,)."""
        one_key_each(keys, len(like), "rectified-flow")
        return times(keys, self.times, self.strata, self.logit_mean, self.logit_deviation).to(like)

    def of_restored(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the velocity regression of one-step estimates at the times of the batch's keys: (N,)."""
        return velocity_regression(restored, batch.clean, self.drawn_times(batch.keys, restored))


def _each(t: Tensor, like: Tensor) -> Tensor:
    return t.view(-1, *[1] * (like.ndim - 1))
