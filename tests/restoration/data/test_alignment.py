"""The shift of a pair, by phase correlation: exact where it is known, silent where there is nothing to tell."""

import numpy as np
import pytest
from PIL import Image

from restoration.data import build_source
from restoration.data.alignment import CLEAR, TOLERANCE, reduced, shift
from restoration.errors import ConfigError


def plane(seed: int, side: int = 256) -> np.ndarray:
    """Noise with a spectrum of 1/f, as photographs have."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    spectrum = np.fft.fft2(rng.normal(size=(side, side))) / np.maximum(frequency, 1 / side)
    image = np.fft.ifft2(spectrum).real
    return (image - image.min()) / np.ptp(image) * 255


def moved(image: np.ndarray, down: float, right: float) -> np.ndarray:
    """The image shifted in the frequency domain, by parts of a pixel too."""
    rows, columns = (np.fft.fftfreq(side) for side in image.shape)
    return np.fft.ifft2(
        np.fft.fft2(image) * np.exp(-2j * np.pi * np.add.outer(down * rows, right * columns))
    ).real


@pytest.mark.parametrize("expected", [(0.0, 0.0), (1.0, -0.5), (-3.0, 2.0), (0.24, 0.0), (-7.3, 12.6)])
def test_a_known_shift_is_found(expected):
    clean = plane(0)
    found = shift(clean, moved(clean, *expected))
    assert (found.down, found.right) == pytest.approx(expected, abs=0.05) and found.clear > 0.6


def test_noise_and_exposure_hide_no_shift_and_make_none():
    clean, rng = plane(1), np.random.default_rng(0)
    for expected in ((0.0, 0.0), (2.0, -1.0)):
        found = shift(clean, 0.2 * moved(clean, *expected) + rng.normal(0, 4, clean.shape))
        assert (found.down, found.right) == pytest.approx(expected, abs=0.2) and found.clear > CLEAR


def test_pictures_with_nothing_in_common_are_not_clear():
    assert max(shift(plane(2 * i), plane(2 * i + 1)).clear for i in range(10)) < CLEAR
    assert shift(np.zeros((64, 64)), np.zeros((64, 64))).clear < CLEAR


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_one_pixel_of_each_cell_is_within_the_tolerance(scale):
    clean = plane(3, 1024)
    found = shift(reduced(clean, scale), clean[::scale, ::scale])
    assert found.down == pytest.approx((scale - 1) / 2 / scale, abs=0.1) and found.down < TOLERANCE


def test_photographs_and_their_reductions_are_aligned(data_root, data):
    for scale in (2, 3, 4):
        source = build_source(data("set14/HR", degraded=f"set14/LR_bicubic_x{scale}", crop=48))
        assert source.scale == scale and len(source) == 14


def test_a_shifted_pair_is_named_with_its_shift(tmp_path, data):
    for name, place in (("clean", (0.0, 0.0)), ("degraded", (1.0, -0.5))):
        (tmp_path / name).mkdir()
        for i in range(5):
            image = reduced(moved(plane(i), 2 * place[0], 2 * place[1]), 2 if name == "degraded" else 1)
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(tmp_path / name / f"{i:04d}.png")
    settings = {"degraded": str(tmp_path / "degraded"), "crop": 32}
    with pytest.raises(ConfigError) as error:
        build_source(data(tmp_path / "clean", **settings))
    assert str(error.value) == (
        f"{tmp_path}/clean/0000.png: degraded is shifted by (1.0, -0.5) pixels (down, right); "
        'expected aligned pairs, or data.shifted = "keep"'
    )
    assert len(build_source(data(tmp_path / "clean", shifted="keep", **settings))) == 5
