"""Scoring files that somebody else restored."""

import numpy as np
import pytest
from PIL import Image

from restoration.benchmarks.pairs import score_pairs
from restoration.errors import ConfigError, RequestError


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


def test_missing_partners_on_either_side_are_named_before_anything_starts(folders):
    restored, clean = folders
    (restored / "b_SR.png").unlink()
    write(restored / "c.png", np.zeros((4, 4, 3), np.uint8))
    assert (
        refusal(restored, clean)
        == f"--pairs: no partner of the same name for {clean}/b.png, {restored}/c.png"
    )


def test_unequal_sizes_and_unreadable_files_are_named_and_the_rest_is_scored(folders):
    restored, clean = folders
    write(restored / "a_SR.png", np.zeros((4, 5, 3), np.uint8))
    found = score_pairs(restored, clean, ["psnr-y"])
    assert found.problems == [
        f"{restored}/a_SR.png: 5x4 pixels; expected the 36x40 of {clean}/a.png; skipped"
    ]
    assert list(found.rows[0].per_image) == ["b.png"]
    (restored / "a_SR.png").write_bytes(b"")
    found = score_pairs(restored, clean, ["psnr-y"])
    assert found.problems == [f"{restored}/a_SR.png: not a readable image (empty file)"]


def test_the_scale_that_makes_sizes_equal_is_named(folders):
    restored, clean = folders
    write(clean / "a.png", np.zeros((43, 37, 3), np.uint8))
    (problem,) = score_pairs(restored, clean, ["psnr-y"]).problems
    assert problem == (
        f"{restored}/a_SR.png: 36x40 pixels; expected the 37x43 of {clean}/a.png "
        "(--set scale=4 crops it to that); skipped"
    )
    assert not score_pairs(restored, clean, ["psnr-y"], ["scale=4"]).problems


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
    assert set(hashes) == {"restored_sha256", "degraded_sha256", "pixels_sha256"}


def test_a_degraded_folder_is_matched_by_name_too(folders, tmp_path):
    write(tmp_path / "low" / "a.png", np.zeros((10, 9, 3), np.uint8))
    with pytest.raises(RequestError) as caught:
        score_pairs(*folders, ["consistency"], ["scale=4"], tmp_path / "low")
    assert str(caught.value) == f"--degraded: no partner of the same name for {folders[1]}/b.png"
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
