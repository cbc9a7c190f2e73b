"""Shards: found by index and by walking, ours read by webdataset and theirs by us, cut short, and in bounded memory."""

import io
import json
import os
import tarfile
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.curation.cutting import Cut, Item
from restoration.curation.packing import pack
from restoration.curation.sharding import Limit
from restoration.data import Pairs, build_source
from restoration.data.tars import read_index, walk
from restoration.degradations.resize import Bicubic
from restoration.errors import ConfigError, ImageError

from .made import file_of, picture, ppm

PICTURES = [picture(i) for i in range(10)]


def pair(i: int) -> dict[str, bytes]:
    return {"clean.ppm": ppm(PICTURES[i]), "degraded.ppm": ppm(PICTURES[i][::2, ::2])}


@pytest.mark.parametrize("index", [True, False])
def test_images_are_those_that_were_packed(shards, data, index):
    deep = (picture(99).astype(np.uint16) * 257)[:, :, :1]
    samples = [{"clean.ppm": ppm(p)} for p in PICTURES] + [
        {"clean.ppm": ppm(deep)},
        {"clean.png": file_of(PICTURES[0])},
    ]
    source = build_source(data(shards(samples, 4, index)))
    assert len(source) == 12 and not source.paired and source.packed and not source.remarks
    for i, expected in enumerate([*PICTURES, deep, PICTURES[0]]):
        found = source.samples(i)
        assert found.dtype == expected.dtype and np.array_equal(found, expected)
        assert source.size(i) == expected.shape[:2] and source.partner(i) is None
    assert source.name(5).endswith("shards/train-000001.tar/000005")
    assert source.sizes.tolist() == [[40, 48]] * 12


@pytest.mark.parametrize("index", [True, False])
def test_pairs_have_their_scale_and_are_cut_at_the_same_place(shards, data, index):
    source = build_source(data(shards([pair(i) for i in range(10)], 4, index)))
    assert source.paired and source.scale == 2
    pairs = Pairs(source, None, crop=16, batch_size=10, seed=3)
    batch = pairs.batch(0)
    assert batch.clean.shape == (10, 3, 16, 16) and batch.degraded.shape == (10, 3, 8, 8)
    # what is left of a turned or mirrored crop is every second pixel, from the first or from the second one on
    phases = [batch.clean[:, :, y::2, x::2] for y in (0, 1) for x in (0, 1)]
    same = torch.stack([(batch.degraded == phase).flatten(1).all(1) for phase in phases])
    assert same.any(0).all() and not same[0].all()


def test_a_walk_finds_what_the_index_says(shards):
    folder = shards([pair(i) for i in range(10)], 4)
    indexed = read_index((folder / "index.json").read_bytes(), "index.json")
    for file, members in indexed.items():
        with (folder / file).open("rb") as stream:
            walked = walk(stream, file)
        assert np.array_equal(walked.rows, members.rows) and np.array_equal(walked.keys, members.keys)
        assert not walked.problem and members.bytes == (folder / file).stat().st_size


@pytest.mark.parametrize("codec", ["ppm", "png"])
def test_what_the_packer_writes_is_read_tile_by_tile(photos, data, tmp_path, codec):
    folder = photos(count=4)
    items = [Item(path.name, path) for path in sorted(folder.iterdir())]
    packed = pack(items, tmp_path / "packed", Cut(tile=24, codec=codec), limit=Limit(None, 5))
    source = build_source(data(tmp_path / "packed"))
    assert len(source) == packed.tiles == 4 * 4 and len(source.files) == 4
    for i in range(16):
        number, top, left = _place(source.name(i))
        assert np.array_equal(source.samples(i), picture(number)[top : top + 24, left : left + 24])


def _place(name: str) -> tuple[int, int, int]:
    number, *_, top, left = name.rsplit("/", 1)[1].split("-")
    return int(number), int(top), int(left)


def test_webdataset_reads_ours(shards):
    webdataset = pytest.importorskip("webdataset")
    folder = shards([pair(i) for i in range(10)], 4)
    files = [str(file) for file in sorted(folder.glob("*.tar"))]
    found = list(webdataset.WebDataset(files, shardshuffle=False, empty_check=False))
    assert [sample["__key__"] for sample in found] == [f"{i:06d}" for i in range(10)]
    for i, sample in enumerate(found):
        assert sample["clean.ppm"] == ppm(PICTURES[i]) and sample["degraded.ppm"] == ppm(
            PICTURES[i][::2, ::2]
        )


def test_we_read_webdatasets(tmp_path, data):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.ShardWriter(f"{tmp_path}/photos-%03d.tar", maxcount=4, verbose=0) as writer:
        for i, samples in enumerate(PICTURES):
            writer.write(
                {"__key__": f"folder.with.dots/{i:03d}", "png": samples, "json": {"number": i}, "cls": i}
            )
    source = build_source(data(f"{tmp_path}/photos-{{000..002}}.tar"))
    assert len(source) == 10
    assert all(np.array_equal(source.samples(i), PICTURES[i]) for i in range(10))
    assert source.name(0).endswith("photos-000.tar/folder.with.dots/000")


def test_any_url_of_fsspec_gives_the_same(shards, data):
    folder = shards([pair(i) for i in range(10)], 4)
    import fsspec

    memory = fsspec.filesystem("memory")
    for file in folder.iterdir():
        memory.pipe_file(f"/remote-shards/{file.name}", file.read_bytes())
    local = build_source(data(folder))
    places = (
        "memory://remote-shards",
        "memory://remote-shards/train-00000{0..2}.tar",
        f"file://{folder}/*.tar",
    )
    for place in places:
        remote = build_source(data(place))
        assert len(remote) == 10 and np.array_equal(remote.blocks, local.blocks)
        one, other = (Pairs(s, None, 16, 5, 0).batch(1) for s in (local, remote))
        assert torch.equal(one.clean, other.clean) and torch.equal(one.degraded, other.degraded)


@pytest.mark.parametrize("index", [True, False])
def test_a_truncated_shard_is_named_and_stops_or_is_skipped(shards, data, index):
    folder = shards([{"clean.ppm": ppm(p)} for p in PICTURES], 5, index)
    file = folder / "train-000001.tar"
    os.truncate(file, 2 * (512 + 6144) + 512 + 3000)  # two samples, and half of the third
    readable = "2 of 5" if index else "2 of 3"
    with pytest.raises(ConfigError) as error:
        build_source(data(folder))
    assert str(error.value) == f"data.images: {file}: truncated: {readable} samples readable"
    source = build_source(data(folder, damaged="skip"))
    assert source.remarks == (f"{file}: truncated: {readable} samples readable",)
    pairs = Pairs(source, Bicubic(2), 16, len(source), 0, damaged="skip")
    assert pairs.batch(0).clean.shape == (len(source), 3, 16, 16)
    assert len(pairs.skipped) == len(source) - 7


def test_the_sample_after_it_takes_the_place_of_a_damaged_one(shards, data):
    samples = [{"clean.ppm": ppm(p)} for p in PICTURES]
    good = Pairs(build_source(data(shards(samples, 5))), Bicubic(2), 16, 10, 0, augment=False)
    samples[3] = {"clean.png": file_of(PICTURES[3])[:300]}
    folder = shards(
        [{"clean.ppm": ppm(p)} for p in PICTURES[:3]] + [samples[3]] + samples[4:], 5, name="damaged"
    )
    bad = build_source(data(folder))
    with pytest.raises(ImageError, match=r"train-000000.tar/000003.clean: not a readable image"):
        Pairs(bad, Bicubic(2), 16, 10, 0).batch(0)
    pairs = Pairs(bad, Bicubic(2), 16, 10, 0, augment=False, damaged="skip")
    order = [pairs._order.index((0, s)) for s in range(11)]
    place, batch, whole = order.index(3), pairs.batch(0).clean, good.batch(0).clean
    others = [i for i in range(10) if i != place]
    assert torch.equal(batch[others], whole[others]) and list(pairs.skipped) == [3]
    substitute = PICTURES[order[place + 1]].transpose(2, 0, 1) / np.float32(255)
    windows = np.lib.stride_tricks.sliding_window_view(substitute, (3, 16, 16))
    assert (np.abs(windows - batch[place].numpy()).max((3, 4, 5)) < 1e-6).any()
    again = Pairs(bad, Bicubic(2), 16, 10, 0, augment=False, damaged="skip").of_keys([(0, place)])
    assert torch.equal(again.clean[0], batch[place])  # alone, as in the batch


@pytest.mark.parametrize(
    ("write", "line"),
    [
        (lambda f: (f / "index.json").write_text("{"), "index.json: not valid JSON"),
        (lambda f: (f / "index.json").write_text('{"schema": 2}'), "index.json: schema 2; expected 1"),
        (lambda f: (f / "index.json").write_text('{"schema": 1, "shards": [{}]}'), "not an index of shards (KeyError"),
        (lambda f: (f / "index.json").unlink() or (f / "train-000000.tar").write_bytes(b"no tar at all" * 99),
         "train-000000.tar: compressed, or no tar archive; expected an uncompressed tar of images"),
        (lambda f: (f / "index.json").unlink() or _tar(f / "train-000000.tar", {"0.json": b"{}"}), "holds no images"),
        (lambda f: (f / "index.json").unlink() or _tar(f / "train-000000.tar", {"0.a.ppm": ppm(PICTURES[0]), "0.b.ppm": b""}),
         "train-000000.tar/0: holds a.ppm, b.ppm; expected one image, or clean.… and degraded.…"),
        (lambda f: (f / "index.json").unlink() or _tar(f / "train-000000.tar", pair_and_single()),
         "train-000000.tar/1: has no degraded part, but"),
    ],
)  # fmt: skip
def test_what_is_no_shard_is_refused_in_one_line(shards, data, write, line):
    folder = shards([{"clean.ppm": ppm(PICTURES[0])}], 1)
    write(folder)
    with pytest.raises(ConfigError) as error:
        build_source(data(folder))
    assert line in str(error.value) and "\n" not in str(error.value)


def pair_and_single() -> dict[str, bytes]:
    return {
        "0.clean.ppm": ppm(PICTURES[0]),
        "0.degraded.ppm": ppm(PICTURES[0][::2, ::2]),
        "1.clean.ppm": ppm(PICTURES[1]),
    }


def _tar(file, members: dict[str, bytes]) -> None:
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("parts", [("clean", "degraded"), ("degraded", "clean")])
@pytest.mark.parametrize("kept", ["first part", "half of the second"])
def test_the_last_pair_of_a_truncated_shard_is_damage(tmp_path, data, parts, kept):
    files = []
    for number, pairs in enumerate(([0, 1], [2, 3])):
        files.append(tmp_path / f"train-{number}.tar")
        _tar(files[-1], {f"{i}.{part}.ppm": pair(i)[f"{part}.ppm"] for i in pairs for part in parts})
    with tarfile.open(files[1]) as tar:
        last = tar.getmembers()[-1]
    os.truncate(files[1], last.offset if kept == "first part" else last.offset_data + 300)
    line = f"{files[1]}: truncated: 1 of 2 samples readable"
    with pytest.raises(ConfigError) as error:
        build_source(data(tmp_path))
    assert str(error.value) == f"data.images: {line}"
    source = build_source(data(tmp_path, damaged="skip"))
    assert source.remarks == (line,) and source.damage == {3: f"{files[1]}/3: its shard is truncated"}
    assert source.paired and source.scale == 2
    pairs = Pairs(source, None, 16, 4, 0, damaged="skip")
    assert pairs.batch(0).clean.shape == (4, 3, 16, 16) and [*pairs.skipped] == [3]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"no tar" * 999, "compressed, or no tar archive; expected an uncompressed tar of images"),
    ],
)
def test_a_shard_that_is_none_among_others_stops_or_is_skipped(tmp_path, data, content, reason):
    for i in range(3):
        _tar(tmp_path / f"{i}.tar", {f"{i}.ppm": ppm(PICTURES[i])})
    (tmp_path / "1.tar").write_bytes(content)
    with pytest.raises(ConfigError) as error:
        build_source(data(tmp_path))
    assert str(error.value) == f"data.images: {tmp_path}/1.tar: {reason}"
    source = build_source(data(tmp_path, damaged="skip"))
    assert len(source) == 2 and source.remarks == (f"{tmp_path}/1.tar: {reason}",)
    assert np.array_equal(source.samples(1), PICTURES[2])


def test_an_empty_shard_of_an_index_is_called_so(shards, data):
    folder = shards([{"clean.ppm": ppm(p)} for p in PICTURES], 5)
    (folder / "train-000000.tar").write_bytes(b"")
    source = build_source(data(folder, damaged="skip"))
    assert source.remarks == (f"{folder}/train-000000.tar: empty",) and [*source.damage] == [*range(5)]


@pytest.mark.parametrize("index", [True, False])
def test_a_missing_shard_of_a_pattern_is_told_or_its_samples_are_damage(shards, data, index):
    folder = shards([{"clean.ppm": ppm(p)} for p in PICTURES], 4, index)
    (folder / "train-000001.tar").unlink()
    pattern = f"{folder}/train-00000{{0..2}}.tar"
    with pytest.raises(ConfigError, match=r"^data.images = .*train-000001.tar: no such file$"):
        build_source(data(pattern))
    source = build_source(data(pattern, damaged="skip"))
    line = "missing, though the index names it" if index else "cannot be read (no such file)"
    assert source.remarks == (f"{folder}/train-000001.tar: {line}",)
    assert len(source) == (10 if index else 6) and [*source.damage] == ([4, 5, 6, 7] if index else [])
    for place in (f"file://{folder}/none-{{0..1}}.tar", "memory://none/x.tar"):
        with pytest.raises(ConfigError, match=r"(none-0|x).tar: cannot be read \(no such file\)$"):
            build_source(data(place))


def test_the_scale_is_that_of_the_first_pair_that_can_be_read(shards, data):
    samples = [pair(i) for i in range(4)]
    samples[0] = {"clean.ppm": samples[0]["clean.ppm"], "degraded.png": file_of(PICTURES[0][::2, ::2])[:90]}
    folder = shards(samples, 4)
    with pytest.raises(
        ConfigError, match=r"^data.images: .*train-000000.tar/000000.degraded: not a readable"
    ):
        build_source(data(folder))
    source = build_source(data(folder, damaged="skip"))
    assert source.scale == 2 and [*source.damage] == [0] and len(source.remarks) == 1
    every = shards(
        [{"clean.ppm": ppm(PICTURES[0]), "degraded.ppm": ppm(PICTURES[0])[:40]}] * 3, 3, name="every"
    )
    with pytest.raises(ConfigError, match=r"^data.images: none of 3 pairs can be read: .*000000.degraded"):
        build_source(data(every, damaged="skip"))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"file": "../other.tar"}, "index.json: shard '../other.tar'; expected the bare name of a file beside the index"),
        ({"file": "/etc/passwd"}, "index.json: shard '/etc/passwd'; expected the bare name"),
        ({"file": "a\\b.tar"}, "expected the bare name of a file beside the index"),
        ({"file": 3}, "index.json: shard 3; expected the bare name"),
        ({"bytes": -1}, "index.json: x.tar: bytes -1; expected how long the shard is"),
        ({"bytes": 10**30}, "; expected how long the shard is"),
        ({"key": 7}, "index.json: x.tar: key 7; expected the name of a sample"),
        ({"size": [40]}, "index.json: x.tar/0: size [40]; expected [height, width] in pixels"),
        ({"size": ["40", 48]}, "size ['40', 48]; expected [height, width]"),
        ({"parts": {"clean.ppm": [-512, 9]}}, "x.tar/0.clean.ppm: [-512, 9]; expected [offset, bytes]"),
        ({"parts": {"clean.ppm": [512, True]}}, "x.tar/0.clean.ppm: [512, True]; expected [offset, bytes]"),
        ({"parts": {"clean.ppm": [512, 9000]}}, "x.tar/0.clean.ppm: bytes 512 to 9512; the shard has 9000"),
        ({"parts": [1]}, "index.json: not an index of shards (AttributeError"),
        ({"parts": {}}, "index.json: x.tar/0: holds nothing; expected one image, or clean.… and degraded.…"),
    ],
)  # fmt: skip
def test_an_index_is_not_taken_on_trust(change, line):
    sample = {"key": "0", "parts": {"clean.ppm": [512, 6000]}, "size": [40, 48]}
    shard = {"file": "x.tar", "bytes": 9000, "samples": [sample]}
    for part in (shard, sample):
        part |= {k: v for k, v in change.items() if k in part}
    with pytest.raises(ConfigError) as error:
        read_index(json.dumps({"schema": 1, "shards": [shard]}).encode(), "index.json")
    assert line in str(error.value) and "\n" not in str(error.value)


def test_an_index_nested_without_end_is_refused():
    with pytest.raises(ConfigError, match=r"^index.json: not valid JSON"):
        read_index(b"[" * 200_000, "index.json")


def test_remote_blocks_are_read_once_an_epoch_whatever_the_cache(shards, data, monkeypatch):
    from restoration.data import storage

    monkeypatch.setattr("restoration.data.shards.STRIPE", 16 << 10)
    folder = shards([{"clean.ppm": ppm(p)} for p in PICTURES], 5)
    source = build_source(data(f"file://{folder}", cache=0.0))
    source.share_memory(8)
    read, part = [], storage._remote_part
    monkeypatch.setattr(storage, "_remote_part", lambda *place: read.append(place) or part(*place))
    pairs = Pairs(source, Bicubic(2), 16, 1, 0)
    for step in range(20):
        pairs.batch(step)
    assert len(source.blocks) > 2 and len(read) == len({*read}) == len(source.blocks)


def test_a_shard_that_the_index_names_and_that_is_missing_is_named(shards, data):
    folder = shards([{"clean.ppm": ppm(p)} for p in PICTURES], 5)
    (folder / "train-000001.tar").unlink()
    with pytest.raises(ConfigError, match=r"train-000001.tar: missing, though the index names it"):
        build_source(data(folder))


def test_small_tiles_are_refused_by_the_index_alone(shards, data):
    folder = shards([{"clean.ppm": ppm(p)} for p in PICTURES], 5)
    with pytest.raises(
        ConfigError, match=r"train-000000.tar/000000: 48x40 pixels, smaller than data.crop = 41"
    ):
        build_source(data(folder, crop=41))


@pytest.mark.slow
@pytest.mark.parametrize("remote", [False, True])
def test_memory_does_not_grow_over_ten_thousand_images(tmp_path, data, remote, monkeypatch):
    monkeypatch.setattr("restoration.data.shards.STRIPE", 64 << 10)  # two groups of blocks are 4 MiB
    tile, folder = ppm(picture(0, 32, 32)), tmp_path / "many"
    folder.mkdir()
    described = []
    for number in range(20):
        file = folder / f"train-{number:06d}.tar"
        with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as tar:
            samples = []
            for i in range(500):
                member = tarfile.TarInfo(f"{number}-{i}.clean.ppm")
                member.size = len(tile)
                samples.append(
                    {
                        "key": f"{number}-{i}",
                        "parts": {"clean.ppm": [tar.offset + 512, len(tile)]},
                        "size": [32, 32],
                    }
                )
                tar.addfile(member, io.BytesIO(tile))
        described.append({"file": file.name, "bytes": file.stat().st_size, "samples": samples})
    (folder / "index.json").write_text(json.dumps({"schema": 1, "shards": described}))
    source = build_source(data(f"file://{folder}" if remote else folder, cache=(4 << 20) / (1 << 30)))
    pairs, peaks = Pairs(source, Bicubic(2), 16, 50, 0), []
    assert len(source) == 10_000
    tracemalloc.start()
    for step in range(220):  # into the second epoch
        pairs.batch(step)
        if step in (20, 219):
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
    tracemalloc.stop()
    # what is kept of a remote store are the blocks of two groups, which fill data.cache; all shards have 41 MB
    assert peaks[1] < (8 << 20 if remote else 2 << 20)
    assert peaks[1] - peaks[0] < (2 << 20 if remote else 1 << 20)


def test_grey_shards_serve_grey_and_colour(shards, data):
    grey = picture(1, channels=1)
    folder = shards([{"clean.ppm": ppm(grey)}], 1)
    source = build_source(data(folder))
    for flag, channels in ((True, 1), (False, 3)):
        batch = Pairs(source, Bicubic(2), 40, 1, 0, augment=False, grey=flag).batch(0)
        assert batch.clean.shape == (1, channels, 40, 40)
        assert set(batch.clean[0, 0].mul(255).round().unique().tolist()) <= {*np.unique(grey).tolist()}


def test_ppm_files_with_comments_are_read_too(shards, data):
    samples = PICTURES[0]
    commented = ppm(samples).replace(b"P6\n", b"P6\n# by hand\n", 1)
    assert Image.open(io.BytesIO(commented)).size == (48, 40)
    source = build_source(data(shards([{"clean.ppm": commented}], 1)))
    assert np.array_equal(source.samples(0), samples)
