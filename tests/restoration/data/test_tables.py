"""Parquet files and Hugging Face's datasets: columns, row groups, partners, refusals."""

import os
import pickle

import numpy as np
import pytest
import torch

from restoration.data import Pairs, build_source
from restoration.degradations.resize import Bicubic
from restoration.errors import ConfigError, ImageError

from .made import file_of, picture, ppm

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra 'stream'")
PICTURES = [picture(i) for i in range(10)]


@pytest.fixture
def parquet(tmp_path):
    from pyarrow import parquet

    def write(name: str, rows_per_group: int = 3, **columns: list) -> str:
        parquet.write_table(pyarrow.table(columns), tmp_path / name, row_group_size=rows_per_group)
        return str(tmp_path / name)

    return write


def cells(pictures: list[np.ndarray]) -> list[dict[str, object]]:
    return [{"bytes": file_of(p), "path": None} for p in pictures]


def test_rows_are_the_images_and_row_groups_the_blocks(parquet, data):
    file = parquet("x.parquet", image=cells(PICTURES), label=[*range(10)])
    source = build_source(data(file))
    assert len(source) == 10 and source.blocks.tolist() == [3, 3, 3, 1] and not source.paired
    assert all(np.array_equal(source.samples(i), PICTURES[i]) for i in range(10))
    travelled = pickle.loads(pickle.dumps(source))  # to another process
    assert np.array_equal(travelled.samples(9), PICTURES[9])
    assert source.name(7) == f"{file}/2/1" and source.size(0) == (40, 48)


def test_columns_of_bytes_and_files_beside_the_table(parquet, data, photos):
    source = build_source(data(parquet("x.parquet", image=[ppm(p) for p in PICTURES])))
    assert np.array_equal(source.samples(4), PICTURES[4])
    folder = photos()
    paths = [{"bytes": None, "path": str(folder / f"{i:04d}.png")} for i in range(6)]
    source = build_source(data(parquet("y.parquet", image=pyarrow.array(paths, pyarrow.struct(
        {"bytes": pyarrow.binary(), "path": pyarrow.string()}
    )))))  # fmt: skip
    assert np.array_equal(source.samples(5), PICTURES[5])


def test_pairs_are_two_columns(parquet, data):
    small = [p[::2, ::2] for p in PICTURES]
    source = build_source(data(parquet("x.parquet", clean=cells(PICTURES), degraded=cells(small))))
    other = build_source(
        data(parquet("y.parquet", lr=cells(small), hr=cells(PICTURES)), columns=("hr", "lr"))
    )
    assert source.paired and source.scale == other.scale == 2
    for one in (source, other):
        assert np.array_equal(one.partner(9), small[9])
    batches = [Pairs(s, None, 16, 4, 0).batch(3) for s in (source, other)]
    assert torch.equal(batches[0].degraded, batches[1].degraded) and batches[0].degraded.shape[-1] == 8


def test_several_files_of_a_folder_and_a_url_are_one_source(parquet, data, tmp_path):
    parquet("a.parquet", image=cells(PICTURES[:4]))
    parquet("b.parquet", image=cells(PICTURES[4:]))
    local, remote = build_source(data(tmp_path)), build_source(data(f"file://{tmp_path}/*.parquet"))
    assert len(local) == len(remote) == 10 and local.blocks.tolist() == [3, 1, 3, 3]
    for i in range(10):
        assert np.array_equal(local.samples(i), PICTURES[i]) and np.array_equal(
            remote.samples(i), PICTURES[i]
        )


def test_what_cannot_be_told_is_refused_in_one_line(parquet, data, tmp_path):
    both = parquet("both.parquet", lr=cells(PICTURES), hr=cells(PICTURES))
    plain = parquet("plain.parquet", number=[1, 2])
    (tmp_path / "no.parquet").write_bytes(b"PAR1 not really")
    lines = {
        (both, ()): "images in columns lr, hr; expected data.columns to say which",
        (both, ("hrr",)): "both.parquet: data.columns: unknown column 'hrr'; did you mean 'hr'?",
        (plain, ()): "plain.parquet: no column of images among number",
        (plain, ("number",)): "data.columns: 'number' holds no images; expected one of none",
        (str(tmp_path / "no.parquet"), ()): "no.parquet: not a readable parquet file (",
    }
    for (file, columns), line in lines.items():
        with pytest.raises(ConfigError) as error:
            build_source(data(file, columns=columns))
        assert line in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(
        ConfigError, match=r'data.frames = 2: ".*both.parquet" holds no clips; expected video files'
    ):
        build_source(data(both, columns=("hr",), frames=2))


def test_a_damaged_cell_is_named_and_skipped(parquet, data):
    found = cells(PICTURES)
    found[4] = {"bytes": b"", "path": ""}
    source = build_source(data(parquet("x.parquet", image=found)))
    with pytest.raises(ImageError, match=r"x.parquet/1/1.image: not a readable image \(empty\)"):
        source.samples(4)


def test_datasets_saved_to_disk_and_loaded_by_name(data, tmp_path, parquet):
    datasets = pytest.importorskip("datasets", reason="needs the extra 'stream'")
    rows = datasets.Dataset.from_dict({"image": cells(PICTURES), "label": [*range(10)]})
    rows = rows.cast_column("image", datasets.Image())
    rows.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": rows, "held-out": rows.select([9])}).save_to_disk(tmp_path / "several")
    for name, count, last in (("one", 10, 9), ("several", 10, 9), ("several:held-out", 1, 0)):
        source = build_source(data(f"hf:{tmp_path}/{name}"))
        assert len(source) == count and np.array_equal(source.samples(last), PICTURES[9])
        assert source.blocks is None
        assert np.array_equal(pickle.loads(pickle.dumps(source)).samples(last), PICTURES[9])
    with pytest.raises(
        ConfigError, match=r"no split 'heldout'; it has train, held-out; did you mean 'held-out'\?"
    ):
        build_source(data(f"hf:{tmp_path}/several:heldout"))
    with pytest.raises(ConfigError, match=r"^hf:.*/nowhere: cannot be loaded \("):
        build_source(data(f"hf:{tmp_path}/nowhere"))


def test_what_is_not_installed_is_said_with_the_extra(parquet, data, monkeypatch):
    import sys

    file = parquet("x.parquet", image=cells(PICTURES))
    for module, images in (("pyarrow", file), ("datasets", "hf:some/set"), ("av", "x.mp4")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            if module == "av":
                patch.chdir(file.rsplit("/", 1)[0])
                open("x.mp4", "wb").close()
            with pytest.raises(
                ConfigError, match=r'needs .*: pip install "restoration-suite\[(stream|video)\]"'
            ):
                build_source(data(images))


def test_more_files_than_may_be_open_are_one_source(parquet, tmp_path, data, monkeypatch):
    for i in range(40):
        parquet(f"{i:02d}.parquet", image=[ppm(PICTURES[i % 10])])
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr("restoration.data.storage.OPEN", 4)
    here = max(int(name) for name in os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (here + 12, before[1]))
    try:
        source = build_source(data(tmp_path))
        assert len(source) == 40 and all(
            np.array_equal(source.samples(i), PICTURES[i % 10]) for i in range(40)
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_truncated_file_among_others_stops_or_is_skipped(parquet, tmp_path, data):
    for name, pictures in (("a", PICTURES[:4]), ("b", PICTURES[4:8]), ("c", PICTURES[8:])):
        parquet(f"{name}.parquet", image=cells(pictures))
    os.truncate(tmp_path / "a.parquet", 900)
    with pytest.raises(ConfigError, match=r"^data.images: .*a.parquet: not a readable parquet file \("):
        build_source(data(tmp_path))
    source = build_source(data(tmp_path, damaged="skip"))
    assert len(source) == 6 and len(source.remarks) == 1 and np.array_equal(source.samples(4), PICTURES[8])
    named = f"{tmp_path}/{{a,b,none}}.parquet"
    assert len(build_source(data(named, damaged="skip")).remarks) == 2


def test_a_damaged_row_group_is_named_and_skipped(parquet, data):
    file = parquet("x.parquet", image=[ppm(p) for p in PICTURES])
    from pyarrow import parquet as pq

    about = pq.ParquetFile(file).metadata.row_group(1).column(0)
    with open(file, "r+b") as stream:
        stream.seek(min(filter(None, (about.dictionary_page_offset, about.data_page_offset))))
        stream.write(b"\xff" * about.total_compressed_size)
    source = build_source(data(file))
    with pytest.raises(ImageError, match=r"x.parquet/1: damaged row group \(.*\)$"):
        source.samples(3)
    pairs = Pairs(build_source(data(file, damaged="skip")), Bicubic(2), 16, 10, 0, damaged="skip")
    assert pairs.batch(0).clean.shape == (10, 3, 16, 16) and sorted(pairs.skipped) == [3, 4, 5]


def test_the_scale_is_that_of_the_first_pair_that_can_be_read(parquet, data):
    small = cells([p[::2, ::2] for p in PICTURES])
    small[0] = {"bytes": b"P6", "path": None}
    file = parquet("x.parquet", clean=cells(PICTURES), degraded=small)
    with pytest.raises(ConfigError, match=r"^data.images: .*x.parquet/0/0.degraded: not a readable image"):
        build_source(data(file))
    source = build_source(data(file, damaged="skip"))
    assert source.scale == 2 and [*source.damage] == [0]


def test_row_groups_are_read_once_an_epoch_whatever_the_cache(parquet, data):
    source = build_source(data(parquet("x.parquet", 1, image=[ppm(p) for p in PICTURES]), cache=0.0))
    source.share_memory(8)
    read, plain = [], source._read
    source._read = lambda block: read.append(block) or plain(block)
    pairs = Pairs(source, Bicubic(2), 16, 1, 0)
    for step in range(20):
        pairs.batch(step)
    assert source.joined == 8 and sorted(read) == [*range(10)]  # two groups, of eight and of two


def test_files_of_other_columns_and_too_many_columns_are_refused(parquet, data, tmp_path):
    parquet("a.parquet", image=[ppm(PICTURES[0])])
    parquet("b.parquet", picture=[ppm(PICTURES[0])])
    with pytest.raises(
        ConfigError, match=r"b.parquet: no column 'image', as the files before it have; it has"
    ):
        build_source(data(tmp_path))
    for columns in (("a", "b", "c"), ("image", "image")):
        with pytest.raises(
            ConfigError, match=r"^data.columns = .*: expected the clean images' column, or that"
        ):
            build_source(data(tmp_path / "a.parquet", columns=columns))


def test_an_unknown_split_and_no_name_are_refused(data, tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs the extra 'stream'")
    datasets.Dataset.from_dict({"image": cells(PICTURES)}).save_to_disk(tmp_path / "one")
    with pytest.raises(ConfigError, match=r"^hf:.*/one:held: no split 'held'; it has no splits$"):
        build_source(data(f"hf:{tmp_path}/one:held"))
    for name in ("hf:", "hf::", "hf::train"):
        with pytest.raises(ConfigError, match=rf"^{name} names no data set; expected hf:NAME"):
            build_source(data(name))


def test_a_hub_that_does_not_answer_is_known_at_once(data, monkeypatch):
    pytest.importorskip("datasets", reason="needs the extra 'stream'")
    from huggingface_hub import constants

    from restoration.data import hub

    monkeypatch.setattr(hub, "_reached", lambda url: False)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    before = constants.HF_HUB_OFFLINE
    with pytest.raises(ConfigError, match=r"^hf:nobody/nothing-of-the-kind: cannot be loaded \("):
        build_source(data("hf:nobody/nothing-of-the-kind"))
    assert before == constants.HF_HUB_OFFLINE
