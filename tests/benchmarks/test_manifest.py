"""Manifests: every line is sound, ranges and stars stand for the files that they should."""

import re
from pathlib import Path

import pytest

from restoration.benchmarks.manifest import (
    bare_suffix,
    datasets,
    lines,
    manifest,
    matcher,
    records,
    spelled_out,
    total,
)
from restoration.image import IMAGE_SUFFIXES


@pytest.mark.parametrize(
    "file, names",
    [
        ("a/b.png", ["a/b.png"]),
        ("a/{1..3}.png", ["a/1.png", "a/2.png", "a/3.png"]),
        ("{098..101}.png", ["098.png", "099.png", "100.png", "101.png"]),
        ("im{1..2}_k{8..9}.png", ["im1_k8.png", "im1_k9.png", "im2_k8.png", "im2_k9.png"]),
        ("a/*_{1..2}.png", ["a/*_1.png", "a/*_2.png"]),
    ],
)
def test_ranges_stand_for_numbers_padded_as_the_first_is(file, names):
    assert list(spelled_out(file)) == names


@pytest.mark.parametrize("name", datasets())
def test_every_line_of_a_manifest_is_sound(name):
    assert lines(name), name
    for line in lines(name):
        assert line.file.lower().endswith(IMAGE_SUFFIXES), line.file
        assert ("*" in line.file) == bool(line.count) and line.named == (not line.count), line.file
        assert not line.count or int(line.count) > 1, line.file
        assert line.licence and line.source, line.file
        assert line.source.startswith("https://") or " wheel " in line.source, line.source
        assert re.fullmatch(r"[0-9a-f]{64}|", line.sha256) and re.fullmatch(
            r"[0-9a-f]{64}|", line.pixels_sha256
        )
        assert bool(line.sha256) == bool(line.pixels_sha256), line.file
        assert line.channels in ("1", "3", "4") and bool(line.width) == bool(line.height), line.file
        assert not line.width or int(line.width) * int(line.height) > 0, line.file
        assert bool(line.bytes) == bool(line.sha256), line.file
        assert not line.bytes or int(line.bytes) > 0, line.file


def test_no_folder_belongs_to_two_sets():
    owner = {}
    for name in datasets():
        for file in manifest(name):
            assert owner.setdefault(Path(file).parent, name) == name, file


def test_records_of_a_file_a_folder_and_a_pattern():
    assert [r.file for r in records("set5/HR/baby.png")] == ["set5/HR/baby.png"]
    assert len(records("set5/HR")) == 5 and len(records("set5")) == 20
    assert {r.file for r in records("set5/HR/b*.png")} == {
        f"set5/HR/{n}.png" for n in ("baby", "bird", "butterfly")
    }
    assert records("set5/H") == [] and records("nowhere") == []


def test_unnamed_files_are_counted():
    (clean,) = records("celeba-test/HQ")
    assert not clean.named and clean.amount == 3000 and total(records("celeba-test")) == 6000
    assert total(records("vid4/GT/*/*.png")) == 41 + 34 + 49 + 47


def test_a_star_is_text_within_one_name_whatever_the_encoding():
    fits = matcher("a/im*_kernel*_img.png")
    assert fits.fullmatch(bare_suffix("a/IM1_kernel8_img.BMP")).groups() == ("1", "8")
    assert fits.fullmatch("a/im1/x_kernel8_img") is None and fits.fullmatch("a/im_kernel8_img") is None
    assert bare_suffix("a/b.c") == "a/b.c"
