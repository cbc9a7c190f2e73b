"""Degraded files: what they hold, that nothing else changes them, that a sidecar makes them again."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from restoration.degradations.resize import resize
from restoration.degrade import degrade, described
from restoration.errors import ConfigError, RequestError, RestorationError
from restoration.image import Picture, read_samples, to_float, to_samples, write
from restoration.sidecar import replay

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
    assert replay(sidecar) == ["b.png"]
    assert replay(sidecar, out=tmp_path / "again") == ["b.png"]
    assert (tmp_path / "again/b.png").read_bytes() == (tmp_path / "out/b.png").read_bytes()
    shutil.move(photos / "b.png", tmp_path / "out" / "elsewhere.png")
    with pytest.raises(
        RequestError, match=r"its clean image .*b\.png is not there; name it: degrade --replay "
    ):
        replay(sidecar)
    assert replay(sidecar, tmp_path / "out" / "elsewhere.png") == ["b.png"]


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
    for text, message in (
        ("[1]", "no sidecar of a degraded file; expected an object with schema, "),
        ("{", "not valid JSON"),
    ):
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
    degrade(spec, [photos], tmp_path / "o")
    before = (tmp_path / "o/a.png").read_bytes()
    assert len(degrade(spec, [photos], tmp_path / "o").kept) == 3
    (tmp_path / "o/b.json").unlink()
    with pytest.raises(
        RequestError, match=r"b\.png: is there without b\.json; expected another --out, or --over"
    ):
        degrade(spec, [photos], tmp_path / "o")
    with pytest.raises(
        RequestError, match=r"a\.png: was made with other settings: degradation\.sigma, seed; exp"
    ):
        degrade(described("noise", ["sigma=3"]), [photos / "a.png"], tmp_path / "o", seed=1)
    assert (tmp_path / "o/a.png").read_bytes() == before
    assert len(degrade(spec, [photos], tmp_path / "o", seed=1, overwrite=True).written) == 3
    assert (tmp_path / "o/a.png").read_bytes() != before


def test_nothing_of_the_users_is_replaced_and_no_file_is_written_twice(photos, tmp_path):
    spec, before = described("bicubic", ["scale=3"]), (photos / "a.png").read_bytes()
    for clean, out, message in (
        (photos, tmp_path / "o", r"a\.png: would replace an input; expected another --clean$"),
        (
            tmp_path / "o",
            tmp_path / "o",
            r"would be written for both .*; expected other names, or another folder$",
        ),
        (None, photos, r"a\.png: would replace an input; expected another --out$"),
    ):
        with pytest.raises(RequestError, match=message):
            degrade(spec, [photos], out, clean=clean, overwrite=True)
    write(photos / "a.mask.png", Picture(np.zeros((9, 9, 3), np.uint8)))
    with pytest.raises(RequestError, match=r"a\.mask\.png: would be written for both .*a\.(mask\.)?png and "):
        degrade(described("mask"), [photos], tmp_path / "o")
    assert (photos / "a.png").read_bytes() == before and not (tmp_path / "o").exists()


def test_masks_and_layers_lie_beside_the_image(photos, tmp_path):
    degrade(described("reflection"), [photos / "a.png"], tmp_path / "o", clean=tmp_path / "clean")
    names = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert names == ["a.json", "a.png", "a.reflection.png", "a.residual.npy", "a.transmission.png"]
    residual = np.load(tmp_path / "o/a.residual.npy").transpose(1, 2, 0) * 255
    image, clean = (read_samples(tmp_path / folder / "a.png").astype(float) for folder in ("o", "clean"))
    assert np.abs(image - clean - residual).max() <= 1
    assert sorted(replay(tmp_path / "o/a.json")) == [name for name in names if name != "a.json"]
    degrade(described("mask", ["ratio=0.3"]), [photos / "a.png"], tmp_path / "m")
    holes = read_samples(tmp_path / "m/a.mask.png")[..., 0]
    assert set(np.unique(holes)) == {0, 255} and not read_samples(tmp_path / "m/a.png")[holes == 255].any()


def test_a_clip_has_all_its_frames(photos, tmp_path):
    clip = described("moving-clip", ['of={ name = "bicubic", scale = 2 }', "frames=3", "shift=2.0"])
    degrade(clip, [photos / "deep"], tmp_path / "o", clean=tmp_path / "clean")
    names = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert names == [*(f"a.{i:03d}{end}" for i in range(3) for end in (".flow.npy", ".png")), "a.json"]
    assert sorted(path.name for path in (tmp_path / "clean").iterdir()) == [
        f"a.{i:03d}.png" for i in range(3)
    ]
    assert len(replay(tmp_path / "o/a.json", out=tmp_path / "again")) == 6
    assert (tmp_path / "again/a.002.png").read_bytes() == (tmp_path / "o/a.002.png").read_bytes()
    assert len(degrade(clip, [photos / "deep"], tmp_path / "o").kept) == 1


def test_a_replay_trusts_nothing(photos, tmp_path):
    degrade(described("noise", NOISY), [photos / "b.png"], tmp_path)
    sidecar = tmp_path / "b.json"
    record = json.loads(sidecar.read_text())
    for change, message in (
        ({"seed": "x"}, r'b\.json: seed = "x": expected a whole number$'),
        ({"sample": -4}, r"b\.json: sample = -4: "),
        ({"depth": 9}, r"b\.json: depth = 9: expected 8 or 16"),
        ({"draw": 5}, r"b\.json: draw = 5: expected a table$"),
        ({"input": 5}, r"b\.json: input = 5: expected text$"),
        ({"outputs": [1]}, r"b\.json: outputs = \[1\]: expected a table$"),
        ({"outputs": {"": {"file": "../evil.png", "pixels": "0" * 64}}}, r"b\.json: outputs\.''\.file = "),
        ({"more": 1}, r"b\.json: more: unknown key"),
    ):
        sidecar.write_text(json.dumps(record | change))
        with pytest.raises(ConfigError, match=message):
            replay(sidecar)
    sidecar.write_text(json.dumps(record | {"versions": {"torch": "0.1"}, "draw": {"sigma": 1.0}}))
    with pytest.raises(RestorationError, match=r"recorded: sigma; it was made with torch 0\.1 \(here "):
        replay(sidecar)
    sidecar.write_text(json.dumps(record))
    (tmp_path / "b.png").write_bytes(b"junk")
    with pytest.raises(
        RestorationError, match=r"b\.png: not the file that b\.json describes; made again, its sam"
    ):
        replay(sidecar)
    (tmp_path / "b.png").unlink()
    (tmp_path / "w").mkdir()
    (tmp_path / "w/b.png").write_bytes(b"mine")
    with pytest.raises(
        RequestError, match=r"w/b\.png: exists already; expected another --out, or --overwrite$"
    ):
        replay(sidecar, out=tmp_path / "w")
    with pytest.raises(RequestError, match=r"--out .*x\.png: names a file; expected a folder$"):
        replay(sidecar, out=tmp_path / "x.png")
    with pytest.raises(RequestError, match=r"none\.png: no such file$"):
        replay(sidecar, tmp_path / "none.png")
    assert replay(sidecar, out=tmp_path / "w", overwrite=True) == ["b.png"]


def test_sidecars_name_files_in_full(photos, tmp_path, monkeypatch):
    (tmp_path / "masks").mkdir()
    write(tmp_path / "masks/m.png", Picture(np.full((9, 9, 1), 255, np.uint8)))
    monkeypatch.chdir(tmp_path)
    degrade(described("mask-files", ["folder=masks", "hole=white"]), ["photos/a.png"], tmp_path / "o")
    monkeypatch.chdir(tmp_path / "masks")
    assert replay(tmp_path / "o/a.json", photos / "a.png") == ["a.png", "a.mask.png"]


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
