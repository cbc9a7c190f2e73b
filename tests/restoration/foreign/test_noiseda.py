"""Noise-DA's networks against what their official modules gave."""

from pathlib import Path

import parity
import pytest
import torch

from restoration.errors import WeightsError
from restoration.foreign import recognise
from restoration.foreign.parts import recognise_part

HERE = Path("denoise.pth")


def count(module):
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def test_restoration_network_gives_the_recorded_residual():
    sample = parity.sample("noiseda", "restoration_small")
    network, spec = recognise(sample.state(), HERE)
    assert count(network) == sample.parameters
    assert spec == {"name": "noise-da", "channels": 3, "width": 12, "levels": 3}
    image = parity.uniform(1, 3, 36, 44)
    sample.check(network.residual(image))
    assert torch.allclose(network(image) - image, network.residual(image), atol=1e-6)


@torch.no_grad()
def test_a_symmetric_span_is_entered_and_left_within():
    sample = parity.sample("noiseda", "restoration_small")
    network, _ = recognise(sample.state(), HERE, {"span": "symmetric"})
    image = parity.uniform(1, 3, 36, 44)
    sample.check(2 * network((image + 1) / 2) - 1 - image)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "inputs", "settings"),
    [("guided_small", 9, {"head": 16}), ("sr3_small", 6, {})],
)
def test_diffusion_network_gives_the_recorded_noise(name, inputs, settings):
    sample = parity.sample("noiseda", name)
    module, spec = recognise_part(sample.state(), settings)
    assert count(module) == sample.parameters
    assert spec["multipliers"] == (1, 2) and spec["blocks"] == 1
    stacked = (-1 + 2 * torch.from_numpy(parity.draws().rand(2, inputs, 16, 24))).float()
    sample.check(module.eval()(stacked, torch.tensor([0.3, 0.9])))


@pytest.mark.parametrize("layout", ["guided_unet_official", "sr3_unet_default", "restoration_unet"])
def test_official_sizes_load_whole(layout):
    entries, about = parity.layout("noiseda", layout)
    state = {name: torch.zeros(shape) for name, shape, _ in entries}
    module, spec = recognise(state, HERE) if layout == "restoration_unet" else recognise_part(state)
    assert count(module) == about["parameters"]
    if layout != "restoration_unet":
        assert list(spec["multipliers"]) == about["settings"]["channel_mults"]
        assert spec["blocks"] == about["settings"]["res_blocks"]


def test_a_released_file_gives_its_restoration_network_and_its_diffusion_network():
    guided = parity.sample("noiseda", "guided_small").state()
    own = parity.sample("noiseda", "restoration_small").state()
    state = {f"denoise_fn.{name}": tensor for name, tensor in guided.items()}
    state |= {f"RestorationNet.{name}": tensor for name, tensor in own.items()}
    state |= {name: torch.zeros(10) for name in ("gammas", "sqrt_recip_gammas", "posterior_mean_coef2")}
    network, spec = recognise(state, HERE)
    assert spec["name"] == "noise-da"
    assert torch.equal(network.tail.weight, own["last.weight"])
    module, _ = recognise_part(state, {"head": 16})
    assert torch.equal(module.out[2].weight, guided["out.2.weight"])


def test_a_tensor_that_belongs_to_nothing_is_named():
    state = parity.sample("noiseda", "restoration_small").state() | {"surplus.weight": torch.zeros(3, 3)}
    with pytest.raises(WeightsError, match=r"looks like noise-da, but it has surplus\.weight besides"):
        recognise(state, HERE)


@pytest.mark.parametrize("attention", [(1, 2), (2,), ()])
@pytest.mark.parametrize("blocks", [1, 3])
def test_other_guided_configurations_are_read_back(attention, blocks):
    from restoration.networks.guided_unet import GuidedUnet

    settings = {"width": 32, "multipliers": (1, 1, 2), "blocks": blocks, "attention": attention}
    module, spec = recognise_part(GuidedUnet(**settings).state_dict())
    assert {key: spec[key] for key in settings} == settings
    assert module(torch.rand(1, 9, 8, 12), torch.tensor([0.5])).shape == (1, 3, 8, 12)
