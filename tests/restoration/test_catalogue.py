"""The catalogue of published weights: found, verified, or named with a remedy."""

import hashlib
from pathlib import Path

import pytest
import torch

from restoration import catalogue
from restoration.catalogue import CATALOGUE, Entry
from restoration.errors import WeightsError
from restoration.losses import published


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(Path, "home", lambda: Path("/home/somebody"))
    return tmp_path


def refusal(name: str) -> str:
    with pytest.raises(WeightsError) as caught:
        catalogue.require(name)
    return str(caught.value)


def test_missing_weights_name_the_file_and_the_remedies(nowhere, monkeypatch):
    for name in ("RESTORATION_WEIGHTS", "RESTORATION_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert refusal("vgg19") == (
        "weights 'vgg19' are not here. Expected vgg19-dcbb9e9d.pth (548 MB, sha256 dcbb9e9d…) "
        "in ~/.cache/restoration/weights\n"
        "fetch: restoration weights fetch vgg19    or copy the file there    or use "
        'features = "efficientnet-lite0"'
    )


def test_unknown_name(nowhere):
    assert refusal("vgg91") == "unknown weights 'vgg91'; did you mean 'vgg19'?"


def test_found_in_our_folder_or_torch_hubs_and_verified(nowhere, monkeypatch):
    content = b"weights"
    entry = Entry("a.pth", hashlib.sha256(content).hexdigest()[:8], 1, "", "", "")
    monkeypatch.setitem(CATALOGUE, "a", entry)
    assert catalogue.find("a") is None
    for folder in ("hub/checkpoints", "weights"):
        path = nowhere / folder / "a.pth"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        assert catalogue.require("a") == path
    path.write_bytes(b"other")
    found = hashlib.sha256(b"other").hexdigest()[:8]
    assert refusal("a") == (
        f"{path}: sha256 starts with {found}; expected {entry.sha256}…; delete it and fetch it again"
    )


@pytest.mark.parametrize("name", CATALOGUE)
def test_entries_are_consistent(name):
    entry = CATALOGUE[name]
    assert entry.source.endswith(f"/{entry.file}")
    assert f"-{entry.sha256[:8]}.pth" in entry.file or len(entry.sha256) in (0, 64)
    assert entry.avoid and entry.licence and entry.megabytes > 0
    assert list(CATALOGUE) == sorted(CATALOGUE)


def test_sizes_are_said_in_words():
    assert (CATALOGUE["vgg19"].size, CATALOGUE["dists"].size) == ("548 MB", "12 kB")


def test_losses_refuse_with_the_same_words_as_a_missing_file_and_as_a_wrong_value(nowhere):
    with pytest.raises(published.MissingWeightsError) as caught:
        published.require("vgg16")
    assert str(caught.value) == refusal("vgg16") and isinstance(caught.value, FileNotFoundError | ValueError)
