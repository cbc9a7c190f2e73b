"""Files for BasicSR and spandrel: read back by those programs themselves, with difference 0."""

import errno
from pathlib import Path

import pytest
import torch

from restoration import bridge
from restoration.errors import RequestError, RestorationError
from restoration.exporting import community
from restoration.exporting.community import read_by_basicsr, read_by_spandrel, write
from restoration.exporting.official import official
from restoration.networks import NETWORKS
from restoration.restorers import baseline
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer
from restoration.weights import load

SWINIR = {
    "name": "spandrel", "architecture": "SwinIR", "embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 8,
    "upscale": 2, "img_size": 16, "upsampler": "pixelshuffledirect",
}  # fmt: skip
COMPACT = {"name": "spandrel", "architecture": "Compact", "num_feat": 8, "num_conv": 2, "upscale": 2}
BASICSR = {
    "edsr": {"name": "edsr", "width": 8, "blocks": 2, "scale": 4},
    "edsr-large": {"name": "edsr", "width": 8, "blocks": 2, "scale": 3, "residual_scale": 0.1, "span": 1.0},
    "msrresnet": {"name": "msrresnet", "width": 8, "blocks": 2, "scale": 3},
    "rcan": {"name": "rcan", "width": 8, "groups": 2, "blocks": 2, "squeeze": 2, "scale": 2},
    "rrdbnet": {"name": "rrdbnet", "width": 8, "blocks": 2, "growth": 4},
    "rrdbnet-x2": {"name": "rrdbnet", "width": 8, "blocks": 2, "growth": 4, "scale": 2},
    "compact": COMPACT,
    "swinir": SWINIR,
}
SPANDREL = {
    "dncnn": {"name": "dncnn", "width": 8, "depth": 9},
    "dncnn-merged": {"name": "dncnn", "width": 8, "depth": 9, "channels": 3, "batch_norm": False},
    "rrdbnet": {"name": "rrdbnet", "width": 8, "blocks": 2},
    "rrdbnet-x2": {"name": "rrdbnet", "width": 8, "blocks": 2, "scale": 2},
    "rrdbnet-unpacked": {"name": "rrdbnet", "width": 8, "blocks": 2, "scale": 2, "packed": False},
    "compact": COMPACT,
    "swinir": SWINIR,
}
NAFNET = {"name": "nafnet", "width": 4}
needs_basicsr = pytest.mark.skipif(bridge.location() is None, reason="basicsr is not installed")


def made(spec: dict[str, object], **changed: object) -> Restorer:
    """Return an untrained restorer whose every parameter counts: some start at zero."""
    torch.manual_seed(0)
    spec = {**spec, **changed}
    network = NETWORKS[str(spec["name"])](**{k: v for k, v in spec.items() if k != "name"}).eval()
    for parameter in network.parameters():
        parameter.data = 0.1 * torch.randn_like(parameter)
    return Restorer(network, Card("tiny", "restoration", spec, network.scale, licence="MIT"))


def degraded(restorer: Restorer) -> torch.Tensor:
    return torch.rand(2, restorer.channels, 24, 32, generator=torch.Generator().manual_seed(3))


@needs_basicsr
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("spec", BASICSR.values(), ids=BASICSR)
def test_basicsr_reads_it_back_with_difference_0(tmp_path, spec, suffix):
    restorer = made(spec)
    path = tmp_path / f"a{suffix}"
    assert write(restorer, path, "basicsr").endswith("read back by BasicSR: difference 0")
    network = read_by_basicsr(path, official(restorer, "basicsr"))
    with torch.no_grad():
        assert torch.equal(network(degraded(restorer)), restorer(degraded(restorer)))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("spec", SPANDREL.values(), ids=SPANDREL)
def test_spandrel_reads_it_back_with_difference_0(tmp_path, spec, suffix):
    restorer = made(spec)
    path = tmp_path / f"a{suffix}"
    assert write(restorer, path, "spandrel").endswith(
        "read back by spandrel (chaiNNer, ComfyUI): difference 0"
    )
    network = read_by_spandrel(path)
    assert network.scale == restorer.scale
    with torch.no_grad():
        assert torch.equal(network(degraded(restorer)), restorer(degraded(restorer)))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_pth_holds_params_as_basicsr_wants_it(tmp_path):
    write(made(NAFNET), tmp_path / "a.pth", "spandrel")
    stored = torch.load(tmp_path / "a.pth", weights_only=True)
    assert list(stored) == ["params"] and "intro.weight" in stored["params"]


@pytest.mark.parametrize("spec", [BASICSR["rcan"], NAFNET], ids=["rcan", "nafnet"])
def test_what_spandrel_sums_in_another_order_is_equal_but_for_rounding(tmp_path, spec):
    restorer = made(spec)
    assert "equal to" in write(restorer, tmp_path / "a.pth", "spandrel")
    with torch.no_grad():
        expected, found = (
            restorer(degraded(restorer)),
            read_by_spandrel(tmp_path / "a.pth")(degraded(restorer)),
        )
    assert (found - expected).abs().max() < 1e-5 * expected.std()


@pytest.mark.parametrize("program", ["spandrel", "basicsr"])
def test_ours_read_what_others_are_given(tmp_path, program):
    restorer = made(SPANDREL["rrdbnet"])
    write(restorer, tmp_path / "a.pth", program)
    again = load(tmp_path / "a.pth")
    assert again.card.network["name"] == "rrdbnet"
    with torch.no_grad():
        assert torch.equal(again(degraded(restorer)), restorer(degraded(restorer)))


@needs_basicsr
def test_a_network_that_basicsr_made_goes_back_to_it(tmp_path):
    spec = {"name": "basicsr/MSRResNet", "num_feat": 8, "num_block": 2, "upscale": 2}
    torch.manual_seed(0)
    network = bridge.part("network", "basicsr/MSRResNet")(num_feat=8, num_block=2, upscale=2).eval()
    restorer = Restorer(network, Card("tiny", "restoration", spec, network.scale))
    assert write(restorer, tmp_path / "a.pth", "basicsr").endswith("difference 0")


@pytest.mark.parametrize(
    ("spec", "program", "reason", "serves"),
    [
        ({"name": "plain-sr", "width": 8, "blocks": 2}, "spandrel", "none is laid out as 'plain-sr'",
         "use --format onnx or --format hub"),
        (NAFNET, "basicsr", "none is laid out as 'nafnet'",
         "use --format spandrel or --format onnx or --format hub"),
        (BASICSR["edsr"] | {"channels": 1}, "basicsr", "its EDSR is for RGB alone", "use --format onnx"),
        (NAFNET | {"attention": "none"}, "spandrel", "its NAFNet has channel attention", "use --format onnx"),
        (SPANDREL["rrdbnet-unpacked"], "basicsr", "its RRDBNet packs pixels at ×2", "use --format spandrel"),
        (BASICSR["rrdbnet"], "spandrel", "grows by 32 channels", "use --format basicsr"),
        (BASICSR["edsr"], "spandrel", "none is laid out as 'edsr'", "use --format basicsr"),
    ],
)  # fmt: skip
def test_what_a_program_does_not_know_is_refused_with_what_serves(tmp_path, spec, program, reason, serves):
    with pytest.raises(RequestError) as caught:
        write(made(spec), tmp_path / "a.pth", program)
    assert reason in str(caught.value) and serves in str(caught.value)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_what_reads_back_otherwise_is_not_written(tmp_path, monkeypatch):
    other = made(NAFNET, width=8)
    monkeypatch.setattr(community, "read_by_spandrel", lambda _: other.network)
    with pytest.raises(RestorationError, match=r"would compute otherwise, by .* not written"):
        write(made(NAFNET), tmp_path / "a.pth", "spandrel")
    assert not list(tmp_path.iterdir())


def test_what_spandrel_does_not_know_again_is_one_line(tmp_path):
    spec = {
        "name": "spandrel", "architecture": "ATD", "embed_dim": 12, "depths": [1], "num_heads": [2], "upscale": 2,
        "upsampler": "pixelshuffledirect", "img_size": 16, "category_size": 16, "num_tokens": 8,
    }  # fmt: skip
    with pytest.raises(
        RestorationError, match=r"does not read it back: of none of the layouts that it knows"
    ):
        write(made(spec), tmp_path / "a.pth", "spandrel")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_full_disk_is_one_line(tmp_path, monkeypatch, suffix):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RestorationError, match=r"could not be written \(No space left on device\)"):
        write(made(COMPACT), tmp_path / f"a{suffix}", "spandrel")
    assert not list(tmp_path.iterdir())


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(RequestError, match=r"expected a name that ends in \.pth or \.safetensors"):
        write(made(COMPACT), tmp_path / "a.bin", "spandrel")


def test_baselines_are_known_to_nobody(tmp_path):
    with pytest.raises(RequestError, match="none is laid out as 'nearest-x2'"):
        write(baseline("nearest-x2"), tmp_path / "a.pth", "spandrel")
