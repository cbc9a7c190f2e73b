"""The residual U-Net starts at the identity."""

import pytest
import torch

from restoration.networks.unet import ResUnet


def test_untrained_network_is_close_to_the_identity():
    torch.manual_seed(0)
    degraded = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        assert (ResUnet()(degraded) - degraded).abs().max() < 0.05


def test_without_tail_the_input_passes_exactly():
    network = ResUnet(widths=(4, 8), blocks=(1, 1))
    torch.nn.init.zeros_(network.tail.weight)
    degraded = torch.rand(1, 3, 8, 12)
    assert torch.equal(network(degraded), degraded)


def test_refuses_levels_without_blocks():
    with pytest.raises(ValueError) as refusal:
        ResUnet(widths=(8, 8), blocks=(1,))
    assert str(refusal.value) == "widths has 2 levels but blocks 1; expected one entry each per level"
