"""Samples: colour conversions by their closed forms, chroma that comes back exactly, every layout of samples."""

import numpy as np
import pytest
import torch
from clips import av  # noqa: F401  (skips without it)

from restoration.video.chroma import enlarged, reduced
from restoration.video.colour import FULL, LIMITED, Colour, Conversion, Layout
from restoration.video.frames import frame_of, layout_of, nearest_format, planes_of

SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (8, 8), (47, 63), (48, 61)]
LAYOUTS = {
    "yuv420p": Layout("yuv", 8, (1, 1)),
    "yuv422p10le": Layout("yuv", 10, (0, 1)),
    "yuv440p": Layout("yuv", 8, (1, 0)),
    "yuv444p12le": Layout("yuv", 12),
    "yuv410p": Layout("yuv", 8, (2, 2)),
    "yuv411p": Layout("yuv", 8, (0, 2)),
    "yuvj420p": Layout("yuv", 8, (1, 1)),
    "nv12": Layout("yuv", 8, (1, 1)),
    "p010le": Layout("yuv", 10, (1, 1)),
    "uyvy422": Layout("yuv", 8, (0, 1)),
    "yuv420p10be": Layout("yuv", 10, (1, 1)),
    "gray": Layout("grey", 8),
    "gray16le": Layout("grey", 16),
    "gbrp10le": Layout("rgb", 10),
    "bgr0": Layout("rgb", 8),
    "rgb48le": Layout("rgb", 16),
}


def random_planes(layout, height, width, seed=0):
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, 2**layout.bits, shape).astype(layout.dtype) for shape in layout.shapes(height, width)
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("down", [(0, 1), (1, 0), (1, 1), (2, 2), (0, 2)])
def test_chroma_comes_back(size, down):
    small = tuple(-(-side // 2**steps) for side, steps in zip(size, down, strict=True))
    chroma = torch.rand(1, 2, *small, generator=torch.Generator().manual_seed(1))
    large = enlarged(chroma, *size, down)
    assert large.shape[-2:] == size
    assert (reduced(large, down) - chroma).abs().max() < 1e-6


def test_chroma_lies_on_even_columns_and_between_rows():
    columns = torch.arange(16.0).expand(1, 1, 16, 16)
    rows = columns.mT
    inside = (..., slice(4, -4), slice(4, -4))
    assert torch.equal(reduced(columns, (1, 1))[0, 0, 0, 2:-2], torch.arange(4.0, 12, 2))
    assert torch.equal(reduced(rows, (1, 1))[0, 0, :, 0], torch.arange(0.5, 16, 2))
    for ramp in (columns, rows):
        assert torch.equal(enlarged(reduced(ramp, (1, 1)), 16, 16, (1, 1))[inside], ramp[inside])


@pytest.mark.parametrize("matrix", [1, 4, 5, 6, 7, 9])
@pytest.mark.parametrize("bits", [8, 10])
def test_primaries_have_the_samples_of_their_matrix(matrix, bits):
    colour = Colour(LIMITED, matrix)
    kr, kb = colour.weights(100)
    conversion = Conversion(Layout("yuv", bits), colour, 100)
    red, white, black = (
        [plane[0, 0] for plane in conversion.planes(torch.tensor(rgb).reshape(1, 3, 1, 1).expand(1, 3, 2, 2))]
        for rgb in ([1.0, 0, 0], [1.0, 1, 1], [0.0, 0, 0])
    )
    unit = 2 ** (bits - 8)
    assert white == [235 * unit, 128 * unit, 128 * unit] and black == [16 * unit, 128 * unit, 128 * unit]
    assert red[0] == round(unit * (16 + 219 * kr)) and red[2] == 240 * unit
    assert red[1] == np.floor(unit * (128 - 224 * kr / (2 * (1 - kb))) + 0.5)


@pytest.mark.parametrize("reach", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_colours_are_those_of_another_implementation(matrix, reach):
    rng = np.random.default_rng(3)
    conversion = Conversion(Layout("yuv", 8), Colour(reach, matrix), 16)
    for _ in range(20):
        image = torch.from_numpy(rng.uniform(0.05, 0.95, (1, 3, 1, 1)).astype(np.float32)).expand(
            1, 3, 16, 16
        )
        frame = frame_of(conversion.planes(image), "yuv444p")
        found = frame.reformat(
            format="rgb24", src_colorspace=matrix if matrix != 6 else 5, src_color_range=reach,
            dst_color_range=FULL,
        ).to_ndarray()[8, 8]  # fmt: skip
        assert np.abs(found - image[0, :, 0, 0].numpy() * 255).max() < 2.5


def test_a_matrix_without_a_name_goes_by_the_height():
    assert Colour().weights(576) == Colour(matrix=6).weights(1)
    assert Colour().weights(577) == Colour(matrix=1).weights(1)
    assert Colour(matrix=8).weights(100) is None


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("reach", [0, LIMITED, FULL])
def test_samples_of_any_value_come_back(name, reach):
    layout = LAYOUTS[name]
    conversion = Conversion(layout, Colour(reach, 9), 48)
    planes = random_planes(layout, 31, 45)
    picture = conversion.picture(planes)
    assert picture.image.min() >= 0 and picture.image.max() <= 1
    back = conversion.planes(picture.with_excess(picture.image, 1))
    assert all(np.array_equal(a, b) for a, b in zip(planes, back, strict=True))


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_of_pixel_formats(name):
    layout = LAYOUTS[name]
    assert layout_of(name) == layout
    planar = {
        "nv12": "yuv420p",
        "p010le": "yuv420p10le",
        "uyvy422": "yuv422p",
        "yuv420p10be": "yuv420p10le",
    }.get(name)
    if planar:  # read alone: written as planes
        planes = random_planes(layout, 32, 44)
        read = planes_of(frame_of(planes, planar).reformat(format=name, threads=1), layout)
    else:
        planes = random_planes(layout, 31, 45)
        read = planes_of(frame_of(planes, name), layout)
    assert all(np.array_equal(a, b) for a, b in zip(planes, read, strict=True))


@pytest.mark.parametrize("name", ["yuva420p", "pal8", "monow", "rgba", "grayf32le", "xyz12le", "ya8"])
def test_formats_that_cannot_be_kept_have_no_layout(name):
    assert layout_of(name) is None


def test_encoders_are_given_the_format_that_keeps_most():
    pick = lambda encoder, name: nearest_format(encoder, layout_of(name))  # noqa: E731
    assert pick("ffv1", "yuv420p10le")[0] == "yuv420p10le"
    assert pick("ffv1", "gbrp")[0] == "bgr0"
    assert pick("ffv1", "nv12")[0] == "yuv420p"
    assert pick("libx264", "yuv422p12le")[0] == "yuv422p10le"
    assert pick("libx264", "yuv411p")[0] == "yuv422p"
    assert pick("libx264", "gbrp") is None
    assert pick("libvpx-vp9", "gray")[0] == "yuv420p"


def test_what_exceeds_rgb_is_kept_when_enlarged():
    layout = LAYOUTS["yuv420p"]
    conversion = Conversion(layout, Colour(LIMITED, 1), 48)
    planes = [np.full(shape, 250 if i == 0 else 128, np.uint8) for i, shape in enumerate(layout.shapes(8, 8))]
    picture = conversion.picture(planes)
    assert picture.image.max() == 1
    large = picture.with_excess(picture.image.repeat_interleave(2, -1).repeat_interleave(2, -2), 2)
    assert [set(plane.flat) for plane in conversion.planes(large)] == [{250}, {128}, {128}]
