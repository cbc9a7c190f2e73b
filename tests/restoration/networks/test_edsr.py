"""EDSR against the official module's sizes and output."""

import pytest
import torch

from restoration.networks.edsr import Edsr


@pytest.mark.parametrize(("scale", "parameters"), [(2, 1_369_859), (3, 1_554_499), (4, 1_517_571)])
def test_has_as_many_parameters_as_published(scale, parameters):
    assert sum(p.numel() for p in Edsr(scale=scale).parameters()) == parameters


def test_large_model_has_as_many_parameters_as_published():
    with torch.device("meta"):
        large = Edsr(width=256, blocks=32, residual_scale=0.1)
    assert sum(p.numel() for p in large.parameters()) == 43_089_923


def test_output_of_the_official_module(formula_output, check_against):
    # computed by BasicSR 1.4.2 (edsr_arch, img_range 255) with the same weights
    samples = {0: 0.4781125, 3023: 0.5437268, 6047: -0.0006777, 12095: 0.2397121}
    output = formula_output(Edsr(width=16, blocks=3), (1, 3, 14, 18), gain=1.0)
    check_against(output, 0.4212864774609448, 0.5079916927597268, samples)


def test_the_mean_is_not_in_the_state_dict():
    assert "mean" not in Edsr(blocks=1, width=8).state_dict()
