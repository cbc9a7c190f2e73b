"""Whatever is wrong with a file or the place for it is one line, and nothing half-written is left."""

import errno
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from image import corpus

from restoration.errors import ImageError
from restoration.files import atomic
from restoration.image import FRAME_WRITERS, WRITERS, Picture, find_images, read, read_all, write

tifffile = pytest.importorskip("tifffile")
FILES = {
    name: data
    for group in (corpus.pngs(), corpus.jpegs(), corpus.tiffs(tifffile), corpus.others())
    for name, data in group
} | {f"animated-{name}": data for name, data in corpus.animations()}


def refusal(function, *arguments, **options):
    with pytest.raises(ImageError) as refused:
        function(*arguments, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", FILES)
def test_cut_and_damaged_files_are_read_or_refused_in_one_line(tmp_path, name):
    whole, path = FILES[name], tmp_path / name
    rng = np.random.default_rng(len(whole))
    for trial in range(16):
        data = bytearray(whole)
        if trial % 2:
            del data[int(len(data) * rng.random()) :]
        for _ in range(trial % 5 if data else 0):
            data[int(rng.integers(min(len(data), 600)))] = int(rng.integers(256))
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                read_all(path, max_pixels=200_000)
            except ImageError as error:
                assert "\n" not in str(error) and str(error).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "name", [n for n in FILES if n.startswith(("plain-", "palette", "rgb", "grey", "alpha", "q92", "a."))]
)
def test_a_file_cut_in_half_is_refused(tmp_path, name):
    data = FILES[name]
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    assert refusal(read_all, tmp_path / name).startswith(f"{tmp_path / name}: not a readable image (")


def test_a_small_file_that_says_it_is_huge_is_refused_by_its_header(tmp_path):
    head = struct.pack(">LL5B", 30_000, 30_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(100_000_000), 9)
    parts = [(b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(d)) + k + d + struct.pack(">L", zlib.crc32(k + d)) for k, d in parts
    )
    assert 90_000 < len(data) < 110_000
    (tmp_path / "bomb.png").write_bytes(data)
    for function in (read, read_all):
        assert refusal(function, tmp_path / "bomb.png") == (
            f"{tmp_path}/bomb.png: 30000x30000 by its header, 900.0 megapixels; "
            "expected at most 512 (apply: --max-pixels)"
        )


def test_frames_and_pages_count_together(tmp_path):
    (tmp_path / "a.webp").write_bytes(FILES["animated-a.webp"])
    assert refusal(read_all, tmp_path / "a.webp", max_pixels=1000) == (
        f"{tmp_path}/a.webp: 3 frames of 27x18 by its header, 1458 pixels; "
        "expected at most 1000 (apply: --max-pixels)"
    )
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 18, 27), np.uint8), photometric="minisblack")
    assert "3 frames of 27x18" in refusal(read_all, tmp_path / "a.tif", max_pixels=1000)


def test_loops_of_links_end(tmp_path):
    (tmp_path / "a").mkdir()
    write(tmp_path / "a" / "x.png", Picture(corpus.samples(3)))
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    assert find_images(tmp_path) == [tmp_path / "a" / "x.png", tmp_path / "self.png"]
    assert refusal(read, tmp_path / "self.png") == (
        f"{tmp_path}/self.png: cannot be read (Too many levels of symbolic links)"
    )


@pytest.mark.parametrize("name", ["two\nlines.png", "tab\tand \x1b[31m.png", "..png", "a..b.png"])
def test_names_that_a_terminal_would_obey(tmp_path, name):
    path = tmp_path / name
    path.touch()
    assert refusal(read, path).endswith(": not a readable image (empty file)")
    assert all(c.isprintable() for c in refusal(read, path))
    path.unlink()
    write(path, Picture(corpus.samples(3)))
    assert np.array_equal(read(path).samples, corpus.samples(3))
    assert "holds no transparency" in refusal(
        write, path.with_suffix(".jpg"), Picture(corpus.samples(3), corpus.samples(1))
    )


def test_unreadable_files_and_folders(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write(path, Picture(corpus.samples(3)))

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(type(path), "open", denied)
    assert refusal(read, path) == f"{path}: cannot be read (Permission denied)"


def test_read_only_folder(tmp_path, monkeypatch):
    path = tmp_path / "a.png"

    def read_only(self, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(type(path), "open", read_only)
    monkeypatch.setattr("restoration.files._unnamed", lambda folder: None)  # as such a folder answers
    expected = f"{path}: could not be written (Read-only file system); nothing was left behind"
    assert refusal(write, path, Picture(corpus.samples(3))) == expected


class Filling:
    """A stream on a disk with room for so many bytes."""

    def __init__(self, stream, room):
        self.stream, self.room = stream, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.stream.write(data)

    def __getattr__(self, name):
        if name == "fileno":  # Pillow would write past this stream
            raise AttributeError(name)
        return getattr(self.stream, name)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("suffix", WRITERS)
def test_disk_that_fills_up_while_writing(tmp_path, monkeypatch, suffix, frames):
    from contextlib import contextmanager

    if frames > 1 and suffix not in FRAME_WRITERS:
        pytest.skip("holds one picture")
    channels = 1 if suffix == ".pgm" else 3
    still = Picture(corpus.samples(channels, 8, 60, 50))
    picture = Picture(
        still.samples,
        duration=10.0,
        following=tuple(Picture(still.samples, duration=10.0) for _ in range(frames - 1)),
    )
    write(tmp_path / f"a{suffix}", picture)
    old = (tmp_path / f"a{suffix}").read_bytes()
    for room in (0, 20, 700):

        @contextmanager
        def filling(path, room=room):
            with atomic(path) as stream:
                yield Filling(stream, room)

        monkeypatch.setattr("restoration.image.writing.atomic", filling)
        assert refusal(write, tmp_path / f"a{suffix}", picture) == (
            f"{tmp_path}/a{suffix}: could not be written (No space left on device); nothing was left behind"
        )
        assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]
        assert (tmp_path / f"a{suffix}").read_bytes() == old


@pytest.mark.parametrize(
    ("name", "suffix", "expected"),
    [
        (
            "animated-a.gif",
            ".jpg",
            ".jpg holds one picture, not 3; expected one of .apng .avif .gif .png .tif .tiff .webp",
        ),
        ("pages.tif", ".png", ".png holds no pages (2); expected one of .tif .tiff"),
        (
            "alpha.webp",
            ".jpg",
            ".jpg holds no transparency; expected one of .apng .avif .bmp .gif .png .tif .tiff .webp",
        ),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_a_file_is_made(tmp_path, name, suffix, expected):
    source = tmp_path / name
    if name == "pages.tif":
        tifffile.imwrite(source, np.zeros((2, 18, 27), np.uint8), photometric="minisblack")
    else:
        source.write_bytes(FILES[name])
    target = tmp_path / f"new{suffix}"
    assert refusal(write, target, read_all(source)) == f"{target}: {expected}"
    assert not target.exists()
