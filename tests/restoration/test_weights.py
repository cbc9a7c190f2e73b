"""Weights: complete files of ours, others' files read safely, and one line for everything that is wrong."""

import json
import os
import pickle
import random

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from restoration import weights
from restoration.errors import RestorationError, WeightsError
from restoration.networks import NETWORKS
from restoration.networks.dncnn import DnCnn
from restoration.networks.edsr import Edsr
from restoration.networks.imdn import Imdn
from restoration.networks.msrresnet import MsrResNet
from restoration.networks.nafnet import NafNet
from restoration.networks.rrdbnet import RrdbNet
from restoration.weights import Card, load, save

SPEC = {"name": "imdn", "scale": 2, "channels": 3, "width": 12, "blocks": 1, "distilled": 4}
CARD = Card(
    name="tiny",
    task="super-resolution",
    network=SPEC,
    scale=2,
    licence="MIT",
    training={"steps": 3, "data": {"images": "bsds500/train"}, "command": "restoration train tiny"},
    scores={"set5-x4 psnr-y": 31.25},
)


def network() -> Imdn:
    torch.manual_seed(0)
    return Imdn(**{k: v for k, v in SPEC.items() if k != "name"})


def refusal(source: object) -> str:
    with pytest.raises(WeightsError) as caught:
        load(source)
    return str(caught.value)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save(path, network(), CARD)
    return path


# --- ours


def test_round_trip(saved):
    degraded = torch.rand(1, 3, 7, 9)
    restorer = load(saved)
    with torch.no_grad():
        assert torch.equal(restorer(degraded), network()(degraded))
    assert restorer.card == CARD
    assert not restorer.training
    assert (restorer.scale, restorer.multiple, restorer.receptive_field, restorer.channels) == (2, 1, 6, 3)


def test_digest_is_the_files_sha256(saved):
    import hashlib

    assert load(saved).digest == hashlib.sha256(saved.read_bytes()).hexdigest()


def test_a_restorer_can_be_saved_again(saved, tmp_path):
    save(tmp_path / "again.safetensors", load(saved), CARD)
    assert load(tmp_path / "again.safetensors").digest == load(saved).digest


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "res-unet", "widths": [4, 8], "blocks": [1, 1]},
        {"name": "spandrel", "architecture": "Compact", "num_feat": 8, "num_conv": 2},
        {"name": "srresnet", "width": 8, "blocks": 1},
    ],
    ids=lambda spec: spec["name"],
)
def test_the_card_alone_rebuilds_any_network(tmp_path, spec):
    torch.manual_seed(0)
    built = NETWORKS[spec["name"]](**{k: v for k, v in spec.items() if k != "name"})
    save(tmp_path / "a.safetensors", built, Card("a", "restoration", spec, built.scale))
    degraded = torch.rand(1, 3, 12, 8)
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "a.safetensors")(degraded), built.eval()(degraded))


def test_loading_leaves_the_callers_random_draws_alone(saved):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load(saved)
    assert torch.equal(torch.rand(3), expected)


def test_saving_leaves_no_other_file(saved):
    assert [p.name for p in saved.parent.iterdir()] == ["tiny.safetensors"]


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RestorationError, match="could not be written"):
        save(saved, network(), CARD)
    assert saved.read_bytes() == before
    assert len(list(saved.parent.iterdir())) == 1


def test_nothing_infinite_is_saved_or_loaded(tmp_path):
    broken = network()
    broken.RM[0].bias.data[1] = float("nan")
    path = tmp_path / "a.safetensors"
    with pytest.raises(WeightsError) as caught:
        save(path, broken, CARD)
    assert str(caught.value) == f"{path}: RM.0.bias holds values that are not finite"
    torch.save(broken.state_dict(), tmp_path / "a.pth")
    assert refusal(tmp_path / "a.pth") == f"{tmp_path}/a.pth: RM.0.bias holds values that are not finite"


def test_weights_of_another_network(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, network(), Card("a", "super-resolution", {**SPEC, "distilled": 6}, 2))
    assert refusal(path) == (
        f"{path}: not the weights of its imdn: it has FEM.1.sub.0.c4.weight, FEM.1.sub.0.c4.bias besides; "
        f"FEM.1.sub.0.c2.weight has shape (8, 8, 3, 3); expected (6, 6, 3, 3)"
    ).replace("c4.weight, FEM.1.sub.0.c4.bias", "c4.bias, FEM.1.sub.0.c4.weight")


def test_card_of_an_unknown_network(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, network(), Card("a", "super-resolution", {"name": "imdm"}, 2))
    message = "its card describes no network of ours: network: unknown network 'imdm'; did you mean 'imdn'?"
    assert refusal(path) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"step": 5}, "no restorer, but a run's checkpoint; apply the run's restorer.safetensors"),
        ({"format": 2, "card": {}}, "written in format 2; this version reads format 1"),
        (
            {"format": 1, "card": {"name": "a"}},
            "its card is incomplete or has unknown entries; "
            "expected name, task, network, scale, licence, training, scores",
        ),
    ],
)
def test_records_that_are_no_restorers(tmp_path, record, message):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(2)}, path, metadata={"restoration": json.dumps(record)})
    assert refusal(path) == f"{path}: {message}"


# --- names


def test_baselines_load_by_name():
    degraded = torch.rand(1, 3, 4, 5)
    assert torch.equal(load("identity")(degraded), degraded)
    assert load("nearest-x4").scale == 4
    assert load("bicubic-x4").digest is None


def test_shipped_restorers_load_by_name():
    for name in weights.shipped():
        assert load(name).card.name == name


def test_every_available_name_has_a_line():
    lines = weights.available()
    assert lines["identity"] == "The degraded image itself."
    assert set(weights.shipped()) < set(lines)
    assert all(line and "\n" not in line for line in lines.values())


def test_unknown_name_and_missing_file(saved):
    missing = "no such file and no restorer of that name"
    assert refusal("bicubik-x4") == f"bicubik-x4: {missing}; did you mean 'bicubic-x4'?"
    assert refusal(saved.parent / "tine.safetensors") == (
        f"{saved.parent}/tine.safetensors: {missing}; did you mean '{saved}'?"
    )


def test_folder_and_picture(saved):
    assert refusal(saved.parent) == f"{saved.parent}: a folder; expected a weights file"
    picture = saved.parent / "photo.png"
    picture.write_bytes(b"x")
    assert refusal(picture) == f"{picture}: expected a weights file (.ckpt, .pt, .pth, .safetensors)"


# --- foreign files


@pytest.mark.parametrize(
    "made",
    [
        DnCnn(width=8, depth=4),
        DnCnn(channels=3, width=8, depth=5, batch_norm=False),
        Edsr(width=8, blocks=2, scale=2),
        Edsr(width=8, blocks=1, scale=3),
        Edsr(width=8, blocks=1, scale=8),
        Imdn(width=12, blocks=2, distilled=4, scale=3),
        MsrResNet(width=8, blocks=2, scale=4),
        MsrResNet(width=8, blocks=1, scale=3),
        NafNet(width=4, encoders=(1, 2), middle=1, decoders=(1, 1)),
        NafNet(width=4, encoders=(1,), middle=2, decoders=(1,), attention="none"),
        RrdbNet(width=8, blocks=1, growth=4, scale=2),
        RrdbNet(width=8, blocks=2, growth=4, scale=4),
    ],
    ids=lambda made: f"{type(made).__name__}-x{made.scale}-{made.channels}",
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_state_dicts_of_our_networks_are_recognised(tmp_path, made, suffix):
    path = tmp_path / f"theirs{suffix}"
    torch.save(made.state_dict(), path) if suffix == ".pth" else save_file(made.state_dict(), path)
    restorer = load(path)
    degraded = torch.rand(1, made.channels, 8, 12)
    with torch.no_grad():
        assert torch.equal(restorer(degraded), made.eval()(degraded))
    assert type(restorer.network) is type(made)
    assert restorer.card.licence == "unknown (foreign file)"
    assert (restorer.card.name, restorer.card.scale) == ("theirs", made.scale)
    assert restorer.card.training == {"file": path.name, "input": "[0, 1]", "channels": made.channels}
    rebuilt = {k: v for k, v in restorer.card.network.items() if k != "name"}
    assert type(NETWORKS[restorer.card.network["name"]](**rebuilt)) is type(made)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"params": state},
        lambda state: {"params": {}, "params_ema": state},
        lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3, "lr": [1e-4]},
        lambda state: {"model": {"params": state}},
        lambda state: {"generator": {f"_orig_mod.{k}": v for k, v in state.items()}},
    ],
)
def test_wrapped_state_dicts(tmp_path, wrap):
    path = tmp_path / "a.pth"
    torch.save(wrap(network().state_dict()), path)
    assert load(path).card.network == SPEC


def test_half_precision_files_are_computed_in_float32(tmp_path):
    torch.save({k: v.half() for k, v in network().state_dict().items()}, tmp_path / "a.pth")
    assert load(tmp_path / "a.pth")(torch.rand(1, 3, 4, 4)).dtype == torch.float32


def test_other_architectures_are_recognised_by_spandrel(tmp_path):
    from spandrel.architectures.Compact import Compact

    made = Compact(num_feat=8, num_conv=2, upscale=2).eval()
    torch.save({"params": made.state_dict()}, tmp_path / "a.pth")
    restorer = load(tmp_path / "a.pth")
    degraded = torch.rand(1, 3, 5, 6)
    with torch.no_grad():
        assert torch.equal(restorer(degraded), made(degraded))
    assert (restorer.scale, restorer.channels, restorer.receptive_field) == (2, 3, None)
    assert restorer.card.network["architecture"] == "Compact"
    assert restorer.card.network["num_feat"] == 8


def test_spandrels_card_rebuilds_the_network(tmp_path):
    from spandrel.architectures.Compact import Compact

    torch.save(Compact(num_feat=8, num_conv=2).state_dict(), tmp_path / "a.pth")
    spec = dict(load(tmp_path / "a.pth").card.network)
    json.dumps(spec)
    assert NETWORKS[spec.pop("name")](**spec).scale == 4


def test_foreign_weights_with_a_missing_tensor(tmp_path):
    state = network().state_dict()
    del state["FEM.1.sub.0.c2.bias"]
    torch.save(state, tmp_path / "a.pth")
    assert (
        refusal(tmp_path / "a.pth") == f"{tmp_path}/a.pth: looks like imdn, but it lacks FEM.1.sub.0.c2.bias"
    )


def test_weights_of_no_known_network(tmp_path):
    torch.save({"a": torch.zeros(2), "b.c": torch.zeros(3)}, tmp_path / "a.pth")
    message = "of no known network (its tensors begin with a, b.c)"
    assert refusal(tmp_path / "a.pth") == f"{tmp_path}/a.pth: {message}"


# --- files that are not weights


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_nothing_in_a_file_is_executed(tmp_path, kind):
    path, marker = tmp_path / "a.pth", tmp_path / "executed"
    if kind == "torch":
        torch.save({"x": Evil(marker)}, path)
        expected = (
            "holds a pickled posix.mkdir, and loading one can run any program; refused. "
            "Save the state_dict() of the network instead"
        )
    else:
        path.write_bytes(pickle.dumps(Evil(marker)))
        expected = "not readable as weights; corrupt, or a pickle of something else; refused"
    assert refusal(path) == f"{path}: {expected}"
    assert not marker.exists()


def test_pickled_module_is_refused_with_the_reason(tmp_path):
    path = tmp_path / "a.pth"
    torch.save(torch.nn.Conv2d(3, 3, 3), path)
    assert refusal(path) == (
        f"{path}: holds a pickled torch.nn.modules.conv.Conv2d, and loading one can run any program; refused. "
        f"Save the state_dict() of the network instead"
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_torchscript_is_refused_with_the_reason(tmp_path):
    path = tmp_path / "a.pt"
    torch.jit.trace(torch.nn.Conv2d(3, 3, 3), torch.rand(1, 3, 4, 4)).save(path)
    assert (
        refusal(path)
        == f"{path}: a TorchScript archive, which is a program; refused. Export its state_dict() instead"
    )


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".ckpt", ".pt"])
def test_empty_file(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.touch()
    assert refusal(path) == f"{path}: empty file; expected weights"


@pytest.mark.parametrize("content", [3, {"epoch": 1, "lr": 0.1}, [torch.zeros(2)], {}], ids=repr)
def test_files_without_tensors_by_name(tmp_path, content):
    path = tmp_path / "a.pth"
    torch.save(content, path)
    assert refusal(path) == f"{path}: holds no weights; expected tensors by name, as a state_dict"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_give_one_line_wherever_they_are_damaged(tmp_path, saved, suffix):
    whole = saved
    if suffix == ".pth":
        whole = tmp_path / "whole.pth"
        torch.save(network().state_dict(), whole)
    content, draw = whole.read_bytes(), random.Random(0)
    path = tmp_path / f"damaged{suffix}"
    for trial in range(60):
        damaged = bytearray(content)
        if trial % 2:
            damaged = damaged[: draw.randrange(1, len(content))]
        else:
            start = draw.randrange(2000)
            damaged[start : start + 8] = draw.randbytes(8)
        path.write_bytes(damaged)
        try:
            load(path)  # a changed number is a valid file
        except WeightsError as error:
            assert str(error).startswith(str(path))
            assert "\n" not in str(error)


# --- the official files


def test_imdn_plus_restores_a_photograph(data_root):
    restorer = load(data_root / "weights" / "imdn_plus_x4.pth")
    assert sum(p.numel() for p in restorer.parameters()) == 275_844
    clean = _read(data_root / "set5" / "HR" / "butterfly.png")
    degraded = _read(next((data_root / "set5" / "LR_bicubic_x4").glob("butterfly*")))
    clean = clean[..., : 4 * degraded.shape[-2], : 4 * degraded.shape[-1]]
    with torch.no_grad():
        restored, bicubic = (_rounded(r(degraded)) for r in (restorer, load("bicubic-x4")))
    assert _psnr(restored, clean) > _psnr(bicubic, clean) + 2


def test_dncnn_removes_its_noise_from_a_photograph(data_root):
    restorer = load(data_root / "weights" / "dncnn_25.pth")
    assert (restorer.channels, restorer.receptive_field) == (1, 17)
    clean = _read(data_root / "set5" / "HR" / "woman.png").mean(1, keepdim=True)
    noisy = clean + 25 / 255 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert _psnr(restorer(noisy), clean) > 29


def _read(path) -> torch.Tensor:
    samples = np.asarray(Image.open(path).convert("RGB"))
    return torch.from_numpy(samples.copy()).permute(2, 0, 1)[None].float() / 255


def _rounded(image: torch.Tensor) -> torch.Tensor:
    return (image.clamp(0, 1) * 255).round() / 255


def _psnr(restored: torch.Tensor, clean: torch.Tensor) -> float:
    return -10 * (restored - clean).square().mean().log10().item()
