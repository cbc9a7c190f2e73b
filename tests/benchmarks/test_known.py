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
    remedies,
    reserved_names,
    reserved_pixels,
    sets_of,
    table,
)
from restoration.errors import RequestError
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
    for name in ("set5", "clips", "films/train", ".cache"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "README.md").write_text("")
    assert other_folders(tmp_path) == ["clips", "films"]
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


HERE = ["set5", "set14", "kodak5", "bsds500", "polyu", "rain4", "levin16", "ceilnet8", "reflection-pairs",
        "reflection-flash", "reflection-alone", "masks-irregular", "masks-large", "vid4-calendar",
        "realsr-ntire2019"]  # fmt: skip


@pytest.mark.parametrize("name", HERE)
def test_the_sets_here_are_complete(data_root, name):
    (holding,) = holdings(data_root, [name], compare=True)
    assert (holding.state, holding.fits, holding.absent) == ("complete", "fit", ())


def test_numbers_and_common_words_with_a_number_tell_no_test_image():
    names = reserved_names()
    assert not {"vid4", "vid4-calendar", "div2k", "celeba-test"} & set(names)
    assert "monarch" in names["live1"] and "kodim01" in names["kodak24"]


def laid(root: Path, name: str, *leaving_out: str) -> list[Path]:
    made = []
    for file in manifest(name):
        path = root / file
        if path.name not in leaving_out:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(shipped("chelsea.png"), path)
            made.append(path)
    return made


def test_files_that_are_not_the_published_ones_are_named(tmp_path):
    made = laid(tmp_path, "kodak5", "kodim07.png")
    (held,) = holdings(tmp_path, ["kodak5"], compare=True)
    assert (held.state, held.known, held.fits) == ("partly", 4, "4 of 4 differ")
    assert held.absent == ("kodak5/kodim07.png",)
    assert held.other == tuple(path.relative_to(tmp_path).as_posix() for path in made)
    assert remedies(held, tmp_path, 2) == [
        "kodak5: missing: kodak5/kodim07.png",
        "kodak5: not the published files: kodak5/kodim01.png, kodak5/kodim02.png and 2 more",
        f"kodak5: put them in {tmp_path}/kodak5; get: https://github.com/cszn/FFDNet (testsets/Kodak24)",
        f"kodak5: licence: {held.licence}",
    ]


def test_a_file_in_another_encoding_fits_by_its_pixels(data_root, tmp_path):
    from PIL import Image

    (tmp_path / "kodak5").mkdir()
    for number in ("01", "02"):
        Image.open(data_root / f"kodak5/kodim{number}.png").save(tmp_path / f"kodak5/kodim{number}.bmp")
    (held,) = holdings(tmp_path, ["kodak5"], compare=True)
    assert (held.here, held.known, held.other) == (2, 2, ())


def test_sets_without_names_are_counted(tmp_path):
    folder = tmp_path / "reflection" / "real20"
    for part, count in (("blended", 20), ("transmission_layer", 7)):
        (folder / part).mkdir(parents=True)
        for i in range(count):
            shutil.copy(shipped("chelsea.png"), folder / part / f"{i}.png")
    (held,) = holdings(tmp_path, ["real20"], compare=True)
    assert (held.here, held.total, held.fits) == (27, 40, "no hashes to compare")
    assert held.absent == ("reflection/real20/transmission_layer/*.jpg",) and not held.renamed


def test_the_sets_of_a_protocol():
    assert sets_of("set5") == ["set5"] and sets_of("set5-x4") == ["set5"]
    assert sets_of("masks-irregular") == ["bsds500", "masks-irregular"]
    with pytest.raises(RequestError) as caught:
        sets_of("polyuu")
    assert str(caught.value) == "data status: unknown data set or protocol 'polyuu'; did you mean 'polyu'?"


def test_the_table_is_aligned_under_its_headings(tmp_path):
    head, *rows = table(holdings(tmp_path, ["set5", "photos"], compare=True))
    assert head.split() == ["set", "state", "files", "hashes", "folder", "licence;", "source"]
    assert [row.split()[:3] for row in rows] == [["set5", "missing", "0/20"], ["photos", "complete", "7/7"]]
    column = head.index("licence")
    assert all(row[column - 2 : column] == "  " and row[column] != " " for row in rows)
