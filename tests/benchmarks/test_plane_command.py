"""`restoration benchmark` with planes, with all restorers against each other, and `gaussian-toy`."""

import json
import sys

import pytest

from restoration.benchmarks import toys
from restoration.cli import main

SMALL = ("--set", "batches=20", "--set", "vectors=512")
ONE = ("--set", 'clean=["photos/chelsea.png"]', "--device", "cpu", "--no-cache")


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["restoration", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        output = capsys.readouterr()
        return left.value.code, output.out, output.err

    return run


def test_the_toy_says_what_is_known_and_what_was_measured(command):
    code, out, err = command("benchmark", "gaussian-toy", *SMALL)
    assert (code, err) == (0, "")
    assert "| scalar-1 |" in out and "| 0.5000 |" in out and "checks hold" in out


def test_the_toy_fails_with_the_line_that_says_which(command, monkeypatch):
    right = toys.System.estimators
    monkeypatch.setattr(
        toys.System,
        "estimators",
        lambda system, toy: [
            e._replace(mse=1.1 * e.mse) if e.name == "posterior-sampling" else e for e in right(system, toy)
        ],
    )
    code, _, err = command(
        "benchmark", "gaussian-toy", "--quiet", "--set", "batches=20", "--set", "noises=[1.0]"
    )
    assert code == 1
    lines = err.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(
        "restoration: gaussian-toy: scalar-1: posterior-sampling: MSE = 2·D*: expected 1.100000, found "
    )


def test_the_toy_writes_a_page_a_document_and_planes(command, tmp_path):
    code, out, _ = command(
        "benchmark", "gaussian-toy", *SMALL, "--set", "noises=[1.0]", "--set", "binary=[]", "--out", "toy"
    )
    assert code == 0 and "wrote" in out
    names = {path.name for path in (tmp_path / "toy").iterdir()}
    assert {"result.json", "table.md", "report.html"} <= names
    assert {
        f"plane-gaussian-toy-scalar-1-patch-mse-patch-w2.{k}" for k in ("svg", "png", "json", "md")
    } <= names
    document = json.loads((tmp_path / "toy" / "result.json").read_text())
    assert all(check["holds"] for check in document["provenance"]["checks"])


def test_the_toy_as_json(command):
    code, out, _ = command("benchmark", "gaussian-toy", *SMALL, "--json")
    document = json.loads(out)
    assert code == 0 and document["rows"][0]["restorer"] == "posterior-mean"
    assert document["provenance"]["protocols"]["gaussian-toy-scalar-1"]["settings"]["batches"] == 20


def test_the_toy_is_listed_and_shown(command):
    assert "gaussian-toy" in command("list", "protocols")[1]
    code, out, _ = command("show", "gaussian-toy")
    assert code == 0 and "batches = 100" in out


@pytest.mark.parametrize(
    "words, line",
    [
        (("gaussian-toy", "bicubic-x4"), "expected nothing beside it, got bicubic-x4"),
        (("gaussian-toy", "--metrics", "psnr-y"), "expected nothing beside it, got --metrics"),
        (("gaussian-toy,set5-x4",), "expected nothing beside it, got gaussian-toy,set5-x4"),
        (("set5-x4,gaussian-toy", "bicubic-x4"), "'gaussian-toy' is a test of the instrument, alone"),
        (("gaussian-toi", "bicubic-x4"), "unknown protocol 'gaussian-toi'; did you mean 'gaussian-toy'?"),
        (("gaussian-toy", "--set", "batches=2"), "gaussian-toy.batches = 2"),
        (("photos-x4", "bicubic-x4", "--plane", "psnr-y"), "--plane psnr-y: expected DISTORTION:PERCEPTION"),
        (
            ("photos-x4", "bicubic-x4", "--plane", "psnr-y:nique"),
            "unknown metric 'nique'; did you mean 'niqe'?",
        ),
        (
            ("photos-x4", "bicubic-x4", "--plane", "psnr-y:dists", "--set", "colour=grey"),
            "'dists' needs three channels",
        ),
        (("--table", "--plane", "psnr-y:niqe"), "--plane: has no meaning beside --table"),
        (("photos-x4", "bicubic-x4[perception=0.5]"), "has no such dial"),
        (("photos-x4", "bicubic-x4[0.5]"), "expected NAME[KEY=VALUE,…]"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(command, tmp_path, words, line):
    code, out, err = command("benchmark", *words)
    assert (code, out) == (2, "") and line in err and err.count("restoration: ") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_dial_is_a_curve_on_the_plane(command, tmp_path):
    dial = "nearest-x4[perception=0|0.5|1,with=bicubic-x4]"
    code, out, err = command(
        "benchmark", "photos-x4", dial, "--plane", "patch-mse:patch-w2", "--plane", "psnr-y:sliced-wasserstein",
        *ONE, "--out", "run",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "### photos-x4" in out and "patch-mse against patch-w2" in out and "Along perception: " in out
    written = {path.name for path in (tmp_path / "run").iterdir()}
    stem = next(name for name in written if name.endswith("patch-mse-patch-w2.json"))
    document = json.loads((tmp_path / "run" / stem).read_text())
    (curve,) = document["curves"]
    assert curve["key"] == "perception" and [p["dial"] for p in document["points"]] == [0, 0.5, 1]
    assert "bound" in document and document["bound"]["restorer"] in curve["restorers"]
    table = (tmp_path / "run" / "comparisons.md").read_text()
    assert "all against all" in table and "too few images" in table and "Holm" in table
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["provenance"]["planes"] == [["patch-mse", "patch-w2"], ["psnr-y", "sliced-wasserstein"]]
    assert {row["metric"] for row in result["rows"]} >= {"psnr-y", "ssim-y", "patch-mse", "patch-w2"}


def test_two_restorers_are_told_how_many_images_they_need(command):
    two = ("--set", 'clean=["photos/chelsea.png","photos/coffee.png"]', "--device", "cpu")
    code, out, _ = command("benchmark", "photos-x4", "bicubic-x4", "nearest-x4", *two, "--metrics", "psnr-y")
    assert code == 0 and "all against all" not in out
    assert "- bicubic-x4 and nearest-x4, psnr-y: +" in out
    assert "over 2 images, too few images; to tell these two apart you need about " in out
