"""Configurations of which no output is recorded: written out in the official names, and computed a second time."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import parity
import pytest
import torch
from torch.nn import functional

from restoration.errors import WeightsError
from restoration.foreign import read_state, recognise
from restoration.foreign.hints import assumed, hinted
from restoration.networks import NETWORKS

FILE = Path("theirs.pth")


def kernels(sizes, bias=True):
    """Entries of convolutions: name → shape of the kernel."""
    entries = []
    for name, shape in sizes.items():
        entries.append((f"{name}.weight", shape, "float32"))
        if bias:
            entries.append((f"{name}.bias", [shape[0]], "float32"))
    return entries


def conv(state, name, image, **keywords):
    weight = state[f"{name}.weight"]
    keywords = {"padding": weight.shape[-1] // 2, **keywords}
    return functional.conv2d(image, weight, state.get(f"{name}.bias"), **keywords)


def close(network, image, expected, *more):
    with torch.no_grad():
        restored = network.eval()(image, *more)
    assert restored.shape == expected.shape
    assert (restored - expected).abs().max() < 1e-5 * expected.std()


def distilled(width, blocks, attentive):
    quarter, rest = width // 4, width - width // 4
    sizes = {}
    for i in range(1, blocks + 1):
        sizes[f"IMDB{i}.c1"] = [width, width, 3, 3]
        sizes |= {f"IMDB{i}.c{j}": [width, rest, 3, 3] for j in (2, 3)}
        sizes[f"IMDB{i}.c4"] = [quarter, rest, 3, 3]
        sizes[f"IMDB{i}.c5"] = [width, width, 1, 1]
        if attentive:
            sizes[f"IMDB{i}.cca.conv_du.0"] = [width // 16, width, 1, 1]
            sizes[f"IMDB{i}.cca.conv_du.2"] = [width, width // 16, 1, 1]
    return sizes


def test_imdn_as_works_at_a_quarter():
    width, blocks = 32, 3
    sizes = {
        "fea_conv.0": [width, 3, 3, 3],
        "fea_conv.2": [width, width, 3, 3],
        **distilled(width, blocks, True),
    }
    sizes |= {
        "c.0": [width, blocks * width, 1, 1],
        "LR_conv": [width, width, 3, 3],
        "upsampler.0": [48, width, 3, 3],
    }
    state = parity.formula_state(kernels(sizes), gain=1.3)
    network, spec = recognise(state, FILE)
    assert (spec["entry"], spec["blocks"], network.scale, network.multiple) == ("strided", 3, 1, 4)
    image = parity.uniform(2, 3, 20, 24)
    first = features = conv(
        state, "fea_conv.2", functional.leaky_relu(conv(state, "fea_conv.0", image, stride=2), 0.05), stride=2
    )
    results = []
    for i in range(1, blocks + 1):
        rest, kept = features, []
        for j in (1, 2, 3):
            made = functional.leaky_relu(conv(state, f"IMDB{i}.c{j}", rest), 0.05)
            kept.append(made[:, : width // 4])
            rest = made[:, width // 4 :]
        joined = torch.cat([*kept, conv(state, f"IMDB{i}.c4", rest)], 1)
        flat = joined.flatten(2)
        pooled = (flat.mean(2) + flat.std(2, correction=0))[..., None, None]
        gate = conv(
            state, f"IMDB{i}.cca.conv_du.2", conv(state, f"IMDB{i}.cca.conv_du.0", pooled).relu()
        ).sigmoid()
        features = features + conv(state, f"IMDB{i}.c5", joined * gate)
        results.append(features)
    merged = functional.leaky_relu(conv(state, "c.0", torch.cat(results, 1)), 0.05)
    close(
        network,
        image,
        functional.pixel_shuffle(conv(state, "upsampler.0", first + conv(state, "LR_conv", merged)), 4),
    )


def test_imdn_rte_works_at_half_without_biases():
    width, blocks, scale = 24, 2, 2
    quarter = width // 4
    sizes = {"fea_conv.2": [width, width, 3, 3], "LR_conv": [width, width, 1, 1]}
    for i in range(1, blocks + 1):
        shapes = [(width, width), (width, 18), (width, 18), (18, 18), (12, 12), (6, 6)]
        sizes |= {f"block{i}.c{j}": [o, n, 3, 3] for j, (o, n) in enumerate(shapes, 1)}
        sizes[f"block{i}.c7"] = [width, 6 * quarter, 1, 1]
    biased = {"fea_conv.0": [width, 3, 3, 3], "upsampler.0": [3 * (2 * scale) ** 2, width, 3, 3]}
    state = parity.formula_state(kernels(biased) + kernels(sizes, bias=False), gain=1.4)
    network, spec = recognise(state, FILE)
    assert spec == {"name": "imdn-edge", "scale": 2, "channels": 3, "width": 24, "blocks": 2}
    image = parity.uniform(1, 3, 14, 18)
    first = features = conv(state, "fea_conv.2", conv(state, "fea_conv.0", image).relu(), stride=2)
    for i in range(1, blocks + 1):
        rest, kept = features, []
        for j in range(1, 7):
            made = conv(state, f"block{i}.c{j}", rest).relu()
            kept.append(made[:, :quarter])
            rest = made[:, quarter:]
        features = features + conv(state, f"block{i}.c7", torch.cat(kept, 1))
    expected = functional.pixel_shuffle(
        conv(state, "upsampler.0", conv(state, "LR_conv", features) + first), 4
    )
    close(network, image, expected)


@pytest.mark.parametrize("levels", [None, 0.2])
@pytest.mark.parametrize("channels", [1, 3])
def test_fdncnn_takes_a_map_of_the_noise_level(levels, channels):
    sizes = {"model.0": [10, channels + 1, 3, 3], "model.2": [10, 10, 3, 3], "model.4": [channels, 10, 3, 3]}
    state = parity.formula_state(kernels(sizes), gain=1.4)
    network, spec = recognise(state, FILE, {"sigma": 51.0})  # 0.2 of the range
    assert (spec["name"], spec["channels"], spec["depth"]) == ("fdncnn", channels, 3)
    image = parity.uniform(2, channels, 9, 12)
    features = torch.cat((image, torch.full((2, 1, 9, 12), 0.2)), 1)
    for i in (0, 2):
        features = conv(state, f"model.{i}", features).relu()
    close(network, image, conv(state, "model.4", features), *([] if levels is None else [levels]))


def test_ircnn_chooses_the_set_next_above_the_noise_level(tmp_path):
    sizes = {f"model.{i}": [3 if i == 12 else 8, 8 if i else 3, 3, 3] for i in range(0, 13, 2)}
    entries = kernels(sizes)
    one = {str(n): {k: t + n / 100 for k, t in parity.formula_state(entries).items()} for n in range(25)}
    torch.save(one, tmp_path / "ircnn.pth")
    state = read_state(tmp_path / "ircnn.pth")
    image = parity.uniform(1, 3, 9, 11)
    for sigma, chosen in ((0.5, 0), (2, 0), (2.1, 1), (15, 7), (25, 12), (50, 24)):
        network, spec = recognise(state, FILE, {"sigma": sigma})
        assert (spec["name"], spec["sets"], spec["channels"]) == ("ircnn", 25, 3)
        features, part = image, one[str(chosen)]
        for index, dilation in enumerate((1, 2, 3, 4, 3, 2, 1)):
            features = conv(part, f"model.{2 * index}", features, padding=dilation, dilation=dilation)
            features = features if index == 6 else features.relu()
        close(network, image, image - features)
    with pytest.raises(WeightsError, match=r"sigma = 60: these weights reach from 0 to 50"):
        recognise(state, FILE, {"sigma": 60})


@pytest.mark.parametrize(("scale", "factors"), [(1, ()), (2, (2,)), (3, (3,)), (8, (2, 2, 2))])
def test_rcan_of_every_scale(scale, factors):
    block = "body.0.residual_group.0.rcab"
    sizes = {"conv_first": [16, 3, 3, 3], f"{block}.0": [16, 16, 3, 3], f"{block}.2": [16, 16, 3, 3]}
    sizes |= {f"{block}.3.attention.1": [2, 16, 1, 1], f"{block}.3.attention.3": [16, 2, 1, 1]}
    sizes |= {"body.0.conv": [16, 16, 3, 3], "conv_after_body": [16, 16, 3, 3], "conv_last": [3, 16, 3, 3]}
    sizes |= {f"upsample.{2 * i}": [16 * f * f, 16, 3, 3] for i, f in enumerate(factors)}
    network, spec = recognise(parity.formula_state(kernels(sizes)), FILE)
    assert (spec["name"], network.scale, spec["squeeze"], spec["groups"], spec["blocks"]) == (
        "rcan",
        scale,
        8,
        1,
        1,
    )


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("shuffled", [False, True])
def test_kairs_msrresnet0_of_every_scale(scale, shuffled):
    if shuffled and scale == 1:
        pytest.skip("nothing is enlarged")
    steps = {1: 0, 2: 1, 4: 2, 8: 3}[scale]
    start = 2 if shuffled else 3
    sizes = {
        "model.0": [8, 3, 3, 3],
        "model.1.sub.0.res.0": [8, 8, 3, 3],
        "model.1.sub.0.res.2": [8, 8, 3, 3],
    }
    sizes["model.1.sub.1"] = [8, 8, 3, 3]
    sizes |= {f"model.{start + 3 * i}": [32 if shuffled else 8, 8, 3, 3] for i in range(steps)}
    last = 2 + 3 * steps
    sizes[f"model.{last}"] = [8, 8, 3, 3]
    entries = kernels(sizes) + kernels({f"model.{last + 2}": [3, 8, 3, 3]}, bias=False)
    state = parity.formula_state(entries, gain=1.3)
    network, spec = recognise(state, FILE)
    assert (spec["name"], spec["scale"], spec["blocks"]) == ("upconv-srresnet", scale, 1)
    image = parity.uniform(1, 3, 7, 9)
    head = conv(state, "model.0", image)
    body = head + conv(state, "model.1.sub.0.res.2", conv(state, "model.1.sub.0.res.0", head).relu())
    features = head + conv(state, "model.1.sub.1", body)
    for i in range(steps):
        name = f"model.{start + 3 * i}"
        if shuffled:
            features = functional.pixel_shuffle(conv(state, name, features), 2).relu()
        else:
            features = conv(state, name, features.repeat_interleave(2, 2).repeat_interleave(2, 3)).relu()
    close(network, image, conv(state, f"model.{last + 2}", conv(state, f"model.{last}", features).relu()))


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_rrdb_of_every_scale(steps):
    sizes = {"model.0": [8, 3, 3, 3], "model.1.sub.1": [8, 8, 3, 3]}
    for i in (1, 2, 3):
        sizes |= {f"model.1.sub.0.RDB{i}.conv{j}.0": [4, 8 + 4 * (j - 1), 3, 3] for j in (1, 2, 3, 4)}
        sizes[f"model.1.sub.0.RDB{i}.conv5"] = [8, 24, 3, 3]
    sizes |= {f"model.{3 + 3 * i}": [8, 8, 3, 3] for i in range(steps)}
    sizes |= {f"model.{2 + 3 * steps}": [8, 8, 3, 3], f"model.{4 + 3 * steps}": [3, 8, 3, 3]}
    network, spec = recognise(parity.formula_state(kernels(sizes)), FILE)
    assert (spec["name"], network.scale, spec["growth"], spec["packed"]) == ("rrdbnet", 2**steps, 4, False)


@pytest.mark.parametrize(("scale", "factors"), [(2, (2,)), (3, (3,)), (4, (2, 2))])
@pytest.mark.parametrize("groups", [1, 4])
def test_carn_of_one_scale(scale, factors, groups):
    width, inner = 16, 16 // groups
    sizes = {"sub_mean.shifter": [3, 3, 1, 1], "add_mean.shifter": [3, 3, 1, 1]}
    sizes |= {"entry": [width, 3, 3, 3], "exit": [3, width, 3, 3]}
    for i in (1, 2, 3):
        sizes[f"c{i}.body.0"] = [width, width * (i + 1), 1, 1]
        for j in (1, 2, 3):
            sizes[f"b{i}.c{j}.body.0"] = [width, width * (j + 1), 1, 1]
            if groups == 1 or j == 1:
                sizes |= {f"b{i}.b{j}.body.{k}": [width, inner, 3, 3] for k in (0, 2)}
            if groups > 1 and j == 1:
                sizes[f"b{i}.b{j}.body.4"] = [width, width, 1, 1]
    sizes |= {f"upsample.up.body.{3 * i}": [width * f * f, inner, 3, 3] for i, f in enumerate(factors)}
    network, spec = recognise(parity.formula_state(kernels(sizes)), FILE)
    assert (network.scale, spec["scales"], spec["groups"], spec["shared"]) == (scale, (), groups, groups > 1)
    assert network(parity.uniform(1, 3, 5, 7)).shape == (1, 3, 5 * scale, 7 * scale)


def test_carn_holds_several_scales_and_says_which():
    entries, _ = parity.layout("carn", "carn_m_multi")
    state = parity.formula_state(entries)
    for scale in (2, 3, 4):
        assert recognise(state, FILE, {"scale": scale})[0].scale == scale
    with pytest.raises(WeightsError, match="scale = 8: these weights enlarge by 2, 3, 4"):
        recognise(state, FILE, {"scale": 8})


def test_pan_of_three_times_is_told_so():
    entries, _ = parity.layout("pan", "PAN_x3")
    network, _ = recognise(parity.formula_state(entries), FILE, {"scale": 3})
    assert network(parity.uniform(1, 3, 6, 5)).shape == (1, 3, 18, 15)


def test_edsr_of_its_authors_has_the_mean_in_the_file():
    sizes = {"head.0": [16, 3, 3, 3], "tail.1": [3, 16, 3, 3], "body.2": [16, 16, 3, 3]}
    sizes |= {f"body.{i}.body.{j}": [16, 16, 3, 3] for i in (0, 1) for j in (0, 2)}
    sizes |= {"tail.0.0": [64, 16, 3, 3], "tail.0.2": [64, 16, 3, 3]}
    state = parity.formula_state(kernels(sizes))
    mean = 255 * torch.tensor([0.4488, 0.4371, 0.4040])
    unit = torch.eye(3).view(3, 3, 1, 1)
    shift = {"sub_mean.weight": unit, "sub_mean.bias": -mean, "add_mean.weight": unit, "add_mean.bias": mean}
    network, spec = recognise(state | shift, FILE)
    assert (spec["name"], spec["scale"], spec["blocks"]) == ("edsr", 4, 2)
    image = parity.uniform(1, 3, 6, 8)
    first = features = conv(state, "head.0", 255 * image - mean.view(1, 3, 1, 1))
    for i in (0, 1):
        features = features + conv(
            state, f"body.{i}.body.2", conv(state, f"body.{i}.body.0", features).relu()
        )
    features = first + conv(state, "body.2", features)
    for i in (0, 2):
        features = functional.pixel_shuffle(conv(state, f"tail.0.{i}", features), 2)
    close(network, image, (conv(state, "tail.1", features) + mean.view(1, 3, 1, 1)) / 255)
    with pytest.raises(WeightsError, match="looks like edsr, but it has sub_mean"):
        recognise(state | shift | {"sub_mean.bias": torch.zeros(3)}, FILE)


def through(bias):
    """Return tensors of RFDN_AIM's shapes that repeat each pixel four times each way and add ``bias``."""
    entries, _ = parity.layout("rfdn", "RFDN_AIM")
    state = {name: torch.zeros(shape) for name, shape, _ in entries}
    for channel in range(3):  # the head passes the image on, the tail repeats each pixel four times each way
        state["fea_conv.weight"][channel, channel, 1, 1] = 1
        state["upsampler.0.weight"][16 * channel : 16 * channel + 16, channel, 1, 1] = 1
    state["upsampler.0.bias"][:] = bias
    return state


@pytest.mark.parametrize("name", ["RFDN_AIM.pth", "rfdn_aim (1).pth", "rfdn_baseline.pth"])
def test_the_published_rfdn_is_known_by_its_name_to_want_255(name):
    state = through(bias=2)  # two levels of 255; far off where images are 1 wide
    network, spec = recognise(state, Path(name))
    assert spec["span"] == 255.0 and assumed(spec, {}, network) == ""
    image = parity.uniform(1, 3, 16, 17)
    close(network, image, image.repeat_interleave(4, 2).repeat_interleave(4, 3) + 2 / 255)
    assert recognise(state, Path(name), {"span": 1.0})[1]["span"] == 1.0


def test_other_files_of_rfdn_are_fed_images_of_1_and_doubts_are_said():
    state = through(bias=2)
    network, spec = recognise(state, FILE)
    assert spec["span"] == 1.0
    told = "images of 0 … 1, but flat ones come back at 0 … 255 alone: --set span=255"
    assert assumed(spec, {}, network) == told
    assert assumed(spec, {"span": 1.0}, network) == "" and network.span == 1.0
    network, spec = recognise(through(bias=0), FILE)  # at any range
    assert spec["span"] == 1.0 and assumed(spec, {}, network) == ""


def test_the_name_of_a_published_file_says_nothing_of_another_size():
    spec = {"name": "rfdn", "scale": 4, "channels": 3, "width": 8, "blocks": 4}
    assert hinted(spec, Path("RFDN_AIM.pth")) == {}
    assert hinted(spec | {"width": 50}, Path("RFDN_AIM.pth")) == {"span": 255.0}


@pytest.mark.parametrize("size", [(1, 1), (1, 20), (14, 15), (15, 15), (16, 31)])
def test_rfdn_takes_pictures_that_its_pooling_would_not(size):
    sample = parity.sample("rfdn", "rfdn_nf20")
    network, _ = recognise(sample.state(), FILE)
    with torch.no_grad():
        assert network.eval()(parity.uniform(1, 3, *size)).shape == (1, 3, 4 * size[0], 4 * size[1])


# --- layouts of our own


def test_fsrcnn_by_its_documented_names():
    sizes = {"first_part.0": [10, 1, 5, 5], "mid_part.0": [4, 10, 1, 1], "mid_part.2": [4, 4, 3, 3]}
    sizes |= {"mid_part.4": [4, 4, 3, 3], "mid_part.6": [10, 4, 1, 1]}
    slopes = {"first_part.1": 10, "mid_part.1": 4, "mid_part.3": 4, "mid_part.5": 4, "mid_part.7": 10}
    entries = kernels(sizes) + [(f"{name}.weight", [n], "float32") for name, n in slopes.items()]
    entries += [("last_part.weight", [10, 1, 9, 9], "float32"), ("last_part.bias", [1], "float32")]
    state = parity.formula_state(entries)
    image = parity.uniform(1, 1, 6, 7)
    features = image
    for name, slope in zip(sizes, slopes, strict=True):
        features = functional.prelu(conv(state, name, features), state[f"{slope}.weight"])
    for scale in (2, 3, 4):
        network, spec = recognise(state, FILE, {"scale": scale})
        assert (spec["name"], spec["maps"], network.scale) == ("fsrcnn", 2, scale)
        # a transposed convolution, as the sum of kernels that every input pixel puts down
        canvas = torch.zeros(1, 1, 6 * scale + 16, 7 * scale + 16)
        for y in range(6):
            for x in range(7):
                put = torch.einsum("c,cokl->okl", features[0, :, y, x], state["last_part.weight"])
                canvas[0, :, y * scale + 4 : y * scale + 13, x * scale + 4 : x * scale + 13] += put
        expected = canvas[..., 8 : 8 + 6 * scale, 8 : 8 + 7 * scale] + state["last_part.bias"]
        close(network, image, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_espcn_by_its_documented_names(channels):
    sizes = {
        "first_part.0": [12, channels, 5, 5],
        "first_part.2": [6, 12, 3, 3],
        "last_part.0": [9 * channels, 6, 3, 3],
    }
    state = parity.formula_state(kernels(sizes))
    network, spec = recognise(state, FILE)
    assert (spec["name"], spec["scale"], spec["channels"]) == ("espcn", 3, channels)
    image = parity.uniform(1, channels, 6, 7)
    features = conv(state, "first_part.2", conv(state, "first_part.0", image).tanh()).tanh()
    close(network, image, functional.pixel_shuffle(conv(state, "last_part.0", features), 3))


def test_vdsr_by_its_documented_names():
    sizes = {"input": [8, 1, 3, 3], "output": [1, 8, 3, 3]} | {
        f"residual_layer.{i}.conv": [8, 8, 3, 3] for i in range(3)
    }
    state = parity.formula_state(kernels(sizes, bias=False), gain=1.4)
    network, spec = recognise(state, FILE)
    assert (spec["name"], spec["depth"], network.scale) == ("vdsr", 5, 1)

    def added(image):
        features = conv(state, "input", image).relu()
        for i in range(3):
            features = conv(state, f"residual_layer.{i}.conv", features).relu()
        return image + conv(state, "output", features)

    image = parity.uniform(1, 1, 8, 9)
    close(network, image, added(image))
    enlarging, _ = recognise(state, FILE, {"scale": 2})
    assert enlarging(image).shape == (1, 1, 16, 18)
    ramp = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 1, 16, 16) / 16
    inner = (
        enlarging(ramp)[..., 12:20, 12:20]
        - added((torch.arange(32.0) / 32 - 1 / 64).expand(1, 1, 32, 32))[..., 12:20, 12:20]
    )
    assert inner.abs().max() < 1e-5  # a cubic kernel keeps straight lines


@pytest.mark.parametrize(("name", "kernels"), [("fsrcnn", 12_464), ("vdsr", 664_704)])
def test_defaults_are_the_papers_sizes(name, kernels):
    assert sum(p.numel() for p in NETWORKS[name]().parameters() if p.ndim == 4) == kernels


# --- wrapping, settings


WRAPS = [
    lambda s: {"params": {f"module.{k}": v for k, v in s.items()}},
    lambda s: {"params_ema": s, "params": {k: 0 * v for k, v in s.items()}},
    lambda s: {
        "state_dict": {f"model.{k}": v for k, v in s.items()} | {"loss.vgg.0.weight": torch.ones(2)},
        "epoch": 1,
    },
    lambda s: {"state_dict": {f"netG.{k}": v for k, v in s.items()} | {f"netD.{k}": v for k, v in s.items()}},
    lambda s: {"netG": s, "netD": {"a": torch.ones(1)}, "hyper_parameters": Namespace(lr=1e-4)},
    lambda s: {"model_state_dict": {f"net.{k}": v for k, v in s.items()}, "best": np.float64(30.5)},
]


@pytest.mark.parametrize("wrap", range(len(WRAPS)))
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("pack", "layout"), [("kair_dncnn", "dncnn_gray_17_bn"), ("pan", "PAN_x2"), ("kair_imdn", "imdn_x4")]
)
def test_files_of_trainers(tmp_path, wrap, legacy, pack, layout):
    entries, about = parity.layout(pack, layout)
    state = parity.formula_state(entries)
    path = tmp_path / "theirs.ckpt"
    torch.save(WRAPS[wrap](state), path, _use_new_zipfile_serialization=not legacy)
    network, _ = recognise(read_state(path), path)
    own, _ = recognise(state, path)
    assert sum(p.numel() for p in network.parameters()) == about["parameters"]
    assert all(
        torch.equal(a, b)
        for a, b in zip(network.state_dict().values(), own.state_dict().values(), strict=True)
    )


def test_normalisation_of_old_files_has_no_counters():
    sample = parity.sample("kair_dncnn", "dncnn_bn_nb5")
    state = {k: v for k, v in sample.state().items() if not k.endswith("num_batches_tracked")}
    network, _ = recognise(state, FILE)
    with torch.no_grad():
        sample.check(network.eval()(parity.uniform(1, 1, 33, 30)))


def test_unknown_setting_names_the_nearest():
    state = parity.sample("kair_ffdnet", "ffdnet_gray_small").state()
    with pytest.raises(WeightsError) as refusal:
        recognise(state, FILE, {"sigm": 3})
    assert (
        str(refusal.value)
        == "theirs.pth: looks like ffdnet, but it has no keyword 'sigm'; did you mean 'sigma'?"
    )


def test_a_table_rebuilds_its_network():
    state = parity.sample("pan", "pan_nf16_x4").state()
    network, spec = recognise(state, FILE)
    rebuilt = NETWORKS[spec["name"]](**{k: v for k, v in spec.items() if k != "name"})
    rebuilt.load_state_dict(network.state_dict())
    image = parity.uniform(1, 3, 6, 7)
    assert torch.equal(rebuilt(image), network(image))


def test_a_layout_that_lacks_a_tensor_is_named():
    state = parity.sample("pan", "pan_nf16_x4").state()
    del state["HRconv2.bias"]
    with pytest.raises(WeightsError, match=r"^theirs.pth: looks like pan, but it lacks HRconv2.bias$"):
        recognise(state, FILE)
