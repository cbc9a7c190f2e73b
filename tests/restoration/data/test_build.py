"""What ``data.images`` may name, and the one line that says what is wrong with it before the run."""

import json
import shutil

import numpy as np
import pytest

from restoration.data import build_source, training_images
from restoration.errors import ConfigError

from .made import picture, ppm


def test_a_list_names_files_below_its_own_folder_or_the_data_root(photos, data, tmp_path, monkeypatch):
    folder = photos()
    monkeypatch.setenv("RESTORATION_DATA", str(folder))
    (tmp_path / "list.txt").write_text(f"photos/0003.png\n\n0001.png\n{folder}/0005.png\n")
    source = build_source(data(tmp_path / "list.txt"))
    assert [path.name for path in source.paths] == ["0003.png", "0001.png", "0005.png"]
    assert training_images(str(tmp_path / "list.txt"), 16) == list(source.paths)


def test_several_sources_are_one(photos, shards, data):
    folder, packed = photos(), shards([{"clean.ppm": ppm(picture(10 + i))} for i in range(5)], 2)
    more = photos("more", 2)
    source = build_source(data([str(folder), str(packed), str(more)]))
    assert len(source) == 13
    for index, number in ((0, 0), (5, 5), (6, 10), (10, 14), (11, 0), (12, 1)):
        assert np.array_equal(source.samples(index), picture(number))
    assert source.blocks.tolist() == [1] * 6 + [2, 2, 1] + [1, 1] and source.joined == 32
    assert source.name(12).endswith("more/0001.png") and source.size(7) == (40, 48)
    # image files alone are one list, in the order in which they always were
    assert len(build_source(data([str(folder), str(more)])).paths) == 8


def test_a_photograph_beside_an_archive_is_a_photograph(photos, shards, data):
    folder, packed = photos(), shards([{"clean.ppm": ppm(picture(1))}], 1)
    shutil.copy(packed / "train-000000.tar", folder)
    (folder / "index.html").write_text("")
    assert len(build_source(data(folder)).paths) == 6


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"images": []}, "data.images: names no folder or file"),
        ({"images": "nowhere"}, 'data.images = "nowhere": no such folder or file (nor {root}/nowhere)'),
        ({"images": "empty"}, 'data.images = "{root}/empty": no images in this folder, nor .tar, .parquet or video files'),
        ({"images": "empty.txt"}, "{root}/empty.txt: names no image; expected a path in each line"),
        ({"images": "wrong.txt"}, "{root}/wrong.txt:2: photos/x.png: no such file"),
        ({"images": "train-{0..3}.tar"}, 'data.images = "{root}/train-{0..3}.tar": matches no file (nor below {root})'),
        ({"images": "x.tar.gz"}, "{root}/x.tar.gz: compressed; expected an uncompressed .tar, which can be read at any place"),
        ({"images": "notes.md"}, "data.images: {root}/notes.md: not a readable image (none of BMP"),
        ({"images": "nothing://bucket/x.tar"}, "nothing://bucket/x.tar: Protocol not known: nothing"),
        ({"images": "memory://nowhere/x.png"}, 'data.images = "memory://nowhere/x.png": expected a URL of .tar or .parquet'),
        ({"images": "photos", "degraded": "nowhere"}, 'data.degraded = "nowhere": no such folder or file'),
        ({"images": "photos", "degraded": "fewer"}, "data.degraded: no partner for 0002.png and 3 more; expected a file"),
        ({"images": "photos", "degraded": "odd"}, "{root}/photos/0004.png: 48x40 pixels, degraded 23x20; expected a scale of 2"),
        ({"images": "photos", "degraded": "twice"}, "data.degraded: 0000.png has several partners: 0000.bmp, 0000.png"),
        ({"images": "packed", "degraded": "fewer"}, 'data.degraded: pairs are image files; "{root}/packed" is not'),
        ({"images": "packed", "frames": 2}, 'data.frames = 2: "{root}/packed" holds no clips; expected video files'),
        ({"images": "photos", "frames": 7}, "{root}/photos: 6 images; expected at least data.frames = 7"),
        ({"images": "mixed", "frames": 3}, "{root}/mixed/1.png: its size is not that of {root}/mixed/0.png; expected one size in a clip"),
        ({"images": ["packed", "pairs"]}, "data.images: some images have degraded partners of one scale, others do not"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(photos, shards, data, tmp_path, monkeypatch, settings, line):
    monkeypatch.setenv("RESTORATION_DATA", str(tmp_path))
    _folders(photos, shards, tmp_path)
    images = settings["images"]
    absolute = [place if "://" in place or place == "nowhere" else str(tmp_path / place) for place in [images] if images] \
        if isinstance(images, str) else [str(tmp_path / place) for place in images]  # fmt: skip
    others = {
        k: str(tmp_path / v) if k == "degraded" and v != "nowhere" else v
        for k, v in settings.items()
        if k != "images"
    }
    with pytest.raises(ConfigError) as error:
        build_source(data(absolute, **others))
    assert str(error.value).startswith(line.replace("{root}", str(tmp_path))) and "\n" not in str(error.value)


def _folders(photos, shards, root) -> None:
    from PIL import Image

    photos()
    for name, numbers in (("fewer", (0, 1)), ("odd", range(6)), ("twice", range(6))):
        (root / name).mkdir()
        for i in numbers:
            width = 23 if (name, i) == ("odd", 4) else 24
            Image.fromarray(picture(i, 20, width)).save(root / name / f"{i:04d}.png")
    Image.fromarray(picture(0, 20, 24)).save(root / "twice" / "0000.bmp")
    (root / "mixed").mkdir()
    for i in range(3):
        Image.fromarray(picture(i, 40 + i, 48)).save(root / "mixed" / f"{i}.png")
    shards([{"clean.ppm": ppm(picture(i))} for i in range(4)], 2, name="packed")
    shards([{"clean.ppm": ppm(picture(0)), "degraded.ppm": ppm(picture(0, 20, 24))}], 1, name="pairs")
    (root / "empty").mkdir()
    (root / "empty.txt").write_text("\n \n")
    (root / "wrong.txt").write_text("photos/0000.png\nphotos/x.png\n")
    (root / "notes.md").write_text("not an image at all")
    (root / "x.tar.gz").write_bytes(b"\x1f\x8b")
    assert json.loads((root / "packed" / "index.json").read_text())["schema"] == 1


def test_damage_is_said_at_the_start_and_skipped_if_so_configured(photos, data):
    folder = photos()
    (folder / "0002.png").write_bytes(b"")
    line = f"{folder}/0002.png: not a readable image (empty file)"
    with pytest.raises(ConfigError) as error:
        build_source(data(folder))
    assert str(error.value) == f"data.images: {line}"
    source = build_source(data(folder, damaged="skip"))
    assert len(source) == 6 and source.remarks == (line,) and [*source.damage] == [2]
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"data.images: no image can be read: .*0000.png"):
        build_source(data(folder, damaged="skip"))


def test_partners_are_matched_by_what_names_share(tmp_path):
    from pathlib import Path

    from restoration.data.pairing import matched

    def named(folder: str, *names: str) -> list[Path]:
        return [tmp_path / folder / name for name in names]

    same = named("lr", "a/1.png", "b/1.png"), named("hr", "a/1.jpg", "b/1.png")
    assert matched(same[1], same[0]) == same[0]  # by the path below the folder
    scaled = named("hr", "baby.png", "bird.png"), named("lr", "birdx4.png", "babyx4.png")
    assert [path.name for path in matched(*scaled)] == ["babyx4.png", "birdx4.png"]
    urban = (
        named("d", "img_001_SRF_4_HR.png", "img_002_SRF_4_HR.png"),
        named("d", "img_001_SRF_4_LR.png", "img_002_SRF_4_LR.png"),
    )
    assert matched(*urban) == urban[1]
    assert (
        matched(named("c", "Canon_001_HR.png"), named("c", "Canon_001_LR4.png"))[0].name
        == "Canon_001_LR4.png"
    )
