"""The direct method: its update, and results that are clamped before the stack sees them."""

import pytest
import torch
from torch import Tensor, nn

from restoration.losses.pixel import L2
from restoration.losses.stack import Entry, PairTerm, Stack
from restoration.method import Batch
from restoration.methods.direct import Direct


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(4))

    def forward(self, degraded: Tensor) -> Tensor:
        return self.gain.view(1, 1, 1, 4) * degraded


def update(clamp: bool) -> tuple[float, Tensor]:
    """Return the loss and the gradient of a gain per column, of which the outer two leave [0, 1]."""
    network = Scaled()
    method = Direct(network, Stack([Entry("l2", PairTerm(L2()))]), clamp=clamp)
    degraded = torch.tensor([-0.5, 0.25, 0.75, 1.5]).view(1, 1, 1, 4)
    batch = Batch(degraded, torch.full((1, 1, 1, 4), 0.5), keys=((0, 0),), step=0)
    (only,) = method.updates(batch, 0)
    assert only.group == "restorer"
    only.loss.backward()
    return only.loss.item(), network.gain.grad


def test_results_are_as_they_are_unless_they_shall_be_clamped():
    loss, gradient = update(clamp=False)
    assert loss == pytest.approx((1 + 0.0625 + 0.0625 + 1) / 4)
    assert gradient.tolist() == pytest.approx([0.25, -0.03125, 0.09375, 0.75])


def test_clamped_results_cost_less_and_ask_for_nothing_beyond():
    loss, gradient = update(clamp=True)
    assert loss == pytest.approx((0.25 + 0.0625 + 0.0625 + 0.25) / 4)
    assert gradient.tolist() == pytest.approx([0, -0.03125, 0.09375, 0])
