"""One folder for all that can be had again, whoever keeps it there."""

from pathlib import Path

import pytest

from restoration.benchmarks.cache import default_folder
from restoration.losses import published
from restoration.losses.user_cache import cache_folder
from restoration.tiling import field_cache


@pytest.fixture
def unset(monkeypatch):
    for name in ("RESTORATION_CACHE", "RESTORATION_WEIGHTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/somebody"))
    return monkeypatch


def test_it_is_the_users_cache_unless_told_otherwise(unset):
    assert cache_folder() == Path("/home/somebody/.cache/restoration")
    unset.setenv("XDG_CACHE_HOME", "/cache")
    assert cache_folder() == Path("/cache/restoration")
    unset.setenv("RESTORATION_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")


def test_weights_fields_and_restored_images_lie_in_it(unset, tmp_path):
    unset.setenv("RESTORATION_CACHE", str(tmp_path))
    assert published.folder() == tmp_path / "weights" and default_folder() == tmp_path / "restored"
    restorer = type("Restorer", (), {"digest": "ab", "card": type("Card", (), {"network": {}})()})()
    field_cache.keep(restorer, {"top": 3})
    assert field_cache.kept(restorer) == {"top": 3}
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "fields"]


def test_weights_may_lie_in_a_folder_of_their_own(unset):
    unset.setenv("RESTORATION_CACHE", "/elsewhere")
    unset.setenv("RESTORATION_WEIGHTS", "/weights")
    assert published.folder() == Path("/weights")
