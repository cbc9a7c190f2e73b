"""Baselines against their definitions."""

import pytest
import torch
from torch.nn import functional

from restoration.degradations.resize import resize
from restoration.image import quantise
from restoration.restorers.classical import Bicubic, Identity, Nearest


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_nearest_repeats_every_pixel(scale):
    degraded = torch.rand(2, 3, 4, 5)
    restored = Nearest(scale=scale)(degraded)
    for dy in range(scale):
        for dx in range(scale):
            assert torch.equal(restored[..., dy::scale, dx::scale], degraded)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_bicubic_reproduces_a_plane_and_torch_inside(scale):
    degraded = torch.rand(1, 3, 12, 14)
    restored = Bicubic(scale=scale)(degraded)
    # the same kernel (a = -1/2); only the border differs: torch renormalises where MATLAB mirrors
    torchs = functional.interpolate(degraded, scale_factor=scale, mode="bicubic", antialias=True)
    border = 2 * scale
    inside = (..., slice(border, -border), slice(border, -border))
    torch.testing.assert_close(restored[inside], torchs[inside], rtol=0, atol=1e-5)
    ramp = torch.arange(12.0).view(1, 1, 12, 1).expand(1, 1, 12, 14)
    rows = (torch.arange(12 * scale) + 0.5) / scale - 0.5
    expected = rows.view(1, 1, -1, 1).expand(1, 1, 12 * scale, 14 * scale)
    torch.testing.assert_close(Bicubic(scale=scale)(ramp)[inside], expected[inside], rtol=0, atol=1e-4)


def test_bicubic_changes_within_its_receptive_field_only():
    degraded = torch.zeros(1, 1, 11, 11)
    degraded[0, 0, 5, 5] = 0.3
    touched = (Bicubic(scale=4)(degraded)[0, 0] != 0).nonzero() // 4
    assert (touched - 5).abs().max() == Bicubic(scale=4).receptive_field == 2


def test_bicubic_rounds_8_bit_images_after_each_pass_and_others_never():
    sharp = torch.rand(1, 1, 9, 8, generator=torch.Generator().manual_seed(0))
    samples = quantise(sharp)
    restored = Bicubic(scale=2)(torch.cat((samples, sharp)))
    assert torch.equal(restored[:1], resize(samples, scale=2, levels=255))
    assert torch.equal(restored[1:], resize(sharp, scale=2, levels=None))
    assert not torch.equal(restored[:1], quantise(resize(samples, scale=2, levels=None)))


def test_identity_is_the_image_itself():
    degraded = torch.rand(1, 3, 4, 5)
    assert Identity()(degraded) is degraded
