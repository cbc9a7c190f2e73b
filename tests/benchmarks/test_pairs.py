"""Scoring files that somebody else restored."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.benchmarks.gallery import Gallery
from restoration.benchmarks.matching import Folders, are_grey, named
from restoration.benchmarks.pairs import Files, score_pairs
from restoration.benchmarks.report import page
from restoration.benchmarks.result import merge
from restoration.benchmarks.table import run_table
from restoration.errors import ConfigError, RequestError
from restoration.image import read_samples


def write(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(samples).save(path)


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        clean = rng.integers(10, 240, (40, 36, 3), dtype=np.uint8)
        write(tmp_path / "clean" / f"{name}.png", clean)
        write(tmp_path / "restored" / f"{name}_SR.png", clean + np.uint8(5))
    return tmp_path / "restored", tmp_path / "clean"


def refusal(*arguments):
    with pytest.raises(RequestError) as caught:
        score_pairs(*arguments)
    return str(caught.value)


def test_a_constant_error_of_five_steps_has_the_psnr_of_the_closed_form(folders):
    (row,) = score_pairs(*folders, ["psnr-rgb"]).rows
    assert row.per_image == pytest.approx({"a.png": 20 * np.log10(51), "b.png": 20 * np.log10(51)}, abs=1e-5)
    assert (row.protocol, row.restorer, row.convention) == ("pairs", "restored", "rgb,border=0,uint8-output")


def test_settings_shape_the_convention(folders):
    (row,) = score_pairs(*folders, ["psnr-y"], ["border=4", "luma=uint8"]).rows
    assert row.convention == "y-uint8,border=4,uint8-output"


def test_a_missing_partner_on_either_side_is_told_and_the_rest_is_scored(folders):
    restored, clean = folders
    (restored / "b_SR.png").unlink()
    write(restored / "c.png", np.zeros((4, 4, 3), np.uint8))
    found = score_pairs(restored, clean, ["psnr-rgb", "ssim-y"])
    assert found.problems == [f"--pairs: no file of the same name in {clean} for {restored}/c.png"]
    for row in found.rows:
        assert list(row.per_image) == ["a.png"] and row.n == 1
        assert row.missing == {"b.png": f"no file of the same name in {restored}"}


def test_folders_of_which_nothing_fits_are_refused_before_anything_starts(folders, tmp_path):
    write(tmp_path / "others" / "x.png", np.zeros((4, 4, 3), np.uint8))
    assert refusal(tmp_path / "others", folders[1]) == (
        f"--pairs: {tmp_path}/others: no file has the name of one in {folders[1]}, such as a.png"
    )
    assert refusal(folders[0], folders[1], ["consistency"], (), tmp_path / "others") == (
        f"--degraded {tmp_path}/others: no file of the same name as {folders[1]}/a.png"
    )


def test_unequal_sizes_and_unreadable_files_are_gaps_with_a_reason_and_the_rest_is_scored(folders):
    restored, clean = folders
    write(restored / "a_SR.png", np.zeros((4, 5, 3), np.uint8))
    found = score_pairs(restored, clean, ["psnr-y"])
    reason = f"{restored}/a_SR.png: 5x4 pixels; expected the 36x40 of {clean}/a.png"
    assert found.rows[0].missing == {"a.png": reason} and not found.problems
    assert list(found.rows[0].per_image) == ["b.png"]
    assert "(1 missing)" in run_table(found) and f"- no value of restored: a.png: {reason}" in run_table(
        found
    )
    (restored / "a_SR.png").write_bytes(b"")
    found = score_pairs(restored, clean, ["psnr-y"])
    assert found.rows[0].missing == {"a.png": f"{restored}/a_SR.png: not a readable image (empty file)"}
    (clean / "b.png").write_bytes(b"")
    found = score_pairs(restored, clean, ["psnr-y"])
    assert found.rows[0].mean is None
    assert found.rows[0].missing["b.png"] == f"{clean}/b.png: not a readable image (empty file)"


def test_the_scale_that_makes_sizes_equal_is_named(folders):
    restored, clean = folders
    write(clean / "a.png", np.zeros((43, 37, 3), np.uint8))
    (row,) = score_pairs(restored, clean, ["psnr-y"]).rows
    assert row.missing["a.png"] == (
        f"{restored}/a_SR.png: 36x40 pixels; expected the 37x43 of {clean}/a.png (--set scale=4 crops it to that)"
    )
    assert not score_pairs(restored, clean, ["psnr-y"], ["scale=4"]).rows[0].missing


def test_grey_files_are_scored_as_they_are_where_all_are_grey(tmp_path):
    clean = np.random.default_rng(1).integers(10, 240, (40, 36), dtype=np.uint8)
    write(tmp_path / "clean" / "a.png", clean)
    write(tmp_path / "restored" / "a.png", clean + np.uint8(5))
    (row,) = score_pairs(tmp_path / "restored", tmp_path / "clean", ["psnr-y"]).rows
    assert row.convention == "grey,border=0,uint8-output"
    assert row.per_image["a.png"] == pytest.approx(20 * np.log10(51), abs=1e-5)
    (row,) = score_pairs(tmp_path / "restored", tmp_path / "clean", ["psnr-y"], ["colour=rgb"]).rows
    assert row.convention == "y-float,border=0,uint8-output"
    for folder in ("clean", "restored"):
        write(tmp_path / folder / "b.png", np.repeat(clean[..., None], 3, 2))
    (row,) = score_pairs(tmp_path / "restored", tmp_path / "clean", ["psnr-y"]).rows
    assert row.convention == "y-float,border=0,uint8-output"


def test_missing_and_empty_folders_and_unknown_metrics_are_one_line(folders, tmp_path):
    restored, clean = folders
    assert refusal(tmp_path / "none", clean) == f"--pairs {tmp_path}/none: no such folder"
    (tmp_path / "empty").mkdir()
    assert refusal(restored, tmp_path / "empty") == f"--pairs {tmp_path}/empty: holds no images"
    with pytest.raises(ConfigError) as caught:
        score_pairs(restored, clean, ["psnr"])
    assert str(caught.value) == "pairs.metrics: unknown metric 'psnr'; did you mean 'psnr-y'?"


def test_a_folder_alone_is_scored_by_what_needs_no_clean_image(folders, tmp_path):
    restored, _ = folders
    low = np.random.default_rng(2).integers(0, 255, (10, 9, 3), dtype=np.uint8)
    for name in ("a", "b"):
        write(tmp_path / "low" / f"{name}x4.png", low)
    found = score_pairs(restored, None, ["psnr-y", "consistency"], ["scale=4"], tmp_path / "low")
    psnr, consistency = found.rows
    assert psnr.mean is None and set(psnr.missing.values()) == {
        "there is no clean image, with which this metric compares"
    }
    assert consistency.n == 2 and 0 < consistency.mean < 60 and not found.problems
    hashes = found.provenance["images"]["pairs"]["a_SR.png"]
    assert set(hashes) == {"restored_sha256", "degraded_sha256"}


def test_a_degraded_folder_is_matched_by_name_too(folders, tmp_path):
    write(tmp_path / "low" / "a.png", np.zeros((10, 9, 3), np.uint8))
    found = score_pairs(*folders, ["consistency", "psnr-y"], ["scale=4"], tmp_path / "low")
    assert found.problems == [f"--degraded {tmp_path}/low: no file of the same name for {folders[1]}/b.png"]
    assert list(found.rows[0].per_image) == ["a.png"] and list(found.rows[0].missing) == ["b.png"]
    assert found.rows[1].n == 2
    with pytest.raises(RequestError) as caught:
        score_pairs(*folders, ["consistency"], ["scale=4"], tmp_path / "none")
    assert str(caught.value) == f"--degraded {tmp_path}/none: no such folder"


def test_one_image_has_a_value_and_no_interval(folders, tmp_path):
    for folder in folders:
        for path in sorted(folder.iterdir())[1:]:
            path.unlink()
    (row,) = score_pairs(*folders, ["psnr-rgb"]).rows
    assert (row.n, row.low, row.high) == (1, None, None) and row.mean == pytest.approx(
        20 * np.log10(51), abs=1e-5
    )


def test_a_metric_without_weights_and_a_set_of_few_leave_gaps_beside_the_others(
    folders, monkeypatch, tmp_path
):
    import torch

    from restoration.benchmarks.scores import made

    made.cache_clear()
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "none"))
    found = score_pairs(*folders, ["psnr-rgb", "brisque", "kid"])
    psnr, brisque, kid = found.rows
    assert psnr.n == 2 and brisque.mean is None and kid.mean is None
    assert set(brisque.missing) == {"a.png", "b.png"} and list(kid.missing) == ["the set"]


def test_pairs_have_pictures_of_what_there_is(folders, tmp_path):
    for name in ("a", "b"):
        write(tmp_path / "low" / f"{name}.png", np.full((10, 9, 3), 90, np.uint8))
    for degraded, expected in ((None, []), (tmp_path / "low", ["degraded"])):
        gallery = Gallery()
        result = score_pairs(*folders, ["psnr-rgb"], ["scale=4"], degraded, gallery=gallery)
        scenes = list(gallery.of("pairs"))
        assert [scene.name for scene in scenes] == list(result.rows[0].per_image)
        assert [version.label for version in scenes[0].versions] == [*expected, "restored", "clean"]
        assert scenes[0].peak == 5
        text = page(result, gallery)
        assert text.count('<script type="application/json" id="scene-1-') == 2
    gallery = Gallery()
    score_pairs(folders[0], None, ["niqe"], gallery=gallery)
    assert [[version.label for version in scene.versions] for scene in gallery.of("pairs")] == [
        ["restored"]
    ] * 2


def test_ranks_share_the_pairs_and_find_what_one_process_finds(tmp_path):
    rng = np.random.default_rng(1)
    for i in range(5):
        clean = rng.integers(10, 240, (40, 36, 3), dtype=np.uint8)
        write(tmp_path / "clean" / f"{i}.png", clean)
        write(tmp_path / "restored" / f"{i}.png", clean + rng.integers(0, 9, clean.shape, dtype=np.uint8))
    (tmp_path / "restored" / "3.png").write_bytes(b"")
    folders = tmp_path / "restored", tmp_path / "clean"
    whole = score_pairs(*folders, ["psnr-y", "ssim-rgb"])
    joined = merge([score_pairs(*folders, ["psnr-y", "ssim-rgb"], rank=rank, world=3) for rank in range(3)])
    assert list(joined.rows) == list(whole.rows) and list(joined.problems) == list(whole.problems)
    assert [list(row.per_image) for row in joined.rows] == [["0.png", "1.png", "2.png", "4.png"]] * 2
    assert joined.provenance["images"] == whole.provenance["images"] and "protocols" not in joined.provenance


def test_images_scored_at_once_have_the_values_of_images_one_by_one(rivals):
    threads, found = torch.get_num_threads(), []
    for count in (1, 2):
        torch.set_num_threads(count)
        try:
            found.append(
                score_pairs(rivals[:2], rivals[2], ("psnr-y", "ssim-y", "gmsd", "kid-efficientnet-lite0"))
            )
        finally:
            torch.set_num_threads(threads)
    one, two = found
    for alone, abreast in zip(one.rows, two.rows, strict=True):
        assert list(alone.per_image.items()) == list(abreast.per_image.items())
        assert (alone.mean, alone.missing) == (pytest.approx(abreast.mean, rel=1e-3), abreast.missing)


@pytest.mark.parametrize("metrics, kept", [(("psnr-y",), False), (("kid-efficientnet-lite0",), True)])
def test_planes_of_images_scored_at_once_are_kept_for_sets_alone(rivals, monkeypatch, metrics, kept):
    found, whole = [], Files._apart

    def watched(self, sample):
        found.append(whole(self, sample))
        return found[-1]

    monkeypatch.setattr(Files, "_apart", watched)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        score_pairs(rivals[:2], rivals[2], metrics)
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 9
    for clean, scored in found:
        assert (clean is not None) == kept and all(bool(views) == kept for _, _, views, _ in scored)


def test_folders_of_the_same_name_are_told_apart_by_those_above():
    places = [Path("/runs/first/out"), Path("/runs/second/out"), Path("/runs/third"), Path("/out")]
    assert list(named(places)) == ["first/out", "second/out", "third", "/out"]
    with pytest.raises(RequestError) as caught:
        named([Path("/runs/out"), Path("/runs/other/../out")])
    assert str(caught.value) == "/runs/out: this folder is named twice"


@pytest.fixture
def rivals(tmp_path):
    """Nine clean images, and two folders whose error is of 5 and of 8 levels."""
    rng = np.random.default_rng(0)
    for i in range(9):
        clean = rng.integers(10, 240, (40, 36, 3), dtype=np.uint8)
        write(tmp_path / "clean" / f"{i}.png", clean)
        for name, levels in (("near", 5), ("far", 8)):
            extra = rng.integers(0, 2, clean.shape, dtype=np.uint8)
            write(tmp_path / name / f"{i}.png", clean + np.uint8(levels) + extra)
    return tmp_path / "near", tmp_path / "far", tmp_path / "clean"


def test_several_folders_are_restorers_that_are_compared(rivals):
    near, far, clean = rivals
    gallery = Gallery()
    result = score_pairs([near, far], clean, ["psnr-y"], gallery=gallery)
    assert [row.restorer for row in result.rows] == ["near", "far"]
    (comparison,) = result.comparisons
    assert (comparison.restorer, comparison.baseline, comparison.n) == ("far", "near", 9)
    assert comparison.verdict == "significant" and comparison.difference < -3
    assert [v.label for v in next(iter(gallery.of("pairs"))).versions] == ["near", "far", "clean"]
    text = page(result, gallery)
    assert "far" in text and text.count('<script type="application/json" id="scene-1-') == 9
    (turned,) = score_pairs([near, far], clean, ["psnr-y"], baseline="far").comparisons
    assert turned.difference == pytest.approx(-comparison.difference)
    with pytest.raises(RequestError) as caught:
        score_pairs([near, far], clean, ["psnr-y"], baseline="nearer")
    assert str(caught.value) == (
        "--compare nearer: not one of the folders; did you mean 'near'?; expected one of near, far"
    )


def test_a_gap_of_one_folder_leaves_the_other_whole(rivals):
    near, far, clean = rivals
    (far / "3.png").unlink()
    write(far / "4.png", np.zeros((4, 5, 3), np.uint8))
    ours, theirs = score_pairs([near, far], clean, ["psnr-y"]).rows
    assert ours.n == 9 and not ours.missing
    assert theirs.n == 7 and list(theirs.missing) == ["3.png", "4.png"]


def test_ranks_share_the_images_of_folders_and_find_what_one_process_finds(rivals):
    near, far, clean = rivals
    asked = ([near, far], clean, ["psnr-y", "ssim-rgb"])
    alone = score_pairs(*asked)
    parts = [score_pairs(*asked, rank=rank, world=2) for rank in (0, 1)]
    assert [part.rows[0].n for part in parts] == [5, 4]
    joined = merge(parts)
    for one, other in zip(alone.rows, joined.rows, strict=True):
        assert (one.key, list(one.per_image.items()), one.mean, one.low) == (
            other.key, list(other.per_image.items()), other.mean, other.low,
        )  # fmt: skip
    assert joined.comparisons == alone.comparisons
    assert list(joined.provenance["images"]["pairs"]) == list(alone.provenance["images"]["pairs"])


def test_every_file_is_decoded_once(rivals, monkeypatch):
    from restoration.benchmarks import matching, pairs

    near, far, clean = rivals
    grey = np.random.default_rng(1).integers(10, 240, (40, 36), dtype=np.uint8)
    for folder in rivals:
        for path in folder.iterdir():
            write(path, grey)
    counts = {}

    def counted(path):
        counts[path] = counts.get(path, 0) + 1
        return read_samples(path)

    monkeypatch.setattr(pairs, "read_samples", counted)
    monkeypatch.setattr(matching, "read_samples", counted)
    result = score_pairs([near, far], clean, ["psnr-y"], gallery=Gallery())
    assert result.rows[0].convention == "grey,border=0,uint8-output"
    assert set(counts.values()) == {1} and len(counts) == 27
    counts.clear()
    score_pairs([near, far], None, ["niqe"])
    assert set(counts.values()) == {1} and len(counts) == 18


@pytest.mark.parametrize(
    ("mode", "suffix", "channels"),
    [
        ("L", "png", 1), ("LA", "png", 1), ("1", "png", 1), ("I;16", "png", 1), ("F", "tif", 1), ("L", "jpg", 1),
        ("RGB", "png", 3), ("RGBA", "png", 3), ("P", "png", 3), ("RGB", "jpg", 3), ("CMYK", "jpg", 3),
    ],
)  # fmt: skip
def test_headers_tell_as_many_channels_as_files_have(tmp_path, mode, suffix, channels):
    samples = np.random.default_rng(0).integers(0, 255, (12, 10, 3), dtype=np.uint8)
    deep = {"I;16": np.uint16, "F": np.float32}.get(mode)
    image = Image.fromarray(samples).convert("L" if deep else mode)
    image = Image.fromarray(np.asarray(image).astype(deep)) if deep else image
    path = tmp_path / f"a.{suffix}"
    image.save(path)
    assert read_samples(path).shape[2] == channels
    assert are_grey([path]) == (channels == 1)
    path.write_bytes(b"no image")
    assert are_grey([path]), "what cannot be read does not count"


def test_masks_give_the_metrics_of_holes_their_values(folders, tmp_path):
    restored, clean = folders
    for name in ("a", "b"):
        mask = np.zeros((40, 36), np.uint8)
        mask[10:30, 8:28] = 255
        write(tmp_path / "mask" / f"{name}.png", mask)
        samples = np.array(Image.open(clean / f"{name}.png"))
        samples[10:30, 8:28] += 5
        write(restored / f"{name}_SR.png", samples)
    given = Folders.of(restored, clean, mask=tmp_path / "mask")
    whole, hole = score_pairs(given, metrics=["psnr-rgb", "psnr-rgb-hole"]).rows
    assert hole.mean == pytest.approx(20 * np.log10(51), abs=1e-5) and whole.mean > hole.mean
    black = Folders.of(restored, clean, mask=tmp_path / "mask", hole="black")
    (row,) = score_pairs(black, metrics=["psnr-rgb-hole"]).rows
    assert row.mean == 100, "nothing was changed outside"
    assert [row.metric for row in score_pairs(given).rows] == [
        "psnr-y",
        "ssim-y",
        "psnr-y-hole",
        "psnr-y-boundary",
    ]
    (tmp_path / "mask" / "b.png").unlink()
    found = score_pairs(given, metrics=["psnr-rgb", "psnr-rgb-hole"])
    assert [row.n for row in found.rows] == [2, 1] and found.problems == [
        f"{clean}/b.png: no mask in {tmp_path}/mask; expected b.png there"
    ]
    with pytest.raises(RequestError) as caught:
        score_pairs(Folders.of(restored, clean, mask=tmp_path / "none"))
    assert str(caught.value) == f"--mask {tmp_path}/none: no such file or folder"


def test_frames_of_clips_are_matched_by_their_folders_and_flicker(tmp_path):
    pytest.importorskip("cv2", reason="the flow of frames is OpenCV's")
    rng = np.random.default_rng(0)
    for clip in ("first", "second"):
        clean = rng.integers(10, 240, (64, 64), dtype=np.uint8)
        for frame in range(3):
            write(tmp_path / "clean" / clip / f"{frame}.png", clean)
            shift = 9 if clip == "second" and frame == 1 else 3
            write(tmp_path / "restored" / clip / f"{frame}.png", clean + np.uint8(shift))
    given = Folders.of(tmp_path / "restored", tmp_path / "clean", clips=True)
    psnr, flicker = score_pairs(given, metrics=["psnr-y", "flicker"]).rows
    assert psnr.n == 6 and list(flicker.per_image) == [
        "first/1.png",
        "first/2.png",
        "second/1.png",
        "second/2.png",
    ]
    assert flicker.per_image["first/1.png"] == pytest.approx(0, abs=1e-6)
    assert flicker.per_image["second/1.png"] == pytest.approx(6, abs=0.01)
    parts = [score_pairs(given, metrics=["psnr-y", "flicker"], rank=rank, world=2) for rank in (0, 1)]
    assert merge(parts).rows[1].per_image == flicker.per_image
    plain = score_pairs(tmp_path / "restored", tmp_path / "clean", ["psnr-y", "flicker"])
    assert plain.rows[0].n == 6 and plain.rows[1].mean is None


def test_folders_alone_have_the_images_of_all(rivals, tmp_path):
    near, far, _ = rivals
    (near / "0.png").unlink()
    (far / "8.png").unlink()
    ours, theirs = score_pairs([near, far], None, ["high-frequency-ratio"], ["border=1"]).rows
    assert set(ours.missing) == set(theirs.missing) == {f"{i}.png" for i in range(9)}
    assert ours.missing["0.png"] == f"no file of the same name in {near}"
    assert theirs.missing["8.png"] == f"no file of the same name in {far}"


def test_a_folder_that_is_called_as_other_images_are_has_a_name_of_its_own(folders, monkeypatch):
    restored, _ = folders
    assert list(named([restored, restored.with_name("clean")])) == ["restored", "clean (restored)"]
    monkeypatch.chdir(restored)
    assert list(named([Path()])) == ["restored"]


def test_frames_of_a_clip_and_images_of_one_mask_are_no_witnesses_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    for clip in ("first", "second", "third"):
        for frame in range(4):
            clean = rng.integers(10, 240, (40, 36), dtype=np.uint8)
            write(tmp_path / "clean" / clip / f"{frame}.png", clean)
            write(
                tmp_path / "restored" / clip / f"{frame}.png",
                clean + rng.integers(1, 9, clean.shape, np.uint8),
            )
    given = tmp_path / "restored", tmp_path / "clean"
    single, clips = (
        score_pairs(Folders.of(*given, clips=how), metrics=["psnr-y"]).rows[0] for how in (False, True)
    )
    assert single.mean == clips.mean and clips.high - clips.low > single.high - single.low
    assert set(clips.clusters.values()) == {"first", "second", "third"} and not single.clusters
    write(tmp_path / "hole.png", np.full((40, 36), 255, np.uint8))
    (masked,) = score_pairs(Folders.of(*given, mask=tmp_path / "hole.png"), metrics=["psnr-y"]).rows
    assert (masked.low, masked.clusters) == (single.low, {})


def test_problems_of_ranks_stand_in_the_order_of_the_images(rivals, tmp_path):
    near, _, clean = rivals
    for i in range(8):
        write(tmp_path / "low" / f"{i}.png", np.zeros((20, 18, 3), np.uint8))
    for i in (1, 2, 5, 6):
        (tmp_path / "low" / f"{i}.png").write_bytes(b"")
    given = Folders.of(near, clean, degraded=tmp_path / "low")
    whole = score_pairs(given, metrics=["psnr-y"])
    assert [line.partition(": ")[0] for line in whole.problems] == [
        f"--degraded {tmp_path}/low", *(f"{tmp_path}/low/{i}.png" for i in (1, 2, 5, 6))
    ]  # fmt: skip
    for world in (2, 3):
        parts = [score_pairs(given, metrics=["psnr-y"], rank=rank, world=world) for rank in range(world)]
        assert merge(parts).problems == whole.problems


def test_without_a_clean_folder_no_pixels_are_those_of_clean_images(rivals):
    near, far, clean = rivals
    alone = score_pairs([near, far], None, ["high-frequency-ratio"]).provenance["images"]["pairs"]
    assert {tuple(own) for own in alone.values()} == {("restored_sha256",)}
    assert set(alone["0.png"]["restored_sha256"]) == {"near", "far"}
    pairs = score_pairs([near, far], clean, ["psnr-y"]).provenance["images"]["pairs"]
    assert all("pixels_sha256" in own for own in pairs.values())


def test_of_several_folders_some_are_scored_and_all_tell_which_images_there_are(rivals, tmp_path):
    near, far, _ = rivals
    (far / "0.png").unlink()
    (near / "1.png").unlink()
    for i in range(9):
        write(tmp_path / "low" / f"{i}.png", np.full((10, 9, 3), 20 * i, np.uint8))
    given = Folders.of([near, far], degraded=tmp_path / "low")
    whole = score_pairs(given, None, ["consistency"], ["scale=4"])
    record = whole.provenance["folders"]
    found = score_pairs(Folders.recorded(record, ["far"]), None, ["consistency"], record["settings"])
    (row,), (_, like) = found.rows, whole.rows
    assert row.n == 8 and list(row.missing) == ["0.png"]
    assert (row.key, row.per_image, row.missing) == (like.key, like.per_image, like.missing)
    assert found.provenance["folders"] == record
    assert set(found.provenance["images"]["pairs"]["2.png"]["restored_sha256"]) == {"far"}
    with pytest.raises(RequestError) as caught:
        Folders.recorded(record, ["fur"])
    assert str(caught.value) == "folders: the result does not record that of 'fur'"


def test_folders_alone_whose_images_differ_in_size_show_those_of_the_first(tmp_path):
    rng = np.random.default_rng(0)
    for name, side in (("first", 40), ("second", 48)):
        write(tmp_path / name / "a.png", rng.integers(0, 255, (side, side, 3), dtype=np.uint8))
    gallery = Gallery()
    found = score_pairs([tmp_path / "first", tmp_path / "second"], metrics=["psnr-y"], gallery=gallery)
    assert [row.restorer for row in found.rows] == ["first", "second"]
    (scene,) = gallery.of("pairs")
    assert [version.label for version in scene.versions] == ["first"]
