"""The commands about data: what they print, their exit codes, and what a wrong request gets."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restoration.cli_data import data
from restoration.errors import RestorationError


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESTORATION_DATA", str(tmp_path / "root"))

    def run(*words: object) -> tuple[int, str, str]:
        try:
            code = data([str(word) for word in words], standalone_mode=False) or 0
        except RestorationError as error:
            capsys.readouterr()
            return error.exit_code, "", str(error)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for folder, side in (("photos", 80), ("small", 20)):
        (tmp_path / folder).mkdir()
        for i in range(3):
            rng = np.random.default_rng(i)
            image = Image.fromarray(rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)).resize(
                (100, side), Image.BICUBIC
            )
            image = image.resize((25, 20), Image.BOX) if side == 20 else image
            image.save(tmp_path / folder / f"{i}.png")
    for i in range(3):
        whole = Image.open(tmp_path / "photos" / f"{i}.png")
        whole.resize((25, 20), Image.LANCZOS).save(tmp_path / "small" / f"{i}x4.png")
        (tmp_path / "small" / f"{i}.png").unlink()
    return tmp_path / "photos"


def test_pack_says_what_it_made_and_again_that_it_is_there(command, photos):
    code, out, err = command("pack", "photos", "shards", "--tile", "32")
    assert (code, err) == (0, "")
    assert out.startswith("shards: 3 images, 36 tiles, 1 shard, 0.1 MB in ")
    again = command("pack", "photos", "shards", "--tile", "32")
    assert again == (0, "shards: already packed: 3 images, 36 tiles, 1 shard, 0.1 MB\n", "")
    assert command("pack", "photos", "shards", "--tile", "64")[0] == 2


def test_pack_makes_pairs(command, photos):
    code, out, _ = command("pack", "photos", "shards", "--degraded", "small", "--tile", "32", "--json")
    found = json.loads(out)
    assert code == 0 and (found["scale"], found["images"], found["tiles"]) == (4, 3, 36)
    index = json.loads((photos.parent / "shards" / "index.json").read_text())
    assert set(index["shards"][0]["samples"][0]["parts"]) == {"clean.ppm", "degraded.ppm"}


def test_pack_names_what_it_could_not_read(command, photos):
    path = photos / "1.png"
    path.write_bytes(path.read_bytes()[:-2000])
    code, out, err = command("pack", "photos", "shards", "--shard-size", "1", "--tile", "off")
    assert code == 1 and out.startswith("shards: 2 images, 2 tiles, 2 shards, 0.1 MB in ")
    assert err.startswith("restoration: photos/1.png: not a readable image (truncated after ")
    assert err.endswith("; left out\n")
    again = command("pack", "photos", "shards", "--shard-size", "1", "--tile", "off")
    assert again[0] == 1 and again[1].startswith("shards: already packed: 2 images") and again[2] == err


@pytest.mark.parametrize(
    ("large", "small"), [("a/{}.png", "a/{}.png"), ("{}_HR.png", "{}_LR4.png"), ("{}.png", "{}_lq.png")]
)
def test_pack_pairs_as_training_does(command, photos, large, small):
    for i in range(3):
        for old, new in (
            (photos / f"{i}.png", f"hr/{large}"),
            (photos.parent / f"small/{i}x4.png", f"lr/{small}"),
        ):
            path = photos.parent / new.format(f"{i:03d}")
            path.parent.mkdir(parents=True, exist_ok=True)
            old.rename(path)
    if "/" in large:  # the same names below another folder
        for side in ("hr", "lr"):
            shutil.copytree(photos.parent / side / "a", photos.parent / side / "b")
    code, out, err = command("pack", "hr", "shards", "--degraded", "lr", "--tile", "32", "--json")
    assert (code, err) == (0, "") and json.loads(out)["images"] == (6 if "/" in large else 3)
    assert command("identify", "lr", "hr")[1].startswith("Pillow lanczos ×4, exact on ")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("pack", "nowhere", "out"), "nowhere: no such folder"),
        (("pack", "photos", "out", "--tile", "x"), "--tile x: expected off or a number of pixels"),
        (("pack", "photos", "out", "--degraded", "root"), "root: no such folder"),
        (("pack", "photos", "out", "--shard-size", "many"), "--shard-size many: expected bytes such as 512MB, or a number of samples"),
        (("check", "nowhere"), "nowhere: no such folder"),
        (("identify", "other", "photos"), "other: none of 1 files such as q.png has the name of one of 3 clean files such as 0.png"),
    ],
)  # fmt: skip
def test_wrong_requests_get_one_line_and_nothing_is_written(command, photos, words, line):
    (photos.parent / "other").mkdir()
    shutil.copy(photos / "0.png", photos.parent / "other" / "q.png")
    code, _, err = command(*words)
    assert (code, err) == (2, line) and not (photos.parent / "out").exists()


def test_pairs_without_a_partner_are_named(command, photos):
    (photos.parent / "small" / "1x4.png").unlink()
    code, _, line = command("pack", "photos", "out", "--degraded", "small")
    assert code == 2 and line.startswith("--degraded small: no partner for 1.png")


def test_check_finds_nothing_wrong(command, photos):
    assert command("check", "photos") == (0, "3 files: nothing wrong\n", "")


def test_check_names_what_is_wrong(command, photos):
    test = photos.parent / "test"
    test.mkdir()
    Image.open(photos / "0.png").save(test / "t.jpg", quality=75)
    Image.open(photos / "2.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / "101085.png")
    (photos / "broken.png").write_bytes(b"")
    code, out, err = command("check", "photos", "--against", "test")
    assert code == 1
    broken, leak, named = err.splitlines()
    assert broken == "restoration: photos/broken.png: not a readable image (empty file)"
    assert leak.startswith(
        "restoration: photos/0.png: is test image test/t.jpg: same picture, other pixels (likeness "
    )
    twice, total = out.splitlines()
    assert twice.startswith("twice  photos/2.png: mirrored left to right as photos/101085.png (likeness ")
    assert named == "restoration: 1 file named as those of test set bsd100 (BSDS500's val): 101085.png"
    assert total == "6 files: 1 broken, 1 twice, 1 of a test set, 1 named as of a test set"
    code, out, _ = command("check", "photos", "--against", "test", "--json")
    found = json.loads(out)
    assert code == 1 and found["leaks"][0]["other"] == "test/t.jpg" and found["files"] == 6
    assert list(found["named"].values()) == [["photos/101085.png"]]
    code, out, err = command("check", "photos", "--against", "test", "--quiet")
    assert (code, out, len(err.splitlines())) == (1, "", 3)
    (photos / "broken.png").unlink()
    code, out, err = command("check", "photos")
    assert code == 1 and err.splitlines() == [named]


def test_check_says_what_pairs_were_made_with(command, photos):
    code, out, _ = command("check", "photos", "--pairs", "small")
    assert code == 0 and out.startswith("made with Pillow lanczos ×4, exact on 3/3")
    found = json.loads(command("check", "photos", "--pairs", "small", "--json")[1])
    assert found["pairs"]["ranking"][0]["way"] == "Pillow lanczos ×4"


def test_identify_pairs_by_name_else_by_order(command, photos):
    code, out, _ = command("identify", "small", "photos")
    assert code == 0 and out.startswith("Pillow lanczos ×4, exact on 3/3")
    for i, path in enumerate(sorted((photos.parent / "small").iterdir())):
        path.rename(path.with_name(f"frame{'abc'[i]}.png"))
    line = command("identify", "small", "photos")[1]
    assert line.endswith("; pairs are by order: no names agree\n")
    found = json.loads(command("identify", "small", "photos", "--json")[1])
    assert found["by_order"]
    assert (found["scale"], found["pairs"], found["ranking"][0]["exact"]) == (4, 3, 3)
    assert found["ranking"][0]["psnr"] is None  # infinite


def test_folders_may_be_named_below_the_data_root(command, photos):
    shutil.move(str(photos), str(photos.parent / "root" / "mine"))
    assert command("check", "mine") == (0, "3 files: nothing wrong\n", "")


def test_status_has_one_line_for_each_set_and_a_total(command, tmp_path):
    code, out, _ = command("status")
    _, *lines, total = out.splitlines()
    assert code == 0 and total == f"1 complete, 0 partly, {len(lines) - 1} missing in {tmp_path}/root"
    line = next(line for line in lines if line.startswith("set5 "))
    assert line.split(maxsplit=3)[:3] == ["set5", "missing", "0/20"]
    assert line.endswith("none stated; used for research by custom; https://github.com/zhaohengyuan1/PAN")
    found = json.loads(command("status", "--json")[1])
    assert found["missing"] == len(lines) - 1 and len(found["sets"]) == len(lines) > 40
    (tmp_path / "clips").mkdir()
    (tmp_path / "set5").mkdir()
    elsewhere = command("status", "--data", str(tmp_path))[1]
    assert elsewhere.endswith(f" missing in {tmp_path}\n")
    assert elsewhere.splitlines()[-2] == "other folders here, without a manifest: clips"
    assert json.loads(command("status", "--data", str(tmp_path), "--json")[1])["others"] == ["clips"]
    assert command("status", "--data", "/nope") == (2, "", "--data /nope: no such folder")


def test_status_of_named_sets_says_what_to_do_and_exits_with_one(command, tmp_path):
    code, out, _ = command("status", "set5-x4", "photos")
    assert code == 1
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["set5", "photos"]
    assert lines[3].startswith("set5: missing: set5/HR/baby.png, ")
    assert lines[4].startswith(
        f"set5: put them in {tmp_path}/root/set5; get: https://github.com/zhaohengyuan1/PAN ("
    )
    assert lines[-1] == f"1 complete, 0 partly, 1 missing in {tmp_path}/root"
    assert command("status", "photos")[0] == 0
    found = json.loads(command("status", "polyu", "--json")[1])
    (one,) = found["sets"]
    assert one["state"] == "missing" and len(one["absent"]) == 24 and one["licence"] and one["get"]
    code, out, error = command("status", "polyuu")
    assert (code, out) == (2, "")
    assert error == "data status: unknown data set or protocol 'polyuu'; did you mean 'polyu'?"
