"""Masks: their shapes in closed form, the shares of holes as drawn, files as they are stored."""

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.degradations.mask import (
    Boxes,
    Centre,
    Half,
    Lines,
    MaskFiles,
    Pixels,
    hole_ratio,
    masked,
    ratio_bin,
)


def keys(count: int, seed: int = 0) -> list[tuple[int, int]]:
    return [(seed, sample) for sample in range(count)]


@pytest.mark.parametrize(
    ("holes", "number"), [(0, 0), (1, 0), (10, 0), (11, 1), (20, 1), (30, 2), (60, 5), (61, 6), (100, 9)]
)
def test_bins_are_open_below_and_closed_above(holes, number):
    mask = (torch.arange(100).view(1, 1, 10, 10) < holes).float()
    assert hole_ratio(mask).tolist() == [holes / 100]
    assert ratio_bin(mask).tolist() == [number]


def test_bins_count_in_whole_pixels_where_floats_would_round():
    holes = 3 * 7 * 11  # of 10 · 7 · 11: exactly 0.3, which is 0.30000000000000004 as 3 · 0.1
    mask = (torch.arange(770).view(1, 1, 70, 11) < holes).float()
    assert ratio_bin(mask).tolist() == [2]


def test_holes_are_painted_and_the_rest_is_untouched():
    clean = torch.rand(2, 3, 6, 8)
    holes = [np.arange(48).reshape(6, 8) % 3 == i for i in range(2)]
    degraded = masked(clean, holes, (0.1, 0.2, 0.3))
    for image, painted, hole, mask in zip(clean, degraded.image, holes, degraded.mask, strict=True):
        assert torch.equal(painted[:, ~hole], image[:, ~hole])
        assert painted[:, hole].T.unique(dim=0).tolist() == [pytest.approx([0.1, 0.2, 0.3])]
        np.testing.assert_array_equal(mask[0], hole)
    assert degraded.mask.shape == (2, 1, 6, 8) and degraded.mask.dtype == torch.float32


def test_a_fill_for_other_channels_is_refused():
    with pytest.raises(ValueError, match=r"^fill has 3 values for 1 channel\(s\)$"):
        Centre(fill=(0.1, 0.2, 0.3))(torch.rand(1, 1, 8, 8), keys(1))


def test_pixels_drop_by_themselves_from_all_channels():
    clean = torch.rand(1, 3, 200, 200) + 0.1
    degraded = Pixels(ratio=0.9)(clean, keys(1))
    n = 200 * 200
    assert degraded.draw["ratio"][0] == pytest.approx(0.9, abs=4 * (0.09 / n) ** 0.5)
    assert hole_ratio(degraded.mask).tolist() == pytest.approx(degraded.draw["ratio"])
    assert torch.equal((degraded.image == 0), degraded.mask.bool().expand(-1, 3, -1, -1))
    holes = degraded.mask - 0.9
    for shifted in (holes.roll(1, 2), holes.roll(1, 3)):  # neighbours tell nothing of each other
        assert (holes * shifted).mean().abs().item() < 4 * 0.09 / n**0.5


def test_a_range_of_pixels_is_uniform_over_1000_draws():
    drawn = np.array(Pixels(ratio=(0.2, 0.8))(torch.zeros(1000, 1, 40, 40), keys(1000)).draw["ratio"])
    spread = 0.6 / 12**0.5
    assert drawn.mean() == pytest.approx(0.5, abs=4 * spread / 1000**0.5)
    assert drawn.std() == pytest.approx((spread**2 + 0.22 / 1600) ** 0.5, rel=0.08)


def test_boxes_are_where_the_draw_says_and_inside():
    clean = torch.zeros(300, 1, 40, 60)
    degraded = Boxes(count=(1, 4), side=(0.1, 0.4), fill=1.0)(clean, keys(300))
    for mask, boxes in zip(degraded.mask[:, 0], degraded.draw["boxes"], strict=True):
        expected = torch.zeros(40, 60)
        for top, left, height, width in boxes:
            assert 4 <= height <= 16 and 6 <= width <= 24 and top + height <= 40 and left + width <= 60
            expected[top : top + height, left : left + width] = 1
        assert torch.equal(mask, expected)
    counts = Counter(map(len, degraded.draw["boxes"]))
    assert set(counts) == {1, 2, 3, 4} and min(counts.values()) > 75 - 4 * (300 * 3 / 16) ** 0.5
    heights = np.array([box[2] for boxes in degraded.draw["boxes"] for box in boxes])
    assert heights.mean() == pytest.approx(10, abs=4 * (12 / 12**0.5) / len(heights) ** 0.5)


def test_the_centre_is_the_middle_half():
    mask = Centre()(torch.rand(2, 3, 256, 256), keys(2)).mask
    expected = torch.zeros(256, 256)
    expected[64:192, 64:192] = 1
    assert torch.equal(mask, expected.expand(2, 1, 256, 256))


@pytest.mark.parametrize(
    ("side", "rows", "columns"),
    [
        ("left", slice(0, 5), slice(0, 3)),
        ("right", slice(0, 5), slice(4, 7)),
        ("top", slice(0, 2), slice(0, 7)),
        ("bottom", slice(3, 5), slice(0, 7)),
    ],
)
def test_halves(side, rows, columns):
    expected = torch.zeros(5, 7)
    expected[rows, columns] = 1
    assert torch.equal(Half(side=side)(torch.rand(1, 3, 5, 7), keys(1)).mask[0, 0], expected)


def test_any_half_is_each_side_as_often():
    counts = Counter(Half()(torch.zeros(1000, 1, 4, 4), keys(1000)).draw["side"])
    assert len(counts) == 4
    assert all(abs(n - 250) < 4 * (1000 * 3 / 16) ** 0.5 for n in counts.values())


def test_every_other_line_and_grids():
    clean = torch.rand(1, 3, 7, 8)
    rows = Lines()(clean, keys(1)).mask[0, 0]
    assert torch.equal(rows, (torch.arange(7) % 2).float()[:, None].expand(7, 8))
    columns = Lines(lines="columns", every=3)(clean, keys(1)).mask[0, 0]
    assert torch.equal(columns, (torch.arange(8) % 3 > 0).float().expand(7, 8))
    both = Lines(lines="both")(clean, keys(1))
    assert torch.equal(both.image[..., ::2, ::2], clean[..., ::2, ::2]) and both.mask.sum() == 56 - 4 * 4


@pytest.mark.parametrize(("folder", "hole"), [("irregular", "white"), ("large", "black")])
def test_files_have_their_holes_whatever_their_colour(data_root, folder, hole):
    path = data_root / "masks" / folder
    degraded = MaskFiles(folder=str(path), hole=hole, augment=False)(torch.rand(30, 3, 256, 256), keys(30))
    assert len(set(degraded.draw["file"])) > 3
    for mask, name, ratio in zip(
        degraded.mask[:, 0], degraded.draw["file"], degraded.draw["ratio"], strict=True
    ):
        stored = np.asarray(Image.open(path / name).convert("L").resize((256, 256), Image.Resampling.NEAREST))
        assert ratio == pytest.approx(mask.mean().item(), abs=1e-6) and 0.15 < ratio < 0.75
        if stored.shape == (256, 256) and Image.open(path / name).size == (256, 256):
            np.testing.assert_array_equal(mask, (stored >= 128) == (hole == "white"))
        else:
            assert (mask.numpy() == ((stored >= 128) == (hole == "white"))).mean() > 0.99


@pytest.fixture
def corner(tmp_path):
    samples = np.zeros((8, 8), np.uint8)
    samples[0, 1] = 255
    Image.fromarray(samples).save(tmp_path / "corner.png")
    return tmp_path


def test_files_are_turned_to_each_of_eight_symmetries_as_often(corner):
    degraded = MaskFiles(folder=str(corner), hole="white")(torch.zeros(1000, 1, 8, 8), keys(1000))
    places = Counter(tuple(mask[0].nonzero()[0].tolist()) for mask in degraded.mask)
    expected = {(0, 1), (1, 0), (0, 6), (6, 0), (7, 1), (1, 7), (7, 6), (6, 7)}
    assert set(places) == expected and len(set(degraded.draw["turn"])) == 8
    assert all(abs(n - 125) < 4 * (1000 * 7 / 64) ** 0.5 for n in places.values())


def test_files_are_fitted_by_nearest_neighbour(corner):
    mask = MaskFiles(folder=str(corner), hole="black", augment=False)(torch.zeros(1, 1, 16, 32), keys(1)).mask
    expected = torch.ones(16, 32)
    expected[:2, 4:8] = 0
    assert torch.equal(mask[0, 0], expected)


def test_folders_and_files_that_are_no_masks_are_refused(tmp_path):
    with pytest.raises(ValueError) as error:
        MaskFiles(folder=str(tmp_path / "none"), hole="white")
    assert str(error.value) == f'folder = "{tmp_path}/none": no such folder; expected a folder of pictures'
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError) as error:
        MaskFiles(folder=str(tmp_path), hole="white")
    assert str(error.value) == f'folder = "{tmp_path}": no pictures in this folder'


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.png: not a readable picture"):
        MaskFiles(folder=str(tmp_path), hole="white")(torch.rand(1, 3, 8, 8), keys(1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pixels(ratio=1.5), "ratio = 1.5; expected a number from 0 to 1, or [lowest, highest] of such"),
        (lambda: Boxes(count=0), "count = 0; expected a number from 1, or [lowest, highest] of such"),
        (lambda: Boxes(side=(0.4, 0.1)), "side = [0.4, 0.1]; expected a number from 0 to 1, or [lowest, highest] of such"),
        (lambda: Centre(side=2.0), "side = 2; expected a number from 0 to 1, or [lowest, highest] of such"),
        (lambda: Lines(every=1), "every = 1; expected a whole number from 2"),
    ],
)  # fmt: skip
def test_refusals(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
