"""How a file stores what it holds, kept or chosen: bits, kinds of grey, names, quality."""

from dataclasses import replace

import numpy as np
import pytest
from image import corpus
from PIL import Image

from restoration.apply import apply
from restoration.applying.pace import Pace
from restoration.formats.jpeg import quality_of
from restoration.image import FRAME_WRITERS, Picture, read, read_all, write
from restoration.targets import FORMATS
from restoration.weights import load

tifffile = pytest.importorskip("tifffile")
AVIF = pytest.mark.skipif(".avif" not in FRAME_WRITERS, reason="Pillow without AVIF")


@pytest.fixture(scope="module")
def identity():
    return load("identity")


@pytest.fixture(scope="module")
def nearest():
    return load("nearest-x2")


def applied(restorer, source, out, **options):
    report = apply(restorer, [source], out, device="cpu", overwrite=True, **options)
    assert not report.failed, report.failed
    return report.written[0], report


@pytest.mark.parametrize("array", [
    corpus.samples(1)[..., 0], corpus.samples(1, 16)[..., 0], corpus.bits_of(18, 27, 1)[1].astype(bool),
])  # fmt: skip
def test_white_that_is_zero_stays_zero(tmp_path, identity, array):
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="miniswhite")
    target, _ = applied(identity, tmp_path / "a.tif", tmp_path / "out")
    page = tifffile.TiffFile(target).pages[0]
    assert page.photometric == 0 and np.array_equal(page.asarray(), array)
    with Image.open(tmp_path / "a.tif") as before, Image.open(target) as after:
        assert before.mode == after.mode and np.array_equal(np.asarray(before), np.asarray(after))
    turned, _ = applied(identity, tmp_path / "a.tif", tmp_path / "out", format="png")
    assert np.array_equal(read(turned).samples, read(target).samples)


def test_grey_gif_stays_grey(tmp_path, nearest):
    Image.fromarray(corpus.samples(1)[..., 0]).save(tmp_path / "a.gif", optimize=False)
    target, report = applied(nearest, tmp_path / "a.gif", tmp_path / "out")
    with Image.open(target) as opened:
        assert opened.mode == "L" and not report.lost
        assert np.array_equal(np.asarray(opened)[::2, ::2], corpus.samples(1)[..., 0])


@AVIF
def test_grey_avif_stays_grey(tmp_path, nearest):
    Image.fromarray(corpus.smooth(1)[..., 0]).save(tmp_path / "a.avif", quality=90)
    target, _ = applied(nearest, tmp_path / "a.avif", tmp_path / "out")
    with Image.open(target) as opened:
        assert opened.mode == "L" and opened.size == (54, 36)


def test_bitmap_stays_one_and_greys_are_told(tmp_path, nearest):
    bits = corpus.bits_of(18, 27, 1)[1].astype(bool)
    Image.fromarray(bits).save(tmp_path / "a.pbm")
    target, report = applied(nearest, tmp_path / "a.pbm", tmp_path / "out")
    assert target.name == "a.pbm" and target.read_bytes().startswith(b"P4\n54 36\n") and not report.lost
    with Image.open(target) as opened:
        assert np.array_equal(np.asarray(opened)[::2, ::2], bits)
    target, report = applied(load("bicubic-x2"), tmp_path / "a.pbm", tmp_path / "out")
    assert target.read_bytes().startswith(b"P5\n54 36\n255\n")
    assert report.lost == [f"{target}: PBM holds black and white alone: written as PGM"]


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_a_result_that_needs_more_than_its_source_had_gets_it_and_is_told(tmp_path, nearest, suffix):
    Image.fromarray(corpus.smooth()).quantize(60).save(tmp_path / f"palette.{suffix}")
    Image.fromarray(corpus.bits_of(18, 27, 1)[1].astype(bool)).save(tmp_path / f"bits.{suffix}")
    told = {
        "palette": ("P", "RGB", "256 colours do not hold the result: written without a palette"),
        "bits": ("1", "L", "1-bit samples do not hold the result: written with 8"),
    }
    for name, (same, more, line) in told.items():
        source = tmp_path / f"{name}.{suffix}"
        target, report = applied(nearest, source, tmp_path / "same")
        assert Image.open(target).mode == Image.open(source).mode == same and not report.lost
        target, report = applied(load("bicubic-x2"), source, tmp_path / "more")
        assert Image.open(target).mode == more and report.lost == [f"{target}: {line}"]


def test_what_holds_of_many_files_is_printed_once_and_counted(tmp_path, capsys):
    for i in range(3):
        Image.fromarray(corpus.smooth()).quantize(60 + i).save(tmp_path / f"{i}.png")
    report = apply(load("bicubic-x2"), [f"{tmp_path}/*.png"], tmp_path / "out", pace=Pace(quiet=False))
    line = "256 colours do not hold the result: written without a palette"
    assert report.lost == [f"{tmp_path}/out/{i}.png: {line}" for i in range(3)]
    printed = [text for text in capsys.readouterr().err.splitlines() if line in text]
    assert printed == [f"{tmp_path}/out/0.png: {line}", f"2 more: {line}"]


def test_animated_png_keeps_its_name(tmp_path, identity):
    data = dict(corpus.animations())["a.png"]
    (tmp_path / "a.apng").write_bytes(data)
    target, _ = applied(identity, tmp_path / "a.apng", tmp_path / "out")
    assert target.name == "a.apng" and len(read_all(target).frames) == len(
        read_all(tmp_path / "a.apng").frames
    )


def test_every_format_that_is_written_can_be_asked_for(tmp_path, identity):
    Image.fromarray(corpus.smooth()).save(tmp_path / "a.png")
    asked = {
        "png",
        "jpg",
        "jpeg",
        "webp",
        "tif",
        "tiff",
        "bmp",
        "ppm",
        "gif",
        *(f[1:] for f in FRAME_WRITERS),
    }
    assert asked <= set(FORMATS)
    for name in FORMATS:
        target, _ = applied(identity, tmp_path / "a.png", tmp_path / name, format=name)
        assert target.name == (f"a.{name}" if name != "keep" else "a.png")
        with Image.open(target) as opened:
            assert opened.size == (27, 18)


def test_quality_that_is_asked_for(tmp_path, identity):
    Image.fromarray(corpus.smooth()).save(tmp_path / "a.jpg", quality=93)
    target, _ = applied(identity, tmp_path / "a.jpg", tmp_path / "out", quality=40)
    with Image.open(target) as opened:
        assert quality_of(tuple(opened.quantization[0])) == 40
        assert [layer[1:3] for layer in opened.layer] == [(1, 1)] * 3
    Image.fromarray(corpus.samples(3)).save(tmp_path / "a.webp", lossless=True)
    kept, _ = applied(identity, tmp_path / "a.webp", tmp_path / "out")
    lossless = kept.read_bytes()
    chosen, _ = applied(identity, tmp_path / "a.webp", tmp_path / "out", quality=30)
    assert b"VP8L" in lossless and b"VP8 " in chosen.read_bytes() and chosen.stat().st_size < len(lossless)


def test_quality_of_an_animation(tmp_path, identity):
    frames = [Picture(np.roll(corpus.samples(3), i, 1), duration=40.0) for i in range(3)]
    write(tmp_path / "a.webp", replace(frames[0], following=tuple(frames[1:])))
    kept, _ = applied(identity, tmp_path / "a.webp", tmp_path / "out")
    assert b"VP8L" in kept.read_bytes() and b"VP8 " not in kept.read_bytes()
    chosen, _ = applied(identity, tmp_path / "a.webp", tmp_path / "out", quality=30)
    assert b"VP8L" not in chosen.read_bytes() and len(read_all(chosen).frames) == 3


def test_another_quality_is_another_result(tmp_path, identity):
    Image.fromarray(corpus.smooth()).save(tmp_path / "a.jpg", quality=93)
    applied(identity, tmp_path / "a.jpg", tmp_path / "out", quality=40)
    report = apply(identity, [tmp_path / "a.jpg"], tmp_path / "out", device="cpu")
    assert report.notes == [
        f"{tmp_path}/out/a.jpg: kept, but was made with quality 40; --overwrite makes it again"
    ]


@pytest.mark.parametrize("quality", [1, 5, 20, 49, 74])
def test_a_low_quality_is_kept_and_told(tmp_path, identity, quality):
    Image.fromarray(corpus.smooth()).save(tmp_path / "a.jpg", quality=quality)
    target, report = applied(identity, tmp_path / "a.jpg", tmp_path / "out")
    with Image.open(tmp_path / "a.jpg") as before, Image.open(target) as after:
        assert before.quantization == after.quantization
    assert report.lost == [
        f"{target}: quality {quality}, that of its source, may put back what was restored (apply: --quality N)"
    ]
    assert not applied(identity, tmp_path / "a.jpg", tmp_path / "out", quality=20)[1].lost


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_orientation_is_applied_once(tmp_path, nearest, suffix, orientation):
    corner = np.zeros((18, 27, 3), np.uint8)
    corner[:8, :8], corner[10:, 18:] = (255, 0, 0), (0, 255, 0)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    options = {"jpg": {"quality": 98, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(corner).save(tmp_path / f"a.{suffix}", exif=exif, **options)
    expected = corpus.upright_8(tmp_path / f"a.{suffix}").convert("RGB")
    target, _ = applied(nearest, tmp_path / f"a.{suffix}", tmp_path / "out")
    with Image.open(target) as opened:
        opened.load()
        tags = opened.getexif()
        assert tags.get(0x0112, 1) == 1 and tags[0x010F] == "Maker"
        difference = np.asarray(opened.convert("RGB"))[::2, ::2].astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= (12 if suffix == "jpg" else 0)


def fringes(samples, alpha):
    visible = samples[alpha[..., 0] > 0]
    return 255 - int(visible[:, 0].min()), int(visible[:, 1:].max())


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "bmp"])
@pytest.mark.parametrize("soft", [False, True])
def test_what_is_clear_does_not_bleed_into_edges(tmp_path, suffix, soft):
    y, x = np.mgrid[:20, :30]
    away = np.hypot(y - 10, x - 15)
    alpha = (np.clip((8 - away) / 3, 0, 1) * 255).astype(np.uint8)[..., None] if soft else None
    alpha = np.where(away < 7, 255, 0).astype(np.uint8)[..., None] if alpha is None else alpha
    red = np.where(alpha > 0, (255, 0, 0), 0).astype(np.uint8)
    write(tmp_path / f"a.{suffix}", Picture(red, alpha))
    target, _ = applied(load("bicubic-x2"), tmp_path / f"a.{suffix}", tmp_path / "out")
    back = read(target)
    assert fringes(back.samples, back.alpha_samples) <= (1, 1)
    assert abs(float(back.alpha_samples.mean()) - float(alpha.mean())) < 1
