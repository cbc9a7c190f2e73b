"""Systems of two files: joined by a command, applied as one; a part alone is refused with that command."""

import sys

import parity
import pytest
import torch
from PIL import Image

from restoration.cli import main
from restoration.errors import WeightsError
from restoration.networks.hdit import Hdit
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.networks.resshift import ResShift
from restoration.networks.resshift_unet import ResShiftUnet
from restoration.networks.swinir import SwinIrPacked
from restoration.networks.vq_autoencoder import VqAutoencoder
from restoration.weights import load

UNET = {
    "width": 32, "levels": (1, 1), "blocks": (1, 1), "attention": (0,), "middle_attention": False, "swin_width": 32,
    "head": 16, "window": 4, "size": 64, "expansion": 1.0, "transposed_mask": True,
}  # fmt: skip
VQ = {"width": 32, "levels": (1, 1, 1), "blocks": (1, 1, 1), "codes": 8}
HDIT = {
    "widths": (8, 16),
    "depths": (1, 1),
    "head": 8,
    "patch": 2,
    "mapping_width": 8,
    "mapping_hidden": 8,
}
MEAN = {"width": 8, "groups": (1,), "heads": 2, "window": 2, "packing": 2, "enlargement": 2}
IMAGE = parity.uniform(1, 3, 16, 16)


def filled(network, path):
    network.load_state_dict(parity.formula_state(parity.entries_of(network.state_dict())))
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, path)
    return network.eval()


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    Image.new("RGB", (16, 16), (90, 120, 30)).save(tmp_path / "a.png")

    def called(*words):
        monkeypatch.setattr(sys, "argv", ["restoration", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        output = capsys.readouterr()
        return left.value.code or 0, output.out + output.err

    return called


@pytest.mark.parametrize(("shrink", "sampling", "steps"), [(0, "one-step", 15), (1, "ancestral", 4)])
def test_a_denoiser_and_its_autoencoder_become_one_restorer(shrink, sampling, steps, run, tmp_path):
    unet = filled(ResShiftUnet(**UNET, shrink=shrink), tmp_path / "unet.pth")
    vq = filled(VqAutoencoder(**VQ), tmp_path / "vq.ckpt")
    code, said = run(
        "weights", "import", tmp_path / "unet.pth", "--autoencoder", tmp_path / "vq.ckpt",
        "--out", tmp_path / "x.safetensors", "--set", f"sampling={sampling}", "--set", f"steps={steps}",
    )  # fmt: skip
    assert code == 0 and "resshift (scale = " in said
    (tmp_path / "unet.pth").unlink()  # one file holds all
    (tmp_path / "vq.ckpt").unlink()
    scale = 4 >> shrink
    expected = ResShift(unet=unet, autoencoder=vq, scale=scale, sampling=sampling, steps=steps)
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "x.safetensors")(IMAGE), expected.eval()(IMAGE))


@pytest.mark.parametrize("seen", [0, 3])
def test_a_flow_and_its_posterior_mean_become_one_restorer(seen, run, tmp_path):
    velocity = filled(Hdit(**HDIT, seen=seen), tmp_path / "flow.pth")
    mean = filled(SwinIrPacked(**MEAN), tmp_path / "mean.pth")
    code, said = run(
        "weights", "import", tmp_path / "flow.pth", "--posterior-mean", tmp_path / "mean.pth",
        "--out", tmp_path / "x.safetensors", "--set", "sigma=0.05", "--set", "steps=3",
    )  # fmt: skip
    assert code == 0, said
    how = {"source": "noise", "condition": "posterior-mean"} if seen else {}
    expected = PosteriorMeanFlow(velocity=velocity, posterior_mean=mean, sigma=0.05, steps=3, **how)
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "x.safetensors")(IMAGE), expected.eval()(IMAGE))


@pytest.mark.parametrize(
    ("make", "what", "option"),
    [
        (lambda: ResShiftUnet(**UNET), "a denoiser of latents", "autoencoder"),
        (lambda: Hdit(**HDIT), "a flow's velocity", "posterior-mean"),
    ],
)
def test_a_part_alone_is_refused_with_the_command_that_joins_it(make, what, option, run, tmp_path):
    path = tmp_path / "part.pth"
    filled(make(), path)
    code, said = run("apply", path, tmp_path / "a.png", "--out", tmp_path / "b.png")
    assert code == 2 and not (tmp_path / "b.png").exists()
    assert f"{path}: {what}, no restorer by itself" in said
    assert f"restoration weights import {path} --{option} FILE --out RESTORER.safetensors" in said


def test_a_transformer_that_restores_in_one_pass_is_applied(run, tmp_path):
    filled(Hdit(**HDIT), tmp_path / "part.pth")
    code, said = run(
        "apply",
        tmp_path / "part.pth",
        tmp_path / "a.png",
        "--out",
        tmp_path / "b.png",
        "--set",
        "timed=false",
    )
    assert code == 0 and (tmp_path / "b.png").exists(), said


def test_files_that_do_not_belong_together_are_one_line(run, tmp_path):
    filled(SwinIrPacked(**MEAN), tmp_path / "mean.pth")
    filled(VqAutoencoder(**VQ), tmp_path / "vq.pth")
    words = ["weights", "import", tmp_path / "mean.pth", "--out", tmp_path / "x.safetensors"]
    code, said = run(*words, "--autoencoder", tmp_path / "vq.pth")
    assert code == 2 and "unet is SwinIrPacked; expected the network 'resshift-unet'" in said
    code, said = run(*words, "--autoencoder", tmp_path / "none.pth")
    assert code == 2 and f"--autoencoder {tmp_path / 'none.pth'}: no such file" in said
    assert not (tmp_path / "x.safetensors").exists()


def refusal(path):
    with pytest.raises(WeightsError) as caught:
        load(path)
    return str(caught.value)


def test_networks_that_restore_nothing_are_named(tmp_path):
    path = tmp_path / "part.pth"
    torch.save(parity.sample("ibcln", "discriminator").state(), path)
    assert refusal(path) == f"{path}: a discriminator (patch), no restorer"
    sr3 = parity.sample("noiseda", "sr3_small").state()
    torch.save({f"denoise_fn.{name}": tensor for name, tensor in sr3.items()}, path)
    assert refusal(path) == f"{path}: a diffusion network (sr3-unet), no restorer"
    torch.save(parity.sample("iseebetter_srgan", "discriminator_eval").state(), path)
    assert refusal(path) == f"{path}: a discriminator (vgg-style), no restorer"


def test_an_autoencoder_of_diffusers_is_named(tmp_path):
    path = tmp_path / "vae.safetensors"
    diffusers = pytest.importorskip("diffusers")
    network = diffusers.AutoencoderKL(
        block_out_channels=(8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 3, norm_num_groups=4,
        up_block_types=("UpDecoderBlock2D",) * 3, layers_per_block=1,
    )  # fmt: skip
    torch.save(network.state_dict(), path.with_suffix(".pth"))
    expected = "an AutoencoderKL of diffusers (4 latent channels, 4 times smaller), no restorer"
    assert refusal(path.with_suffix(".pth")) == f"{path.with_suffix('.pth')}: {expected}"
