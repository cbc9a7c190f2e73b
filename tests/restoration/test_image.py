"""Image files: what is read equals what was written, and what cannot be read says why in one line."""

import errno
import os
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from restoration import image as images
from restoration.errors import ImageError
from restoration.formats.exif import turned, upright
from restoration.image import (
    Picture,
    find_images,
    quantise,
    read,
    read_samples,
    rgb,
    to_float,
    to_samples,
    write,
)
from restoration.image.decoding import FORMATS

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = struct.pack("<4sLHHHLHHHHLHHL", b"II*\0", 8, 2, 0x0112, 3, 1, 6, 0, 0x0128, 3, 1, 2, 0, 0)
UPRIGHT = EXIF[:18] + b"\1" + EXIF[19:]


def random_samples(channels, depth=8, height=5, width=7):
    dtype = np.uint8 if depth == 8 else np.uint16
    shape = (height, width, channels)
    return np.random.default_rng(channels + depth).integers(0, 2**depth, shape).astype(dtype)


def png_bytes(samples, kind, bits, *chunks):
    """Return a PNG file made from the specification alone: no filters, one block."""
    height, width = samples.shape[:2]
    raw = np.ascontiguousarray(samples, samples.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    rows = np.concatenate([np.zeros((height, 1), np.uint8), raw], 1).tobytes()
    body = [(b"IHDR", struct.pack(">LL5B", width, height, bits, kind, 0, 0, 0)), *chunks]
    body += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(d)) + k + d + struct.pack(">L", zlib.crc32(k + d)) for k, d in body
    )


# --- samples and images


@pytest.mark.parametrize("depth", [8, 16])
def test_every_level_survives_the_way_to_float_and_back(depth):
    levels = np.arange(2**depth, dtype=np.uint8 if depth == 8 else np.uint16)[None, :, None]
    image = to_float(levels)
    assert image.dtype == torch.float32 and image.shape == (1, 1, 1, 2**depth)
    assert image[0, 0, 0, 0] == 0 and image[0, 0, 0, -1] == 1
    assert np.array_equal(to_samples(image, depth), levels)
    assert torch.equal(quantise(image, depth), image)


def test_rounding_is_half_up_and_clamped():
    image = torch.tensor([-0.5, 0.5 / 255, 1.5 / 255, 2.49 / 255, 7.0]).view(1, 1, 1, 5)
    assert to_samples(image)[0, :, 0].tolist() == [0, 1, 2, 2, 255]
    assert (quantise(image)[0, 0, 0] * 255).round().tolist() == [0, 1, 2, 2, 255]


def test_grey_is_replicated_and_colour_left_alone():
    grey = torch.rand(2, 1, 3, 4)
    assert torch.equal(rgb(grey), grey.repeat(1, 3, 1, 1))
    colour = torch.rand(2, 3, 3, 4)
    assert rgb(colour) is colour


# --- lossless formats


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_png_and_tiff_keep_all(tmp_path, suffix, depth, colours, alpha):
    opacity = random_samples(1, depth) if alpha else None
    picture = Picture(random_samples(colours, depth), opacity, icc=SRGB, exif=UPRIGHT, dpi=(300.0, 150.0))
    write(tmp_path / f"a{suffix}", picture)
    back = read(tmp_path / f"a{suffix}")
    assert np.array_equal(back.samples, picture.samples) and back.depth == depth
    assert back.alpha is None if opacity is None else np.array_equal(back.alpha_samples, opacity)
    assert back.icc == SRGB
    assert back.dpi == pytest.approx((300.0, 150.0), abs=0.02)
    write(tmp_path / f"b{suffix}", back)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize(("suffix", "depth"), [(".ppm", 8), (".ppm", 16), (".bmp", 8), (".webp", 8)])
@pytest.mark.parametrize("colours", [1, 3])
def test_ppm_bmp_and_lossless_webp_keep_samples(tmp_path, suffix, depth, colours):
    samples = random_samples(colours, depth)
    write(tmp_path / f"a{suffix}", Picture(samples))
    expected = samples.repeat(3, 2) if suffix == ".webp" and colours == 1 else samples  # WebP has no grey
    assert np.array_equal(read_samples(tmp_path / f"a{suffix}"), expected)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_independent_readers_agree(tmp_path, suffix, depth, channels):
    samples = random_samples(channels, depth, 300, 401)  # several bands
    colours = 1 if channels < 3 else 3
    alpha = samples[..., colours:] if channels > colours else None
    write(tmp_path / f"a.{suffix}", Picture(samples[..., :colours], alpha))
    if suffix == "tif":
        tifffile = pytest.importorskip("tifffile")
        back = tifffile.imread(tmp_path / "a.tif").reshape(samples.shape)
    elif channels == 2:
        pytest.skip("OpenCV widens grey with alpha")
    else:
        cv2 = pytest.importorskip("cv2")
        back = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED).reshape(samples.shape)
        back = back[..., [2, 1, 0, 3][:channels]] if channels > 1 else back
    assert np.array_equal(back, samples)


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_png_of_the_specification_is_read_with_all_bits(tmp_path, kind, channels):
    samples = random_samples(channels, 16)
    (tmp_path / "a.png").write_bytes(png_bytes(samples, kind, 16))
    picture = read(tmp_path / "a.png")
    whole = [picture.samples] if picture.alpha_samples is None else [picture.samples, picture.alpha_samples]
    assert np.array_equal(np.concatenate(whole, -1), samples)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "predictor": 2},
        {"tile": (16, 16), "compression": "zlib"},
        {"byteorder": ">"},
    ],
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bit_tiff_of_another_writer_is_read_with_all_bits(tmp_path, options, channels):
    tifffile = pytest.importorskip("tifffile")
    samples = random_samples(channels, 16, 37, 41)
    photometric = "minisblack" if channels == 1 else "rgb"
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    data = samples[..., 0] if channels == 1 else samples
    tifffile.imwrite(tmp_path / "a.tif", data, photometric=photometric, **options, **extra)
    picture = read(tmp_path / "a.tif")
    assert np.array_equal(picture.samples, samples[..., : min(channels, 3)])
    assert channels != 4 or np.array_equal(picture.alpha_samples, samples[..., 3:])


def test_ppm_with_ten_bits_is_scaled_to_sixteen(tmp_path):
    values = np.array([0, 511, 1023], ">u2")
    (tmp_path / "a.ppm").write_bytes(b"P6\n# a comment\n1 1\n1023\n" + values.tobytes())
    assert read_samples(tmp_path / "a.ppm").ravel().tolist() == [0, round(511 / 1023 * 65535), 65535]
    (tmp_path / "b.pgm").write_bytes(b"P5 3 1 1023\n" + values.tobytes())
    assert read_samples(tmp_path / "b.pgm").ravel().tolist() == [0, round(511 / 1023 * 65535), 65535]


# --- palettes, transparency, colour spaces


def test_palette_becomes_the_colours_it_stands_for(tmp_path):
    image = Image.fromarray(random_samples(3)).quantize(4)
    image.save(tmp_path / "a.png")
    picture = read(tmp_path / "a.png")
    assert picture.palette and picture.alpha is None
    assert np.array_equal(picture.samples, np.asarray(image.convert("RGB")))


def test_palette_with_opacities_gets_alpha(tmp_path):
    image = Image.fromarray(np.arange(4, dtype=np.uint8)[None]).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 1, 2, 3])
    image.save(tmp_path / "a.png", transparency=bytes([0, 100, 200, 255]))
    picture = read(tmp_path / "a.png")
    assert picture.alpha_samples.ravel().tolist() == [0, 100, 200, 255]
    assert picture.samples[0].tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90], [1, 2, 3]]


@pytest.mark.parametrize(
    ("bits", "raw", "key", "levels"),
    [(1, 0b01000000, 1, [0, 255]), (2, 0b01100000, 1, [85, 170]), (4, 0x3A, 3, [51, 170])],
)
def test_transparent_grey_of_few_bits(tmp_path, bits, raw, key, levels):
    data = png_bytes(np.array([[raw]], np.uint8), 0, bits, (b"tRNS", struct.pack(">H", key)))
    data = data.replace(struct.pack(">LL", 1, 1), struct.pack(">LL", 2, 1), 1)  # two pixels in the one byte
    data = data[:29] + struct.pack(">L", zlib.crc32(data[12:29])) + data[33:]
    (tmp_path / "a.png").write_bytes(data)
    picture = read(tmp_path / "a.png")
    assert picture.samples.ravel().tolist() == levels
    transparent = [0 if level * (2**bits - 1) // 255 == key else 255 for level in levels]
    assert picture.alpha_samples.ravel().tolist() == transparent


@pytest.mark.parametrize("depth", [8, 16])
def test_one_transparent_colour_needs_all_bits_equal(tmp_path, depth):
    samples = random_samples(3, depth)
    samples[0, 0] = samples[1, 1] = 2**depth - 2, 7, 9
    samples[1, 1, 0] += 1
    key = struct.pack(">3H", *(int(v) for v in samples[0, 0]))
    (tmp_path / "a.png").write_bytes(png_bytes(samples, 2, depth, (b"tRNS", key)))
    alpha = read(tmp_path / "a.png").alpha_samples
    assert alpha[0, 0] == 0 and alpha[1, 1] == 2**depth - 1
    assert (alpha == 0).sum() == 1


def test_cmyk_is_read_as_srgb_without_its_profile(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    picture = read(tmp_path / "a.jpg")
    assert picture.icc is None
    assert np.abs(picture.samples.astype(int) - [255, 0, 0]).max() <= 3


def test_lab_is_read_as_srgb(tmp_path):
    Image.new("LAB", (4, 4), (255, 128, 128)).save(tmp_path / "a.tif")
    assert np.abs(read_samples(tmp_path / "a.tif").astype(int) - 255).max() <= 2


def test_alpha_is_not_lost_without_a_word(tmp_path):
    picture = Picture(random_samples(3), random_samples(1))
    with pytest.raises(ImageError) as refusal:
        write(tmp_path / "a.jpg", picture)
    assert str(refusal.value) == (
        f"{tmp_path}/a.jpg: .jpg holds no transparency; "
        "expected one of .apng .avif .bmp .gif .png .tif .tiff .webp"
    )
    assert not list(tmp_path.iterdir())
    write(tmp_path / "a.jpg", Picture(picture.samples, np.full_like(picture.alpha_samples, 255)))


def test_colours_under_full_transparency_survive_webp(tmp_path):
    picture = Picture(random_samples(3), np.zeros((5, 7, 1), np.uint8))
    write(tmp_path / "a.webp", picture)
    assert np.array_equal(read_samples(tmp_path / "a.webp"), picture.samples)


# --- orientation and metadata


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_orientation_is_applied_once_and_reset(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    stored = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3).repeat(16, 0).repeat(16, 1) * 40)
    options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
    stored = stored.convert("RGB") if suffix == "webp" else stored
    options |= {"lossless": True} if suffix == "webp" else {}
    stored.save(tmp_path / f"a.{suffix}", exif=exif, **options)
    upright_by_hand = {
        1: [[0, 1, 2], [3, 4, 5]], 2: [[2, 1, 0], [5, 4, 3]], 3: [[5, 4, 3], [2, 1, 0]],
        4: [[3, 4, 5], [0, 1, 2]], 5: [[0, 3], [1, 4], [2, 5]], 6: [[3, 0], [4, 1], [5, 2]],
        7: [[5, 2], [4, 1], [3, 0]], 8: [[2, 5], [1, 4], [0, 3]],
    }[orientation]  # fmt: skip
    for name in (f"a.{suffix}", f"b.{suffix}"):
        picture = read(tmp_path / name)
        levels = np.rint(picture.samples[8::16, 8::16, 0] / 40).astype(int)
        assert levels.tolist() == upright_by_hand
        write(tmp_path / f"b.{suffix}", picture)
    with Image.open(tmp_path / f"b.{suffix}") as written:
        assert written.getexif().get(0x0112, 1) == 1
        assert written.getexif()[0x010F] == "Maker"


def test_sixteen_bit_png_with_its_exif_at_the_end_is_upright(tmp_path):
    samples = random_samples(3, 16)
    data = png_bytes(samples, 2, 16)
    chunk = struct.pack(">L", len(EXIF)) + b"eXIf" + EXIF + struct.pack(">L", zlib.crc32(b"eXIf" + EXIF))
    (tmp_path / "a.png").write_bytes(data[:-12] + chunk + data[-12:])
    assert np.array_equal(read_samples(tmp_path / "a.png"), np.rot90(samples, -1))


def test_exif_keeps_every_other_byte():
    orientation, patched = upright(EXIF)
    assert (orientation, patched) == (6, UPRIGHT)
    assert upright(b"") == (1, b"")
    assert upright(EXIF[:15]) == (1, EXIF[:15])


def test_turning_is_the_group_of_the_square():
    samples = random_samples(1)
    seen = {turned(samples, orientation).tobytes() for orientation in range(1, 9)}
    assert len(seen) == 8


def test_exif_of_a_jpeg_survives_tiff(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x829A] = 0.01  # exposure time
    Image.fromarray(random_samples(3)).save(tmp_path / "a.jpg", exif=exif)
    write(tmp_path / "b.tif", read(tmp_path / "a.jpg"))
    write(tmp_path / "c.png", read(tmp_path / "b.tif"))
    with Image.open(tmp_path / "c.png") as back:
        assert back.getexif()[0x010F] == "Maker"
        assert back.getexif().get_ifd(0x8769)[0x829A] == 0.01


def test_jpeg_keeps_profile_exif_and_resolution(tmp_path):
    write(tmp_path / "a.jpg", Picture(random_samples(3), icc=SRGB, exif=UPRIGHT, dpi=(72.0, 72.0)))
    back = read(tmp_path / "a.jpg")
    assert (back.icc, back.exif, back.dpi, back.lossless) == (SRGB, UPRIGHT, (72.0, 72.0), False)


def test_jpeg_has_full_colour_resolution(tmp_path):
    samples = np.zeros((16, 16, 3), np.uint8)
    samples[:, ::2, 0] = 255  # red stripes of one pixel vanish under 4:2:0
    write(tmp_path / "a.jpg", Picture(samples))
    back = read_samples(tmp_path / "a.jpg")[..., 0]
    assert back[:, ::2].min() > 200 and back[:, 1::2].max() < 55


def test_colour_in_four_bytes_is_written_like_any_other(tmp_path):
    samples = random_samples(3, 8, 64, 64)
    blank = images.blank_samples(64, 64, 3, suffix=".jpg")
    blank[:] = samples
    for suffix in (".png", ".jpg", ".webp", ".bmp", ".tif", ".ppm"):
        write(tmp_path / f"a{suffix}", Picture(samples))
        write(tmp_path / f"b{suffix}", Picture(blank))
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes(), suffix


# --- what cannot be read or written


def refusal_of(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError) as refusal:
            read(path, **options)
    message = str(refusal.value)
    assert "\n" not in message and message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_missing_folder_empty_and_foreign_files(tmp_path):
    assert refusal_of(tmp_path / "none.png") == "cannot be read (No such file or directory)"
    assert refusal_of(tmp_path) == "cannot be read (Is a directory)"
    (tmp_path / "empty.png").touch()
    assert refusal_of(tmp_path / "empty.png") == "not a readable image (empty file)"
    (tmp_path / "text.png").write_text("this is no image" * 10)
    assert refusal_of(tmp_path / "text.png") == (f"not a readable image (none of {', '.join(FORMATS)})")


def test_content_decides_not_the_extension(tmp_path):
    samples = random_samples(3)
    write(tmp_path / "a.png", Picture(samples))
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert np.array_equal(read_samples(tmp_path / "a.jpg"), samples)


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp"])
def test_truncated_file_tells_how_far_it_goes(tmp_path, suffix):
    write(tmp_path / f"a.{suffix}", Picture(random_samples(3, 8, 64, 64)))
    data = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"b.{suffix}").write_bytes(data[:1204])
    message = refusal_of(tmp_path / f"b.{suffix}")
    declared = int(message.split(" of ")[1].split()[0])
    assert message == f"not a readable image (truncated after 1204 of {declared} bytes)"
    assert declared == len(data) or (suffix == "png" and 1204 < declared <= len(data))


def test_truncated_jpeg(tmp_path):
    write(tmp_path / "a.jpg", Picture(random_samples(3, 8, 64, 64)))
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:2000])
    assert refusal_of(tmp_path / "b.jpg") == "not a readable image (truncated after 2000 bytes)"


def test_size_is_judged_by_the_header(tmp_path):
    header = struct.pack(">LL5B", 40000, 20000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">L", 13) + b"IHDR" + header + struct.pack(">L", zlib.crc32(b"IHDR" + header))
    idat = struct.pack(">L", 10) + b"IDAT"
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + idat)
    assert refusal_of(tmp_path / "huge.png") == (
        "40000x20000 by its header, 800.0 megapixels; expected at most 512 (apply: --max-pixels)"
    )
    write(tmp_path / "small.png", Picture(random_samples(3)))
    assert refusal_of(tmp_path / "small.png", max_pixels=34) == (
        "7x5 by its header, 35 pixels; expected at most 34 (apply: --max-pixels)"
    )


def test_pillow_limit_does_not_apply_and_is_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow refuses from twice that on
    for suffix in ("png", "gif", "tif", "webp"):
        Image.fromarray(random_samples(3)).save(tmp_path / f"a.{suffix}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read_samples(tmp_path / f"a.{suffix}").shape == (5, 7, 3)
        assert Image.MAX_IMAGE_PIXELS == 10


def test_settings_of_pillow_return_after_many_threads(tmp_path):
    write(tmp_path / "a.png", Picture(random_samples(3)))
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: [read(tmp_path / "a.png") for _ in range(20)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limit == Image.MAX_IMAGE_PIXELS and warnings.filters == filters


def test_frames_are_not_dropped_without_a_word(tmp_path):
    frames = [Image.fromarray(random_samples(3) // (i + 1)) for i in range(3)]
    for suffix in ("gif", "png", "webp", "tif"):
        frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
        assert refusal_of(tmp_path / f"a.{suffix}") == "holds 3 frames; expected one still picture"


def test_whole_numbers_of_64_bits_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 4), 1 << 20, np.int64))
    line = "signed samples of 64 bits; expected whole numbers of at most 32 bits, or floats"
    assert refusal_of(tmp_path / "a.tif") == line


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp", "ppm", "gif"])
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, suffix):
    if suffix == "gif":
        Image.fromarray(random_samples(3, 8, 16, 16)).save(tmp_path / "a.gif")
    else:
        depth = 16 if suffix in ("png", "tif", "ppm") else 8
        write(tmp_path / f"a.{suffix}", Picture(random_samples(3, depth, 16, 16), exif=UPRIGHT, icc=SRGB))
    whole = (tmp_path / f"a.{suffix}").read_bytes()
    rng, path = np.random.default_rng(0), tmp_path / f"b.{suffix}"
    for trial in range(150):
        data = bytearray(whole)
        if trial % 2:
            del data[int(rng.integers(len(data))) :]
        for _ in range(trial % 4):
            if data:
                data[int(rng.integers(min(len(data), 400)))] = int(rng.integers(256))
        path.write_bytes(data)
        try:
            read(path, max_pixels=1_000_000)
        except ImageError as error:
            assert "\n" not in str(error)


def test_unknown_suffix_is_refused_before_a_file_is_made(tmp_path):
    with pytest.raises(ImageError) as refusal:
        write(tmp_path / "a.xyz", Picture(random_samples(3)))
    assert str(refusal.value) == (
        f"{tmp_path}/a.xyz: cannot write '.xyz' files; "
        "expected one of .apng .avif .bmp .gif .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_full_disk_leaves_the_old_file_and_no_half_one(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImageError) as refusal:
        write(path, Picture(random_samples(3)))
    assert str(refusal.value) == (
        f"{path}: could not be written (No space left on device); nothing was left behind"
    )
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.read_bytes() == b"old"


def test_folders_are_searched_in_order_without_hidden_files(tmp_path):
    for name in ("b.PNG", "a/z.jpg", "a/y.webp", ".hidden.png", ".cache/c.png", "note.txt", "a.tiff"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(p.relative_to(tmp_path)) for p in find_images(tmp_path)]
    assert found == ["a/y.webp", "a/z.jpg", "a.tiff", "b.PNG"]


def test_text_of_a_png_is_no_obstacle(tmp_path):
    info = PngInfo()
    info.add_text("Comment", "x" * 2000, zip=True)
    Image.fromarray(random_samples(3)).save(tmp_path / "a.png", pnginfo=info)
    assert read_samples(tmp_path / "a.png").shape == (5, 7, 3)
