"""The plain network begins at bicubic enlargement."""

import pytest
import torch
from torch.nn import functional

from restoration.networks.plainsr import PlainSr


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_without_tail_the_output_is_bicubic(scale):
    network = PlainSr(scale=scale, width=8, blocks=1)
    torch.nn.init.zeros_(network.tail.weight)
    degraded = torch.rand(2, 3, 7, 9)
    bicubic = functional.interpolate(degraded, scale_factor=scale, mode="bicubic", antialias=True)
    assert torch.equal(network(degraded), bicubic)


def test_untrained_network_is_close_to_bicubic():
    torch.manual_seed(0)
    degraded = torch.rand(1, 3, 16, 16)
    bicubic = functional.interpolate(degraded, scale_factor=4, mode="bicubic", antialias=True)
    with torch.no_grad():
        assert (PlainSr()(degraded) - bicubic).abs().max() < 0.1


def test_parameters_follow_from_width_and_blocks():
    width, blocks = 48, 8
    convolutions = (1 + 2 * blocks) * (width * 9 + 1) * width
    expected = (3 * 9 + 1) * width + convolutions + (width * 9 + 1) * 48
    assert sum(p.numel() for p in PlainSr(width=width, blocks=blocks).parameters()) == expected
