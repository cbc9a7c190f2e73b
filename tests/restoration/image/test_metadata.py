"""What travels with a picture, from format to format; what cannot is told."""

import io
import struct

import numpy as np
import pytest
from image import corpus
from PIL import Image

from restoration.formats.exif import resized, resolution, stated_orientation
from restoration.formats.jpeg import quality_of, scaled
from restoration.formats.metadata import (
    Stored,
    iptc_of_resources,
    resources_of_iptc,
    xmp_resized,
    xmp_upright,
)
from restoration.image import Picture, read, write


def everything(**changes):
    settings = {
        "samples": corpus.samples(3), "icc": corpus.WIDE, "exif": corpus.exif(), "dpi": (240.0, 120.0),
        "xmp": corpus.XMP % 1, "iptc": corpus.IPTC,
    }  # fmt: skip
    return Picture(**(settings | changes))


def test_all_of_it_travels_through_every_format_that_has_a_place_for_it(tmp_path):
    picture = everything()
    for suffix in ("png", "tif", "jpg", "png"):
        write(tmp_path / f"a.{suffix}", picture)
        picture = read(tmp_path / f"a.{suffix}")
        assert (picture.icc, picture.xmp, picture.iptc) == (corpus.WIDE, corpus.XMP % 1, corpus.IPTC), suffix
        assert picture.dpi == pytest.approx((240, 120), abs=0.02)
        tags, _ = corpus.tags_in(tmp_path / f"a.{suffix}")
        assert tags[0x010F] == "Maker" and tags[(0x8769, 0x8827)] == 400 and tags[(0x8825, 1)] == "N"


@pytest.mark.parametrize("suffix", ["webp", "avif"])
def test_webp_and_avif_state_the_resolution_in_exif(tmp_path, suffix):
    if f".{suffix}" not in Image.registered_extensions():
        pytest.skip("Pillow without AVIF")
    write(tmp_path / f"a.{suffix}", everything(exif=None))
    back = read(tmp_path / f"a.{suffix}")
    assert back.dpi == (240, 120) == resolution(back.exif)
    assert (back.icc, back.xmp) == (corpus.WIDE, corpus.XMP % 1)


def test_what_has_no_place_is_told(tmp_path, caplog):
    write(tmp_path / "a.webp", everything())
    assert caplog.messages == [f"{tmp_path}/a.webp: .webp has no place for IPTC"]
    caplog.clear()
    write(tmp_path / "a.bmp", everything(samples=corpus.samples(3, 16)))
    assert caplog.messages == [
        f"{tmp_path}/a.bmp: .bmp has no place for its profile, EXIF, XMP, IPTC",
        f"{tmp_path}/a.bmp: 16 bits were written as 8, .bmp holds no more",
    ]
    caplog.clear()
    write(tmp_path / "a.gif", Picture(corpus.samples(3)))
    assert caplog.messages == [
        f"{tmp_path}/a.gif: GIF holds 256 colours a frame, clear or opaque: the nearest were taken"
    ]
    caplog.clear()
    write(tmp_path / "a.png", everything())
    assert caplog.messages == []


def test_cmyk_is_converted_with_a_message(tmp_path, caplog):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    picture = read(tmp_path / "a.tif")
    assert picture.notes == ("CMYK was converted to sRGB",) and picture.icc is None
    write(tmp_path / "b.tif", picture)
    assert caplog.messages == [f"{tmp_path}/b.tif: CMYK was converted to sRGB"]


def test_further_pictures_of_a_phone_are_told(tmp_path):
    frames = [Image.fromarray(corpus.samples(3)) for _ in range(3)]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert read(tmp_path / "a.jpg").notes == ("2 further pictures were left out",)


@pytest.mark.parametrize("quality", [75, 80, 90, 95, 100])
def test_quality_is_told_from_the_tables(quality):
    stream = io.BytesIO()
    Image.fromarray(corpus.samples(3)).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as opened:
        assert tuple(opened.quantization[0]) == scaled(quality)
        assert quality_of(tuple(opened.quantization[0])) == quality


def test_jpeg_keeps_its_quality_or_takes_the_one_asked_for(tmp_path):
    Image.fromarray(corpus.smooth()).save(tmp_path / "a.jpg", quality=83, subsampling="4:2:0")
    write(tmp_path / "b.jpg", read(tmp_path / "a.jpg"))
    write(tmp_path / "c.jpg", read(tmp_path / "a.jpg"), quality=60)
    Image.fromarray(corpus.smooth()).save(tmp_path / "d.jpg", quality=20)
    write(tmp_path / "e.jpg", read(tmp_path / "d.jpg"))
    with Image.open(tmp_path / "a.jpg") as a, Image.open(tmp_path / "b.jpg") as b:
        assert a.quantization == b.quantization
        assert [layer[1:3] for layer in b.layer] == [(1, 1)] * 3  # 4:4:4
    with Image.open(tmp_path / "c.jpg") as c, Image.open(tmp_path / "e.jpg") as e:
        assert quality_of(tuple(c.quantization[0])) == 60
        assert quality_of(tuple(e.quantization[0])) == 20


def test_extended_xmp_of_a_jpeg_stays(tmp_path):
    extension = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + struct.pack(">LL", 900, 0) + b"x" * 900
    stream = io.BytesIO()
    Image.fromarray(corpus.smooth()).save(stream, "JPEG", xmp=corpus.XMP % 1)
    data = stream.getvalue()
    segment = b"\xff\xe1" + struct.pack(">H", len(extension) + 2) + extension
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:])
    write(tmp_path / "b.jpg", read(tmp_path / "a.jpg"))
    assert (0xE1, extension) in corpus.jpeg_segments((tmp_path / "b.jpg").read_bytes())


@pytest.mark.parametrize("order", ["<", ">"])
def test_sizes_in_exif_and_xmp_are_those_of_the_result(order):
    block = resized(corpus.exif(order=order), 5000, 300)
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    assert exif.get_ifd(0x8769)[0xA002] == 5000 and exif.get_ifd(0x8769)[0xA003] == 300
    assert len(block) == len(corpus.exif(order=order)) and stated_orientation(block) == 1
    assert resized(b"", 1, 2) == b"" and resized(block[:30], 1, 2) == block[:30]
    packet = b'<a exif:PixelXDimension="27"><exif:PixelYDimension>18</exif:PixelYDimension></a>'
    expected = b'<a exif:PixelXDimension="108"><exif:PixelYDimension>72</exif:PixelYDimension></a>'
    assert xmp_resized(packet, 108, 72) == expected


def test_orientation_in_xmp_of_both_forms():
    assert xmp_upright(b"<tiff:Orientation>6</tiff:Orientation>") == b"<tiff:Orientation>1</tiff:Orientation>"
    assert xmp_upright(b"a tiff:Orientation = '8' b") == b"a tiff:Orientation = '1' b"
    assert xmp_upright(b"tiff:Orientation elsewhere 6") == b"tiff:Orientation elsewhere 6"


def test_orientation_in_exif_counts_before_that_in_xmp(tmp_path):
    samples = corpus.samples(3)
    itxt = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + corpus.XMP % 3)
    (tmp_path / "a.png").write_bytes(corpus.png(samples, 2, 8, (b"eXIf", corpus.exif(6)), itxt))
    picture = read(tmp_path / "a.png")
    assert np.array_equal(picture.samples, np.rot90(samples, -1))
    assert picture.xmp == corpus.XMP % 1 and stated_orientation(picture.exif) == 1


def test_iptc_among_other_resources():
    block = b"8BIM\x03\xed\x03abc" + struct.pack(">L", 3) + b"xyz\0" + resources_of_iptc(corpus.IPTC)
    assert iptc_of_resources(block) == corpus.IPTC
    assert iptc_of_resources(b"") is None and iptc_of_resources(b"nothing") is None


def test_texts_and_colour_chunks_of_a_png_stay(tmp_path):
    kept = [
        (b"gAMA", struct.pack(">L", 45455)),
        (b"cICP", bytes([12, 13, 0, 1])),
        (b"tEXt", b"Title\0A title"),
    ]
    (tmp_path / "a.png").write_bytes(corpus.png(corpus.samples(3), 2, 8, *kept))
    write(tmp_path / "b.png", read(tmp_path / "a.png"))
    chunks = corpus.png_chunks((tmp_path / "b.png").read_bytes())
    assert all(chunk in chunks for chunk in kept)


def test_few_bits_and_palettes_end_where_they_would_lose_something(tmp_path):
    grey = (corpus.samples(1) // 85 * 85).astype(np.uint8)
    write(tmp_path / "a.png", Picture(grey, stored=Stored(peak=3)))
    assert (tmp_path / "a.png").read_bytes()[24] == 2
    write(tmp_path / "b.png", Picture(grey + 1 - (grey == 255), stored=Stored(peak=3)))
    assert (tmp_path / "b.png").read_bytes()[24] == 8
    colours = corpus.samples(3, 8, 10, 20)
    write(tmp_path / "c.png", Picture(colours, stored=Stored(palette=True)))
    assert (tmp_path / "c.png").read_bytes()[24:26] == bytes([8, 3])
    more = corpus.samples(3, 8, 40, 20)
    write(tmp_path / "d.png", Picture(more, stored=Stored(palette=True)))
    assert (tmp_path / "d.png").read_bytes()[25] == 2
    for name, samples in (("b", grey + 1 - (grey == 255)), ("c", colours), ("d", more)):
        assert np.array_equal(read(tmp_path / f"{name}.png").samples, samples)


def test_transparent_bmp(tmp_path):
    picture = Picture(corpus.samples(3), corpus.samples(1))
    write(tmp_path / "a.bmp", picture)
    with Image.open(tmp_path / "a.bmp") as opened:
        assert opened.mode == "RGBA"
    back = read(tmp_path / "a.bmp")
    assert np.array_equal(back.samples, picture.samples) and np.array_equal(
        back.alpha_samples, picture.alpha_samples
    )
