"""Settings of a file: keywords that its tensors leave open, and one line for the others."""

import pytest
import torch
from safetensors.torch import save_file

from restoration.errors import ConfigError, RequestError
from restoration.networks.ffdnet import FfdNet
from restoration.networks.plainsr import PlainSr
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.restorers import Card
from restoration.weights import load, save

IMAGE = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def foreign(tmp_path):
    torch.manual_seed(0)
    network = FfdNet(channels=3, width=96, depth=12)
    for layer in network.model[::2]:
        layer.weight.data *= 2.4  # else little of the noise level would reach the end of so many layers
    save_file(network.state_dict(), tmp_path / "ffdnet_color.safetensors")
    return tmp_path / "ffdnet_color.safetensors"


@pytest.fixture
def ours(tmp_path):
    torch.manual_seed(1)
    table = {"name": "ffdnet", "channels": 3, "width": 8, "depth": 3, "sigma": 25.0}
    network = FfdNet(channels=3, width=8, depth=3)
    save(tmp_path / "ours.safetensors", network, Card("ours", "denoising", table))
    return tmp_path / "ours.safetensors"


def refusal(source, settings):
    with pytest.raises(RequestError) as caught:
        load(source, settings)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize("kind", ["foreign", "ours"])
def test_settings_are_what_restores_and_stand_in_the_card(kind, request):
    path = request.getfixturevalue(kind)
    plain, strong = load(path), load(path, {"sigma": 50})
    assert strong.card.network == {**plain.card.network, "sigma": 50} and strong.digest == plain.digest
    with torch.inference_mode():
        assert torch.equal(strong(IMAGE), plain.network(IMAGE, torch.tensor(50 / 255)))
        assert (strong(IMAGE) - plain(IMAGE)).abs().max() > 1e-5


def test_unknown_settings_and_wrong_values_are_one_line(foreign, ours):
    assert refusal(foreign, {"sigam": 15}) == (
        f"{foreign}: looks like ffdnet, but it has no keyword 'sigam'; did you mean 'sigma'?"
    )
    assert refusal(ours, {"sigam": 15}) == (
        f"{ours}: network.sigam: unknown key of network 'ffdnet'; did you mean 'sigma'?"
    )
    assert refusal(foreign, {"sigma": "strong"}) == f'{foreign}: network.sigma = "strong": expected a number'
    assert refusal(ours, {"sigma": "strong"}) == f'{ours}: network.sigma = "strong": expected a number'
    for path in (foreign, ours):
        assert refusal(path, {"name": "dncnn"}) == (
            f"{path}: name cannot be set: which network it is, its tensors say"
        )
    assert refusal(foreign, {"velocity": {"width": 3}}) == (
        f"{foreign}: velocity is a table; of a foreign file only a network's own keys can be set"
    )


def test_settings_that_the_tensors_contradict(ours):
    assert refusal(ours, {"width": 12}).startswith(f"{ours}: not the weights of its ffdnet: ")


def test_restorers_without_settings_refuse_them(tmp_path):
    with pytest.raises(ConfigError) as refused:
        load("bicubic-x4", {"sigma": 25})
    assert str(refused.value) == "bicubic-x4: takes no settings; got sigma"
    table = {"name": "plain-sr", "scale": 2, "channels": 3, "width": 8, "blocks": 1}
    save(tmp_path / "sr.safetensors", PlainSr(scale=2, width=8, blocks=1), Card("sr", "sr", table, 2))
    assert refusal(tmp_path / "sr.safetensors", {"sigma": 25}) == (
        f"{tmp_path}/sr.safetensors: network.sigma: unknown key of network 'plain-sr'"
    )


def test_settings_reach_networks_within(tmp_path):
    mean = {"name": "ffdnet", "channels": 3, "width": 8, "depth": 3, "sigma": 25.0}
    network = PosteriorMeanFlow(width=8, steps=1, posterior_mean=FfdNet(channels=3, width=8, depth=3))
    table = {"name": "posterior-mean-flow", "width": 8, "steps": 1, "posterior_mean": mean}
    save(tmp_path / "flow.safetensors", network, Card("flow", "denoising", table))
    restorer = load(tmp_path / "flow.safetensors", {"posterior_mean": {"sigma": 10.0}, "steps": 2})
    assert (restorer.network.posterior_mean.sigma, restorer.network.steps) == (10.0, 2)
    assert restorer.card.network["posterior_mean"] == {**mean, "sigma": 10.0}
