"""Posterior-mean rectified flow: a restorer's result, some noise, and steps along a learnt velocity."""

import copy
import math
from typing import Literal

import torch
from torch import Tensor

from restoration.losses.flow import Source, Start, enlarged
from restoration.networks.diffusers_unet import DiffusersUnet
from restoration.networks.hdit import Hdit
from restoration.networks.layers import Up, receptive_radius
from restoration.networks.network import Network
from restoration.networks.placing import Place
from restoration.networks.solvers import calls, check_solver, solved
from restoration.networks.velocity import VelocityUnet

Condition = Literal["none", "degraded", "posterior-mean"]


class PosteriorMeanFlow(Network):
    """``z_0 = E[clean | degraded] + σ·ε``, then ``steps`` steps of dz = velocity(z, t) dt (Ohayon et al., 2025).

    ``posterior_mean`` is a restorer trained for the least mean square error: its name or file in an experiment, its
    network's table in a restorer's file, which holds its tensors too. It stays as it is, and its result is clamped to
    [0, 1]. ``source`` = "degraded" starts from the enlarged degraded image, "noise" from ε alone; ``condition`` names
    what the velocity sees beside z_t, as a flow from noise must. More steps give more detail and a larger mean square
    error. ``solver`` is "euler", "heun" or "scheduler:NAME" of diffusers. The velocity is a U-Net whose finest level
    has ``width`` channels, or the network "hdit" or "diffusers-unet" of the table ``velocity``. ε depends on ``seed``
    and a pixel's place alone: tiles that know theirs show what the whole image does.
    """

    dial = (0.0, 1.0)

    def __init__(
        self,
        *,
        scale: int = 1,
        channels: int = 3,
        width: int = 32,
        steps: int = 25,
        solver: str = "euler",
        source: Source = "posterior-mean",
        sigma: float = 0.1,
        condition: Condition = "none",
        posterior_mean: Network | None = None,
        velocity: Network | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if scale < 1 or steps < 1:
            raise ValueError(f"scale = {scale}, steps = {steps}; expected numbers from 1")
        if source == "noise" and condition == "none":
            raise ValueError(
                "source = 'noise' needs a condition: expected condition = 'degraded' or 'posterior-mean'"
            )
        check_solver(solver)
        self.scale, self.channels = scale, channels
        self.steps, self.solver = steps, solver
        self.condition, self.seed = condition, seed
        self.start, self.place = Start(source, sigma), Place()
        self.perception = 1.0
        used = "posterior-mean" in (source, condition)
        self.posterior_mean = _frozen(posterior_mean, scale, channels) if used else None
        seen = 0 if condition == "none" else channels
        self.velocity = (
            VelocityUnet(channels=channels, seen=seen, width=width)
            if velocity is None
            else _knowing_time(velocity, channels, seen)
        )
        self.multiple = self.velocity.multiple // math.gcd(self.velocity.multiple, scale)
        if self.posterior_mean is not None:
            self.multiple = math.lcm(self.multiple, self.posterior_mean.multiple)
            self.edge = self.posterior_mean.edge
        self.receptive_field = self._radius()

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        images = self._images(degraded)
        origin, seen = self._origin_of(images)
        start = self.start(origin, self.place.noise(self.seed, origin, self.scale))
        restored = solved(self.solver, lambda between, t: self.velocity(between, t, seen), start, self.steps)
        if self.perception == 1:
            return restored
        return torch.lerp(images["posterior-mean"], restored, self.perception)

    def origin(self, degraded: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the image that the flow starts from, at the size of clean, and what the velocity sees beside z_t.

        A flow from noise starts from no image: it is given the degraded one for its size.
        """
        return self._origin_of(self._images(degraded))

    def _images(self, degraded: Tensor) -> dict[str, Tensor]:
        images = {"degraded": enlarged(degraded, self.scale)}
        if self.posterior_mean is not None:
            # of the image's precision, where the mean is computed in less: the steps are made in it
            images["posterior-mean"] = self.posterior_mean(degraded).to(degraded.dtype).clamp(0, 1)
        return images

    def _origin_of(self, images: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        return images.get(self.start.source, images["degraded"]), images.get(self.condition)

    def as_trained(self) -> "PosteriorMeanFlow":
        """Return this network as a step of training costs: it asks for the velocity once; tensors are shared."""
        other = copy.copy(self)
        other.steps, other.solver = 1, "euler"
        return other

    def ends(self) -> tuple[Network, Network] | None:
        """Return what restores with the least distortion, and what with the most perception, where it has both."""
        return None if self.posterior_mean is None else (self.posterior_mean, self)

    def mixed(self, perception: float) -> "PosteriorMeanFlow":
        """Return ``(1 − P)·x* + P·`` this one's result, P = ``perception``, x* clamped; the tensors are the same."""
        other = copy.copy(self)
        other.perception = perception
        return other

    def train(self, mode: bool = True) -> "PosteriorMeanFlow":
        """Set the velocity's mode; the posterior mean is never in training."""
        super().train(mode)
        if self.posterior_mean is not None:
            self.posterior_mean.eval()
        return self

    def _radius(self) -> int | None:
        """Return a bound on the reach of a pixel, or None where a part sees the whole image."""
        bicubic = 0 if self.scale == 1 else 2
        reaches: dict[str, int | None] = {"degraded": bicubic}
        if self.posterior_mean is not None:
            reaches["posterior-mean"] = self.posterior_mean.receptive_field
        used = [reaches[name] for name in (self.start.source, self.condition) if name in reaches]
        own = self.velocity.receptive_field
        if own is None or None in used:
            return None
        once = getattr(self.velocity, "path", (own,))
        flow = receptive_radius(Up(self.scale), *(once * calls(self.solver, self.steps)))
        return max((r for r in used if r is not None), default=0) + flow


def _knowing_time(network: Network, channels: int, seen: int) -> Hdit | DiffusersUnet:
    if not isinstance(network, (Hdit, DiffusersUnet)):
        raise ValueError(
            f"velocity is {type(network).__name__}; expected the network 'hdit' or 'diffusers-unet'"
        )
    if (network.channels, network.seen) != (channels, seen):
        raise ValueError(
            f"velocity has channels {network.channels} and sees {network.seen} more; expected {channels} and {seen}"
        )
    return network


def _frozen(network: Network | None, scale: int, channels: int) -> Network:
    if network is None:
        raise ValueError("expected posterior_mean, the name or file of a restorer")
    if network.conditions:
        raise ValueError(f"posterior_mean needs {', '.join(network.conditions)} beside the image")
    for name, own in (("scale", scale), ("channels", channels)):
        if getattr(network, name) != own:
            raise ValueError(
                f"{name} = {own}, but posterior_mean has {name} {getattr(network, name)}; expected the same"
            )
    return network.eval().requires_grad_(False)
