"""How a restorer treats grey, colour and masks."""

import pytest
import torch
from torch import Tensor

from restoration.networks.network import Network
from restoration.restorers import RESTORERS, Card, Restorer, baseline


class Weighted(Network):
    """The image times one weight per channel, so that channels can be told apart; a mask is added."""

    def __init__(self, weights: tuple[float, ...], conditions: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.channels = len(weights)
        self.conditions = conditions
        self.register_buffer("weights", torch.tensor(weights).view(1, -1, 1, 1))

    def forward(self, degraded: Tensor) -> Tensor:
        assert degraded.shape[1] == self.channels + len(self.conditions)
        image, condition = degraded[:, : self.channels], degraded[:, self.channels :]
        return image * self.weights + condition.sum(1, keepdim=True)


def restorer(*weights: float, conditions: tuple[str, ...] = ()) -> Restorer:
    return Restorer(Weighted(weights, conditions), Card("weighted", "restoration", {"name": "weighted"}))


def test_matching_channels_pass_through():
    degraded = torch.rand(2, 3, 4, 5)
    expected = degraded * torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1)
    assert torch.equal(restorer(1.0, 2.0, 4.0)(degraded), expected)
    assert torch.equal(restorer(2.0)(degraded[:, :1]), 2 * degraded[:, :1])


def test_grey_network_restores_each_colour_by_itself():
    degraded = torch.rand(2, 3, 4, 5)
    assert torch.equal(restorer(2.0)(degraded), 2 * degraded)


def test_colour_network_sees_grey_replicated_and_its_results_are_averaged():
    degraded = torch.rand(2, 1, 4, 5)
    torch.testing.assert_close(restorer(1.0, 2.0, 6.0)(degraded), 3 * degraded)


def test_mask_goes_to_every_call():
    degraded, mask = torch.rand(2, 3, 4, 5), torch.ones(2, 1, 4, 5)
    result = restorer(2.0, conditions=("mask",)).restore(degraded, mask=mask)
    assert torch.equal(result.image, 2 * degraded + 1)
    assert result.layers == {}


@pytest.mark.parametrize(
    ("conditions", "mask", "message"),
    [
        ((), torch.ones(1, 1, 4, 5), "restorer 'weighted' takes no mask"),
        (("mask",), None, "restorer 'weighted' needs a mask"),
    ],
)
def test_mask_without_need_and_need_without_mask(conditions, mask, message):
    with pytest.raises(ValueError) as refusal:
        restorer(1.0, conditions=conditions).restore(torch.rand(1, 1, 4, 5), mask=mask)
    assert str(refusal.value) == message


def test_steps_are_for_flows():
    with pytest.raises(ValueError) as refusal:
        restorer(1.0).restore(torch.rand(1, 1, 4, 5), steps=4)
    assert str(refusal.value) == "restorer 'weighted' has no steps: it restores in one pass"


def test_two_channels_are_refused():
    with pytest.raises(ValueError) as refusal:
        restorer(1.0)(torch.rand(1, 2, 4, 5))
    assert str(refusal.value) == "degraded has shape (1, 2, 4, 5); expected (N, 1 or 3, H, W)"


@pytest.mark.parametrize("name", RESTORERS)
def test_baselines_keep_channels_and_say_their_scale(name):
    restorer = baseline(name)
    assert restorer.card.name == name
    assert f"x{restorer.scale}" in name or restorer.scale == 1
    for channels in (1, 3):
        shape = (2, channels, 6 * restorer.scale, 5 * restorer.scale)
        degraded = torch.rand(2, channels + len(restorer.conditions), 6, 5)
        assert restorer(degraded).shape == shape
