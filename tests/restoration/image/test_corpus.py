"""Odd files through a restorer that changes nothing, and one that doubles: what went in comes out."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from image import corpus
from PIL import Image

from restoration.apply import Inference, apply, restore_picture
from restoration.image import Picture, each_frame, read, read_all, write
from restoration.weights import load

tifffile = pytest.importorskip("tifffile")
STILLS = {
    name: data
    for group in (corpus.pngs(), corpus.jpegs(), corpus.tiffs(tifffile), corpus.others())
    for name, data in group
}
ANIMATIONS = dict(corpus.animations())
LOSSY = ("jpg", "jpeg", "avif")


@pytest.fixture(scope="module")
def identity():
    return load("identity")


@pytest.fixture(scope="module")
def doubling():
    return load("bicubic-x2")


def put(folder, name, data):
    (folder / name).write_bytes(data)
    return folder / name


def test_the_corpus_is_large():
    assert len(STILLS) + len(ANIMATIONS) >= 100


def header_bits(path):
    """Return what the file's own header says of its samples."""
    data = path.read_bytes()
    if data[:4] == b"\x89PNG":
        return (data[24] if data[25] != 3 else 0), data[25]  # a palette may need fewer bits than it had
    if data[:2] in (b"II", b"MM"):
        page = tifffile.TiffFile(path).pages[0]
        photometric = int(page.photometric)
        bits = page.bitspersample if page.bitspersample != 16 or page.sampleformat != 3 else 32
        extra = (
            tuple(int(e) for e in page.extrasamples) if page.samplesperpixel > 3 or page.extrasamples else ()
        )
        return bits, page.samplesperpixel, photometric, int(page.sampleformat), extra
    if data[:1] == b"P":
        return data.split()[0].replace(b"P3", b"P6")
    if data[:2] == b"BM":
        return struct.unpack_from("<H", data, 28)
    with Image.open(path) as opened:
        return opened.mode


def plainly_read(path):
    """Return samples by a reader that is not ours, upright."""
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            if (
                274 not in page.tags
                and int(page.photometric) < 3
                and page.bitspersample > 1
                and page.compression not in (5, 32773)
            ):
                array = page.asarray()
                array = array.transpose(1, 2, 0) if int(page.planarconfig) == 2 else array
                array = np.iinfo(array.dtype).max - array if int(page.photometric) == 0 else array
                return array.astype(np.float32) if array.dtype.kind == "f" else array
    data = path.read_bytes()
    if data[:4] == b"\x89PNG" and data[24] == 16:
        torchvision = pytest.importorskip("torchvision")
        decoded = torchvision.io.decode_png(
            torchvision.io.read_file(str(path)), torchvision.io.ImageReadMode.UNCHANGED
        )
        array = decoded.numpy().transpose(1, 2, 0)
        with Image.open(path) as opened:
            opened.load()
            orientation = opened.getexif().get(0x0112, 1)
        turns = {1: 0, 6: -1, 8: 1}
        return np.rot90(array, turns[orientation])
    upright = corpus.upright_8(path)
    transparent = upright.mode == "P" and "transparency" in upright.info
    return np.asarray(upright.convert("RGBA" if transparent else "RGB") if upright.mode == "P" else upright)


def visible(array):
    """Return samples with what full transparency hides set to 0."""
    if array.ndim == 3 and array.shape[2] in (2, 4):
        return np.where(array[..., -1:] == 0, 0, array)
    return array


@pytest.mark.parametrize("name", STILLS)
def test_identity_gives_back_the_file(tmp_path, name, identity):
    source = put(tmp_path, name, STILLS[name])
    report = apply(identity, [source], tmp_path / "out", device="cpu")
    assert not report.failed, report.failed
    (target,) = report.written
    assert target.name == name
    # one transparent colour becomes a channel of alpha, all else is stored as it was
    assert header_bits(target) == (header_bits(source) if name != "key-16.png" else (16, 6))
    assert target.read_bytes()[:2] == source.read_bytes()[:2] or name.startswith(
        ("big-endian", "bigtiff", "text")
    )
    if source.suffix[1:] not in LOSSY and name not in ("lossy.webp", "key-16.png", "ten-bits.ppm"):
        before, after = visible(plainly_read(source)), visible(plainly_read(target))
        if name == "assocalpha-32.tif":  # a division and a product of floats
            assert np.allclose(before, after, rtol=2e-7, atol=0)
        else:
            assert np.array_equal(before, after)


PROPERTIES = sorted(n for n in STILLS if not n.endswith((".ppm", ".pgm")) and "32" not in n and "planes" not in n
                    and n not in ("half.tif", "hdr.tif", "grey-alpha-16.tif"))  # fmt: skip


@pytest.mark.parametrize("restorer", ["identity", "doubling"])
@pytest.mark.parametrize("name", PROPERTIES)
def test_what_travels_beside_the_samples(tmp_path, name, restorer, request):
    source = put(tmp_path, name, STILLS[name])
    restorer = request.getfixturevalue(restorer)
    report = apply(restorer, [source], tmp_path / "out", device="cpu")
    assert not report.failed, report.failed
    (target,) = report.written
    scale = restorer.scale
    expected = corpus.upright_8(source)
    with Image.open(target) as got:
        got.load()
        assert got.size == tuple(side * scale for side in expected.size)
        with Image.open(source) as given:
            given.load()
            assert got.info.get("icc_profile") == given.info.get("icc_profile")
            if given.info.get("dpi") and given.format != "WEBP" and name != "bitmap.tif":
                assert got.info["dpi"] == pytest.approx(given.info["dpi"], rel=1e-3, abs=0.02)
            if given.format in ("JPEG", "GIF") and given.info.get("comment"):
                assert got.info["comment"] == given.info["comment"]
    packet = corpus.xmp_in(source)
    assert corpus.xmp_in(target) == (
        None if packet is None else packet.replace(b'Orientation="6"', b'Orientation="1"')
    )
    assert corpus.iptc_in(target) == corpus.iptc_in(source)
    (before, _), (after, orientation) = corpus.tags_in(source), corpus.tags_in(target)
    assert orientation == 1
    if scale == 1:
        swapped = expected.size != Image.open(source).size
        sizes = {(0x8769, 0xA002): expected.size[0], (0x8769, 0xA003): expected.size[1]}
        before = {k: sizes.get(k, v) for k, v in before.items()} if swapped else before
    else:
        before = {
            k: v * scale if k[1:] in ((0xA002,), (0xA003,)) else v
            for k, v in ((k if isinstance(k, tuple) else (k,), v) for k, v in before.items())
        }
        after = {k if isinstance(k, tuple) else (k,): v for k, v in after.items()}
        if expected.size != Image.open(source).size:
            before |= {k: after[k] for k in before if k[1:] in ((0xA002,), (0xA003,))}
    for tag, value in before.items():
        assert after[tag] == value, tag


@pytest.mark.parametrize("name", ANIMATIONS)
@pytest.mark.parametrize("restorer", ["identity", "doubling"])
def test_animations_keep_every_frame_its_time_and_the_loop(tmp_path, name, restorer, request):
    source, target = put(tmp_path, name, ANIMATIONS[name]), tmp_path / "out" / name
    target.parent.mkdir()
    restorer = request.getfixturevalue(restorer)
    picture = each_frame(read_all(source), lambda frame: restore_picture(restorer, frame, Inference()))
    write(target, picture)
    with Image.open(source) as given, Image.open(target) as got:
        assert got.n_frames == given.n_frames
        assert got.info.get("loop") == given.info.get("loop")
        assert got.info.get("default_image") == given.info.get("default_image")
        assert got.info.get("icc_profile") == given.info.get("icc_profile")
        assert [s * restorer.scale for s in given.size] == list(got.size)
        for i in range(given.n_frames):
            given.seek(i)
            got.seek(i)
            if restorer.scale == 1:
                arrays = (visible(np.asarray(frame.convert("RGBA"))) for frame in (given, got))
                assert np.array_equal(*arrays), i
    assert corpus.durations_in(target) == pytest.approx(corpus.durations_in(source), abs=0.01)


def test_every_page_of_a_tiff_is_kept_with_what_is_its_own(tmp_path, identity):
    pages = [corpus.samples(3), corpus.samples(1, 16, 9, 7), corpus.samples(3, 32, 5, 5), corpus.samples(1)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for i, page in enumerate(pages):
            array = page if page.shape[2] == 3 else page[..., 0]
            writer.write(array, description=f"page {i}", metadata=None, resolution=(72 + i, 72 + i), resolutionunit=2,
                         photometric="rgb" if array.ndim == 3 else "minisblack")  # fmt: skip
    picture = each_frame(
        read_all(tmp_path / "a.tif"), lambda page: restore_picture(identity, page, Inference())
    )
    write(tmp_path / "b.tif", picture)
    with tifffile.TiffFile(tmp_path / "b.tif") as back:
        assert len(back.pages) == 4
        for i, (page, array) in enumerate(zip(back.pages, pages, strict=True)):
            assert np.array_equal(page.asarray().reshape(array.shape), array)
            assert page.tags[270].value == f"page {i}"
            assert page.tags[282].value[0] / page.tags[282].value[1] == 72 + i


def test_lossy_files_stay_near(tmp_path, identity):
    for name in ("q92.jpg", "a.avif", "lossy.webp"):
        if name in STILLS:
            source = put(tmp_path, name, STILLS[name])
            apply(identity, [source], tmp_path / "out", device="cpu")
            difference = read(source).samples.astype(int) - read(Path(tmp_path / "out" / name)).samples
            assert np.sqrt((difference**2).mean()) < 4


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "avif"])
def test_frames_that_are_alike_stay_apart(tmp_path, suffix):
    if f".{suffix}" not in Image.registered_extensions():
        pytest.skip("Pillow without AVIF")
    still = (corpus.smooth() // 64 * 64).astype(np.uint8)
    frames = [Picture(still, duration=float(time)) for time in (40, 40, 70, 200)]
    write(tmp_path / f"a.{suffix}", replace(frames[0], following=tuple(frames[1:]), loop=0))
    back = read_all(tmp_path / f"a.{suffix}")
    assert [frame.duration for frame in back.frames] == [40, 40, 70, 200]
    if suffix != "avif":
        assert all(np.array_equal(frame.samples, still) for frame in back.frames)
