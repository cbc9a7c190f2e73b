"""SRResNet against the published size and the paper's ranges."""

import torch

from restoration.networks.srresnet import SrResNet


def test_has_as_many_parameters_as_published():
    assert sum(p.numel() for p in SrResNet().parameters()) == 1_549_462


def test_output_range_is_moved_from_minus_one_to_one():
    network = SrResNet(width=8, blocks=1).eval()
    torch.nn.init.zeros_(network.tail.weight)
    for value, expected in ((-1.0, 0.0), (0.0, 0.5), (1.0, 1.0)):
        torch.nn.init.constant_(network.tail.bias, value)
        with torch.no_grad():
            assert torch.equal(network(torch.rand(1, 3, 5, 6)), torch.full((1, 3, 20, 24), expected))


def test_one_slope_per_activation():
    slopes = [p for name, p in SrResNet(blocks=2).named_parameters() if "slope" in name]
    assert [p.numel() for p in slopes] == [1, 1]
