"""RRDBNet against the official module's sizes and output."""

import pytest
import torch

from restoration.networks.rrdbnet import RrdbNet


@pytest.mark.parametrize(("scale", "parameters"), [(2, 16_703_171), (4, 16_697_987)])
def test_has_as_many_parameters_as_published(scale, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in RrdbNet(scale=scale).parameters()) == parameters


def test_output_of_the_official_module(formula_output, check_against):
    # computed by BasicSR 1.4.2 (rrdbnet_arch, scale 2: packed input) with the same weights
    samples = {0: 0.2518264, 1187: -0.0179119, 2375: 0.1772599, 4751: 0.0779792}
    output = formula_output(RrdbNet(scale=2, width=16, blocks=2, growth=8), (1, 3, 18, 22), gain=1.1)
    check_against(output, 0.2060358687362756, 0.3703144421980945, samples)


def test_refuses_scale_3():
    with pytest.raises(ValueError) as refusal:
        RrdbNet(scale=3)
    assert str(refusal.value) == "scale = 3: expected 1, 2 or 4"
