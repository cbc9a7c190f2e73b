"""Pictures by rows, and large ones outside of memory."""

import errno
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from image import corpus
from PIL import Image

from restoration.errors import ImageError
from restoration.formats import bands
from restoration.image import Picture, blank_samples, read, rows_of, rows_to, write


@pytest.fixture
def small_memory(monkeypatch):
    monkeypatch.setattr(bands, "MAPPED_BYTES", 300)


def filtered_png(samples, kind):
    """Return a PNG by the specification whose rows take turns in the five filters."""
    height, width, channels = samples.shape
    step = channels * samples.itemsize
    raw = samples.astype(samples.dtype.newbyteorder(">")).tobytes()
    rows = np.frombuffer(raw, np.uint8).reshape(height, -1).astype(int)
    lines, above = b"", np.zeros(rows.shape[1], int)
    for i, row in enumerate(rows):
        left = np.concatenate([np.zeros(step, int), row[:-step]])
        corner = np.concatenate([np.zeros(step, int), above[:-step]])
        estimate = left + above - corner
        distances = np.stack([np.abs(estimate - n) for n in (left, above, corner)])
        paeth = np.choose(distances.argmin(0), [left, above, corner])
        guess = [0 * row, left, above, (left + above) // 2, paeth][i % 5]
        lines += bytes((i % 5,)) + ((row - guess) % 256).astype(np.uint8).tobytes()
        above = row
    head = struct.pack(">LL5B", width, height, samples.itemsize * 8, kind, 0, 0, 0)
    packed = zlib.compress(lines)
    parts = [
        (b"IHDR", head),
        *((b"IDAT", packed[i : i + 77]) for i in range(0, len(packed), 77)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(d)) + k + d + struct.pack(">L", zlib.crc32(k + d)) for k, d in parts
    )


@pytest.mark.parametrize(("channels", "kind"), [(1, 0), (3, 2), (2, 4), (4, 6)])
@pytest.mark.parametrize("depth", [8, 16])
def test_png_by_bands_undoes_every_filter(tmp_path, monkeypatch, small_memory, channels, kind, depth):
    monkeypatch.setattr("restoration.formats.png_reading.READ_BYTES", 500)
    samples = corpus.samples(channels, depth, 41, 23)
    (tmp_path / "a.png").write_bytes(filtered_png(samples, kind))
    picture = read(tmp_path / "a.png")
    assert isinstance(picture.samples, np.memmap)
    whole = [picture.samples] if picture.alpha_samples is None else [picture.samples, picture.alpha_samples]
    assert np.array_equal(np.concatenate(whole, -1), samples)


@pytest.mark.parametrize("place", [60, 200, -20])
def test_png_by_bands_sees_damage(tmp_path, monkeypatch, small_memory, place):
    data = bytearray(filtered_png(corpus.samples(3, 8, 41, 23), 2))
    data[place] ^= 255
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError, match="not a readable image"):
        read(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(filtered_png(corpus.samples(3, 8, 41, 23), 2)[:-500])
    with pytest.raises(ImageError, match="truncated after"):
        read(tmp_path / "b.png")


def test_large_pictures_of_other_formats_are_the_same(tmp_path, small_memory):
    samples = corpus.samples(3, 8, 300, 20)
    for suffix in ("tif", "ppm", "bmp", "webp"):
        write(tmp_path / f"a.{suffix}", Picture(samples))
        assert np.array_equal(read(tmp_path / f"a.{suffix}").samples, samples)


def test_large_and_turned(tmp_path, small_memory):
    samples = corpus.samples(3, 16, 40, 50)
    (tmp_path / "a.png").write_bytes(corpus.png(samples, 2, 16, (b"eXIf", corpus.exif(6))))
    picture = read(tmp_path / "a.png")
    assert np.array_equal(picture.samples, np.rot90(samples, -1))
    write(tmp_path / "b.png", picture)
    assert np.array_equal(read(tmp_path / "b.png").samples, np.rot90(samples, -1))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm", ".webp", ".jpg", ".bmp"])
@pytest.mark.parametrize("step", [1, 7, 64])
def test_rows_make_the_file_that_the_whole_makes(tmp_path, suffix, step):
    alpha = corpus.samples(1, 8, 200, 300) if suffix in (".png", ".tif", ".webp") else None
    picture = Picture(
        corpus.samples(3, 8, 200, 300), alpha, exif=corpus.exif(), dpi=(300.0, 300.0), xmp=corpus.XMP % 1
    )
    write(tmp_path / f"whole{suffix}", picture)
    rows = rows_of(tmp_path / f"whole{suffix}")
    assert (rows.height, rows.width, rows.channels, rows.depth) == (200, 300, 3 + (alpha is not None), 8)
    like = picture if suffix != ".jpg" else rows.picture
    with rows_to(tmp_path / f"rows{suffix}", like, 200, 300) as writer:
        for top in range(0, 200, step):
            writer.write(top, rows.read(top, min(top + step, 200)))
    assert np.array_equal(rows_of(tmp_path / f"rows{suffix}").read(0, 200).shape, rows.read(0, 200).shape)
    if suffix != ".jpg":
        assert np.array_equal(rows_of(tmp_path / f"rows{suffix}").read(0, 200), rows.read(0, 200))
    back, first = read(tmp_path / f"rows{suffix}"), read(tmp_path / f"whole{suffix}")
    assert (back.exif, back.xmp, back.dpi) == (first.exif, first.xmp, first.dpi)


def test_rows_in_order_and_all_of_them(tmp_path):
    like = Picture(corpus.samples(3))
    for rows, match in (([(1, 5)], "at 0"), ([(0, 5)], "5 rows of 18")):
        with pytest.raises(ImageError, match=match), rows_to(tmp_path / "a.png", like, 18, 27) as writer:
            for top, count in rows:
                writer.write(top, like.samples[:count])
    with (
        pytest.raises(ImageError, match="rows of uint16; expected uint8"),
        rows_to(tmp_path / "a.tif", like, 18, 27) as writer,
    ):
        writer.write(0, corpus.samples(3, 16))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_it_is_filled(tmp_path, monkeypatch, small_memory):
    write(tmp_path / "a.png", Picture(corpus.samples(3)))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        ImageError, match=r"a\.png: no room for its samples in .* \(No space left on device\)"
    ):
        read(tmp_path / "a.png")
    with pytest.raises(OSError, match="No space left"):
        blank_samples(100, 100, 3)


def test_bigtiff_beyond_four_gigabytes(tmp_path, monkeypatch):
    tifffile = pytest.importorskip("tifffile")
    monkeypatch.setattr("restoration.formats.tiff_writing.CLASSIC_LIMIT", 1000)
    picture = Picture(
        corpus.samples(3, 16, 300, 400), icc=corpus.WIDE, exif=corpus.exif(), xmp=corpus.XMP % 1
    )
    write(tmp_path / "a.tif", picture)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff and len(file.pages[0].dataoffsets) > 1
        assert np.array_equal(file.asarray(), picture.samples)
        assert file.pages[0].tags[34675].value == corpus.WIDE
    back = read(tmp_path / "a.tif")
    assert np.array_equal(back.samples, picture.samples) and back.xmp == picture.xmp
    with Image.open(tmp_path / "a.tif") as opened:
        assert opened.getexif().get_ifd(0x8769)[0x8827] == 400


MEMORY = """
import sys, threading, time
import numpy as np
from restoration.image import Picture, rows_of, rows_to
def anonymous():
    return int(next(l for l in open('/proc/self/status') if l.startswith('RssAnon')).split()[1])
path, height = sys.argv[1], int(sys.argv[2])
band = np.random.default_rng(0).integers(0, 40, (64, 4000, 3)).astype(np.uint8)
with rows_to(path, Picture(band[:1]), height, 4000) as writer:
    for top in range(0, height, 64):
        writer.write(top, band[: min(64, height - top)])
start, peak, done = anonymous(), 0, False
def watch():
    global peak
    while not done:
        peak = max(peak, anonymous())
        time.sleep(0.003)
thread = threading.Thread(target=watch)
thread.start()
rows = rows_of(path)
with rows_to(path, rows.picture, height, 4000) as writer:
    for top in range(0, height, 64):
        writer.write(top, rows.read(top, min(top + 64, height)))
done = True
thread.join()
print((peak - start) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's account of memory")
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_memory_does_not_grow_with_the_picture(tmp_path, suffix):
    """14 megapixels, 42 MB of samples, are read and written within 30 MiB beyond the start."""
    arguments = [sys.executable, "-c", MEMORY, str(tmp_path / f"a.{suffix}"), "3500"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 30
