"""RBPN and its small back-projection network against what their official modules gave."""

from pathlib import Path

import parity
import pytest
import torch

from restoration.foreign import recognise
from restoration.foreign.parts import recognise_part

HERE = Path("rbpn.pth")


def count(module):
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "size", "neighbours"), [("rbpn_small_x4", (12, 14), 2), ("rbpn_small_x2", (16, 18), 3)]
)
def test_rbpn_gives_the_recorded_output(name, size, neighbours):
    sample = parity.sample("iseebetter_rbpn", name)
    network, spec = recognise(sample.state(), HERE)
    assert count(network) == sample.parameters
    assert spec["frames"] == sample.settings["nFrames"] == neighbours + 1
    draw = parity.draws()
    frames = [parity.uniform(1, 3, *size, generator=draw) for _ in range(neighbours + 1)]
    flows = [2 * torch.from_numpy(draw.rand(1, 2, *size)) - 1 for _ in range(neighbours)]
    stacked = torch.cat((*frames, *(flow.float() for flow in flows)), 1)
    assert stacked.shape[1] == 3 + len(network.conditions)
    sample.check(network.eval()(stacked))
    sample.check(network.enlarged(frames[0], frames[1:], [flow.float() for flow in flows]))


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("frames", [2, 5])
def test_other_configurations_of_the_layout_are_read_back(scale, frames):
    from restoration.foreign.rbpn import SCALES

    side = {v: k for k, v in SCALES.items()}[scale]
    entries, _ = parity.layout("iseebetter_rbpn", "RBPN_x4")
    smaller = {256: 20, 192: 36, 64: 12, 384: 12 * (frames - 1), 8: side}

    def shape(name, sizes):
        if name == "feat1.conv.weight":
            return [20, 8, 3, 3]
        return [smaller.get(n, n) for n in sizes]

    state = {name: torch.ones(shape(name, sizes)) for name, sizes, _ in entries}
    network, spec = recognise(state, HERE)
    assert (spec["scale"], spec["frames"], spec["width"], spec["features"]) == (scale, frames, 20, 12)
    stacked = torch.rand(1, 3 + len(network.conditions), 7, 5)
    assert network(stacked).shape == (1, 3, 7 * scale, 5 * scale)


@pytest.mark.parametrize("layout", ["RBPN_x4", "DBPNS_x4"])
def test_official_sizes_load_whole(layout):
    entries, about = parity.layout("iseebetter_rbpn", layout)
    state = {name: torch.zeros(shape) for name, shape, _ in entries}
    module = recognise(state, HERE)[0] if layout == "RBPN_x4" else recognise_part(state)[0]
    assert count(module) == about["parameters"]


def test_the_small_network_alone_is_the_one_within():
    sample = parity.sample("iseebetter_rbpn", "rbpn_small_x4")
    network, _ = recognise(sample.state(), HERE)
    inner = {n.removeprefix("DBPN."): t for n, t in sample.state().items() if n.startswith("DBPN.")}
    module, spec = recognise_part(inner)
    assert spec == {"name": "dbpn-s", "scale": 4, "width": 16, "features": 8}
    features = torch.rand(1, 16, 5, 6)
    assert torch.equal(module(features), network.single(features))
