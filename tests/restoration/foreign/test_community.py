"""Official checkpoints of the community's networks: whole, strict, and with the outputs of the official modules."""

from pathlib import Path

import parity
import pytest
import torch

from restoration.foreign import recognise
from restoration.foreign.discriminators import srgan_discriminator
from restoration.losses.discriminators import DISCRIMINATORS

FILE = Path("theirs.pth")
# pack, sample, size of the input, what shapes cannot tell, our network
SAMPLES = [
    ("basicsr_edsr", "edsr_nf16_x4", (1, 3, 14, 18), {}, "edsr"),
    ("basicsr_others", "msrresnet_x4_small", (1, 3, 14, 18), {}, "msrresnet"),
    ("basicsr_others", "rrdbnet_x2_small", (1, 3, 18, 22), {}, "rrdbnet"),
    ("basicsr_rcan", "rcan_nf16_x2", (1, 3, 18, 21), {}, "rcan"),
    ("carn", "carn_m_x3", (1, 3, 16, 20), {"scale": 3}, "carn"),
    ("carn", "carn_x2", (1, 3, 18, 22), {"scale": 2}, "carn"),
    ("imdn", "imdn_nf16_x2", (1, 3, 20, 27), {}, "imdn-attentive"),
    ("imdn", "imdn_rtc_x2", (1, 3, 20, 27), {}, "imdn-chain"),
    ("iseebetter_srgan", "generator_x2", (1, 3, 18, 22), {}, "srgan-generator"),
    ("kair_dncnn", "dncnn_bn_nb5", (1, 1, 33, 30), {}, "dncnn"),
    ("kair_dncnn", "dncnn_merged_nb6", (1, 3, 33, 30), {}, "dncnn"),
    ("kair_dncnn", "ircnn_nc16", (1, 1, 33, 30), {}, "ircnn"),
    ("kair_imdn", "imdn_nc16_nb3_x2", (1, 3, 20, 27), {}, "imdn-chain"),
    ("kair_msrresnet", "msrresnet0_nc16_x2", (1, 3, 18, 21), {}, "upconv-srresnet"),
    ("kair_msrresnet", "msrresnet1_nc16_x4", (1, 3, 14, 18), {}, "msrresnet"),
    ("kair_rrdb", "rrdb_nc16_nb2_x4", (1, 3, 14, 18), {}, "rrdbnet"),
    ("kair_rrdb", "rrdbnet_nf16_nb2_x2", (1, 3, 18, 21), {}, "rrdbnet"),
    ("pan", "pan_nf16_x2", (1, 3, 20, 27), {}, "pan"),
    ("pan", "pan_nf16_x4", (1, 3, 14, 18), {}, "pan"),
    ("rfdn", "rfdn_nf20", (1, 3, 20, 24), {}, "rfdn"),
]  # fmt: skip


@pytest.mark.parametrize(("pack", "name", "shape", "settings", "ours"), SAMPLES, ids=lambda v: str(v))
def test_output_is_that_of_the_official_module(pack, name, shape, settings, ours):
    sample = parity.sample(pack, name)
    kept = mean_shifts() if pack == "carn" else {}
    network, spec = recognise(sample.state(kept), FILE, settings)
    assert spec["name"] == ours
    assert sum(p.numel() for p in network.parameters()) == sample.parameters
    with torch.no_grad():
        sample.check(network.eval()(parity.uniform(*shape)))


def mean_shifts():
    """CARN's frozen 1×1 convolutions, which the formula leaves as the module makes them."""
    mean = torch.tensor([0.4488, 0.4371, 0.4040])
    unit = torch.eye(3).view(3, 3, 1, 1)
    return {
        f"{part}_mean.shifter.{tensor}": value
        for part, sign in (("sub", -1), ("add", 1))
        for tensor, value in (("weight", unit), ("bias", sign * mean))
    }


@pytest.mark.parametrize(
    ("name", "shape"), [("ffdnet_color_small", (2, 3, 24, 31)), ("ffdnet_gray_small", (2, 1, 25, 30))]
)
def test_ffdnet_takes_a_noise_level_per_image(name, shape):
    sample = parity.sample("kair_ffdnet", name)
    network, spec = recognise(sample.state(), FILE)
    assert spec["name"] == "ffdnet"
    assert sum(p.numel() for p in network.parameters()) == sample.parameters
    with torch.no_grad():
        levels = torch.tensor([0.1, 0.25]).view(2, 1, 1, 1)
        sample.check(network.eval()(parity.uniform(*shape), levels))
        alone, _ = recognise(sample.state(), FILE, {"sigma": 25.5})
        image = parity.uniform(*shape)[:1]
        assert torch.equal(alone.eval()(image), network(image, 0.1))


def test_srgans_discriminator_is_vgg_style():
    sample = parity.sample("iseebetter_srgan", "discriminator_eval")
    match = srgan_discriminator(sample.state())
    discriminator = DISCRIMINATORS[match.spec["name"]](**{k: v for k, v in match.spec.items() if k != "name"})
    discriminator.load_state_dict(match.state)
    assert sum(p.numel() for p in discriminator.parameters()) == sample.parameters
    with torch.no_grad():
        sample.check(discriminator.eval()(parity.uniform(8, 3, 32, 40)).sigmoid().flatten())


# --- official sizes: pack, layout, our table (None: spandrel's)

SIZES = [
    ("basicsr_edsr", "EDSR_M_x2", {"name": "edsr", "scale": 2, "width": 64, "blocks": 16, "residual_scale": 1.0}),
    ("basicsr_edsr", "EDSR_M_x3", {"scale": 3}),
    ("basicsr_edsr", "EDSR_M_x4", {"scale": 4}),
    ("basicsr_edsr", "EDSR_L_x2", {"scale": 2, "width": 256, "blocks": 32, "residual_scale": 0.1}),
    ("basicsr_edsr", "EDSR_L_x3", {"scale": 3}),
    ("basicsr_edsr", "EDSR_L_x4", {"scale": 4}),
    ("basicsr_others", "MSRResNet_x4", {"name": "msrresnet", "scale": 4, "blocks": 16}),
    ("basicsr_others", "RRDBNet_x2", {"name": "rrdbnet", "scale": 2, "blocks": 23, "growth": 32}),
    ("basicsr_others", "RRDBNet_x4", {"name": "rrdbnet", "scale": 4}),
    ("basicsr_others", "SRVGG_32_x4", {"name": "spandrel", "architecture": "Compact"}),
    ("basicsr_rcan", "RCAN_BIX2", {"name": "rcan", "scale": 2, "groups": 10, "blocks": 20, "squeeze": 16}),
    ("basicsr_rcan", "RCAN_BIX4", {"name": "rcan", "scale": 4}),
    ("carn", "carn_m_multi", {"name": "carn", "scale": 4, "scales": (2, 3, 4), "groups": 4, "shared": True}),
    ("carn", "carn_multi", {"name": "carn", "groups": 1, "shared": False}),
    ("imdn", "IMDN_AS", {"name": "imdn-attentive", "scale": 1, "entry": "strided"}),
    ("imdn", "IMDN_RTC", {"name": "imdn-chain", "scale": 2, "width": 12, "blocks": 5, "fuse": 1}),
    ("imdn", "IMDN_RTE", {"name": "imdn-edge", "scale": 2, "width": 20, "blocks": 6}),
    ("imdn", "IMDN_x2", {"name": "imdn-attentive", "scale": 2, "blocks": 6}),
    ("imdn", "IMDN_x3", {"name": "imdn-attentive", "scale": 3}),
    ("imdn", "IMDN_x4", {"name": "imdn-attentive", "scale": 4}),
    ("iseebetter_srgan", "generator_x2", {"name": "srgan-generator", "scale": 2, "blocks": 5}),
    ("iseebetter_srgan", "generator_x4", {"name": "srgan-generator", "scale": 4}),
    ("iseebetter_srgan", "generator_x8", {"name": "srgan-generator", "scale": 8}),
    ("kair_dncnn", "dncnn_blind_20_merged", {"name": "dncnn", "channels": 3, "depth": 20, "batch_norm": False}),
    ("kair_dncnn", "dncnn_gray_17_bn", {"name": "dncnn", "channels": 1, "depth": 17, "batch_norm": True}),
    ("kair_dncnn", "dncnn_gray_17_merged", {"name": "dncnn", "batch_norm": False}),
    ("kair_dncnn", "fdncnn_color", {"name": "fdncnn", "channels": 3, "width": 64, "depth": 20}),
    ("kair_dncnn", "ircnn_color", {"name": "ircnn", "channels": 3, "width": 64, "sets": 1}),
    ("kair_ffdnet", "ffdnet_color", {"name": "ffdnet", "channels": 3, "width": 96, "depth": 12}),
    ("kair_ffdnet", "ffdnet_gray", {"name": "ffdnet", "channels": 1, "width": 64, "depth": 15}),
    ("kair_imdn", "imdn_x4", {"name": "imdn-chain", "scale": 4, "width": 64, "blocks": 8}),
    ("kair_msrresnet", "msrresnet0_x4", {"name": "upconv-srresnet", "scale": 4, "enlargement": "nearest"}),
    ("kair_msrresnet", "msrresnet1_x4", {"name": "msrresnet", "scale": 4}),
    ("kair_rrdb", "rrdb_x4", {"name": "rrdbnet", "scale": 4, "packed": False}),
    ("kair_rrdb", "rrdbnet_x2", {"name": "rrdbnet", "scale": 2, "packed": False}),
    ("kair_rrdb", "rrdbnet_x4", {"name": "rrdbnet", "scale": 4, "packed": False}),
    ("pan", "PAN_x2", {"name": "pan", "scale": 2, "width": 40, "fine": 24, "blocks": 16}),
    ("pan", "PAN_x3", {"name": "pan", "scale": 2}),
    ("pan", "PAN_x4", {"name": "pan", "scale": 4}),
    ("rfdn", "RFDN_AIM", {"name": "rfdn", "scale": 4, "width": 50, "blocks": 4, "span": 1.0}),
]  # fmt: skip


@pytest.mark.parametrize(("pack", "name", "expected"), SIZES, ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("wrapped", [False, True])
def test_official_sizes_load_whole(pack, name, expected, wrapped):
    entries, about = parity.layout(pack, name)
    if wrapped and about["parameters"] > 2_000_000:
        pytest.skip("wrapping is tried on the small ones")
    state = {n: torch.zeros(shape, dtype=getattr(torch, kind)) for n, shape, kind in entries}
    if wrapped:  # as a trainer that has a loss network beside it
        state = {f"net_g.{n}": t for n, t in state.items()} | {"loss.conv.weight": torch.zeros(1, 1, 1, 1)}
    network, spec = recognise(state, FILE)
    assert sum(p.numel() for p in network.parameters()) == about["parameters"]
    assert len(network.state_dict()) == about["tensors"]
    assert spec.items() >= expected.items()
