"""Masks: which belongs to which picture, what a restorer sees, and what stays as it was."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.apply import Inference, apply, restore_picture
from restoration.dials.masks import Masks
from restoration.errors import ImageError, RequestError
from restoration.image import Picture, read_samples
from restoration.networks.network import Network
from restoration.restorers import Card, Restorer
from restoration.weights import load


class Paint(Network):
    """Half grey everywhere, but for what it is shown: a hundredth of it, so that nothing passes unnoticed."""

    conditions = ("mask",)
    receptive_field = 0
    channels = None

    def forward(self, degraded):
        image, mask = degraded[:, :-1], degraded[:, -1:]
        assert ((mask == 0) | (mask == 1)).all()
        return 0.5 * mask + 0.01 * image + 0.1 * (1 - mask)


def painter():
    return Restorer(Paint(), Card("paint", "inpainting", {"name": "paint"}))


def random_samples(height=9, width=11, channels=3, dtype=np.uint8):
    rng = np.random.default_rng(channels)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, channels), endpoint=True).astype(dtype)


def some_hole(height=9, width=11):
    hole = np.zeros((height, width, 1), bool)
    hole[2:5, 3:8] = True
    return hole


def save_mask(path, hole, white=True, peak=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(((hole[..., 0] == white) * peak).astype(np.uint8)).save(path)
    return path


def save(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(samples).save(path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("ensemble", [False, True])
def test_known_samples_stay_and_what_holes_hold_is_not_seen(dtype, channels, ensemble):
    samples = random_samples(channels=channels, dtype=np.uint16 if dtype == np.uint16 else np.uint8)
    samples = (samples / 255).astype(dtype) if dtype == np.float32 else samples
    hole, peak = some_hole(), 1 if dtype == np.float32 else np.iinfo(dtype).max
    inference = Inference(tile=16, ensemble=ensemble, precision="fp32")
    restored = restore_picture(painter(), Picture(samples), inference, hole=hole).samples
    known = ~hole.repeat(channels, 2)
    assert restored.dtype == dtype and np.array_equal(restored[known], samples[known])
    assert np.allclose(restored[~known] / peak, 0.5, atol=0.003)


def test_masks_of_a_folder_go_by_name(tmp_path):
    holes = [np.roll(some_hole(), shift, 1) for shift in range(3)]
    save_mask(tmp_path / "masks" / "a.png", holes[0])
    save_mask(tmp_path / "masks" / "deep" / "a.bmp", holes[1])
    save_mask(tmp_path / "masks" / "b [1].png", holes[2], peak=200)
    masks = Masks(tmp_path / "masks")
    for name, hole in [("a.jpg", holes[0]), ("deep/a.tif", holes[1]), ("x/a.png", holes[0])]:
        assert np.array_equal(masks.of(tmp_path / "in" / name, 9, 11), hole)
    assert np.array_equal(masks.of(tmp_path / "b [1].png", 9, 11), holes[2])
    save_mask(tmp_path / "masks" / "a.tif", holes[0])
    folder = tmp_path / "masks"
    for name, height, line in [
        ("c.png", 9, f"c.png: no mask in {folder}; expected c.png there"),
        ("a.png", 9, f"a.png: several masks in {folder} (a.png, a.tif); expected one"),
        ("b [1].png", 8, f"b [1].png: 11x8 pixels, but its mask {folder}/b [1].png has 11x9"),
    ]:
        with pytest.raises(ImageError) as refusal:
            masks.of(tmp_path / name, height, 11)
        assert str(refusal.value) == f"{tmp_path}/{line}"


def test_black_holes_and_one_mask_for_all(tmp_path):
    path = save_mask(tmp_path / "m.png", some_hole(), white=False)
    assert np.array_equal(Masks(path, "black").of(tmp_path / "any.png", 9, 11), some_hole())
    with pytest.raises(RequestError) as refusal:
        Masks(path, "grey")
    assert str(refusal.value) == "--hole grey: expected white or black"
    with pytest.raises(RequestError) as refusal:
        Masks(tmp_path / "none.png")
    assert str(refusal.value) == f"--mask {tmp_path}/none.png: no such file or folder"


def test_files_with_masks(tmp_path):
    samples = random_samples()
    save(tmp_path / "in" / "a.png", samples)
    save(tmp_path / "in" / "b.png", samples)
    save_mask(tmp_path / "masks" / "a.png", some_hole())
    report = apply(painter(), [tmp_path / "in"], tmp_path / "out", masks=Masks(tmp_path / "masks"))
    assert report.written == [tmp_path / "out" / "a.png"]
    (line,) = report.failed.values()
    assert line == f"{tmp_path}/in/b.png: no mask in {tmp_path}/masks; expected b.png there; skipped"
    restored = read_samples(tmp_path / "out" / "a.png")
    assert np.array_equal(restored[~some_hole()[..., 0]], samples[~some_hole()[..., 0]])
    assert np.isin(restored[some_hole()[..., 0]], (127, 128)).all()
    assert report.measured[tmp_path / "out" / "a.png"]["delta_e_max"] < 1e-6 and report.notes == []


def test_a_picture_filled_by_another_mask_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = save(tmp_path / "in" / "a.png", random_samples())
    mask = save_mask(tmp_path / "m.png", some_hole())

    def notes(path):
        return apply(painter(), [source], tmp_path / "out", masks=Masks(path)).notes

    assert notes(mask) == [] and notes(Path("m.png")) == []  # by whatever name
    save_mask(mask, ~some_hole())
    (note,) = notes(mask)
    assert "kept, but was made with mask " in note


def test_masks_that_have_no_place_are_refused(tmp_path):
    source = save(tmp_path / "a.png", random_samples())
    mask = Masks(save_mask(tmp_path / "m.png", some_hole()))
    several = painter()
    several.conditions = ("neighbour", "neighbour", "flow")
    for restorer, masks, line in [
        (load("identity"), mask, f"--mask {tmp_path}/m.png: 'identity' takes no mask"),
        (painter(), None, "'paint' needs a mask beside the image: expected --mask FILE or folder"),
        (several, mask, "'paint' restores frames by those around them: expected videos alone"),
    ]:
        with pytest.raises(RequestError) as refusal:
            apply(restorer, [source], tmp_path / "out", masks=masks)
        assert str(refusal.value) == line
    assert not (tmp_path / "out").exists()


def test_masks_travel_through_tiles(tmp_path):
    torch.manual_seed(0)
    samples, hole = random_samples(70, 50), np.random.default_rng(0).random((70, 50, 1)) > 0.5
    whole, tiled = (
        restore_picture(painter(), Picture(samples), Inference(tile=tile), hole=hole).samples
        for tile in ("off", 16)
    )
    assert np.array_equal(whole, tiled)
