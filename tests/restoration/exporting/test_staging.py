"""Files take their names when they are done: what fails leaves nothing, and is named by what was asked for."""

import errno

import pytest

from restoration.errors import RequestError, RestorationError
from restoration.exporting.staging import staged


def test_what_the_block_moves_stays_and_its_folders_too(tmp_path):
    path = tmp_path / "a" / "b" / "c.bin"
    with staged(path) as made:
        assert made.name == "c.bin" and made != path
        made.write_bytes(b"1")
        made.replace(path)
    assert path.read_bytes() == b"1" and [p.name for p in path.parent.iterdir()] == ["c.bin"]


def test_a_full_disk_is_one_line_that_names_the_file_and_nothing_stays(tmp_path):
    path = tmp_path / "a" / "b" / "c.bin"
    with pytest.raises(RestorationError) as caught, staged(path) as made:
        made.write_bytes(b"1")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (
        str(caught.value)
        == f"{path}: could not be written (No space left on device); nothing was left behind"
    )
    assert not list(tmp_path.iterdir())


def test_other_failures_are_passed_on_under_the_name_that_was_asked_for(tmp_path):
    path = tmp_path / "c.bin"
    with pytest.raises(RequestError) as caught, staged(path) as made:
        raise RequestError(f"{made}: no")
    assert str(caught.value) == f"{path}: no" and not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "a").write_text("")
    with (
        pytest.raises(RequestError, match=r"a is a file; expected a folder"),
        staged(tmp_path / "a" / "b" / "c"),
    ):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
