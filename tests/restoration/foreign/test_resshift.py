"""ResShift's and SinSR's official files: tensors, counts, outputs, and the restorer of the two together."""

import numpy as np
import parity
import pytest
import torch
from torch import Tensor

from restoration.foreign import LAYOUTS, Match, difference, read_state, recognise
from restoration.foreign.joining import joined
from restoration.networks import NETWORKS
from restoration.networks.resshift import ResShift
from restoration.networks.resshift_unet import ResShiftUnet
from restoration.networks.vq_autoencoder import VqAutoencoder
from restoration.restorers.card import Card
from restoration.weights import load, save

UNET = {
    "width": 32, "levels": (1, 2), "blocks": (1, 2), "attention": (0, 1), "swin_width": 32, "head": 16,
    "window": 4, "size": 16, "expansion": 2.0, "transposed_mask": True,
}  # fmt: skip
VQ = {"width": 32, "levels": (1, 2, 1), "blocks": (1, 1, 2), "codes": 16}


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def centred(generator: np.random.RandomState, *shape: int) -> Tensor:
    return torch.from_numpy((2 * generator.rand(*shape) - 1).astype("float32"))


def formula(network: torch.nn.Module) -> dict[str, Tensor]:
    return parity.formula_state(parity.entries_of(network.state_dict()))


def with_computed(network: ResShiftUnet, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with those beside that an official file holds and the network computes."""
    state = dict(state)
    size, side = 16, 4
    for name, module in network.named_modules():
        if hasattr(module, "relative_position_bias_table"):
            pixels = module.side**2
            state[f"{name}.relative_position_index"] = torch.zeros(pixels, pixels, dtype=torch.int64)
            if module.shift:
                coarse = name.split(".")[0] == "middle_block" or name.startswith(
                    ("input_blocks.3", "output_blocks.0")
                )
                windows = (size // (2 if coarse else 1) // side) ** 2
                state[f"{name.removesuffix('.attn')}.attn_mask"] = torch.zeros(windows, pixels, pixels)
    return state


@pytest.mark.parametrize(
    ("pack", "name"),
    [
        *(
            ("resshift_unet", n)
            for n in ("realsr_v3_journal", "inpainting_face_and_imagenet", "realsr_x2", "faceir")
        ),
        *(("resshift_vqf4", n) for n in ("vq_f4", "vq_f8_face")),
    ],
)
def test_official_sizes_are_recognised_whole(pack, name):
    entries, about = parity.layout(pack, name)
    with torch.device("meta"):
        state = {n: torch.empty(shape, dtype=getattr(torch, kind)) for n, shape, kind in entries}
        match = next(m for layout in LAYOUTS if isinstance(m := layout(state), Match))
        network = NETWORKS[match.spec["name"]](**{k: v for k, v in match.spec.items() if k != "name"})
    assert difference(network.state_dict(), match.state) == ""
    assert count(network) == about["parameters"]
    if pack == "resshift_unet":
        assert (match.spec["size"], match.spec["window"], match.spec["head"]) == (64, 8, 32)
        assert match.spec["hole"] == (name == "inpainting_face_and_imagenet")


@pytest.mark.parametrize("name", ["unet_small_direct", "unet_small_extractor_mask"])
@pytest.mark.parametrize("kept", [True, False], ids=["with masks", "without"])
def test_denoiser_gives_the_recorded_output(name, kept, tmp_path):
    sample = parity.sample("resshift_unet", name)
    state = sample.state()
    if kept:
        masks = [e for e in sample.entries if e[0].endswith("attn_mask")]
        state |= {n: torch.zeros(shape) for n, shape, _ in masks}
    network, spec = recognise(state, tmp_path)
    assert count(network) == sample.parameters
    assert spec["size"] == (16 if kept else 64)
    generator, large = parity.draws(), "extractor" in name
    noisy, shown = centred(generator, 2, 3, 16, 16), centred(generator, 2, 3, *[64 if large else 16] * 2)
    mask = (centred(generator, 2, 1, 64, 64) > 0).float() if large else None
    with torch.no_grad():
        sample.check(network.eval()(noisy, torch.tensor([2, 11]), shown, mask))


def test_autoencoder_gives_the_recorded_outputs(tmp_path):
    sample = parity.sample("resshift_vqf4", "vq_ch64")
    network, _ = recognise({**sample.state(), "loss.logvar": torch.zeros(1)}, tmp_path)
    assert count(network) == sample.parameters
    image = parity.uniform(1, 3, 32, 40)
    with torch.no_grad():
        codes = network.eval().encode(image)
        sample.check(codes, "code_continuous")
        sample.check(network.quantised(codes), "code_quantised")
        sample.check(2 * network.decode(codes) - 1, "image_quantised")
        sample.check(2 * network.decode(codes, quantise=False) - 1, "image_continuous")
        sample.check(2 * network(image) - 1, "image_quantised")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"resampling_blocks": True, "shift_and_scale": False},
        {"shrink": 1, "hole": True},
        {"channels": 8, "condition_channels": 3, "shrink": 3},
        {"levels": (1, 2, 3), "blocks": (2, 1, 1), "attention": (1,), "middle_attention": False},
        {"levels": (2, 1, 1), "blocks": (1, 1, 1), "attention": (0, 1, 2), "size": 16},
        {"swin_depth": 3, "head": 8, "expansion": 1.0},
    ],
    ids=str,
)
def test_other_denoisers_are_recognised(changed, tmp_path):
    network = ResShiftUnet(**{**UNET, **changed})
    network.load_state_dict(formula(network))
    state = network.state_dict()
    if not changed:
        state = with_computed(network, state)
    found, _ = recognise(state, tmp_path, {"size": 16})
    noisy = parity.uniform(1, network.channels, 16, 32)
    with torch.no_grad():
        assert torch.equal(found.eval()(noisy), network.eval()(noisy))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"attention": (2,)},
        {"levels": (1, 2), "blocks": (2, 1), "latent": 8, "code_width": 4},
        {"channels": 1, "levels": (1, 1, 2, 4), "blocks": (1, 1, 1, 1)},
    ],
    ids=str,
)
def test_other_autoencoders_are_recognised(changed, tmp_path):
    network = VqAutoencoder(**{**VQ, **changed})
    network.load_state_dict(formula(network))
    found, _ = recognise(network.state_dict(), tmp_path)
    image = parity.uniform(1, network.channels, 16, 24)
    with torch.no_grad():
        assert torch.equal(found.eval()(image), network.eval()(image))


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}], ids=["bare", "state_dict"]
)
def test_parallel_and_compiled_names_are_unwrapped(wrap, tmp_path):
    network = ResShiftUnet(**UNET)
    torch.save(
        wrap({f"module._orig_mod.{k}": v for k, v in network.state_dict().items()}), tmp_path / "unet.pth"
    )
    found, spec = recognise(read_state(tmp_path / "unet.pth"), tmp_path)
    assert spec["name"] == "resshift-unet" and count(found) == count(network)


@pytest.mark.parametrize("sampling", ["one-step", "ancestral"])
def test_two_files_become_one_restorer(sampling, tmp_path):
    unet, autoencoder = ResShiftUnet(**UNET), VqAutoencoder(**VQ)
    for name, network in (("unet", unet), ("vq", autoencoder)):
        network.load_state_dict(formula(network))
        torch.save(network.state_dict(), tmp_path / f"{name}.pth")
    settings = {"sampling": sampling, "steps": 4, "least": 0.2}
    network, spec = joined(tmp_path / "unet.pth", "autoencoder", tmp_path / "vq.pth", settings)
    expected = ResShift(unet=unet, autoencoder=autoencoder, sampling=sampling, steps=4, least=0.2)
    image = parity.uniform(1, 3, 8, 16)
    save(tmp_path / "ours.safetensors", network, Card("resshift", "super-resolution", spec, network.scale))
    with torch.no_grad():
        restored = expected.eval()(image)
        assert restored.shape == (1, 3, 32, 64)
        assert torch.equal(network.eval()(image), restored)
        assert torch.equal(load(tmp_path / "ours.safetensors")(image), restored)
