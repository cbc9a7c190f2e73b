"""DnCNN against the official module's sizes, names and outputs."""

import pytest
import torch

from restoration.networks.dncnn import DnCnn


@pytest.mark.parametrize(
    ("keywords", "parameters"),
    [
        ({"batch_norm": False}, 555_137),
        ({}, 557_057),
        ({"batch_norm": False, "depth": 20, "channels": 3}, 668_227),
    ],
)
def test_has_as_many_parameters_as_published(keywords, parameters):
    assert sum(p.numel() for p in DnCnn(**keywords).parameters()) == parameters


def test_output_of_the_official_module_with_batch_norm(formula_output, check_against):
    # computed by KAIR (network_dncnn, act_mode BR) with the same weights
    samples = {0: -0.1447433, 247: 0.8852812, 618: 0.2122858, 989: 0.3727614}
    output = formula_output(DnCnn(width=16, depth=5), (1, 1, 33, 30), gain=1.41)
    check_against(output, 0.644951354619586, 0.3687363850325225, samples)


def test_output_of_the_official_module_without(formula_output, check_against):
    # computed by KAIR (network_dncnn, act_mode R) with the same weights
    samples = {0: 0.088649, 1113: 0.1372855, 1855: 0.7149878, 2969: 0.5254318}
    network = DnCnn(channels=3, width=16, depth=6, batch_norm=False)
    check_against(
        formula_output(network, (1, 3, 33, 30), gain=1.41), 0.6132732673730429, 0.37639935114277023, samples
    )


def test_returns_the_input_where_no_noise_is_predicted():
    network = DnCnn(width=8, depth=3, batch_norm=False)
    torch.nn.init.zeros_(network.model[-1].weight)
    degraded = torch.rand(2, 1, 9, 7)
    assert torch.equal(network(degraded), degraded)


def test_released_file_loads(data_root):
    state = torch.load(data_root / "weights" / "dncnn_25.pth", weights_only=True)
    DnCnn(batch_norm=False).load_state_dict(state)


def test_refuses_a_single_convolution():
    with pytest.raises(ValueError) as refusal:
        DnCnn(depth=1)
    assert str(refusal.value) == "depth = 1: expected at least 2 convolutions"
