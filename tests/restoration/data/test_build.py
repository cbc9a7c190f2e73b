"""What ``data.images`` may name, and the one line that says what is wrong with it before the run."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restoration.data import build_source, training_images
from restoration.data.files import upright_size
from restoration.errors import ConfigError
from restoration.image import read_samples

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


def test_a_folder_of_several_kinds_is_refused_with_their_counts(photos, shards, data):
    folder = photos(count=2)
    packed = shards([{"clean.ppm": ppm(picture(i))} for i in range(4)], 2)
    shutil.copy(folder / "0000.png", packed / "preview.png")
    tail = "expected files of one kind, or a pattern such as *.tar, *.parquet or *.png"
    with pytest.raises(ConfigError, match=rf"shards\": holds 3 shards and 1 image; {re.escape(tail)}$"):
        build_source(data(packed))
    assert len(build_source(data(f"{packed}/*.tar"))) == 4
    (packed / "index.json").unlink()
    with pytest.raises(ConfigError, match=r"holds 2 shards and 1 image; "):
        build_source(data(packed))
    (packed / "preview.png").unlink()
    (packed / "table.parquet").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"holds 2 shards and 1 table; "):
        build_source(data(packed))


def test_what_lies_below_a_folder_of_shards_is_beside_the_point(shards, data):
    packed = shards([{"clean.ppm": ppm(picture(i))} for i in range(4)], 2, index=False)
    (packed / "assets").mkdir()
    for i in range(3):
        Image.fromarray(picture(i)).save(packed / "assets" / f"logo{i}.png")
    assert len(build_source(data(packed)).files) == 2


def test_a_pattern_that_matches_folders_takes_their_images(photos, data, tmp_path):
    first, second = photos("gl/a", 2), photos("gl/b", 3)
    small = [photos(f"small/{name}", count, height=20, width=24) for name, count in (("a", 2), ("b", 3))]
    source = build_source(data(f"{tmp_path}/gl/*", degraded=f"{tmp_path}/small/*", shifted="keep"))
    assert source.paths == (*sorted(first.iterdir()), *sorted(second.iterdir()))
    assert source.partners == (*sorted(small[0].iterdir()), *sorted(small[1].iterdir())) and source.scale == 2
    some = build_source(data(f"{tmp_path}/gl/a/*.png", degraded=f"{tmp_path}/small/a/*.png", shifted="keep"))
    assert len(some) == 2
    with pytest.raises(ConfigError, match=r'^data.degraded = ".*/none/\*": matches no file'):
        build_source(data(f"{tmp_path}/gl/*", degraded=f"{tmp_path}/none/*"))


def test_a_pair_that_is_listed_twice_is_seen_twice(photos, data, tmp_path):
    photos(), photos("small", height=20, width=24)
    (tmp_path / "hr.txt").write_text("photos/0000.png\nphotos/0001.png\nphotos/0000.png\n")
    (tmp_path / "lr.txt").write_text("small/0000.png\nsmall/0001.png\nsmall/0000.png\n")
    source = build_source(data(tmp_path / "hr.txt", degraded=str(tmp_path / "lr.txt"), shifted="keep"))
    assert [path.name for path in source.partners] == ["0000.png", "0001.png", "0000.png"]


def test_a_missing_file_of_a_list_stops_or_is_damage(photos, data, tmp_path):
    photos(), photos("small", height=20, width=24)
    (tmp_path / "list.txt").write_text("photos/0000.png\nphotos/gone.png\nphotos/0001.png\n")
    with pytest.raises(ConfigError, match=r"list.txt:2: photos/gone.png: no such file"):
        build_source(data(tmp_path / "list.txt"))
    source = build_source(data(tmp_path / "list.txt", damaged="skip"))
    assert len(source) == 3 and [*source.damage] == [1] and "gone.png: cannot be read" in source.remarks[0]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_sizes_are_those_of_the_upright_samples(tmp_path, orientation, suffix):
    path, exif = tmp_path / f"x{suffix}", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture(0)).save(path, exif=exif.tobytes() if suffix != ".tif" else exif)
    expected = (48, 40) if orientation > 4 else (40, 48)
    assert upright_size(path) == expected == read_samples(path).shape[:2]


def test_pairs_whose_clean_image_lies_on_its_side_have_their_scale(tmp_path, data):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, size in (("hr", (40, 48)), ("lr", (24, 20))):
        (tmp_path / name).mkdir()
        samples = picture(0, *size)
        Image.fromarray(samples).save(tmp_path / name / "0.jpg", **({"exif": exif} if name == "hr" else {}))
    source = build_source(data(tmp_path / "hr", degraded=str(tmp_path / "lr"), shifted="keep"))
    assert source.scale == 2 and source.sizes.tolist() == [[48, 40]] and source.size(0) == (48, 40)


@pytest.mark.parametrize("ranks", [1, 4])
def test_the_ranks_of_a_machine_share_the_cache(photos, data, monkeypatch, ranks):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    assert build_source(data(photos(), cache=2.0))._decoded.budget == 2 * 2**30 // ranks


def test_columns_of_what_is_no_table_are_refused(photos, data):
    with pytest.raises(ConfigError, match=r'^data.columns: ".*photos" is no table; expected .parquet files'):
        build_source(data(photos(), columns=("clean",)))


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
        ({"images": "photos", "degraded": "fewer"}, "data.degraded: no partner for 0002.png and 3 more; expected a file of "
         "the same name, or one that ends in x4, _LR or _lq, among 2 files such as 0000.png"),
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


def test_partners_are_matched_whether_paths_are_absolute_or_not(tmp_path, monkeypatch):
    from restoration.data.pairing import matched

    monkeypatch.chdir(tmp_path)
    clean = [Path("hr/a/1.png"), tmp_path / "hr/b/1.png"]
    degraded = [tmp_path / "lr/b/1.png", Path("lr/a/1.png")]
    assert matched(clean, degraded) == degraded[::-1]
    with pytest.raises(
        ConfigError, match=r"^--degraded: no partner for 2.png; expected a file of the same name"
    ):
        matched([Path("hr/2.png")], degraded, "--degraded")
