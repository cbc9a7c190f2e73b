"""Others' checkpoints become files of ours: the same pictures, with a card."""

import hashlib

import pytest
import torch
from parity import formula_state, layout
from safetensors.torch import save_file

from restoration import weights
from restoration.errors import RequestError, WeightsError
from restoration.exporting.adoption import adopt
from restoration.networks import NETWORKS
from restoration.networks.msrresnet import MsrResNet

SWINIR = {
    "architecture": "SwinIR", "embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 8, "upscale": 2,
    "img_size": 16, "upsampler": "pixelshuffledirect",
}  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "theirs.pth"
    torch.save({"params_ema": MsrResNet(width=8, blocks=2).state_dict()}, path)
    return path


def same(first: object, second: object) -> bool:
    image = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.equal(weights.load(first)(image), weights.load(second)(image))


def test_a_checkpoint_becomes_a_file_of_ours_that_restores_the_same(checkpoint):
    adopted = adopt(checkpoint, name="mine", licence="MIT", task="denoising")
    assert adopted.path == checkpoint.with_suffix(".safetensors")
    assert weights.is_ours(adopted.path) and same(checkpoint, adopted.path)
    card = weights.load(adopted.path).card
    assert card == adopted.card
    assert (card.name, card.licence, card.task, card.scale) == ("mine", "MIT", "denoising", 4)
    assert card.network["name"] == "msrresnet" and card.network["blocks"] == 2
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert adopted.sha256 == card.training["sha256"] == sha256
    assert adopted.parameters == sum(p.numel() for p in MsrResNet(width=8, blocks=2).parameters())
    assert sorted(p.name for p in checkpoint.parent.iterdir()) == ["theirs.pth", "theirs.safetensors"]


def test_without_words_the_card_says_what_is_known(checkpoint, tmp_path):
    card = adopt(checkpoint, tmp_path / "b" / "other.safetensors").card
    assert (card.name, card.task, card.licence) == ("other", "super-resolution", weights.FOREIGN_LICENCE)


@pytest.mark.parametrize(
    "keywords",
    [
        SWINIR,
        {"architecture": "RealCUGAN", "variant": "UpCunet2x"},
        {"architecture": "PLKSR", "variant": "RealPLKSR", "dim": 8, "n_blocks": 2},
        {"architecture": "DITN", "dim": 12, "ITL_blocks": 1, "SAL_blocks": 1},
    ],
    ids=lambda keywords: keywords["architecture"],
)
def test_what_spandrel_finds_is_built_from_its_card_again(tmp_path, keywords):
    torch.manual_seed(0)
    network = NETWORKS["spandrel"](**keywords)
    torch.save(network.adapter.model.state_dict(), tmp_path / "a.pth")
    adopted = adopt(tmp_path / "a.pth")
    assert adopted.card.network["architecture"] == keywords["architecture"]
    assert same(tmp_path / "a.pth", adopted.path)


@pytest.mark.slow
def test_what_is_applied_but_not_trained_is_taken_over_with_its_mask(tmp_path):
    from spandrel.architectures.LaMa.__arch.LaMa import LaMa

    torch.manual_seed(0)
    torch.save(LaMa(in_nc=4, out_nc=3).state_dict(), tmp_path / "lama.pth")
    adopted = adopt(tmp_path / "lama.pth")
    first, second = weights.load(tmp_path / "lama.pth"), weights.load(adopted.path)
    assert first.conditions == second.conditions == ("mask",)
    image = torch.rand(1, 4, 24, 32, generator=torch.Generator().manual_seed(0))
    image[:, 3] = image[:, 3].round()
    with torch.no_grad():
        assert torch.equal(first(image), second(image))


def test_an_official_layout_is_taken_over_entirely(tmp_path):
    entries, about = layout("imdn", "IMDN_RTC")
    torch.save(formula_state(entries), tmp_path / "imdn_rtc.pth")
    assert adopt(tmp_path / "imdn_rtc.pth").parameters == about["parameters"]


def test_settings_tell_what_shapes_cannot(tmp_path):
    torch.save(NETWORKS["ffdnet"](width=8, depth=4).state_dict(), tmp_path / "a.pth")
    adopted = adopt(tmp_path / "a.pth", settings={"sigma": 15.0})
    assert weights.load(adopted.path).network.sigma == 15.0
    with pytest.raises(WeightsError, match="sigm"):
        adopt(tmp_path / "a.pth", tmp_path / "b.safetensors", settings={"sigm": 15.0})


def refusal(kind: type[Exception], *arguments: object, **keywords: object) -> str:
    with pytest.raises(kind) as caught:
        adopt(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_is_overwritten_unasked(checkpoint):
    adopt(checkpoint)
    before = checkpoint.with_suffix(".safetensors").read_bytes()
    assert "is there already; --overwrite replaces it" in refusal(RequestError, checkpoint, name="other")
    assert checkpoint.with_suffix(".safetensors").read_bytes() == before
    adopt(checkpoint, name="other", overwrite=True)
    assert weights.load(checkpoint.with_suffix(".safetensors")).card.name == "other"


def test_a_foreign_safetensors_is_not_written_onto_itself(tmp_path):
    save_file(MsrResNet(width=8, blocks=2).state_dict(), tmp_path / "a.safetensors")
    assert "onto itself" in refusal(RequestError, tmp_path / "a.safetensors", overwrite=True)
    adopt(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert "a file of ours already" in refusal(
        WeightsError, tmp_path / "b.safetensors", tmp_path / "c.safetensors"
    )


@pytest.mark.parametrize(
    ("stored", "said"),
    [({"params": {"a.weight": torch.zeros(3)}}, "of no known network"), ({"a": 1}, "holds no weights")],
)
def test_what_cannot_be_read_is_one_line_and_leaves_nothing(tmp_path, stored, said):
    torch.save(stored, tmp_path / "a.pth")
    assert said in refusal(WeightsError, tmp_path / "a.pth")
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


def test_other_names_are_refused(checkpoint):
    said = refusal(WeightsError, checkpoint.with_name("thiers.pth"))
    assert said.endswith(f"no such file; did you mean '{checkpoint}'?")
    assert "a folder; expected a weights file" in refusal(WeightsError, checkpoint.parent)
    assert "ends in .safetensors" in refusal(RequestError, checkpoint, checkpoint.with_name("b.pth"))
