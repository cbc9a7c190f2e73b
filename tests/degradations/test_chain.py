"""Chains: order, keys of their own, and what is kept."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from restoration.degradations import DEGRADATIONS, Degradation, Degraded
from restoration.degradations.chain import Chain, Clip, Grey
from restoration.degradations.noise import Noise
from restoration.degradations.resize import Bicubic

KEYS = [(0, 0), (0, 1)]


@dataclass(frozen=True)
class Hole(Degradation):
    def __call__(self, clean: Tensor, keys: list[tuple[int, int]]) -> Degraded:
        mask = torch.ones_like(clean[:, :1])
        return Degraded(clean * 0, mask=mask, layers={"hole": clean}, draw={"holes": [1] * len(keys)})


def test_parts_apply_in_order():
    clean = torch.rand(2, 3, 16, 16)
    assert torch.equal(Chain(of=(Hole(), Clip()))(clean, KEYS).image, torch.zeros_like(clean))
    noisy_then_small = Chain(of=(Noise(sigma=50.0), Bicubic(scale=4)))(clean, KEYS)
    small_then_noisy = Chain(of=(Bicubic(scale=4), Noise(sigma=50.0)))(clean, KEYS)
    assert (noisy_then_small.image * 255 % 1 - 0.5).abs().min() > 0.49  # rounded last
    assert small_then_noisy.image.std() > noisy_then_small.image.std()


def test_a_chain_of_plain_parts_is_those_parts():
    clean = torch.rand(2, 3, 16, 16) * 3 - 1
    expected = Bicubic(scale=2)(Grey()(clean.clamp(0, 1), KEYS).image, KEYS).image
    assert torch.equal(Chain(of=(Clip(), Grey(), Bicubic(scale=2)))(clean, KEYS).image, expected)


def test_the_scale_is_the_product():
    assert Chain(of=(Bicubic(scale=2), Noise(sigma=1.0), Bicubic(scale=3))).scale == 6


def test_equal_parts_draw_differently_wherever_they_stand():
    noise, zero = Noise(sigma=(1.0, 50.0)), torch.zeros(2, 3, 8, 8)
    nested = Chain(of=(Chain(of=(noise, noise)), noise, Chain(of=(Chain(of=(noise,)), noise))))
    drawn = [sigma for values in nested(zero, KEYS).draw.values() for sigma in values]
    assert len(drawn) == len(set(drawn)) == 10


def test_masks_layers_and_draws_are_kept():
    clean = torch.rand(2, 3, 8, 8)
    degraded = Chain(of=(Clip(), Hole(), Noise(sigma=5.0)))(clean, KEYS)
    assert degraded.draw == {"1.holes": [1, 1], "2.sigma": [5.0, 5.0]}
    assert torch.equal(degraded.mask, torch.ones(2, 1, 8, 8))
    assert torch.equal(degraded.layers["hole"], clean)


def test_grey_is_matlabs():
    colours = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]).view(4, 3, 1, 1)
    grey = Grey()(colours, [(0, i) for i in range(4)]).image
    # rgb2gray of the primaries, in 8 bits: 76, 150, 29
    assert (grey[:, 0].flatten() * 255).round().tolist() == [76, 150, 29, 255]
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.equal(grey[:, 0], grey[:, 2])
    assert torch.equal(Grey()(colours[:, :1], [(0, i) for i in range(4)]).image, colours[:, :1])


def test_an_empty_chain_is_refused():
    with pytest.raises(ValueError, match=r"^of = \[\]; expected at least one degradation$"):
        DEGRADATIONS["chain"](of=())
