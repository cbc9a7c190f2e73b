"""Invertible rescaling as a network: the inverse at zero details."""

import torch
from torch.nn.functional import interpolate

from restoration.losses.invertible import randomise
from restoration.networks.inn import Inn


def test_restored_image_has_the_degraded_one_for_its_coarse_half_and_no_details():
    network = Inn(couplings=3, width=8).double()
    network.flow = randomise(network.flow, seed=0).double()
    degraded = torch.rand(2, 3, 7, 6, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        mapped = network.flow(network(degraded))
    torch.testing.assert_close(mapped.coarse, degraded, rtol=0, atol=1e-10)
    torch.testing.assert_close(mapped.details, torch.zeros_like(mapped.details), rtol=0, atol=1e-10)


def test_a_new_network_repeats_pixels():
    degraded = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        restored = Inn()(degraded)
    torch.testing.assert_close(restored, interpolate(degraded, scale_factor=2), rtol=0, atol=0.02)
