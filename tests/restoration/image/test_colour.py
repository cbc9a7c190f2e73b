"""Colour spaces: into sRGB and back without a trace, and as LittleCMS computes them."""

import io
import struct

import numpy as np
import pytest
import torch
from image import corpus
from PIL import Image, ImageCms

from restoration.degradations.resize import resize
from restoration.image import around, to_float, to_samples, to_srgb
from restoration.image.colour import Curve, _curve, profile_of

PROFILES = {"adobe-rgb": (corpus.WIDE, 3), "prophoto": (corpus.WIDEST, 3), "grey": (corpus.GREY, 1)}


def all_kinds(channels, depth):
    samples = corpus.samples(channels, depth, 64, 64)
    samples[0], samples[1] = 0, 2**depth - 1
    samples[2, :, 1:], samples[3, :, :1] = 0, 0  # saturated: one or two channels at nothing
    samples[4] = np.arange(64)[:, None]
    return samples


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("name", PROFILES)
def test_an_identity_in_srgb_is_one_in_the_files_colours_bit_for_bit(name, depth):
    icc, channels = PROFILES[name]
    samples, seen = all_kinds(channels, depth), []

    def identity(tile):
        seen.append(tile)
        return tile

    back = to_samples(around(identity, icc, channels)(to_float(samples)), depth)
    assert np.array_equal(back, samples)
    assert seen[0].dtype == torch.float32 and seen[0].min() >= 0 and seen[0].max() <= 1
    assert (seen[0] - to_float(samples)).abs().max() > 0.02  # it was converted


@pytest.mark.parametrize("name", ["adobe-rgb", "prophoto"])
def test_sRGB_is_what_littlecms_makes_of_it(name):
    icc, _ = PROFILES[name]
    samples = corpus.samples(3, 8, 64, 64)
    image = ImageCms.profileToProfile(
        Image.fromarray(samples), io.BytesIO(icc), ImageCms.createProfile("sRGB"), renderingIntent=1
    )
    ours = to_samples(to_srgb(to_float(samples), icc))
    assert np.abs(ours.astype(int) - np.asarray(image)).max() <= 1


def test_round_trip_error_is_far_below_a_level_of_16_bits():
    for icc, channels in PROFILES.values():
        assert profile_of(icc, channels).round_trip_error() < 0.01 / 65535


def test_srgb_damaged_and_foreign_profiles_need_no_conversion():
    assert profile_of(None, 3) is None and profile_of(corpus.SRGB, 3) is None
    assert profile_of(corpus.WIDE[:150], 3) is None and profile_of(b"nonsense", 3) is None
    assert profile_of(corpus.WIDE, 1) is None and profile_of(corpus.GREY, 3) is None
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert profile_of(lab, 3) is None


@pytest.mark.parametrize(
    "curve",
    [
        Curve(),
        Curve((2.2, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
        Curve((2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0)),
        Curve((2.0, 0.9, 0.1, 0.5, 0.2, -0.0784 + 0.1, 0.0)),
        Curve(table=torch.linspace(0, 1, 300, dtype=torch.float64) ** 1.8),
    ],
)
def test_curves_invert(curve):
    values = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    assert (curve.encoded(curve.linear(values)) - values).abs().max() < 1e-9


def test_floats_beyond_white_go_around_the_network():
    image = torch.tensor([-0.5, 0.25, 3.0, 0.75]).view(1, 1, 1, 4)
    assert torch.equal(around(lambda tile: tile, None, 1)(image), image)
    halved = around(lambda tile: tile / 2, None, 1)(image)
    assert halved.ravel().tolist() == [-0.25, 0.125, 2.25, 0.375]


def test_a_network_that_does_not_enlarge_sees_the_noise_around_black_and_white():
    seen = []
    image = torch.tensor([-0.7, -0.2, 0.4, 1.3]).view(1, 1, 1, 4)
    around(lambda tile: seen.append(tile) or tile, None, 1)(image)
    around(lambda tile: seen.append(tile) or resize(tile, scale=2), None, 1, 2)(image)
    assert seen[0].ravel().tolist() == pytest.approx([-0.5, -0.2, 0.4, 1.3])
    assert seen[1].ravel().tolist() == pytest.approx([0, 0, 0.4, 1])


def test_what_goes_around_is_enlarged_with_the_rest():
    image = torch.rand(1, 3, 12, 12) * 3 - 1
    enlarged = around(lambda tile: resize(tile, scale=2), None, 3, 2)(image)
    assert (enlarged - resize(image, scale=2)).abs().max() < 1e-5


def test_a_wide_picture_in_a_file_without_profiles_is_srgb(tmp_path):
    from restoration.image import Picture, read_samples, write

    samples = corpus.samples(3)
    write(tmp_path / "a.ppm", Picture(samples, icc=corpus.WIDE))
    assert np.array_equal(
        read_samples(tmp_path / "a.ppm"), to_samples(to_srgb(to_float(samples), corpus.WIDE))
    )


def test_parametric_curves_of_a_profile_are_read():
    def para(kind, *values):
        numbers = b"".join(struct.pack(">l", round(v * 65536)) for v in values)
        return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + numbers

    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    srgb = torch.where(x >= 0.04045, ((x + 0.055) / 1.055) ** 2.4, x / 12.92)
    assert (_curve(para(0, 2.0)).linear(x) - x**2).abs().max() < 1e-9
    assert (_curve(para(1, 2.0, 1.0, -0.5)).linear(x) - (x - 0.5).clamp(min=0) ** 2).abs().max() < 1e-9
    offset = torch.where(x >= 0.5, (x - 0.5).clamp(min=0) ** 2 + 0.25, torch.full_like(x, 0.25))
    assert (_curve(para(2, 2.0, 1.0, -0.5, 0.25)).linear(x) - offset).abs().max() < 1e-9
    three = _curve(para(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
    four = _curve(para(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0))
    for curve in (three, four):
        assert (curve.linear(x) - srgb).abs().max() < 1e-4
