"""TIFF's integers with a sign or of 32 bits: out as they came in, checked by an independent reader."""

import numpy as np
import pytest

from restoration.apply import apply
from restoration.formats.integers import stored_as
from restoration.image import read
from restoration.weights import load

tifffile = pytest.importorskip("tifffile")
HIGH, WIDE = 21, 30


def drawn(dtype, least, most, channels=1, seed=0):
    draws = np.random.default_rng(seed).integers(least, most, (HIGH, WIDE, channels), endpoint=True)
    draws.flat[:2] = least, most
    return draws.astype(dtype)


def through(tmp_path, values, restorer="identity", out="out", **options):
    """Return what `apply` makes of a TIFF file with these values, and its report."""
    grey = values.shape[-1] == 1
    tifffile.imwrite(
        tmp_path / "a.tif",
        values[..., 0] if grey else values,
        photometric="minisblack" if grey else "rgb",
        **options,
    )
    report = apply(load(restorer), [tmp_path / "a.tif"], tmp_path / out, device="cpu", overwrite=True)
    assert not report.failed, report.failed
    return tifffile.TiffFile(report.written[0]).pages[0], report


EXACT = [
    (np.int8, -128, 127), (np.int16, -32768, 32767), (np.int16, -1000, 3000), (np.uint32, 0, 65535),
    (np.uint32, 0, 4000), (np.int32, 0, 65535), (np.int32, -32768, 32767), (np.int32, -5, 12),
]  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dtype", "least", "most"), EXACT)
def test_integers_that_16_bits_hold_come_out_as_they_were(tmp_path, dtype, least, most, channels):
    values = drawn(dtype, least, most, channels)
    page, report = through(tmp_path, values)
    assert page.dtype == dtype and not report.lost
    assert np.array_equal(page.asarray().reshape(values.shape), values)


@pytest.mark.parametrize(
    ("dtype", "least", "most"), [(np.uint32, 0, 2**32 - 1), (np.int32, -(2**31), 2**31 - 1)]
)
def test_larger_ones_keep_24_bits_and_say_so(tmp_path, dtype, least, most):
    values = drawn(dtype, least, most)
    page, report = through(tmp_path, values)
    error = page.asarray().astype(np.int64) - values[..., 0].astype(np.int64)
    assert page.dtype == dtype and abs(error).max() <= 2**8
    assert page.asarray().flat[0] == least and page.asarray().flat[1] == most
    assert report.lost == [f"{report.written[0]}: of integers of 32 bits, 24 were kept"]


@pytest.mark.parametrize("dtype", [np.int16, np.uint32])
def test_a_network_sees_them_scaled_by_their_range(tmp_path, dtype):
    values = drawn(dtype, 0, 32767)
    tifffile.imwrite(tmp_path / "a.tif", values[..., 0])
    picture = read(tmp_path / "a.tif")
    low = -32768 if dtype is np.int16 else 0
    assert picture.depth == 16 and picture.samples.dtype == np.uint16
    assert np.array_equal(picture.samples, (values.astype(np.int64) - low).astype(np.uint16))


@pytest.mark.parametrize("options", [
    {"photometric": "miniswhite"}, {"byteorder": ">"}, {"tile": (16, 16)}, {"bigtiff": True},
], ids=str)  # fmt: skip
@pytest.mark.parametrize(("dtype", "least", "most"), [(np.int16, -300, 300), (np.uint32, 0, 70000)])
def test_every_way_to_store_them_is_read(tmp_path, options, dtype, least, most):
    values = drawn(dtype, least, most)
    tifffile.imwrite(tmp_path / "a.tif", values[..., 0], **options)
    report = apply(load("identity"), [tmp_path / "a.tif"], tmp_path / "out", device="cpu")
    assert not report.failed, report.failed
    page = tifffile.TiffFile(report.written[0]).pages[0]
    error = abs(page.asarray().astype(np.int64) - values[..., 0]).max()
    assert page.dtype == dtype and error <= (256 if most > 65535 else 0)
    again = read(report.written[0])  # deflated differences, and white that is zero
    assert abs(again.samples.astype(float) - read(tmp_path / "a.tif").samples).max() <= 2**-24


def test_pages_are_each_as_they_were(tmp_path):
    pages = [
        drawn(np.uint32, 0, 900)[..., 0],
        drawn(np.int16, -9, 9)[..., 0],
        drawn(np.uint8, 0, 255)[..., 0],
    ]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in pages:
            writer.write(page, contiguous=False)
    report = apply(load("nearest-x2"), [tmp_path / "a.tif"], tmp_path / "out", device="cpu")
    with tifffile.TiffFile(report.written[0]) as opened:
        for page, made in zip(pages, opened.pages, strict=True):
            assert made.dtype == page.dtype and np.array_equal(made.asarray(), page.repeat(2, 0).repeat(2, 1))


def test_a_format_without_a_sign_says_what_black_is(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", drawn(np.int16, -9, 9)[..., 0])
    report = apply(load("identity"), [tmp_path / "a.tif"], tmp_path / "out", device="cpu", format="png")
    assert report.lost == [f"{report.written[0]}: .png holds no sign: black is -32768 in the source"]


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u4"])
def test_results_beyond_the_range_are_clipped(kind):
    ends = np.iinfo(kind)
    stored = stored_as(kind, ends.min, ends.max)
    assert stored.from_samples(stored.to_samples(np.array([ends.min, ends.max], kind))).tolist() == [
        ends.min,
        ends.max,
    ]
    if stored.rounded:
        beyond = stored.from_samples(np.array([-0.5, 1.5], np.float32))
        assert beyond.tolist() == [ends.min, ends.max]
