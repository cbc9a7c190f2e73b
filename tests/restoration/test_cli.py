"""The command line: what a request that is wrong gets, one line and exit code 2, and nothing written."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.cli import main
from restoration.networks.plainsr import PlainSr
from restoration.restorers.card import Card
from restoration.weights import save


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


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(
            folder / f"{i}.png"
        )
    return folder


@pytest.fixture
def restorer(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    network = {"name": "plain-sr", "scale": 2, "channels": 3, "width": 8, "blocks": 1}
    save(path, PlainSr(scale=2, width=8, blocks=1), Card("tiny", "super-resolution", network, scale=2))
    return path


def everything(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


TRAIN = ("train", "sr-x4-small", "--device", "cpu", "--set", "validation.protocols=[]", "--set", "initial=")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("apply", "bicubic-x4", "photos/0.png", "--out", "o.jxl"),
            "--out o.jxl: no picture is written as .jxl; ",
        ),
        (
            ("apply", "bicubic-x4", "photos/0.png", "--out", "o.mp4"),
            "--out o.mp4: no picture is written as .mp4; ",
        ),
        (
            ("apply", "bicubic-x4", "photos/0.png", "--out", "o", "--max-pixels", "0"),
            "Invalid value for '--max-pixels'",
        ),
        (
            ("apply", "bicubic-x4", "photos", "--out", "o", "--scale", "2"),
            "--scale: each restorer has its own; expected another RESTORER (restoration list restorers)",
        ),
        (
            ("weights", "export", "bicubic-x4", "--format", "torchscript", "--out", "o"),
            "Invalid value for '--format': 'torchscript' is not one of 'basicsr', 'hub', 'onnx', 'spandrel'.",
        ),
        (("train", "sr-x4-smal"), "unknown experiment 'sr-x4-smal'; did you mean 'sr-x4-small'?"),
        ((*TRAIN, "--set", "schedule.stepz=5"), "schedule.stepz: unknown key; did you mean 'steps'?"),
        ((*TRAIN, "--set", "schedule.steps=1.5"), "schedule.steps = 1.5: expected a whole number"),
        ((*TRAIN, "--set", "stack.0.name=l3"), "stack.0: unknown term 'l3'; did you mean 'l2'?"),
        (
            (*TRAIN, "--set", "network.widht=3"),
            "network.widht: unknown key of network 'plain-sr'; did you mean 'width'?",
        ),
        (
            (*TRAIN, "--set", "stack.0.wieght=3"),
            "stack.0.wieght: unknown key of term 'l1'; did you mean 'weight'?",
        ),
        (
            (*TRAIN, "--set", "data.images=nowhere/at/all"),
            'data.images = "nowhere/at/all": no such folder or file',
        ),
        ((*TRAIN, "--set", "data.images=empty"), 'data.images = "empty": no images in this folder'),
        ((*TRAIN, "--set", "data.images=photos"), "photos/0.png: 48x40 pixels, smaller than data.crop = 192"),
        ((*TRAIN, "--set", "stack=[]"), "stack: empty; expected at least one [[stack]] entry"),
        ((*TRAIN, "--set", "stack.0.weight=nan"), "stack.0: weight = nan; expected a finite number"),
        (
            (*TRAIN, "--set", "network.width=0"),
            "network: 'head.weight' has no numbers; expected sizes from 1",
        ),
        ((*TRAIN, "--set", "optimizer.default.lr=inf"), "optimizer.default.lr = Infinity: expected "),
        ((*TRAIN, "--set", "name=../evil"), 'name = "../evil": expected a name of letters'),
        (
            (*TRAIN, "--set", "initial=denoise-color-small"),
            'initial = "denoise-color-small": 0 of 46 tensors, 0.0% of the numbers, fit the network of this',
        ),
        ((*TRAIN, "--dry-run", "--out", "photos"), "photos: holds files but no run of ours"),
        (
            ("apply", "bicubic-x4", "photos", "--out", "out", "--suffix", "a/b"),
            "--suffix a/b: expected the end of a file name, without folders",
        ),
        (
            ("apply", "bicubic-x4", "photos", "--out", "photos/0.png/x"),
            "--out photos/0.png/x: photos/0.png is a file; expected a folder for ",
        ),
        (
            ("benchmark", "photos-x4", "bicubic-x4", "--out", "photos/0.png"),
            "--out photos/0.png: file exists; expected a folder",
        ),
        (
            ("benchmark", "--pairs", "photos", "photos", "set5-x4"),
            "photos: this folder is named twice",
        ),
        ((*TRAIN, "--set", "optimizer.default.lr=-1"), "optimizer.default.lr = -1: expected greater than 0"),
        (
            (*TRAIN, "--set", "optimizer.default.betas=[2.0, 3.0]"),
            "optimizer.default.betas = [2.0, 3.0]: expected less than 1",
        ),
        (
            (*TRAIN, "--set", "optimizer.defualt={ name = 'adam' }"),
            "optimizer.defualt: this run has no such group; did you mean 'default'?",
        ),
        ((*TRAIN, "--set", "seed=99999999999999999999999"), "seed = 99999999999999999999999: expected"),
        (
            (*TRAIN, "--set", "data.degradation={ name = 'bicubic' }"),
            "data.degradation: degradation 'bicubic' needs 'scale' (a whole number)",
        ),
        ((*TRAIN, "--set", "data.images=[]"), "data.images: names no folder or file"),
        (
            (*TRAIN, "--set", "data.images=photos", "--set", "data.crop=32", "--set", "stack.0.name=ms-ssim"),
            "stack.0: ms-ssim: images are 32x32",
        ),
        (
            (*TRAIN, "--set", "data.images=photos", "--set", "data.crop=32", "--set", "network.width=-4"),
            "network: ",
        ),
        (
            (
                *TRAIN,
                "--set",
                "data.images=photos",
                "--set",
                "data.crop=32",
                "--set",
                "validation.protocols=['photos-x2']",
            ),
            "validation.protocols: 'photos-x2' has scale 2; data.degradation has 4",
        ),
        (
            ("train", "sr-x4-small", "--device", "cuda:9"),
            "--device cuda:9: not to be had here; expected auto, cpu",
        ),
        (
            ("apply", "bicubic-x4", "photos", "--out", "out", "--device", "fpga"),
            "--device fpga: not to be had here; expected auto, cpu",
        ),
        (
            ("apply", "bicubic-x4", "photos", "--out", "out", "--tile", "²"),
            "--tile ²: expected auto, off or a number of pixels",
        ),
        (
            (*TRAIN, "--set", "data.images=photos", "--set", "data.crop=32", "--out", "tiny.safetensors"),
            "tiny.safetensors: a file; expected a folder for the run",
        ),
        ((*TRAIN, "--set", "data.images=damaged"), "data.images: damaged/cut.png: not a readable image"),
        (
            (*TRAIN, "--set", "data.images=photos", "--set", "data.crop=32", "--set", "network.scale=2"),
            "network: 'plain-sr' enlarges by 2, but data.degradation 'bicubic' shrinks by 4",
        ),
        (
            (*TRAIN, "--set", "data.images=photos", "--set", "data.crop=31"),
            "data.crop = 31: expected a multiple of the scale 4",
        ),
        (
            ("train", "sr-x4-small", "--set", "validation.protocols=['set5-x5']"),
            "unknown protocol 'set5-x5'; did you mean 'set5-x4'?",
        ),
        (("train", "nowhere.toml"), "nowhere.toml: no such experiment file"),
        (("benchmark", "set5-x44", "bicubic-x4"), "unknown protocol 'set5-x44'; did you mean 'set5-x4'?"),
        (
            ("benchmark", "photos-x4", "bicubic-x2"),
            "restorer 'bicubic-x2' has scale 2; protocol 'photos-x4' needs 4",
        ),
        (
            ("benchmark", "photos-x4", "tiny.safetensors"),
            "restorer 'tiny.safetensors' has scale 2; protocol 'photos-x4' needs 4",
        ),
        (
            ("benchmark", "photos-x4", "bicubic-x4", "--metrics", "psnr"),
            "photos-x4.metrics: unknown metric 'psnr'; did you mean 'psnr-y'?",
        ),
        (
            ("benchmark", "photos-x4", "bicubic-x4", "--set", "luma=uint9"),
            "photos-x4.luma = \"uint9\": expected 'float' or 'uint8'; did you mean 'uint8'?",
        ),
        (
            ("benchmark", "photos-x4"),
            "benchmark: expected PROTOCOL[,PROTOCOL] RESTORER..., or --pairs RESTORED... CLEAN, or --table",
        ),
        (
            ("apply", "bicubicx4", "photos", "--out", "out"),
            "bicubicx4: no such file and no restorer of that name; did you mean 'bicubic-x4'?",
        ),
        (("apply", "corrupt.safetensors", "photos", "--out", "out"), "corrupt.safetensors: "),
        (("apply", "other.safetensors", "photos", "--out", "out"), "other.safetensors: "),
        (("apply", "bicubic-x4", "nothing.png", "--out", "out"), "nothing.png: "),
        (
            ("apply", "bicubic-x4", "photos", "--out", "out", "--tile", "big"),
            "--tile big: expected auto, off or a number of pixels from 16",
        ),
        (
            ("apply", "bicubic-x4", "photos", "--out", "out", "--tile", "3"),
            "--tile 3: expected auto, off or a number of pixels from 16",
        ),
        (
            ("weights", "export", "bicubic-x4", "--format", "onx", "--out", "o"),
            "Invalid value for '--format': 'onx' is not one of 'basicsr', 'hub', 'onnx', 'spandrel'; did you mean 'onnx'?",
        ),
        (
            ("apply", "bicubic-x4", "photos", "--out", "out", "--precision", "fp8"),
            "--precision fp8: expected auto, fp32, bf16",
        ),
        (
            ("apply", "bicubic-x4", "photos", "--out", "out", "--shard", "2/2"),
            "--shard 2/2: expected i/n with i from 0 to n-1",
        ),
        (("list", "netwroks"), "list: unknown family 'netwroks'; did you mean 'networks'?"),
        (("show", "charbonier"), "show: unknown name 'charbonier'; did you mean 'charbonnier'?"),
        (("apply", "bicubic-x4", "photos"), "Missing option '--out'"),
        (("trian",), "No such command 'trian'."),
    ],
)
def test_wrong_request_is_one_line(command, tmp_path, photos, restorer, words, line):
    (tmp_path / "empty").mkdir()
    (tmp_path / "corrupt.safetensors").write_bytes(restorer.read_bytes()[:-100])
    wrong = {"name": "imdn", "scale": 2}
    other = Card("other", "super-resolution", wrong, scale=2)
    save(tmp_path / "other.safetensors", PlainSr(scale=2, width=8, blocks=1), other)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "cut.png").write_bytes((photos / "0.png").read_bytes()[:20])
    before = everything(tmp_path)
    code, out, err = command(*words)
    assert code == 2, err
    assert out == ""
    assert err.startswith(f"restoration: {line}"), err
    assert len(err.strip().splitlines()) <= 2
    assert everything(tmp_path) == before


def test_missing_benchmark_images_are_named(command, monkeypatch, tmp_path):
    monkeypatch.setenv("RESTORATION_DATA", str(tmp_path / "nothing-here"))
    code, _, err = command("benchmark", "set5-x4", "bicubic-x4")
    assert code == 2
    assert "set5/HR" in err
    assert len(err.strip().splitlines()) <= 2


def test_apply_writes_and_keeps(command, photos, restorer):
    code, out, _ = command("apply", restorer, photos, "--out", "out", "--device", "cpu")
    assert code == 0
    assert re.fullmatch(r"2 written: 0\.0038 megapixels in \d+\.\d s, [\d.]+ a second\n", out)
    assert Image.open("out/0.png").size == (96, 80)
    code, out, _ = command("apply", restorer, photos, "--out", "out", "--device", "cpu", "--json")
    assert json.loads(out) == {"written": 0, "kept": 2, "failed": 0, "files": []}


def test_one_unreadable_file_fails_alone(command, photos, restorer):
    (photos / "bad.png").write_bytes(b"not a picture")
    code, out, err = command("apply", restorer, photos, "--out", "out", "--device", "cpu", "--quiet")
    assert (code, out) == (1, "")
    assert err.startswith("restoration: ") and "bad.png" in err and err.strip().endswith("skipped")
    assert {p.name for p in Path("out").iterdir() if p.name[0] != "."} == {"0.png", "1.png"}


def test_ctrl_c_is_one_line_and_leaves_nothing_half_written(command, photos, restorer, monkeypatch):
    def interrupted(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("restoration.applying.working.restore_together", interrupted)
    code, out, err = command("apply", restorer, photos, "--out", "out", "--device", "cpu")
    assert (code, out, err.strip()) == (130, "", "restoration: interrupted")
    assert not [p for p in Path("out").rglob("*") if p.is_file()]


def test_interrupted_start_is_no_other_run(command, photos, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".0123.part").write_text("half a config")
    settings = ["schedule.steps=2", "schedule.batch=2", "data.images=photos", "data.crop=32", "network.width=8",
                "network.blocks=1", "validation.protocols=[]", "initial="]  # fmt: skip
    chosen = [word for s in settings for word in ("--set", s)]
    code, _, err = command("train", "sr-x4-small", "--out", "run", "--device", "cpu", "--quiet", *chosen)
    assert (code, err) == (0, "")
    (tmp_path / "run" / "log.csv").write_text("step,l1\n1,0.5\n2,0.")
    (tmp_path / "run" / "card.md").unlink()  # killed between the two files of the export
    assert command("train", "sr-x4-small", "--out", "run", "--device", "cpu", "--quiet", *chosen)[0] == 0
    assert (tmp_path / "run" / "card.md").exists()
    assert (tmp_path / "run" / "log.csv").read_text() == "step,l1\n1,0.5\n"
    checkpoint = next((tmp_path / "run" / "checkpoints").iterdir())
    checkpoint.write_bytes(checkpoint.read_bytes()[:50])
    code, _, err = command("train", "sr-x4-small", "--out", "run", "--device", "cpu", "--quiet", *chosen)
    assert code == 1 and "damaged" in err and "delete it to resume from the checkpoint before" in err


def test_full_disk_leaves_no_half_picture(command, photos, restorer, monkeypatch):
    def full(stream, *arguments):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("restoration.image.WRITERS", {".png": full})
    code, _, err = command("apply", restorer, photos / "0.png", "--out", "out", "--device", "cpu", "--quiet")
    assert code == 1
    assert "No space left on device" in err
    assert not any(Path("out").iterdir()) if Path("out").exists() else True


def test_train_apply_benchmark(command, photos, tmp_path):
    settings = ["schedule.steps=3", "schedule.batch=2", "data.images=photos", "data.crop=32", "network.width=8",
                "network.blocks=1", "validation.protocols=[]", "schedule.warmup=1", "initial="]  # fmt: skip
    chosen = [word for s in settings for word in ("--set", s)]
    train = ("train", "sr-x4-small", "--out", "run", "--device", "cpu", *chosen)
    code, out, _ = command(*train, "--dry-run")
    assert code == 0 and "parameters" in out and "2 images" in out and not Path("run").exists()
    code, out, err = command(*train)
    assert code == 0 and out == "wrote run/restorer.safetensors\n", err
    assert {p.name for p in Path("run").iterdir()} >= {
        "config.toml", "log.csv", "previews", "checkpoints", "restorer.safetensors", "card.md",
    }  # fmt: skip
    assert command(*train)[1] == "run is finished: run/restorer.safetensors\n"
    assert (
        command("apply", "run/restorer.safetensors", "photos/0.png", "--out", "big.png", "--device", "cpu")[0]
        == 0
    )
    assert Image.open("big.png").size == (192, 160)
    code, out, _ = command(
        "benchmark", "photos-x4", "bicubic-x4", "run/restorer.safetensors", "--json", "--device", "cpu"
    )
    rows = json.loads(out)["rows"]
    assert code == 0 and {r["restorer"] for r in rows} == {"bicubic-x4", "restorer.safetensors"}


def test_initial_takes_over_what_fits(tmp_path, restorer):
    from restoration.experiment import load
    from restoration.parts import build_network

    experiment = load("sr-x4-small", ["network.width=8", "network.blocks=1", f"initial={restorer}"])
    torch.manual_seed(1)
    network = build_network(experiment)
    from restoration.weights import load as load_restorer

    source = load_restorer(restorer).network.state_dict()
    assert torch.equal(network.state_dict()["head.weight"], source["head.weight"])
    assert network.state_dict()["tail.weight"].shape != source["tail.weight"].shape
