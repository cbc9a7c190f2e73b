"""MSRResNet against the official module's size, names and output."""

import pytest
import torch

from restoration.networks.msrresnet import MsrResNet


def test_has_as_many_parameters_as_published():
    assert sum(p.numel() for p in MsrResNet().parameters()) == 1_517_571


def test_has_the_released_names():
    state = MsrResNet(scale=4, blocks=2).state_dict()
    layers = [
        "conv_first",
        "body.0.conv1",
        "body.0.conv2",
        "body.1.conv1",
        "body.1.conv2",
        "upconv1",
        "upconv2",
    ]
    layers += ["conv_hr", "conv_last"]
    assert list(state) == [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]


def test_output_of_the_official_module(formula_output, check_against):
    # computed by BasicSR 1.4.2 (srresnet_arch) with the same weights
    samples = {0: 0.2056301, 4535: 0.5335066, 6047: 1.0166239, 12095: 0.8964179}
    output = formula_output(MsrResNet(width=16, blocks=3), (1, 3, 14, 18), gain=1.0)
    check_against(output, 0.6626568916840442, 0.5642271676128505, samples)


def test_untrained_network_is_close_to_bilinear():
    torch.manual_seed(0)
    degraded = torch.rand(1, 3, 12, 12)
    bilinear = torch.nn.functional.interpolate(degraded, scale_factor=2, mode="bilinear")
    with torch.no_grad():
        assert (MsrResNet(scale=2)(degraded) - bilinear).abs().max() < 0.05


def test_refuses_scale_8():
    with pytest.raises(ValueError) as refusal:
        MsrResNet(scale=8)
    assert str(refusal.value) == "scale = 8: expected 2, 3 or 4"
