"""Pictures found again by their low frequencies: turned, resized, re-encoded; unrelated ones never."""

import numpy as np
import pytest
from PIL import Image

from restoration.curation import fingerprint
from restoration.curation.fingerprint import VERSIONS, flat, groups, matches, spectrum, thumbnail

TURNS = {
    "": lambda image: image,
    "mirrored left to right": lambda image: image[:, ::-1],
    "mirrored top to bottom": lambda image: image[::-1],
    "turned by 180 degrees": lambda image: image[::-1, ::-1],
    "mirrored along a diagonal": lambda image: image.transpose(1, 0, 2),
    "turned by 90 degrees": lambda image: np.rot90(image),
}


def picture(number: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Return smooth random colours with the falling spectrum of photographs."""
    rng = np.random.default_rng(number)
    layers = [
        np.asarray(
            Image.fromarray(rng.normal(0, 40 / k, (4 * k, 4 * k)).astype(np.float32)).resize(
                size[::-1], Image.BICUBIC
            )
        )
        for k in (1, 2, 4, 8)
    ]
    grey = np.sum(layers, 0) + 128
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, 2)


def spectra(*images: np.ndarray) -> np.ndarray:
    return spectrum(np.stack([thumbnail(np.ascontiguousarray(image)) for image in images]))


def test_the_spectrum_is_the_cosine_transform():
    fft = pytest.importorskip("scipy.fft")
    small = np.random.default_rng(0).integers(0, 256, (3, 32, 32)).astype(np.uint8)
    expected = fft.dctn(small.astype(float), axes=(1, 2), norm="ortho")[:, :16, :16]
    np.testing.assert_allclose(spectrum(small), expected, atol=2e-3)


def test_the_thumbnail_is_the_mean_of_areas():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 1), dtype=np.uint8)
    means = image[..., 0].reshape(32, 2, 32, 3).mean((1, 3))
    assert np.abs(thumbnail(image) - means).max() <= 1
    assert np.array_equal(thumbnail(image.astype(np.uint16) * 257), thumbnail(image))


@pytest.mark.parametrize("how", TURNS)
def test_a_turned_picture_is_found_and_said_how(how):
    images = [picture(i) for i in range(6)]
    found = matches(spectra(TURNS[how](images[2])), spectra(*images))
    assert found.theirs.tolist() == [2] and VERSIONS[found.version[0]] == how
    assert found.likeness[0] > 0.99


def test_versions_of_the_spectrum_are_spectra_of_versions():
    image = picture(1, (64, 64))[..., 0]
    turned = [
        image, image[:, ::-1], image[::-1], image[::-1, ::-1],
        image.T, image.T[:, ::-1], image.T[::-1], image.T[::-1, ::-1],
    ]  # fmt: skip
    small = [thumbnail(np.ascontiguousarray(each)[..., None]) for each in turned]
    versions = fingerprint._versions(spectrum(small[0][None]))[:, 0]
    np.testing.assert_allclose(versions, spectrum(np.stack(small)), atol=8)  # thumbnails are rounded


def test_a_picture_is_found_however_the_pairs_are_cut_into_blocks(monkeypatch):
    images = [picture(i % 7) for i in range(20)]
    whole = matches(spectra(*images))
    monkeypatch.setattr(fingerprint, "BLOCK", 200)
    parts = matches(spectra(*images))
    expected = {(a, b) for a in range(20) for b in range(a + 1, 20) if a % 7 == b % 7}
    assert set(zip(whole.ours.tolist(), whole.theirs.tolist(), strict=True)) == expected
    assert np.array_equal(whole.ours, parts.ours) and np.array_equal(whole.theirs, parts.theirs)


def test_images_of_one_colour_match_nothing():
    plain = np.full((64, 64, 3), 90, np.uint8)
    noisy = plain + np.random.default_rng(0).integers(0, 3, plain.shape, dtype=np.uint8)
    assert flat(spectra(plain, noisy, picture(0))).tolist() == [True, True, False]
    assert not len(matches(spectra(plain, plain, noisy)).ours)


def test_none_or_one_image_has_no_pairs():
    assert not len(matches(spectra(picture(0))).ours)
    assert not len(matches(np.zeros((0, 16, 16), np.float32), spectra(picture(0))).ours)


def test_groups_are_what_pairs_join():
    first, second = np.array([0, 7, 2, 5]), np.array([3, 2, 3, 6])
    assert groups(9, first, second) == [[0, 2, 3, 7], [5, 6]]
    chain = np.arange(200)
    assert groups(201, chain, chain + 1) == [list(range(201))]
    assert groups(4, chain[:0], chain[:0]) == []
