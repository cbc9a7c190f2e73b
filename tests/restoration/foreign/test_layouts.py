"""Which layout a file has: what identifies each, what names of files tell, and what is said to be open."""

import re
from pathlib import Path

import parity
import pytest
import torch

from restoration.apply import apply
from restoration.errors import WeightsError
from restoration.foreign import recognise
from restoration.foreign.hints import assumed
from restoration.foreign.signatures import SIGNATURES, nearest_layout
from restoration.networks import NETWORKS
from restoration.networks.edsr import Edsr
from restoration.networks.ircnn import IrCnn
from restoration.networks.resshift_unet import ResShiftUnet
from restoration.networks.rrformer import RrFormer
from restoration.networks.swinir import SwinIrPacked
from restoration.weights import load, save

DOCS = Path(__file__).parents[3] / "docs" / "layouts.md"
# pack, layout, the signature's name
OFFICIAL = [
    ("basicsr_edsr", "EDSR_M_x4", "EDSR (BasicSR)"),
    ("basicsr_others", "MSRResNet_x4", "MSRResNet (BasicSR), SRGAN"),
    ("basicsr_others", "RRDBNet_x2", "RRDBNet (BasicSR)"),
    ("basicsr_others", "SRVGG_32_x4", "SRVGGNetCompact (BasicSR)"),
    ("basicsr_rcan", "RCAN_BIX2", "RCAN (BasicSR)"),
    ("carn", "carn_m_multi", "CARN, CARN-M (authors)"),
    ("errnet", "basenet", "ERRNet, BaseNet (authors)"),
    ("ibcln", "generator", "IBCLN (authors)"),
    ("imdn", "IMDN_RTC", "IMDN_RTC (authors)"),
    ("imdn", "IMDN_RTE", "IMDN_RTE (authors)"),
    ("imdn", "IMDN_x2", "IMDN, IMDN_AS (authors)"),
    ("iseebetter_rbpn", "RBPN_x4", "RBPN (authors)"),
    ("iseebetter_srgan", "generator_x2", "SRGAN (iSeeBetter)"),
    ("kair_dncnn", "dncnn_gray_17_bn", "DnCNN, FDnCNN, FFDNet, IRCNN (KAIR)"),
    ("kair_imdn", "imdn_x4", "IMDN (KAIR)"),
    ("kair_msrresnet", "msrresnet0_x4", "MSRResNet0 (KAIR)"),
    ("kair_msrresnet", "msrresnet1_x4", "MSRResNet1 (KAIR)"),
    ("kair_rrdb", "rrdb_x4", "RRDB (KAIR, first ESRGAN)"),
    ("kair_rrdb", "rrdbnet_x2", "RRDBNet (KAIR, ESRGAN)"),
    ("medfe", "DE", "MEDFE, decoder (authors)"),
    ("medfe", "EN", "MEDFE, encoder (authors)"),
    ("medfe", "MEDFE", "MEDFE, middle (authors)"),
    ("noiseda", "restoration_unet", "Noise-DA (authors)"),
    ("pan", "PAN_x4", "PAN (authors)"),
    ("pmrf_hdit", "hdit_XL2", "HDiT (PMRF)"),
    ("pmrf_swinir", "swinir_M", "SwinIR (PMRF)"),
    ("resshift_unet", "realsr_x2", "ResShift, SinSR: denoiser"),
    ("resshift_vqf4", "vq_f4", "ResShift, SinSR: VQ autoencoder"),
    ("rfdn", "RFDN_AIM", "RFDN (authors)"),
    ("uhdrr", "uhdrr_plain", "RRFormer (authors)"),
]


@pytest.mark.parametrize(("pack", "layout", "name"), OFFICIAL, ids=lambda v: v)
def test_official_files_have_all_that_identifies_them(pack, layout, name):
    names = [entry[0] for entry in parity.layout(pack, layout)[0]]
    assert set(SIGNATURES[name]) <= set(names)
    assert nearest_layout(set(names)) == f"; the nearest layout is {name}"


def test_the_page_of_layouts_lists_them_all():
    rows = [line.split(" | ") for line in DOCS.read_text().splitlines() if line.count(" | ") == 6]
    listed = {row[0].removeprefix("| "): tuple(re.findall(r"`([^`]+)`", row[2])) for row in rows[1:]}
    assert listed == SIGNATURES
    own = {name for row in rows[1:] for name in row[1].split(", ") if not name.startswith("spandrel")}
    assert own <= set(NETWORKS)


def pan(path):
    torch.save(parity.sample("pan", "pan_nf16_x2").state(), path)
    return path


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("PANx3_DF2K", 3),
        ("pan_x2", 2),
        ("3x_photo", 3),
        ("pan", 2),
        ("pan_x4", 2),
        ("max30", 2),
        ("x2_x3", 2),
    ],
)
def test_a_name_tells_the_scale_where_shapes_leave_it_open(name, scale, tmp_path):
    restorer = load(pan(tmp_path / f"{name}.pth"))
    assert restorer.scale == scale
    assert load(tmp_path / f"{name}.pth", {"scale": 3}).scale == 3


def test_a_name_tells_nothing_that_shapes_contradict(tmp_path):
    path = tmp_path / "pan_x2.pth"
    torch.save(parity.sample("pan", "pan_nf16_x4").state(), path)
    assert load(path).scale == 4 and "assumed" not in load(path).card.training


def test_what_was_assumed_is_a_note_of_apply(tmp_path):
    restorer = load(pan(tmp_path / "pan.pth"))
    report = apply(restorer, [], tmp_path / "out")
    assert report.notes == ["pan: taken for ×2 of its shapes, which ×3 have too: --set scale=N"]
    assert apply(load(tmp_path / "pan.pth", {"scale": 2}), [], tmp_path / "out").notes == []


def test_seven_plain_layers_are_ircnn_unless_dilations_say_dncnn():
    sizes = [3, *[8] * 6, 3]
    entries = [
        (f"model.{2 * i}.{kind}", [sizes[i + 1], sizes[i], 3, 3][: 4 if kind == "weight" else 1], "float32")
        for i in range(7)
        for kind in ("weight", "bias")
    ]
    state = parity.formula_state(entries, 1.4)
    network, spec = recognise(state, Path("theirs.pth"))
    assert spec["name"] == "ircnn" and "dilations=[1,1,1,1,1,1,1]" in assumed(spec, {}, network)
    settings = {"dilations": (1, 1, 1, 1, 1, 1, 1)}
    plain, spec = recognise(state, Path("theirs.pth"), settings)
    assert assumed(spec, settings, plain) == ""
    image = features = parity.uniform(1, 3, 9, 8)
    for i in range(7):
        features = torch.nn.functional.conv2d(features, state[f"model.{2 * i}.weight"], state[f"model.{2 * i}.bias"],
                                              padding=1)  # fmt: skip
        features = features if i == 6 else features.relu()
    with torch.no_grad():
        assert torch.allclose(plain(image), image - features, atol=1e-5)
        assert not torch.allclose(network(image), image - features, atol=1e-2)
    assert plain.receptive_field == 7 and IrCnn(width=2).receptive_field == 16


def test_what_does_not_fit_is_said_in_the_names_of_the_file():
    state = parity.sample("pan", "pan_nf16_x4").state()
    changed = {**state, "HRconv2.weight": state["HRconv2.weight"][:5], "gamma": torch.zeros(2)}
    del changed["trunk_conv.bias"]
    with pytest.raises(WeightsError) as refusal:
        recognise(changed, Path("theirs.pth"))
    assert str(refusal.value) == (
        "theirs.pth: looks like pan, but it lacks trunk_conv.bias; it has gamma besides; "
        "HRconv2.weight has shape (5, 12, 3, 3); expected (12, 12, 3, 3)"
    )


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_edsr_of_every_scale(scale):
    made = Edsr(scale=scale, width=8, blocks=1)
    found, spec = recognise(made.state_dict(), Path("theirs.pth"))
    assert spec["scale"] == scale
    image = parity.uniform(1, 3, 5, 6)
    with torch.no_grad():
        assert torch.equal(found(image), made(image))


def test_groups_of_pmrfs_predictor_with_heads_of_their_own(tmp_path):
    made = SwinIrPacked(width=12, groups=(1, 2), heads=(2, 4), window=2, packing=2, enlargement=2).eval()
    torch.save(made.state_dict(), tmp_path / "theirs.pth")
    restorer = load(tmp_path / "theirs.pth")
    assert restorer.card.network["name"] == "swinir-packed"
    save(tmp_path / "ours.safetensors", restorer, restorer.card)
    image = parity.uniform(1, 3, 8, 12)
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "ours.safetensors")(image), made(image))


def test_groups_of_rrformer_with_heads_of_their_own():
    state = parity.sample("uhdrr", "released_small").state()
    for name in state:
        if name.endswith("bias_table") and ".layers.1." in name:
            state[name] = state[name][:, :3].clone()
    network, spec = recognise(state, Path("theirs.pth"))
    assert spec["heads"] == (6, 3)
    tables = [m.relative_position_bias_table.shape[1] for m in network.modules()
              if hasattr(m, "relative_position_bias_table")]  # fmt: skip
    assert tables == [6, 6, 3, 3]
    with pytest.raises(
        ValueError, match=r"heads = \(2, 3\): expected one number, or one for each of 1 groups"
    ):
        RrFormer(width=8, embedding=12, depths=(1,), heads=(2, 3))


@pytest.mark.parametrize(
    ("size", "attention", "masked"),
    [(16, (1,), True), (8, (0, 1), True), (4, (0, 1), False), (8, (1,), False)],
)
def test_the_size_of_latents_is_told_by_masks_at_any_level_or_by_windows(size, attention, masked):
    made = ResShiftUnet(
        width=32, levels=(1, 1), blocks=(1, 1), attention=attention, swin_width=32, head=16, window=4, size=size,
        expansion=1.0, middle_attention=False,
    )  # fmt: skip
    state = dict(made.state_dict())
    for name, module in made.named_modules():
        if hasattr(module, "relative_position_bias_table"):
            state[f"{name}.relative_position_index"] = torch.zeros(4, 4, dtype=torch.int64)
            level = 1 if name.startswith(("input_blocks.3", "output_blocks.0", "output_blocks.1")) else 0
            if module.shift:
                windows = ((size >> level) // 4) ** 2
                state[f"{name.removesuffix('.attn')}.attn_mask"] = torch.zeros(windows, 16, 16)
    assert any(name.endswith("attn_mask") for name in state) == masked
    assert recognise(state, Path("theirs.pth"))[1]["size"] == size
