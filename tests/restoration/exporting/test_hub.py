"""Folders as the Hugging Face hub has them, and its client: no network here."""

import errno
import json
import logging
import shutil

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors

from restoration import weights
from restoration.errors import RequestError, RestorationError, WeightsError
from restoration.exporting import hub, hub_source
from restoration.networks.plainsr import PlainSr
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer

SPEC = {"name": "plain-sr", "scale": 2, "channels": 3, "width": 8, "blocks": 1}
CARD = Card(
    "tiny",
    "super-resolution",
    SPEC,
    2,
    licence="MIT",
    training={"steps": 3},
    scores={"set5-x2 psnr-y": 31.25},
)


@pytest.fixture
def restorer() -> Restorer:
    torch.manual_seed(0)
    return Restorer(PlainSr(**{k: v for k, v in SPEC.items() if k != "name"}).eval(), CARD)


@pytest.fixture
def folder(restorer, tmp_path):
    hub.write(restorer, tmp_path / "tiny")
    return tmp_path / "tiny"


class Client:
    """Stands in for the hub's client: keeps what it was asked."""

    asked: list[tuple[str, dict[str, object]]]

    def __init__(self, **_: object) -> None:
        type(self).asked = []

    def create_repo(self, repository: str, **how: object) -> None:
        self.asked.append(("create", {"repository": repository, **how}))

    def upload_folder(self, **how: object) -> object:
        self.asked.append(("upload", how))
        return type("Done", (), {"commit_url": "https://hub.example/owner/tiny/commit/1"})()


def same(first: Restorer, second: Restorer) -> bool:
    image = torch.rand(1, 3, 9, 11)
    with torch.no_grad():
        return torch.equal(first(image), second(image))


def test_a_folder_of_the_hubs_layout_loads_as_the_file(folder, restorer):
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again = weights.load(folder)
    assert again.card == CARD and same(again, restorer)
    assert weights.load(str(folder)).digest == weights.load(folder / "model.safetensors").digest


def test_config_holds_the_card(folder):
    said = json.loads((folder / "config.json").read_text())
    assert Card(**said["restorer"]) == CARD and said["library_name"] == "restoration-suite"


def test_the_model_card_has_the_hubs_metadata(folder):
    text = (folder / "README.md").read_text()
    data = huggingface_hub.ModelCard(text).data
    assert (data.license, data.library_name, data.pipeline_tag) == (
        "mit",
        "restoration-suite",
        "image-to-image",
    )
    assert data.tags == ["image-restoration", "super-resolution", "plain-sr"]
    assert "| set5-x2 psnr-y | 31.2500 |" in text and "plain-sr (scale = 2, channels = 3" in text


def test_a_licence_that_the_hub_does_not_know_is_named(restorer, tmp_path):
    strange = Card("tiny", "denoising", SPEC, 2, licence='for research: "non-commercial"')
    hub.write(Restorer(restorer.network, strange), tmp_path)
    data = huggingface_hub.ModelCard((tmp_path / "README.md").read_text()).data
    assert (data.license, data["license_name"]) == ("other", 'for research: "non-commercial"')


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("hf:owner/tiny", ("owner/tiny", "model.safetensors", None)),
        ("hf:owner/tiny@v2", ("owner/tiny", "model.safetensors", "v2")),
        ("hf:owner/tiny/nets/a.safetensors@main", ("owner/tiny", "nets/a.safetensors", "main")),
        ("hf:owner/tiny@main/nets/a.safetensors", ("owner/tiny", "nets/a.safetensors", "main")),
        ("hf:owner/tiny/a.safetensors@refs/pr/1", ("owner/tiny", "a.safetensors", "refs/pr/1")),
    ],
)
def test_an_address_of_the_hub_is_fetched_and_loaded(folder, restorer, monkeypatch, address, expected):
    asked = []

    def download(repository, file, revision=None, etag_timeout=None):
        asked.append((repository, file, revision))
        return str(folder / "model.safetensors")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda address, timeout: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert same(weights.load(address), restorer) and asked == [expected]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (errors.LocalEntryNotFoundError("offline"), "and the hub is out of reach"),
        (ConnectionError("no route to host\nand more"), "could not be fetched: no route to host"),
    ],
)
def test_a_hub_out_of_reach_is_one_line(monkeypatch, raised, said):
    def download(*_, **__):
        raise raised

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda address, timeout: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(WeightsError) as caught:
        weights.load("hf:owner/tiny")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_asked_once(monkeypatch, tmp_path):
    asked = []

    def ask(address, timeout):
        asked.append((address.split("/")[-1], timeout))
        raise ConnectionError("[Errno -3] Temporary failure in name resolution")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", ask)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: pytest.fail("tried again"))
    with pytest.raises(WeightsError, match="and the hub is out of reach") as caught:
        weights.load("hf:owner/tiny")
    assert asked == [("model.safetensors", hub_source.PATIENCE)] and "\n" not in str(caught.value)


def test_what_the_hub_answers_is_left_to_its_client(monkeypatch, tmp_path):
    def ask(address, timeout):
        raise refusal

    def download(*_, **__):
        raise refusal

    response = type("Response", (), {"headers": {}, "status_code": 404, "request": None})()
    refusal = errors.RepositoryNotFoundError("404", response=response)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", ask)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(WeightsError, match="no such repository on the hub, or a private one"):
        weights.load("hf:owner/tiny")


def test_offline_and_not_in_the_cache_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        weights.load("hf:owner/tiny")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("hf:owner/tiny: ")
    assert f"is not in the hub's cache, {tmp_path}, and" in str(caught.value)
    assert str(caught.value).endswith("where it is in reach: hf download owner/tiny model.safetensors")


@pytest.fixture
def cached(folder, tmp_path, monkeypatch):
    """Put the files into a cache as the hub's client keeps it, and go offline."""
    cache = tmp_path / "cache" / "models--owner--tiny"
    revision = "0123456789abcdef0123456789abcdef01234567"
    (cache / "refs").mkdir(parents=True)
    for name in ("main", "v2"):
        (cache / "refs" / name).write_text(revision)
    shutil.copytree(folder, cache / "snapshots" / revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache.parent))


@pytest.mark.parametrize(
    "address", ["hf:owner/tiny", "hf:owner/tiny@v2", "hf:owner/tiny@v2/model.safetensors"]
)
def test_what_the_cache_holds_needs_no_network(cached, restorer, address):
    assert same(weights.load(address), restorer)


def test_another_revision_than_the_cached_one_is_named_with_its_command(cached):
    with pytest.raises(WeightsError, match=r"hf download owner/tiny model\.safetensors --revision v3$"):
        weights.load("hf:owner/tiny@v3")


def test_the_clients_own_lines_are_kept_back(monkeypatch, caplog):
    def download(*_, **__):
        logging.getLogger("huggingface_hub.utils").warning("Retrying in 1s")
        raise errors.LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda address, timeout: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(WeightsError):
        weights.load("hf:owner/tiny")
    assert not caplog.records


def test_a_folder_appears_whole_or_not_at_all(restorer, tmp_path, monkeypatch):
    def full(_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hub, "model_card", full)
    with pytest.raises(RestorationError, match=r"could not be written \(No space left on device\)"):
        hub.write(restorer, tmp_path / "new")
    assert not list(tmp_path.iterdir())
    (tmp_path / "there").mkdir()
    with pytest.raises(RestorationError):
        hub.write(restorer, tmp_path / "there")
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize("address", ["hf:tiny", "hf:", "hf:a b/c", "hf:a/b@v1/f@v2"])
def test_a_malformed_address_says_what_was_expected(address):
    with pytest.raises(WeightsError, match="expected hf:owner/name"):
        weights.load(address)


def test_push_makes_the_repository_and_uploads_the_three_files(folder, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", Client)
    assert hub.push(folder, "owner/tiny", private=True).startswith("https://hub.example/owner/tiny")
    (_, created), (_, uploaded) = Client.asked
    assert created == {"repository": "owner/tiny", "private": True, "exist_ok": True}
    assert uploaded["folder_path"] == folder
    assert set(uploaded["allow_patterns"]) == {"README.md", "config.json", "model.safetensors"}


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (errors.OfflineModeIsEnabled("no"), RestorationError, "HF_HUB_OFFLINE is set; the files lie in"),
        (errors.LocalTokenNotFoundError("log in first"), RestorationError, r"not uploaded \(log in first\)"),
        (errors.HFValidationError("no such id"), RequestError, "expected owner/name"),
    ],
)
def test_a_push_that_fails_is_one_line(folder, monkeypatch, raised, kind, said):
    class Failing(Client):
        def create_repo(self, *_, **__):
            raise raised

    monkeypatch.setattr(huggingface_hub, "HfApi", Failing)
    with pytest.raises(kind, match=said):
        hub.push(folder, "owner/tiny", private=False)
