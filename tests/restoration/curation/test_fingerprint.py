"""Pictures found again by their low frequencies: turned, resized, re-encoded; unrelated ones never."""

import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from restoration.curation import fingerprint
from restoration.curation.fingerprint import VERSIONS, Prints, colour, flat, matches, spectrum, thumbnail

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


def prints(*images: np.ndarray) -> Prints:
    return Prints(spectra(*images), np.stack([colour(image) for image in images]))


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
    found = matches(prints(TURNS[how](images[2])), prints(*images))
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
    whole = matches(prints(*images))
    monkeypatch.setattr(fingerprint, "BLOCK", 200)
    parts = matches(prints(*images))
    expected = {(a, b) for a in range(20) for b in range(a + 1, 20) if a % 7 == b % 7}
    assert set(zip(whole.ours.tolist(), whole.theirs.tolist(), strict=True)) == expected
    assert np.array_equal(whole.ours, parts.ours) and np.array_equal(whole.theirs, parts.theirs)


def test_images_of_one_colour_match_nothing():
    plain = np.full((64, 64, 3), 90, np.uint8)
    noisy = plain + np.random.default_rng(0).integers(0, 3, plain.shape, dtype=np.uint8)
    assert flat(spectra(plain, noisy, picture(0))).tolist() == [True, True, False]
    assert not len(matches(prints(plain, plain, noisy)).ours)


def test_none_or_one_image_has_no_pairs():
    none = Prints(np.zeros((0, 16, 16), np.float32))
    assert not len(matches(prints(picture(0))).ours)
    assert not len(matches(none, prints(picture(0))).ours) and not len(matches(prints(picture(0)), none).ours)


def test_pairs_of_like_images_cost_memory_of_a_block_alone():
    images = Prints(np.repeat(spectra(picture(0)), 600, 0))
    tracemalloc.start()
    pairs = sum(len(fingerprint.of_some(images, rows).ours) for rows in fingerprint.blocks(images))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pairs == 600 * 599 // 2
    assert peak < 80e6


def shape(colour: tuple[int, int, int]) -> np.ndarray:
    image = np.full((120, 160, 3), 255, np.uint8)
    image[30:80, 40:100] = colour
    image[60:100, 90:120] = np.array(colour) // 2
    return image


def test_shapes_of_other_colours_are_other_pictures():
    shapes = prints(shape((230, 20, 20)), shape((20, 20, 230)), shape((20, 150, 20)))
    assert not len(matches(shapes).ours)
    stronger = ((shape((230, 20, 20)).astype(float) - 128) * 1.1 + 128).clip(0, 255).astype(np.uint8)
    assert len(matches(prints(shape((230, 20, 20)), stronger)).ours) == 1


def test_a_grey_copy_of_a_picture_in_colour_is_found():
    image = shape((230, 20, 20))
    grey = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    assert len(matches(prints(image, grey)).ours) == 1
    assert len(matches(prints(image, np.repeat(grey, 3, 2))).ours) == 1


def page(number: int) -> np.ndarray:
    """Return lines of text: words of random lengths between the same margins."""
    rng = np.random.default_rng(number)
    image = np.full((400, 300, 3), 255, np.uint8)
    for top in range(30, 370, 12):
        left = 30
        while (right := left + rng.integers(6, 40)) < 270:
            strokes = rng.integers(0, 2, (7, right - left)).astype(bool)
            image[top : top + 7, left:right][strokes] = 0
            left = right + 5
    return image


def test_pages_of_text_are_told_apart_and_their_copies_found():
    pages = [page(i) for i in range(12)]
    assert not len(matches(prints(*pages)).ours)
    for way in (75, 30):
        stream = io.BytesIO()
        Image.fromarray(pages[3]).save(stream, "JPEG", quality=way)
        again = np.asarray(Image.open(stream))
        assert matches(prints(again), prints(*pages)).theirs.tolist() == [3]
    small = np.asarray(Image.fromarray(pages[5]).resize((150, 200), Image.BICUBIC))
    assert matches(prints(small), prints(*pages)).theirs.tolist() == [5]


def test_floats_have_the_print_of_their_levels():
    image = picture(3)
    floats = (image / np.float32(255)).astype(np.float32)
    assert np.array_equal(thumbnail(floats), thumbnail(image))
    np.testing.assert_allclose(colour(floats), colour(image))
