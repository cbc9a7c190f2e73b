"""Pictures of a folder: which there are, in which order, and what a crop of one holds."""

import numpy as np
import pytest
from PIL import Image

from restoration.degradations import pictures
from restoration.degradations.pictures import pictures_in, read_crop, read_mask


def test_pictures_are_sorted_below_the_folder_and_nothing_else_counts(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.JPG", "sub/c.webp"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    assert pictures_in(str(tmp_path)) == ("a.JPG", "b.png", "sub/c.webp")


def test_sixteen_bits_of_grey_are_not_cut_off(tmp_path):
    Image.fromarray(np.array([[0, 300, 32767, 32768, 65535]], np.uint16)).save(tmp_path / "deep.png")
    assert read_mask(tmp_path / "deep.png").tolist() == [[False, False, False, True, True]]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("size", [(30, 40), (50, 20)])
def test_a_crop_is_from_half_to_all_of_what_fits_anywhere(tmp_path, suffix, size):
    """Red goes up to the right and green downwards, so two corners tell where the crop lies."""
    y, x = np.mgrid[:200, :240]
    path = tmp_path / f"ramp.{suffix}"
    Image.fromarray(np.stack([x, y, 0 * x], -1).astype(np.uint8)).save(path, quality=100, subsampling=0)
    rng = np.random.default_rng(0)
    shares, mirrored, lefts = [], 0, []
    most = min(240 / size[1], 200 / size[0])
    for _ in range(150):
        crop = read_crop(path, "RGB", size, rng).astype(float)
        assert crop.shape == (*size, 3)
        across = crop[:, -1, 0].mean() - crop[:, 0, 0].mean()
        down = crop[-1, :, 1].mean() - crop[0, :, 1].mean()
        mirrored += int(across < 0)
        assert abs(across) / (size[1] - 1) == pytest.approx(down / (size[0] - 1), rel=0.15)
        shares.append(down / (size[0] - 1) / most)
        lefts.append(crop[..., 0].min() / (240 - abs(across)))
    assert min(shares) > 0.45 and max(shares) < 1.05
    assert np.mean(shares) == pytest.approx(0.75, abs=4 * 0.5 / 12**0.5 / 150**0.5 + 0.01)
    assert abs(mirrored - 75) < 4 * 37.5**0.5
    assert min(lefts) < 0.1 and max(lefts) > 0.8


def test_one_channel_and_turned_pictures(tmp_path):
    picture = Image.fromarray(np.repeat(np.arange(60, dtype=np.uint8)[None], 40, 0))
    exif = picture.getexif()
    exif[0x0112] = 6  # to be shown turned to the right by 90 degrees: the ramp then goes down
    picture.save(tmp_path / "turned.png", exif=exif)
    crop = read_crop(tmp_path / "turned.png", "L", (24, 16), np.random.default_rng(0)).astype(float)
    assert crop.shape == (24, 16, 1) and crop[-1].mean() - crop[0].mean() > 10
    assert np.ptp(crop[5]) <= 1


def test_masks_are_kept_up_to_a_number_of_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "KEPT", 250)
    monkeypatch.setattr(pictures, "_MASKS", type(pictures._MASKS)())
    for name in "abc":
        Image.fromarray(np.eye(10, dtype=np.uint8) * 255).save(tmp_path / f"{name}.png")
        assert read_mask(tmp_path / f"{name}.png").sum() == 10
    assert [path.stem for path in pictures._MASKS] == ["b", "c"]
    (tmp_path / "c.png").unlink()
    assert read_mask(tmp_path / "c.png").sum() == 10
