"""Which images are kept, and which parts of them."""

import io
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.benchmarks import pictures
from restoration.benchmarks.gallery import Gallery, Shot
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.samples import Sample

PROTOCOL, VIDEO = load_protocol("photos-x4"), load_protocol("vid4-calendar")


def sample(name, position, total, height=64, width=96, clean=True):
    generator = torch.Generator().manual_seed(position)
    image = torch.rand(1, 3, height, width, generator=generator)
    return Sample(name, position, total, image if clean else None, image[..., ::4, ::4], "0", "0")


def test_windows_stand_where_images_differ_do_not_overlap_and_are_on_the_grid():
    worth = np.zeros((400, 400))
    worth[300:310, 220:230] = 5.0
    worth[200:210, 90:100] = 2.0
    view, found = pictures.windows(worth, view=300, crop=96, count=3, scale=4)
    assert len(found) == 2, "there is no third difference"
    for part, (row, column) in zip(found, [(305, 225), (205, 95)], strict=True):
        assert part.top <= row < part.top + 96 and part.left <= column < part.left + 96
        assert view.top <= part.top and part.top + part.height <= view.top + view.height
        assert part.top % 4 == part.left % 4 == 0
    assert view.top % 4 == view.left % 4 == 0 and (view.height, view.width) == (300, 300)


def test_windows_of_an_image_smaller_than_a_crop_are_the_whole_image():
    view, found = pictures.windows(np.ones((24, 40)), view=512, crop=96, count=3, scale=4)
    assert (view.height, view.width) == (24, 40)
    assert found[0].height == 24 and len(found) == 1


def test_interest_is_between_restorers_then_to_the_clean_image_then_in_it():
    clean = np.zeros((8, 8, 3), np.uint8)
    ours, theirs = clean.copy(), clean.copy()
    ours[2, 3], theirs[2, 3] = 10, 30
    assert pictures.interest([ours, theirs], clean)[2, 3] == 60
    assert pictures.interest([ours, ours], clean)[2, 3] == 30
    assert pictures.interest([ours, theirs], clean, border=3).sum() == 0
    assert pictures.interest([ours], None)[2, 3] > 0


def test_an_error_map_is_dark_at_nothing_and_light_at_its_end():
    errors = np.zeros((32, 32), np.float32)
    errors[:16] = 20.0
    image = np.asarray(Image.open(io.BytesIO(pictures.error_map(errors, 20))).convert("L"), float)
    assert image.shape == (16, 16)
    assert image[:6].mean() > 200 and image[10:].mean() < 30
    assert pictures.peak([errors]) == 20 and pictures.peak([errors + 1]) == 50


def test_lightness_of_the_scale_rises_evenly():
    colours = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in pictures.scale_colours()]) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)  # CIE 1976
    assert np.diff(lightness) == pytest.approx((lightness[-1] - lightness[0]) / 8, rel=0.25)


def test_over_its_budget_a_gallery_keeps_every_second_image_spread_over_the_set():
    gallery = Gallery(budget=100_000)
    for i in range(40):
        one = sample(f"{i:02}", i, 40)
        gallery(PROTOCOL, "a", one, one.clean)
    names = [int(scene.name) for scene in gallery.of("photos-x4")]
    assert sum(scene.size for scene in gallery.of("photos-x4")) <= 100_000
    assert 2 <= len(names) < 40
    assert len(set(np.diff(names))) == 1, f"{names} are not evenly spread"


@pytest.mark.parametrize("total", [2, 7])
def test_what_travels_to_another_rank_is_complete(total):
    gallery = Gallery()
    for i in range(total):
        one = sample(f"{i}", i, total)
        for name in "ab":
            gallery(PROTOCOL, name, one, one.clean * 0.5)
    there = pickle.loads(pickle.dumps(gallery))
    assert len(there.scenes) == total
    for scene in there.of("photos-x4"):
        assert [version.label for version in scene.versions] == ["degraded", "a", "b", "clean"]


def test_without_a_clean_image_there_are_pictures_but_no_error_maps():
    gallery = Gallery()
    one = sample("a", 0, 1, clean=False)
    gallery(PROTOCOL, "x", one, torch.rand(1, 3, 64, 96))
    (scene,) = gallery.of("photos-x4")
    assert [version.label for version in scene.versions] == ["degraded", "x"]
    assert all(version.errors is None for version in scene.versions)


def frame(clip, i, total, height=64, width=96):
    """Return a frame whose pixels are all of its number."""
    clean = torch.full((1, 3, height, width), i / 255)
    return Sample(f"{clip}/{i}.png", i, total, clean, clean[..., ::4, ::4], "0", "0")


def filmed(gallery, clip, count, height=400, width=400, total=None):
    """Show a gallery a clip whose restored frames are off in a square that wanders."""
    for i in range(count):
        one = frame(clip, i, total or count, height, width)
        for name, error in (("x", 0.2), ("y", 0.4)):
            restored = one.clean.clone()
            restored[..., 10 * i : 10 * i + 20, 200:220] += error
            gallery(VIDEO, name, one, restored)


def test_the_frames_of_a_clip_are_shown_by_one_window_and_have_crops_inside_it():
    gallery = Gallery()
    filmed(gallery, "a", 8)
    found = list(gallery.of(VIDEO.name))
    assert [scene.clip for scene in found] == ["a"] * 8
    (view,) = {scene.view for scene in found}
    for scene in found:
        for crop in scene.crops:
            assert view.top <= crop.top and crop.top + crop.height <= view.top + view.height
            assert view.left <= crop.left and crop.left + crop.width <= view.left + view.width


def test_a_profile_has_one_row_of_every_frame_shown_or_not():
    gallery = Gallery(shown=3)
    filmed(gallery, "a", 8)
    assert len(list(gallery.of(VIDEO.name))) == 3
    ((clip, profile),) = gallery.profiles_of(VIDEO.name).items()
    assert (clip, profile.frames) == ("a", 8)
    images = {k: np.asarray(Image.open(io.BytesIO(v))) for k, v in profile.encoded().items()}
    assert list(images) == ["degraded", "x", "y", "clean"]
    assert images["clean"].shape == (8, profile.view.width, 3)
    assert images["degraded"].shape == (8, profile.view.width // 4, 3)
    assert images["clean"][:, 0, 0].tolist() == list(range(8)), "time runs downwards"


def test_a_profile_that_lacks_frames_of_a_restorer_leaves_it_out():
    gallery = Gallery()
    for i in range(3):
        one = frame("a", i, 3)
        gallery(VIDEO, "x", one, one.clean)
        if i:
            gallery(VIDEO, "y", one, one.clean)
    (profile,) = gallery.profiles_of(VIDEO.name).values()
    assert list(profile.encoded()) == ["degraded", "x", "clean"]


def test_the_clips_of_two_ranks_are_joined_in_order():
    first, second = Gallery(), Gallery()
    filmed(second, "a", 3, 64, 96)
    filmed(first, "b", 3, 64, 96)
    first.join(pickle.loads(pickle.dumps(second)))
    assert list(first.profiles_of(VIDEO.name)) == ["a", "b"]
    assert [scene.name for scene in first.of(VIDEO.name)] == [f"{c}/{i}.png" for c in "ab" for i in range(3)]


def test_a_shot_with_nothing_beside_it_has_one_version():
    gallery, image = Gallery(), torch.rand(1, 3, 64, 96)
    gallery.note(PROTOCOL, "mine", Shot("a.png", 0, 1, None, None), image)
    (scene,) = gallery.of("photos-x4")
    assert [version.label for version in scene.versions] == ["mine"] and scene.peak == 0
