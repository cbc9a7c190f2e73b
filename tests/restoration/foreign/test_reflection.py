"""Reflection networks against what their official modules gave."""

from pathlib import Path

import parity
import pytest
import torch

from restoration.errors import WeightsError
from restoration.foreign import read_state, recognise
from restoration.foreign.parts import recognise_part
from restoration.foreign.split import joined
from restoration.losses.backbones import vgg
from restoration.networks import NETWORKS
from restoration.networks import errnet as errnet_module
from restoration.networks.errnet import COLUMN_WIDTHS, Errnet
from restoration.networks.rrformer import RrFormer

HERE = Path("reflection.pth")


def loaded(state, **settings):
    network, spec = recognise(state, HERE, settings)
    return network.eval(), spec


def count(module):
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "size"), [("errnet_nf32", (1, 7, 50, 68)), ("basenet_nf24", (1, 3, 38, 44))]
)
def test_errnet_gives_the_recorded_output(name, size):
    sample = parity.sample("errnet", name)
    network, spec = loaded(sample.state())
    assert count(network) == sample.parameters
    assert spec["blocks"] == sample.settings["blocks"]
    sample.check(network(parity.uniform(*size)))


@torch.no_grad()
@pytest.mark.parametrize(("name", "attention"), [("released_small", "none"), ("intended_small", "swin")])
def test_rrformer_gives_the_recorded_output_released_and_intended(name, attention):
    sample = parity.sample("uhdrr", name)
    network, spec = loaded(sample.state(), attention=attention)
    assert count(network) == sample.parameters
    assert spec["depths"] == (2, 2)
    sample.check(network(parity.uniform(1, 3, 44, 58)))


@torch.no_grad()
def test_ibcln_gives_the_recorded_step():
    sample = parity.sample("ibcln", "generator_one_step")
    module, _ = recognise_part(sample.state())
    assert count(module) == sample.parameters
    draw = parity.draws()
    image = parity.uniform(1, 9, 36, 44, generator=draw)
    hidden, cell = (2 * parity.uniform(1, 256, 9, 11, generator=draw) - 1 for _ in range(2))
    found = module.eval()(image, hidden, cell)
    for name in ("image", "half", "quarter"):
        sample.check(getattr(found, name), name)
    sample.check(found.hidden[:, :8], "hidden_channels_0_7")
    sample.check(found.cell[:, :8], "cell_channels_0_7")


@torch.no_grad()
def test_ibcln_discriminator_gives_the_recorded_output():
    sample = parity.sample("ibcln", "discriminator")
    module, spec = recognise_part(sample.state())
    assert count(module) == sample.parameters
    assert spec["name"] == "patch"
    sample.check(module.eval()(parity.uniform(2, 3, 64, 48)))


def test_ibcln_cascade_asks_both_networks_in_turn():
    entries = narrow(parity.layout("ibcln", "generator")[0], {64: 4, 128: 8, 256: 16, 512: 32, 32: 2})
    layers = {"T": parity.formula_state(entries, 1.41), "R": parity.formula_state(entries, 1.2)}
    network, spec = loaded(joined(layers), steps=2)
    assert spec["sides"]
    first, _ = recognise_part(layers["T"])
    second, _ = recognise_part(layers["R"])
    image = parity.uniform(1, 3, 16, 20)
    zeros = torch.zeros(1, 16, 4, 5)
    with torch.no_grad():
        a = first.eval()(torch.cat((image, image, torch.full_like(image, 0.1)), 1), zeros, zeros)
        b = second.eval()(torch.cat((image, a.image, torch.full_like(image, 0.1)), 1), zeros, zeros)
        c = first(torch.cat((image, a.image, b.image), 1), a.hidden, a.cell)
        d = second(torch.cat((image, c.image, b.image), 1), b.hidden, b.cell)
        transmission, reflection = network.taken_apart(image)
        assert torch.equal(network(image), c.image)
    assert torch.equal(transmission, c.image) and torch.equal(reflection, d.image)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pack", "layout"),
    [
        ("errnet", "errnet_hyper"),
        ("errnet", "errnet_plain"),
        ("errnet", "basenet"),
        ("uhdrr", "uhdrr_plain"),
        ("ibcln", "generator"),
        ("ibcln", "discriminator"),
    ],
)
def test_official_sizes_load_whole(pack, layout):
    entries, about = parity.layout(pack, layout)
    state = {name: torch.zeros(shape) for name, shape, _ in entries}
    module = recognise_part(state)[0] if pack == "ibcln" else loaded(state)[0]
    assert count(module) == about["parameters"]


def test_both_files_of_ibcln_make_one_network():
    entries, about = parity.layout("ibcln", "generator")
    state = {name: torch.zeros(shape) for name, shape, _ in entries}
    network, spec = loaded(joined({"T": state, "R": state}))
    assert spec["name"] == "ibcln" and count(network) == 2 * about["parameters"]


def test_vgg_columns_change_the_first_kernel_alone():
    entries, about = parity.layout("uhdrr", "uhdrr_plain")
    state = {
        name: torch.zeros([256, 1475, 1, 1] if name == "conv1.conv2d.weight" else shape)
        for name, shape, _ in entries
    }
    network, spec = loaded(state)
    assert spec["columns"] == "relu-1" and count(network) == 20_355_130
    assert count(network) - about["parameters"] == 256 * 1472


def test_attention_that_was_never_trained_is_left_out():
    sample = parity.sample("uhdrr", "released_small")
    state = sample.state()
    for name in state:
        if name.startswith("swinir_block.") and "norm" in name:
            state[name] = torch.full_like(state[name], float(name.endswith("weight")))
    assert loaded(state)[1]["attention"] == "none"
    assert loaded(sample.state())[1]["attention"] == "swin"


@pytest.mark.parametrize("side", [1, 7, 33, 62])
@pytest.mark.parametrize("make", [Errnet, RrFormer])
def test_small_and_odd_images_keep_their_size(make, side):
    small = {"width": 8, "blocks": 1} if make is Errnet else {"width": 8, "embedding": 12, "depths": (2,)}
    network = make(**small).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, side, side + 1)).shape == (1, 3, side, side + 1)


@pytest.fixture
def trunk(monkeypatch):
    torch.manual_seed(5)
    state = {}
    channels, place = 3, 0
    for width, convs in zip(COLUMN_WIDTHS, (2, 2, 4, 4, 4), strict=True):
        for _ in range(convs):
            state[f"features.{place}.weight"] = torch.randn(width, channels, 3, 3) * (2 / channels / 9) ** 0.5
            state[f"features.{place}.bias"] = 0.1 * torch.randn(width)
            channels, place = width, place + 2
        place += 1
    network = vgg("vgg19", state)
    monkeypatch.setattr(errnet_module, "backbone", lambda name: {"vgg19": network}[name])
    return network


@torch.no_grad()
@pytest.mark.parametrize("columns", ["relu-1", "relu-2"])
def test_the_columns_are_never_stacked_and_yet_weighed_as_if_they_were(trunk, columns):
    network = Errnet(width=8, blocks=1, columns=columns).eval()
    image = torch.rand(1, 3, 48, 64)
    features, maps = image, {}
    for name, stage in zip(trunk.names, trunk.stages, strict=True):
        features = stage(features)
        maps[name] = features
    chosen = [maps[f"relu{i}_{columns[-1]}"] for i in range(1, 6)]
    enlarged = [torch.nn.functional.interpolate(m, (48, 64), mode="bilinear") for m in chosen]
    stacked = torch.cat([image, *enlarged], 1)
    assert stacked.shape[1] == 1475
    expected, restored = network(stacked), network(image)
    assert expected.std() > 0
    assert (restored - expected).abs().max() < 1e-4 * expected.std()


@torch.no_grad()
def test_columns_need_weights_that_are_named_where_they_are_missing(tmp_path, monkeypatch):
    from restoration.losses.features import backbone

    backbone.cache_clear()
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Exception, match=r"vgg19-dcbb9e9d\.pth"):
        Errnet(width=8, blocks=1, columns="relu-1")(torch.rand(1, 3, 32, 32))


def test_a_released_file_of_errnet_is_unwrapped(tmp_path):
    state = parity.sample("errnet", "basenet_nf24").state()
    file = tmp_path / "errnet_060_00463920.pt"
    torch.save(
        {"icnn": state, "opt_g": {"state": {}, "param_groups": []}, "epoch": 60, "iterations": 9}, file
    )
    network, spec = recognise(read_state(file), file)
    assert spec["name"] == "errnet" and torch.equal(network.conv1.weight, state["conv1.conv2d.weight"])


def test_a_part_without_its_other_half_is_refused(tmp_path):
    from restoration.foreign.split import completed

    entries, _ = parity.layout("ibcln", "generator")
    state = {name: torch.zeros(2, 2) for name, _, _ in entries}
    with pytest.raises(WeightsError, match=r"beside it are missing: final_net_G_R\.pth"):
        completed(state, tmp_path / "final_net_G_T.pth")
    with pytest.raises(WeightsError, match="expected a name that says which"):
        completed(state, tmp_path / "network.pth")
    torch.save(state, tmp_path / "final_net_G_R.pth")
    whole = completed(state, tmp_path / "final_net_G_T.pth")
    assert set(whole) == {f"{layer}.{name}" for layer in "TR" for name in state}


def narrow(entries, widths):
    return [(name, [widths.get(n, n) for n in shape], kind) for name, shape, kind in entries]


def test_networks_are_in_the_table():
    assert {"errnet", "rrformer", "ibcln"} <= set(NETWORKS)
