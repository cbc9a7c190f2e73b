"""What is known of data sets: which are here, and the names and pixels that tell test images."""

import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from restoration.benchmarks.datasets import manifest, pixels_sha256
from restoration.benchmarks.known import (
    BSD100,
    datasets,
    holdings,
    other_folders,
    published_files,
    reserved_names,
    reserved_pixels,
)
from restoration.image import find_images, read_samples


def test_bsd100_is_a_hundred_images_and_no_training_image_here(data_root):
    assert len(BSD100) == 100
    here = {path.stem for path in find_images(data_root / "bsds500")}
    assert len(here) == 399 and not here & BSD100


def test_every_manifest_is_a_data_set():
    assert {"bsd100", "set5", "urban100", "photos"} <= set(datasets())
    assert all(manifest(name) for name in datasets())


def test_names_of_a_set_within_another_are_told_once():
    names = reserved_names()
    assert "kodak24" in names and "kodak5" not in names and "photos" not in names
    assert names["set5"] == {"baby", "bird", "butterfly", "head", "woman"}


def test_pixels_are_those_of_the_files(data_root):
    known = reserved_pixels()
    for name in ("set5/HR/baby.png", "set14/LR_bicubic_x4/zebrax4.png", "bsds500/dev30/100007.jpg"):
        assert known[pixels_sha256(read_samples(data_root / name))] == name


def test_folders_that_no_manifest_names_are_the_others(tmp_path):
    assert "set5/HR/baby.png" in published_files() and not any(
        "photos/" in file for file in published_files()
    )
    for name in ("set5", "masks", "derain/train", ".cache"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "README.md").write_text("")
    assert other_folders(tmp_path) == ["derain", "masks"]
    assert other_folders(tmp_path / "none") == []


def shipped(name: str) -> Path:
    return Path(str(files("restoration"))) / "photos" / name


def test_a_data_root_without_images_holds_only_what_is_shipped(tmp_path):
    states = {holding.name: holding.state for holding in holdings(tmp_path)}
    assert states.pop("photos") == "complete" and set(states.values()) == {"missing"}


def test_sets_are_complete_partly_here_or_missing(tmp_path):
    for folder in ("set5/HR", "set12", "kodak5"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("baby.png", "bird.png"):
        shutil.copy(shipped("chelsea.png"), tmp_path / "set5" / "HR" / name)
    for i in range(1, 13):  # other names than the manifest's 01.png
        shutil.copy(shipped("chelsea.png"), tmp_path / "set12" / f"picture{i}.png")
    for record in manifest("kodak5").values():  # another encoding
        shutil.copy(shipped("china.jpg"), (tmp_path / record.file).with_suffix(".jpg"))
    found = {holding.name: holding for holding in holdings(tmp_path)}
    assert [(h.state, h.here, h.total, h.renamed) for h in (found["set5"], found["set12"], found["kodak5"])] == [
        ("partly", 2, 20, False), ("complete", 12, 12, True), ("complete", 5, 5, False),
    ]  # fmt: skip
    assert found["set5"].licence == "none stated; used for research by custom"
    assert found["set5"].source == "https://github.com/zhaohengyuan1/PAN"


@pytest.mark.parametrize("name", ["set5", "set14", "kodak5", "bsds500"])
def test_the_sets_here_are_complete(data_root, name):
    assert next(h for h in holdings(data_root) if h.name == name).state == "complete"
