"""Degraded files: what they hold, that nothing else changes them, that a sidecar makes them again."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from restoration.degradations.resize import resize
from restoration.degrade import degrade, described, replay
from restoration.errors import ConfigError, RequestError, RestorationError
from restoration.image import Picture, read_samples, to_float, to_samples, write

NOISY = ["sigma=[5,50]"]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, height in (("a", 21), ("b", 18), ("deep/a", 24)):
        write(folder / f"{name}.png", Picture(rng.integers(0, 256, (height, 23, 3)).astype(np.uint8)))
    return folder


def run(*words) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "restoration", "degrade", *map(str, words)], capture_output=True, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["set5", "set14"])
def test_matlab_sets_come_out_without_a_differing_sample(data_root, tmp_path, name, scale):
    report = degrade(described("bicubic", [f"scale={scale}"]), [data_root / name / "HR"], tmp_path, workers=2)
    assert not report.failed and report.written
    for path in report.written:
        (expected,) = (data_root / name / f"LR_bicubic_x{scale}").glob(f"{path.stem}*.png")
        assert np.array_equal(read_samples(path), read_samples(expected)), path


def test_older_edges_repeat_the_last_pixel(tmp_path):
    ramp = np.arange(0, 32, 4, dtype=np.uint8)[None, :, None].repeat(4, 0)
    write(tmp_path / "ramp.png", Picture(ramp))
    degrade(described("bicubic", ["scale=2", "edges=clamp"]), [tmp_path / "ramp.png"], tmp_path / "out")
    reach = (
        np.arange(-3, 5) - 0.5
    )  # eight taps of the kernel that is twice as wide, around the first two pixels
    weights = np.where(
        abs(reach / 2) <= 1,
        1.5 * abs(reach / 2) ** 3 - 2.5 * abs(reach / 2) ** 2 + 1,
        -0.5 * abs(reach / 2) ** 3 + 2.5 * abs(reach / 2) ** 2 - 4 * abs(reach / 2) + 2,
    )
    first = (weights / weights.sum() * ramp[0, np.clip(np.arange(-3, 5), 0, 7), 0]).sum()
    made = read_samples(tmp_path / "out" / "ramp.png")
    assert made.shape == (2, 4, 1) and made[0, 0, 0] == np.floor(max(first, 0) + 0.5)


def test_a_file_does_not_depend_on_its_company_or_on_the_workers(photos, tmp_path):
    spec = described("noise", NOISY)
    degrade(spec, [photos], tmp_path / "all", seed=3)
    degrade(spec, [photos], tmp_path / "two", seed=3, workers=2)
    degrade(spec, [photos / "b.png"], tmp_path / "alone", seed=3)
    degrade(spec, [photos], tmp_path / "other", seed=4)
    for name in ("a.png", "b.png", "deep/a.png"):
        assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert (tmp_path / "all/b.png").read_bytes() == (tmp_path / "alone/b.png").read_bytes()
    assert (tmp_path / "all/b.png").read_bytes() != (tmp_path / "other/b.png").read_bytes()
    draws = [
        json.loads((tmp_path / "all" / f"{n}.json").read_text())["draw"]["sigma"]
        for n in ("a", "b", "deep/a")
    ]
    assert len({*draws}) == 3 and all(5 <= sigma <= 50 for sigma in draws)


def test_a_replay_is_the_same_file_bit_for_bit(photos, tmp_path):
    degrade(described("noise", NOISY), [photos], tmp_path / "out", seed=3)
    sidecar = tmp_path / "out" / "b.json"
    assert replay(sidecar) == "b.png: equal, sample for sample"
    said = replay(sidecar, out=tmp_path / "again")
    assert said == f"b.png: equal, sample for sample; written to {tmp_path / 'again'}"
    assert (tmp_path / "again/b.png").read_bytes() == (tmp_path / "out/b.png").read_bytes()
    shutil.move(photos / "b.png", tmp_path / "out" / "elsewhere.png")
    with pytest.raises(
        RequestError, match=r"its clean image .*b\.png is not there; name it: degrade --replay "
    ):
        replay(sidecar)
    assert replay(sidecar, tmp_path / "out" / "elsewhere.png") == "b.png: equal, sample for sample"


def test_a_replay_that_differs_says_what_differs(photos, tmp_path):
    degrade(described("noise", NOISY), [photos / "b.png"], tmp_path)
    sidecar = tmp_path / "b.json"
    record = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps(record | {"draw": {"sigma": 1.0}}))
    with pytest.raises(RestorationError, match=r"b\.json: draws otherwise than recorded: sigma$"):
        replay(sidecar)
    record["outputs"][""]["pixels"] = "0" * 64
    sidecar.write_text(json.dumps(record))
    with pytest.raises(RestorationError, match=r"b\.json: b\.png has other samples than recorded$"):
        replay(sidecar)
    with pytest.raises(RequestError, match=r"a\.png: sha256 [0-9a-f]{12}…; expected [0-9a-f]{12}…, that of "):
        replay(sidecar, photos / "a.png")
    for text, message in (("[1]", "no sidecar of a degraded file: schema, "), ("{", "not valid JSON")):
        sidecar.write_text(text)
        with pytest.raises(ConfigError, match=message):
            replay(sidecar)


def test_depth_grey_and_the_clean_image_are_kept(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (11, 14, 1)).astype(np.uint16)
    write(tmp_path / "deep.tif", Picture(deep))
    spec = described("bicubic", ["scale=2", "levels=65535"])
    degrade(spec, [tmp_path / "deep.tif"], tmp_path / "out", clean=tmp_path / "clean")
    assert np.array_equal(read_samples(tmp_path / "clean" / "deep.png"), deep[:10])
    expected = resize(to_float(deep[:10]), scale=0.5, levels=65535)
    assert np.array_equal(read_samples(tmp_path / "out" / "deep.png"), to_samples(expected, 16))


def test_what_fails_is_named_and_the_rest_is_done(photos, tmp_path):
    (photos / "broken.png").write_bytes(b"no image")
    write(photos / "thin.png", Picture(np.zeros((9, 2, 3), np.uint8)))
    write(photos / "glass.png", Picture(np.zeros((9, 9, 3), np.uint8), np.full((9, 9, 1), 128, np.uint8)))
    report = degrade(described("bicubic", ["scale=3"]), [photos], tmp_path / "out")
    assert (
        sorted(path.name for path in report.written) == ["a.png", "a.png", "b.png"] and report.exit_code == 1
    )
    lines = {path.name: line for path, line in report.failed.items()}
    assert lines["broken.png"].startswith(f"{photos}/broken.png: not a readable image")
    assert lines["thin.png"] == (
        f"{photos}/thin.png: could not be degraded (2x9 pixels; expected at least 3 a side); skipped"
    )
    assert (
        lines["glass.png"] == f"{photos}/glass.png: holds transparency; expected an opaque picture; skipped"
    )
    assert not (tmp_path / "out" / "broken.json").exists() and not (tmp_path / "out" / "thin.json").exists()


def test_existing_files_are_kept_unless_they_may_be_replaced(photos, tmp_path):
    spec = described("noise", NOISY)
    degrade(spec, [photos], tmp_path)
    before = (tmp_path / "a.png").read_bytes()
    assert len(degrade(spec, [photos], tmp_path, seed=1).kept) == 3
    assert (tmp_path / "a.png").read_bytes() == before
    assert len(degrade(spec, [photos], tmp_path, seed=1, overwrite=True).written) == 3
    assert (tmp_path / "a.png").read_bytes() != before


def test_the_degradation_of_an_experiment_or_of_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[data]\ndegradation = { name = "noise", sigma = 25 }\n')
    assert described(str(path)) == {"name": "noise", "sigma": 25, "clip": False} | described(
        "noise", ["sigma=25"]
    )
    path.write_text('name = "chain"\nof = [{ name = "clip" }, { name = "bicubic", scale = 2 }]\n')
    assert described(str(path), ["of.1.scale=3"])["of"][1]["scale"] == 3


@pytest.mark.slow
def test_the_command_line_refuses_in_one_line(photos, tmp_path):
    for words, expected in (
        (["noise", photos, "--out", tmp_path / "o"], "degradation: degradation 'noise' needs 'sigma'"),
        (
            ["nosie", photos, "--out", tmp_path / "o"],
            "degradation: unknown degradation 'nosie'; did you mean 'noise'?",
        ),
        (
            ["noise", photos, "--out", tmp_path / "o", "--set", "sigma=-1"],
            "degradation: sigma = -1",
        ),
        (["noise", photos], "degrade: --out missing; expected degrade DEGRADATION INPUT... --out DIR"),
        (
            ["noise", tmp_path / "none", "--out", tmp_path / "o", "--set", "sigma=1"],
            f"{tmp_path}/none: no such file",
        ),
        (
            ["--replay", tmp_path / "none.json"],
            f"{tmp_path}/none.json: cannot be read (No such file or directory)",
        ),
    ):
        done = run(*words)
        assert done.returncode == 2, done
        assert done.stderr.startswith(f"restoration: {expected}") and done.stderr.count("\n") == 1, (
            done.stderr
        )
    assert not (tmp_path / "o").exists()
    done = run("noise", photos, "--out", tmp_path / "o", "--set", "sigma=10", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["written"] == 3
