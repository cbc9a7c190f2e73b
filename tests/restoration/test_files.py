"""Files that appear whole or not at all, under their own name alone."""

import os

import pytest

from restoration import files
from restoration.files import atomic


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("unnamed", [True, False])
def test_a_file_appears_whole(tmp_path, monkeypatch, before, unnamed):
    if not unnamed:
        monkeypatch.setattr(files, "_unnamed", lambda folder: None)
    path = tmp_path / "a.bin"
    if before:
        path.write_bytes(before)
    with atomic(path) as stream:
        stream.write(b"new")
        assert (path.read_bytes() if before else path.exists()) == (before or False)
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["a.bin"]
    with pytest.raises(ZeroDivisionError), atomic(path) as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["a.bin"]


def test_a_new_file_never_has_another_name(tmp_path, monkeypatch):
    """So that a process killed at any moment leaves none behind."""
    if (probe := files._unnamed(tmp_path)) is None:
        pytest.skip("no files without a name here")
    probe.close()
    made, link = [], os.link

    def noted(source, target, **options):
        link(source, target, **options)
        made.append(os.listdir(tmp_path))

    monkeypatch.setattr(os, "link", noted)
    with atomic(tmp_path / "a.bin") as stream:
        stream.write(b"new")
    assert made == [["a.bin"]]


def test_a_link_is_replaced_not_followed(tmp_path):
    (tmp_path / "a.bin").symlink_to(tmp_path / "nowhere")
    with atomic(tmp_path / "a.bin") as stream:
        stream.write(b"new")
    assert not (tmp_path / "a.bin").is_symlink() and (tmp_path / "a.bin").read_bytes() == b"new"
