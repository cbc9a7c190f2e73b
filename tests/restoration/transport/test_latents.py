"""Latents: orthonormal blocks, and diffusers' autoencoder from a folder or a file, with its config or without."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from restoration.errors import RequestError, WeightsError
from restoration.image import read_samples, to_float
from restoration.networks.dncnn import DnCnn
from restoration.networks.kl_autoencoder import KlAutoencoder
from restoration.restorers import Card
from restoration.transport import latents as module
from restoration.transport.latents import Autoencoder, dct, haar, latents_of, licence, named
from restoration.weights import save

PHOTOS = Path(str(files("restoration"))) / "photos"

SMALL = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 8,
    "block_out_channels": [8, 16], "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2, "mid_block_add_attention": False,
}  # fmt: skip


def noise(like):
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(1), dtype=like.dtype)


def image(height=16, width=24, channels=3):
    return torch.rand(
        2, channels, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.double
    )


@pytest.mark.parametrize("basis", [dct, haar])
def test_bases_are_orthonormal_and_begin_with_the_mean(basis):
    assert torch.allclose(basis() @ basis().T, torch.eye(4).double(), atol=1e-15)
    assert torch.allclose(basis()[0], torch.full((4,), 0.5).double())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["pixels", "haar", "dct"])
def test_linear_latents_return_the_image_and_keep_its_length(kind, channels):
    found, degraded = latents_of(kind, channels, None, "sample"), image(channels=channels)
    made = found.encode(degraded, noise)
    assert made.shape == (2, found.channels, 16 // found.factor, 24 // found.factor)
    assert torch.allclose(found.decode(made), degraded, atol=1e-14)
    assert float(made.square().sum()) == pytest.approx(float(degraded.square().sum()))


@pytest.mark.parametrize("kind", ["haar", "dct"])
def test_blocks_hold_the_means_of_each_colour_in_their_brightness(kind):
    found, degraded = latents_of(kind, 3, None, "sample"), image()
    made = found.encode(degraded, noise)[:, list(found.brightness)]
    assert torch.allclose(made / 4, torch.nn.functional.avg_pool2d(degraded, 4), atol=1e-14)


def small(**changed):
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(3)
    return diffusers.AutoencoderKL(**{**SMALL, **changed}).eval()


def test_the_autoencoder_takes_plus_minus_one_and_does_not_scale():
    model = small()
    found = Autoencoder(3, SMALL, "sample")
    found.model.load_state_dict(model.state_dict())
    degraded = image().float()
    with torch.no_grad():
        posterior = model.encode(2 * degraded - 1).latent_dist
        made = found.encode(degraded, noise)
        assert torch.allclose(made, posterior.mean + posterior.std * noise(posterior.mean), atol=1e-6)
        assert torch.allclose(found.decode(made), (model.decode(made).sample + 1) / 2, atol=1e-6)
        found.posterior = "mode"
        assert torch.allclose(found.encode(degraded, noise), posterior.mode(), atol=1e-6)
    assert (found.factor, found.channels, found.brightness) == (2, 4, (0, 1, 2, 3))
    assert not any(p.requires_grad for p in found.parameters()) and not found.train().model.training


def test_a_folder_of_diffusers_is_read_and_one_file_of_it(tmp_path):
    model = small()
    model.save_pretrained(tmp_path / "vae")
    for source in (tmp_path, tmp_path / "vae", tmp_path / "vae" / "diffusion_pytorch_model.safetensors"):
        kind, config, state = named(str(source))
        assert kind == "autoencoder" and config["block_out_channels"] == [8, 16]
        found = latents_of(kind, 3, config, "mode")
        found.model.load_state_dict(state)
        assert torch.equal(
            found.encode(image().float(), noise), model.encode(2 * image().float() - 1).latent_dist.mean
        )


def test_names_of_attention_before_they_changed(tmp_path):
    from safetensors.torch import save_file

    model = small(mid_block_add_attention=True)
    model.save_pretrained(tmp_path)
    state, new = model.state_dict(), {"to_q": "query", "to_k": "key", "to_v": "value"}
    former = {}
    for name, tensor in state.items():
        for now, then in new.items():
            name = name.replace(f".{now}.", f".{then}.")
        former[name.replace(".to_out.0.", ".proj_attn.")] = tensor.contiguous()
    assert set(former) != set(state)
    save_file(former, tmp_path / "diffusion_pytorch_model.safetensors")
    assert set(named(str(tmp_path))[2]) == set(state)


def test_weights_without_a_config_are_stable_diffusions(tmp_path):
    from safetensors.torch import save_file

    save_file({name: t.contiguous() for name, t in small().state_dict().items()}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"Stable Diffusion's, and no config\.json beside it: "):
        named(str(tmp_path / "a.safetensors"))
    with torch.device("meta"):
        stock = module.built(module.STABLE_DIFFUSION)
    assert sum(p.numel() for p in stock.parameters()) == 83_653_863  # as its authors' file holds


def refusal(source):
    with pytest.raises(RequestError) as error:
        named(str(source))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_latent_is_refused_in_a_line(tmp_path):
    assert refusal("harr").endswith("of an AutoencoderKL of diffusers; did you mean 'haar'?")
    assert refusal(tmp_path) == f"--latent {tmp_path}: no diffusion_pytorch_model.safetensors in this folder"
    (tmp_path / "a.txt").write_text("a")
    assert "expected a weights file" in refusal(tmp_path / "a.txt")
    small().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "_class_name": "VQModel"}))
    assert "describes VQModel; expected an AutoencoderKL" in refusal(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "is not valid JSON" in refusal(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "depth": 3}))
    assert "an AutoencoderKL has no key 'depth'" in refusal(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "latent_channels": 8}))
    assert "not the weights of an AutoencoderKL as its config.json describes" in refusal(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "norm_num_groups": 7}))
    assert "can be built of its configuration" in refusal(tmp_path)


def test_without_diffusers_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(
        ValueError, match=r'needs diffusers, which is not installed; pip install "diffusers>=0\.32"'
    ):
        Autoencoder(3, SMALL, "mode")


def test_published_weights_that_are_not_here_say_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsError, match="restoration weights fetch sd-vae-ft-mse"):
        named("sd-vae-ft-mse")


@pytest.mark.parametrize("latent", [4, 8])
def test_a_restorers_file_is_read_if_it_is_an_autoencoder_of_ours(tmp_path, latent):
    pytest.importorskip("diffusers")
    torch.manual_seed(5)
    network = KlAutoencoder(widths=(8, 16), groups=4, latent=latent).eval()
    table = {"name": "kl-autoencoder", "widths": [8, 16], "groups": 4, "latent": latent}
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "restorer.safetensors"
    save(path, network, Card("own", "reconstruction", table, licence="CC0-1.0"))
    for source in (path, path.parent):
        kind, config, state = named(str(source))
        found = latents_of(kind, 3, config, "mode")
        found.model.load_state_dict(state)
        assert (found.channels, found.brightness) == (latent, tuple(range(latent)))
        degraded = image().float()
        assert torch.equal(found.encode(degraded, noise), network.encode(degraded).mean)
        assert torch.equal(found.decode(network.encode(degraded).mean), network(degraded))
        assert licence(str(source)) == "CC0-1.0"
    small().save_pretrained(tmp_path / "vae")
    assert licence(str(tmp_path / "vae")) == ""
    table = {"name": "dncnn", "width": 4, "depth": 3}
    save(tmp_path / "dncnn.safetensors", DnCnn(width=4, depth=3).eval(), Card("d", "denoising", table))
    assert refusal(tmp_path / "dncnn.safetensors").endswith(
        "dncnn.safetensors: a restorer of the network 'dncnn'; expected 'kl-autoencoder'"
    )


@pytest.mark.slow
def test_the_shipped_autoencoder_is_small_and_returns_photographs():
    pytest.importorskip("diffusers")
    kind, config, state = named("kl-vae-small")
    assert sum(tensor.numel() for tensor in state.values()) == 655_547
    errors, spreads = [], []
    for posterior in ("mode", "sample"):
        found = latents_of(kind, 3, config, posterior)
        found.model.load_state_dict(state)
        assert (found.factor, found.channels) == (4, 8)
        for name in ("chelsea.png", "coffee.png"):
            photo = to_float(read_samples(PHOTOS / name))[..., :256, :256]
            with torch.no_grad():
                latents = found.encode(photo, noise)
                errors.append(-10 * float((found.decode(latents) - photo).square().mean().log10()))
            spreads.append(float(latents.std()))
    assert min(errors) > 27 and max(abs(a - b) for a, b in zip(errors[:2], errors[2:], strict=True)) < 0.5
    assert all(0.1 < spread < 10 for spread in spreads)


def test_a_package_without_its_autoencoder_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    with pytest.raises(
        WeightsError, match=r"--latent kl-vae-small: comes with the package in .*; reinstall it"
    ):
        named("kl-vae-small")
