"""Restorers within a network: named, resolved to a table, filled from their file, ours or another's."""

from pathlib import Path

import pytest
import torch

from restoration import frozen
from restoration.config import build, check
from restoration.errors import ConfigError
from restoration.networks import NETWORKS
from restoration.networks.spandrel import Spandrel
from restoration.weights import load


def flow(posterior_mean: object, **keywords: object) -> dict[str, object]:
    return {"name": "posterior-mean-flow", "width": 4, "posterior_mean": posterior_mean, **keywords}


def test_shipped_restorer_becomes_the_table_of_its_network():
    spec = frozen.resolved(flow("denoise-color-small"), "network")
    restorer = load("denoise-color-small")
    assert spec["posterior_mean"] == {
        **restorer.card.network, "restorer": "denoise-color-small", "sha256": restorer.digest,
    }  # fmt: skip
    assert frozen.resolved(spec, "network") == spec
    resolved = check(NETWORKS, spec, "network", "network")
    assert check(NETWORKS, resolved, "network", "network") == resolved

    network = build(NETWORKS, resolved, "network", "network")
    expected = restorer.network.state_dict()
    assert not all(torch.equal(v, expected[k]) for k, v in network.posterior_mean.state_dict().items())
    frozen.fill(network, resolved, "network")
    assert all(torch.equal(v, expected[k]) for k, v in network.posterior_mean.state_dict().items())


def test_checkpoint_of_another_project_serves_too(tmp_path: Path):
    torch.manual_seed(0)
    foreign = Spandrel(architecture="Compact", num_feat=8, num_conv=2, upscale=2)
    torch.save(foreign.adapter.model.state_dict(), tmp_path / "compact.pth")
    spec = frozen.resolved(flow(str(tmp_path / "compact.pth"), scale=2), "network")
    network = build(NETWORKS, spec, "network", "network")
    frozen.fill(network, spec, "network")
    degraded = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(network.posterior_mean(degraded), foreign.eval()(degraded))


def test_other_networks_are_left_alone():
    for spec in ({"name": "imdn", "width": 36}, {"name": "no-such"}, {"width": 4}):
        assert frozen.resolved(spec, "network") == spec
    frozen.fill(torch.nn.Identity(), {"name": "imdn"}, "network")


def test_network_that_uses_no_posterior_mean_is_not_filled():
    spec = frozen.resolved(flow("denoise-color-small", source="degraded"), "network")
    network = build(NETWORKS, spec, "network", "network")
    frozen.fill(network, spec, "network")
    assert network.posterior_mean is None


def test_table_that_is_not_the_file_s_is_refused():
    spec = frozen.resolved(flow("denoise-color-small"), "network")
    spec["posterior_mean"] |= {"widths": [32, 64, 64]}
    network = build(NETWORKS, spec, "network", "network")
    with pytest.raises(ConfigError) as caught:
        frozen.fill(network, spec, "network")
    message = str(caught.value)
    assert message.startswith(
        'network.posterior_mean.restorer = "denoise-color-small": not of this network: '
    )


def test_unknown_keys_beside_the_table_are_refused():
    spec = frozen.resolved(flow("denoise-color-small"), "network")
    spec["posterior_mean"] |= {"sha": "1"}
    with pytest.raises(ConfigError) as caught:
        check(NETWORKS, spec, "network", "network")
    assert str(caught.value) == (
        "network.posterior_mean.sha: unknown key of network 'res-unet'; did you mean 'sha256'?"
    )
