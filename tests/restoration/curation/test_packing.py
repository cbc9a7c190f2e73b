"""Shards: tiles that cover the image, the same bytes however they are made, nothing half done that looks whole."""

import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restoration.curation import packing
from restoration.curation.claiming import LOCK
from restoration.curation.cutting import Cut, Item, detail, starts, tiles, usual_scale, whole_scale
from restoration.curation.packing import pack
from restoration.curation.sharding import Limit, parse_limit
from restoration.errors import ImageError, RequestError
from restoration.image import Picture, read_samples, write

SIZES = [(70, 90), (64, 64), (33, 130), (20, 25)]


def samples(number: int, size: tuple[int, int], channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(number)
    return rng.integers(0, np.iinfo(dtype).max, (*size, channels), dtype, endpoint=True)


def item(folder: Path, name: str, image: np.ndarray, degraded: np.ndarray | None = None) -> Item:
    paths = [folder / name] + ([folder / "degraded" / name] if degraded is not None else [])
    for path, values in zip(paths, (image, degraded), strict=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, Picture(np.ascontiguousarray(values)))
    return Item(name, *paths)


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    return [item(tmp_path / "in", f"{i}.photo.png", samples(i, size)) for i, size in enumerate(SIZES)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def members(out: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as tar:
            found |= {m.name: tar.extractfile(m).read() for m in tar}
    return found


def rebuilt(out: Path, number: int, like: np.ndarray, part: str = "clean", scale: int = 1) -> np.ndarray:
    """Put the tiles of one image back where their keys say; what no tile covers stays at one value of its own."""
    canvas = np.full_like(like, 7)
    covered = np.zeros(like.shape[:2], bool)
    for name, data in members(out).items():
        key, kind, _ = name.split(".")
        if kind == part and int(key.split("-")[0]) == number:
            top, left = (int(place) // scale for place in key.split("-")[-2:])
            tile = read_bytes(data)
            rows, columns = slice(top, top + tile.shape[0]), slice(left, left + tile.shape[1])
            canvas[rows, columns], covered[rows, columns] = tile, True
    assert covered.all()
    return canvas


def read_bytes(data: bytes) -> np.ndarray:
    """Read a binary PGM or PPM by its definition, independently of the reader under test."""
    kind, width, height, peak = data.split(maxsplit=4)[:4]
    body = data[len(b" ".join([kind, width, height, peak])) + 1 :]
    dtype = ">u2" if int(peak) > 255 else "u1"
    return np.frombuffer(body, dtype).reshape(int(height), int(width), 3 if kind == b"P6" else 1)


@pytest.mark.parametrize("stride", [None, 16])
@pytest.mark.parametrize(
    ("channels", "dtype"), [(3, np.uint8), (1, np.uint8), (3, np.uint16), (1, np.uint16)]
)
def test_tiles_cover_every_image_and_hold_its_samples(tmp_path, stride, channels, dtype):
    images = [samples(i, size, channels, dtype) for i, size in enumerate(SIZES)]
    made = [item(tmp_path / "in", f"{i}.png", image) for i, image in enumerate(images)]
    packed = pack(made, tmp_path / "out", Cut(32, stride))
    for number, image in enumerate(images):
        assert np.array_equal(rebuilt(tmp_path / "out", number, image), image)
    assert packed.images == 4 and packed.tiles == len(members(tmp_path / "out"))


@pytest.mark.parametrize(
    ("length", "tile", "stride", "expected"),
    [(100, 32, 32, [0, 32, 64, 68]), (96, 32, 32, [0, 32, 64]), (32, 32, 32, [0]), (20, 32, 32, [0]), (50, 32, 8, [0, 8, 16, 18])],
)  # fmt: skip
def test_the_last_tile_is_shifted_inward(length, tile, stride, expected):
    assert starts(length, tile, stride) == expected


@pytest.mark.parametrize(
    ("clean", "degraded", "scale"),
    [((100, 80), (25, 20), 4), ((103, 81), (25, 20), 4), ((103, 81), (26, 21), 4), ((100, 80), (25, 21), None), ((96, 96), (64, 64), None), ((64, 48), (64, 48), 1), ((5, 5), (2, 2), 2), ((95, 95), (11, 11), 8), ((361, 250), (22, 15), 16), ((9, 9), (1, 1), 9)],
)  # fmt: skip
def test_a_scale_is_a_whole_number_that_both_sides_share(clean, degraded, scale):
    assert whole_scale(clean, degraded) == scale


def test_the_usual_scale_is_the_one_that_fits_most():
    assert (
        usual_scale([((11, 11), (3, 3)), ((30, 30), (10, 10)), ((20, 20), (5, 5)), ((33, 30), (11, 10))]) == 3
    )
    assert usual_scale([((95, 95), (11, 11)), ((99, 99), (11, 11))]) == 9
    assert usual_scale([((96, 96), (64, 64))]) is None and usual_scale([]) is None


def test_small_images_of_a_set_are_packed_at_its_scale(tmp_path):
    sizes = [((90, 90), (10, 10)), ((180, 99), (20, 11)), ((95, 95), (11, 11))]
    pairs = [(samples(i, clean), samples(i, small)) for i, (clean, small) in enumerate(sizes)]
    made = [item(tmp_path / "in", f"{i}.png", *pair) for i, pair in enumerate(pairs)]
    packed = pack(made, tmp_path / "out", Cut(45))
    assert packed.scale == 9 and not packed.failed


def test_tiles_of_pairs_are_aligned_and_clean_is_cropped_to_whole_pixels(tmp_path):
    images = [samples(i, size) for i, size in enumerate([(71, 90), (40, 66)])]
    small = [image[: image.shape[0] // 3 * 3 : 3, : image.shape[1] // 3 * 3 : 3] for image in images]
    made = [
        item(tmp_path / "in", f"{i}.png", *pair) for i, pair in enumerate(zip(images, small, strict=True))
    ]
    packed = pack(made, tmp_path / "out", Cut(24))
    found = members(tmp_path / "out")
    assert packed.scale == 3
    for name in (name for name in found if ".clean." in name):
        clean, degraded = read_bytes(found[name]), read_bytes(found[name.replace("clean", "degraded")])
        assert np.array_equal(clean[::3, ::3], degraded)
    for number, image in enumerate(small):
        assert np.array_equal(rebuilt(tmp_path / "out", number, image, "degraded", 3), image)


def test_a_pair_of_another_scale_is_named_and_the_rest_is_packed(tmp_path):
    pairs = [(samples(0, (40, 40)), samples(0, (20, 20))), (samples(1, (40, 40)), samples(1, (20, 20))), (samples(2, (40, 40)), samples(2, (10, 10)))]  # fmt: skip
    made = [item(tmp_path / "in", f"{i}.png", *pair) for i, pair in enumerate(pairs)]
    packed = pack(made, tmp_path / "out", Cut(32))
    folder = tmp_path / "in"
    assert packed.failed == {
        "2.png": f"{folder}/2.png: 40x40 against 10x10 pixels of {folder}/degraded/2.png; expected the scale 2"
    }
    assert packed.images == 2


def test_the_bytes_do_not_depend_on_workers(items, tmp_path):
    for workers in (1, 2, 5):
        pack(items, tmp_path / str(workers), Cut(32), limit=Limit(20_000), workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "5")
    assert len(contents(tmp_path / "1")) > 3


def test_the_index_tells_where_every_part_lies(items, tmp_path):
    out = tmp_path / "out"
    packed = pack(items, out, Cut(32), limit=Limit(30_000), source="photos")
    index = json.loads((out / "index.json").read_text())
    assert (
        index["schema"] == 1
        and index["source"] == "photos"
        and index["tile"] == 32
        and index["scale"] is None
    )
    assert index["images"] == [i.name for i in items] and index["count"] == packed.tiles
    found = members(out)
    for shard in index["shards"]:
        data = (out / shard["file"]).read_bytes()
        assert len(data) == shard["bytes"] <= 30_000
        assert hashlib.sha256(data).hexdigest() == shard["sha256"]
        for sample in shard["samples"]:
            assert "." not in sample["key"]
            for part, (offset, size) in sample["parts"].items():
                part_data = data[offset : offset + size]
                assert part_data == found.pop(f"{sample['key']}.{part}")
                assert list(read_bytes(part_data).shape[:2]) == sample["size"]
    assert not found


def test_members_are_sorted_and_without_time_and_owner(items, tmp_path):
    pack(items, tmp_path / "out", Cut(32))
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as tar:
        found = tar.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in found} == {(0, 0, 0, "", 0o644)}
    keys = [m.name.split("-")[0] for m in found]
    assert keys == sorted(keys)


def test_a_shard_ends_after_so_many_samples(items, tmp_path):
    packed = pack(items, tmp_path / "out", Cut(32), limit=Limit(None, 5))
    assert [len(shard["samples"]) for shard in packed.shards] == [5] * (packed.tiles // 5) + [
        packed.tiles % 5
    ]


def interrupt_at(monkeypatch, number: int, calls: list[int]) -> None:
    def interrupted(item: Item, place: int, cut: Cut):
        calls.append(place)
        if place == number:
            raise KeyboardInterrupt
        return tiles(item, place, cut)

    monkeypatch.setattr(packing, "tiles", interrupted)


def test_an_interrupted_pack_leaves_no_shard_and_goes_on_after_the_last_full_one(
    items, tmp_path, monkeypatch
):
    whole, out, notes = tmp_path / "whole", tmp_path / "out", []
    limit = Limit(None, 4)
    expected = pack(items, whole, Cut(32), limit=limit, source="s")
    interrupt_at(monkeypatch, 2, [])
    with pytest.raises(KeyboardInterrupt):
        pack(items, out, Cut(32), limit=limit, source="s", workers=1)
    assert not list(out.glob("*.tar")) and not (out / "index.json").exists()
    interrupt_at(monkeypatch, -1, calls := [])
    packed = pack(items, out, Cut(32), limit=limit, source="s", workers=1, note=notes.append)
    assert contents(out) == contents(whole)
    assert (packed.images, packed.tiles) == (expected.images, expected.tiles)
    assert notes == [f"{out}: goes on after 3 full shards, 12 tiles"]
    assert min(calls) == 1  # the first image was not cut again


def test_a_pack_goes_on_whatever_was_lost_of_it(items, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole", tmp_path / "out"
    pack(items, whole, Cut(32), limit=Limit(None, 4))
    for damage in ("torn line", "missing shard", "short shard", "named shards"):
        interrupt_at(monkeypatch, 3, [])
        with pytest.raises(KeyboardInterrupt):
            pack(items, out, Cut(32), limit=Limit(None, 4), workers=1)
        journal, second = out / "packing.jsonl", out / "train-000001.tar.part"
        if damage == "torn line":
            journal.write_text(journal.read_text()[:-40])
        elif damage == "missing shard":
            second.unlink()
        elif damage == "short shard":
            second.write_bytes(second.read_bytes()[:-600])
        else:
            for path in out.glob("*.part"):
                path.rename(path.with_suffix(""))
        monkeypatch.setattr(packing, "tiles", tiles)
        pack(items, out, Cut(32), limit=Limit(None, 4))
        assert contents(out) == contents(whole), damage
        for path in out.iterdir():
            path.unlink()


def test_an_unfinished_pack_of_other_settings_is_begun_anew(items, tmp_path, monkeypatch):
    out, notes = tmp_path / "out", []
    interrupt_at(monkeypatch, 2, [])
    with pytest.raises(KeyboardInterrupt):
        pack(items, out, Cut(16), limit=Limit(None, 4), workers=1)
    monkeypatch.setattr(packing, "tiles", tiles)
    pack(items, out, Cut(32), note=notes.append)
    pack(items, tmp_path / "whole", Cut(32))
    assert contents(out) == contents(tmp_path / "whole")
    assert notes == [f"{out}: an unfinished pack of other images or settings is begun anew"]


def test_a_finished_pack_is_kept_and_one_of_other_settings_refused(items, tmp_path):
    out = tmp_path / "out"
    first = pack(items, out, Cut(32))
    before = contents(out)
    again = pack(items, out, Cut(32), source="elsewhere")
    assert again.already and (again.images, again.tiles, again.bytes) == (
        first.images,
        first.tiles,
        first.bytes,
    )
    with pytest.raises(RequestError) as refused:
        pack(items, out, Cut(64, 16))
    line = f"{out}: holds a finished pack with tile = 32 (now 64), stride = None (now 16); choose another folder, or delete it"
    assert str(refused.value) == line
    assert contents(out) == before


def test_a_folder_that_holds_something_else_is_refused(items, tmp_path):
    with pytest.raises(RequestError, match=r"is not empty and holds no index\.json"):
        pack(items, tmp_path / "in", Cut(32))


def test_unreadable_images_are_named_and_the_rest_is_packed(items, tmp_path):
    broken = items[1].clean
    broken.write_bytes(broken.read_bytes()[:500])
    packed = pack(items, tmp_path / "out", Cut(32))
    assert packed.images == 3 and list(packed.failed) == [items[1].name]
    assert packed.failed[items[1].name].startswith(f"{broken}: not a readable image (truncated after 500 of ")
    assert json.loads((tmp_path / "out" / "index.json").read_text())["failed"] == packed.failed
    again = pack(items, tmp_path / "out", Cut(32))
    assert again.already and again.failed == packed.failed and again.images == 3


def test_nothing_is_left_where_no_image_can_be_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    packed = pack([Item("a.png", tmp_path / "a.png")], tmp_path / "out", Cut(32))
    assert packed.tiles == 0 and not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    pack([Item("a.png", tmp_path / "a.png")], tmp_path / "out", Cut(32))
    assert not contents(tmp_path / "out")


def lock(out: Path, text: str) -> Path:
    out.mkdir(exist_ok=True)
    (out / LOCK).write_text(text)
    return out / LOCK


def test_one_pack_at_a_time_in_a_folder(items, tmp_path, monkeypatch):
    out, met = tmp_path / "out", []

    def second(item: Item, place: int, cut: Cut):
        with pytest.raises(RequestError) as refused:
            pack(items, out, Cut(32))
        met.append(str(refused.value))
        return tiles(item, place, cut)

    monkeypatch.setattr(packing, "tiles", second)
    pack(items, out, Cut(32), workers=1)
    line = f"{out}: another pack is at work here (process {os.getpid()} on {socket.gethostname()}); if not, delete {out}/{LOCK}"
    assert set(met) == {line}
    monkeypatch.setattr(packing, "tiles", tiles)
    pack(items, tmp_path / "whole", Cut(32))
    assert contents(out) == contents(tmp_path / "whole")


def test_what_a_lock_says_decides_whether_it_stands(items, tmp_path):
    host = socket.gethostname()
    gone = subprocess.Popen(["true"])
    gone.wait()
    for text in (
        json.dumps({"pid": gone.pid, "host": host}),
        json.dumps({"pid": 10**30, "host": host}),
        "[]",
        "",
    ):
        path = lock(tmp_path / "out", text)
        os.utime(path, (0, 0))
        assert pack(items, tmp_path / "out", Cut(32)).tiles and not path.exists()
        shutil.rmtree(tmp_path / "out")
    for text in (
        json.dumps({"pid": gone.pid, "host": f"not-{host}"}),
        json.dumps({"pid": os.getpid(), "host": host}),
        "",
    ):
        path = lock(tmp_path / "out", text)
        with pytest.raises(RequestError, match="another pack is at work here"):
            pack(items, tmp_path / "out", Cut(32))
        assert contents(tmp_path / "out") == {LOCK: text.encode()}


@pytest.mark.parametrize(
    "text", ["{nope", "[]", "{}", '{"schema": 1}', "[" * 3000, '{"schema": 1, "scale": 2, "count": "many"}']
)
def test_an_index_of_something_else_is_one_line(items, tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.json").write_text(text)
    with pytest.raises(RequestError) as refused:
        pack(items, tmp_path / "out", Cut(32))
    assert (
        str(refused.value)
        == f"{tmp_path}/out: its index.json is not that of a pack made here; choose another folder"
    )
    assert contents(tmp_path / "out") == {"index.json": text.encode()}


def test_turned_files_are_packed_upright(tmp_path):
    made = []
    for i, size in enumerate([(40, 60), (40, 60), (60, 40)]):
        image, small = samples(i, size), samples(9 + i, (size[0] // 2, size[1] // 2))
        made.append(item(tmp_path / "in", f"{i}.png", image, small))
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.rot90(image)).save(made[-1].clean, exif=exif)
    packed = pack(made, tmp_path / "out", Cut(20))
    assert packed.scale == 2 and not packed.failed
    for i, size in enumerate([(40, 60), (40, 60), (60, 40)]):
        assert np.array_equal(rebuilt(tmp_path / "out", i, samples(i, size)), samples(i, size))


def test_floating_point_is_kept_whole_or_named(tmp_path):
    path = tmp_path / "a.tif"
    write(path, Picture(samples(0, (20, 20)).astype(np.float32) / 255))
    line = f"{path}: floating point, but shards hold 8 or 16 bits; expected --codec keep"
    assert pack([Item("a.tif", path)], tmp_path / "out", Cut(20)).failed == {"a.tif": line}
    pack([Item("a.tif", path)], tmp_path / "kept", Cut(None, codec="keep"))
    assert members(tmp_path / "kept") == {"000000-a.clean.tif": path.read_bytes()}


def test_flat_tiles_are_left_out(tmp_path):
    image = samples(0, (64, 64))
    image[:32, :32] = 90
    packed = pack([item(tmp_path, "a.png", image)], tmp_path / "out", Cut(32, least_detail=2.0))
    assert packed.dropped == 1 and packed.tiles == 3
    assert not any(name.startswith("000000-a-0-0.") for name in members(tmp_path / "out"))


def test_detail_is_the_mean_step_between_neighbours():
    ramp = np.tile(np.arange(0, 60, 3, dtype=np.uint8)[None, :, None], (8, 1, 3))
    assert detail(ramp) == pytest.approx(1.5)  # 3 along rows, 0 along columns
    assert detail(ramp.astype(np.uint16) * 257) == pytest.approx(1.5)
    assert detail(ramp[:1, :1]) == 0


@pytest.mark.parametrize("codec", ["png", "webp"])
def test_other_codecs_hold_the_same_samples(tmp_path, codec):
    image = samples(0, (40, 50))
    pack([item(tmp_path, "a.png", image)], tmp_path / "out", Cut(None, codec=codec))
    ((name, data),) = members(tmp_path / "out").items()
    assert name == f"000000-a-0-0.clean.{codec}"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), image)


def test_keep_takes_the_files_as_they_are(tmp_path):
    Image.fromarray(samples(0, (40, 50))).save(tmp_path / "a.JPG", quality=80)
    pack([Item("a.JPG", tmp_path / "a.JPG")], tmp_path / "out", Cut(None, codec="keep"))
    assert members(tmp_path / "out") == {"000000-a.clean.jpg": (tmp_path / "a.JPG").read_bytes()}


def test_webp_holds_no_grey(tmp_path):
    grey = item(tmp_path, "g.png", samples(0, (20, 20), 1))
    line = f"{grey.clean}: grey, but webp holds 8-bit colour alone; expected --codec ppm or png"
    with pytest.raises(ImageError) as refused:
        tiles(grey, 0, Cut(codec="webp"))
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"tile": 30, "scale": 4}, "--tile 30: expected a multiple of the scale 4"),
        ({"tile": 0}, "--tile 0: expected at least 1"),
        ({"tile": 32, "stride": 33}, "--stride 33: expected at most the tile's side, or pixels are left out"),
        ({"codec": "jpg"}, "--codec jpg: expected ppm, png, webp, keep"),
        ({"codec": "keep"}, "--codec keep takes whole files as they are; expected --tile off and no --least-detail"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings, line):
    with pytest.raises(RequestError) as refused:
        Cut(**settings)
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("512MB", Limit(512_000_000)),
        ("1.5 KiB", Limit(1536)),
        ("2000", Limit(None, 2000)),
        ("1GB", Limit(10**9)),
    ],
)
def test_shard_sizes_are_bytes_or_samples(text, limit):
    assert parse_limit(text) == limit


@pytest.mark.parametrize("text", ["", "0", "1.5", "12 apples", "-3", "MB"])
def test_other_shard_sizes_are_refused(text):
    with pytest.raises(RequestError, match=r"expected bytes such as 512MB, or a number of samples$"):
        parse_limit(text)


def test_names_become_keys_without_dots_that_fit_a_tar_header(tmp_path):
    name = "a.b/" + "ü long name " * 9 + ".v2.png"
    image = item(tmp_path, name, samples(0, (20, 20)))
    (sample,) = tiles(image, 12, Cut()).samples
    assert sample.key.startswith("000012-") and sample.key.endswith("-0-0") and "." not in sample.key
    assert sample.key.isascii() and len(sample.key) < 90
    pack([image], tmp_path / "out", Cut())
    assert len(members(tmp_path / "out")) == 1


def test_webdataset_reads_the_shards(items, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    pack(items, tmp_path / "out", Cut(32), limit=Limit(None, 8))
    shards = sorted(str(path) for path in (tmp_path / "out").glob("*.tar"))
    read = list(webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"))
    assert len(read) == len(members(tmp_path / "out"))
    first = read_samples(items[0].clean)[:32, :32]
    assert np.array_equal(read[0]["clean.ppm"], first)
