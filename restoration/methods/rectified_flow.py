"""The method rectified-flow: a velocity carries a source, such as the posterior mean, to clean images."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from restoration.losses import flow
from restoration.losses.stack import Entry, Stack
from restoration.method import Batch, Method, Update
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow


class RectifiedFlow(Method):
    """``restored = z_t + (1 − t)·velocity(z_t, t)`` at a drawn time of the path from a source to clean.

    The velocity learns; the source z_0 is what network posterior-mean-flow starts from (Ohayon et al., 2025). The
    stack's term rectified-flow is the regression of the velocity on ``clean − z_0``; where it is missing it is added
    with its defaults and weight 1. Other terms see the same one-step estimate. What ships integrates the velocity.
    A step of validation is never the best: detail that is drawn costs fidelity, so the least trained would have most.
    """

    keeps_best = False

    def __init__(self, network: nn.Module, stack: Stack) -> None:
        if not isinstance(network, PosteriorMeanFlow):
            raise ValueError(
                f"network is {type(network).__name__}; this method needs the network 'posterior-mean-flow'"
            )
        self.network = network
        self.stack = _with_regression(stack)
        self.regression = _regressions(self.stack)[0]
        for key in ("source", "sigma"):
            asked, own = getattr(self.regression, key), getattr(network.start, key)
            if asked not in (None, own):
                raise ValueError(
                    f"term 'rectified-flow' has {key} = {asked!r} but the network {own!r}; expected the same"
                )

    def groups(self) -> dict[str, nn.Module]:
        """Return the velocity and whatever the stack's terms train; the posterior mean stays as it is."""
        return {"velocity": self.network.velocity, **self.stack.groups()}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the velocity's update, then one for every term that owns parts; one forward pass serves all."""
        start, seen = self._start(batch)
        t = self.regression.drawn_times(batch.keys, start)
        between = flow.path(start, batch.clean, t)
        velocity = self.network.velocity(between, t, seen)
        restored = flow.one_step(between, velocity.to(between), t)
        loss, logs = self.stack.of_restored(restored, batch)
        yield Update("velocity", loss, logs, self.stack.slopes_of(restored, batch))

        for group, own in self.stack.of_own_parts(restored, batch):
            yield Update(group, own)

    def restorer(self) -> nn.Module:
        """Return the network, which restores by Euler steps."""
        return self.network

    def called(self) -> list[nn.Module]:
        """Return the velocity and what the source is computed by; the network itself is called to restore only."""
        mean = self.network.posterior_mean
        return [self.network.velocity] if mean is None else [mean, self.network.velocity]

    @torch.no_grad()
    def _start(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Return z_0 of every image, drawn from its key, and what the velocity sees beside z_t."""
        origin, seen = self.network.origin(batch.degraded)
        origin = origin.to(batch.clean)
        return self.network.start(origin, flow.noise(batch.keys, origin)), seen


def _with_regression(stack: Stack) -> Stack:
    if len(_regressions(stack)) > 1:
        raise ValueError("the stack has term 'rectified-flow' more than once; expected it once")
    if _regressions(stack):
        return stack
    return Stack([*stack.entries, Entry("rectified-flow", flow.RectifiedFlow())])


def _regressions(stack: Stack) -> list[flow.RectifiedFlow]:
    return [entry.term for entry in stack.entries if isinstance(entry.term, flow.RectifiedFlow)]
