"""Receptive fields by hand, and the layers against their formulas."""

import pytest
import torch
from torch import nn

from restoration.networks.layers import (
    Down,
    LayerNorm2d,
    ResidualBlock,
    Up,
    enlargement_steps,
    receptive_radius,
    scaled_he_,
)


@pytest.mark.parametrize(
    ("path", "radius"),
    [
        ((3,), 3),
        ((1, 2, 3), 6),
        # a 3×3 kernel on the doubled grid reaches one small pixel further, from the cell's edge
        ((1, Up(2), 1), 2),
        ((1, Up(2), 2), 2),
        ((1, Up(2), 3), 3),
        ((Up(4), 1), 1),
        # packed 2×2: one cell to each side is two pixels, or three from the near column of the cell
        ((Down(2), 1, Up(2)), 3),
        ((Down(2), Up(2)), 1),
        ((Down(2), 1, Up(4)), 3),
        ((Down(2), Down(2), 1, Up(2), Up(2)), 7),
    ],
)
def test_receptive_radius_by_hand(path, radius):
    assert receptive_radius(*path) == radius


def test_enlargement_steps_multiply_to_the_scale():
    assert [enlargement_steps(s) for s in (1, 2, 3, 4, 8)] == [(), (2,), (3,), (2, 2), (2, 2, 2)]


def test_enlargement_by_five_is_refused():
    with pytest.raises(ValueError) as refusal:
        enlargement_steps(5)
    assert str(refusal.value) == "scale = 5: expected 1, 2, 3, 4 or 8"


def test_residual_block_adds_the_scaled_residual():
    block = ResidualBlock(4, residual_scale=0.25)
    features = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    residual = block.conv2(block.conv1(features).clamp(min=0))
    torch.testing.assert_close(block(features), features + residual / 4)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_layer_norm_normalises_each_pixel_over_channels(memory_format):
    norm = LayerNorm2d(6)
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    features = torch.randn(2, 6, 4, 3, generator=torch.Generator().manual_seed(0))
    mean, variance = features.mean(1, keepdim=True), features.var(1, correction=0, keepdim=True)
    normal = (features - mean) / (variance + norm.epsilon).sqrt()
    expected = normal * norm.weight.view(1, 6, 1, 1) + norm.bias.view(1, 6, 1, 1)
    torch.testing.assert_close(norm(features.contiguous(memory_format=memory_format)), expected)


def test_scaled_he_has_a_tenth_of_hes_spread():
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 64, 3)
    scaled_he_(layer, 0.1)
    assert layer.weight.std().item() == pytest.approx(0.1 * (2 / (64 * 9)) ** 0.5, rel=0.02)
    assert not layer.bias.any()
