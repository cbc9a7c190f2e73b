"""The dials on the command line: what they make of files, and one line for what has no meaning."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.apply import Inference, restore_picture
from restoration.cli import main
from restoration.dials.consistency import residual
from restoration.image import Picture, read_samples
from restoration.networks.ffdnet import FfdNet
from restoration.networks.medfe import Medfe
from restoration.networks.plainsr import PlainSr
from restoration.restorers.card import Card
from restoration.weights import load, save


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(90, 160, (20, 24, 3), dtype=np.uint8)).save("a.png")
    for seed, name in enumerate(("low", "high")):
        torch.manual_seed(seed)
        table = {"name": "plain-sr", "scale": 2, "channels": 3, "width": 8, "blocks": 1}
        network = PlainSr(scale=2, width=8, blocks=1)
        with torch.no_grad():
            network.tail.weight.add_(0.02 * torch.randn_like(network.tail.weight))
        save(tmp_path / f"{name}.safetensors", network, Card(name, "super-resolution", table, scale=2))
    table = {"name": "ffdnet", "channels": 3, "width": 8, "depth": 3}
    save(tmp_path / "denoise.safetensors", FfdNet(channels=3, width=8, depth=3), Card("denoise", "d", table))

    def run(*words: str) -> tuple[int, str, str]:
        line = ["restoration", "apply", *map(str, words), "--device", "cpu", "--precision", "fp32"]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as left:
            main()
        output = capsys.readouterr()
        return left.value.code, output.out, output.err

    return run


def test_perception_between_two_files(command):
    results = {}
    for name, words in {
        "low": ("low.safetensors",),
        "high": ("high.safetensors",),
        "zero": ("high.safetensors", "--with", "low.safetensors", "--perception", "0"),
        "one": ("high.safetensors", "--with", "low.safetensors", "--perception", "1"),
        "half": ("high.safetensors", "--with", "low.safetensors", "--perception", "0.5"),
        "weights": (
            "high.safetensors",
            "--with",
            "low.safetensors",
            "--perception",
            "0.5",
            "--interpolate",
            "weights",
        ),
    }.items():
        code, _, _ = command(words[0], "a.png", "--out", f"{name}.png", *words[1:])
        assert code == 0
        results[name] = read_samples(f"{name}.png").astype(int)
    assert np.array_equal(results["zero"], results["low"]) and np.array_equal(results["one"], results["high"])
    middle = (results["low"] + results["high"]) / 2
    assert np.abs(results["half"] - middle).max() <= 1 < np.abs(results["low"] - results["high"]).max()
    assert not np.array_equal(results["weights"], results["half"])


def test_settings_change_the_file(command):
    for sigma in (5, 50):
        assert (
            command("denoise.safetensors", "a.png", "--out", f"{sigma}.png", "--set", f"sigma={sigma}")[0]
            == 0
        )
    expected = restore_picture(
        load("denoise.safetensors", {"sigma": 50}),
        Picture(read_samples("a.png")),
        Inference(precision="fp32"),
    )
    assert np.array_equal(read_samples("50.png"), expected.samples)
    assert not np.array_equal(read_samples("5.png"), read_samples("50.png"))


def test_consistency_and_drift_are_reported(command):
    code, out, err = command("high.safetensors", "a.png", "--out", "plain.png", "--json")
    values = json.loads(out)["measured"]["plain.png"]
    assert code == 0 and set(values) == {"delta_e_mean", "delta_e_max", "shift"} and len(values["shift"]) == 3
    code, out, err = command("high.safetensors", "a.png", "--out", "exact.png", "--consistent")
    plain, exact = (residual(read_samples(f"{n}.png"), read_samples("a.png"), 2) for n in ("plain", "exact"))
    assert code == 0 and out.startswith("1 written")
    assert "exact.png: reduced, it is the input but for " in err
    assert exact.rms < 0.5 / 255 < plain.rms
    code, out, _ = command("high.safetensors", "a.png", "--out", "again.png", "--consistent", "--json")
    assert json.loads(out)["measured"]["again.png"]["residual_rms"] == pytest.approx(exact.rms)


def test_visible_drift_is_a_line(command, monkeypatch, tmp_path):
    network = PlainSr(scale=2, width=8, blocks=1)
    with torch.no_grad():
        network.tail.bias.fill_(0.1)
    table = {"name": "plain-sr", "scale": 2, "channels": 3, "width": 8, "blocks": 1}
    save(tmp_path / "bright.safetensors", network, Card("bright", "super-resolution", table, scale=2))
    code, _, err = command("bright.safetensors", "a.png", "--out", "b.png")
    assert code == 0 and "b.png: colours drift by ΔE " in err and "(R +0.1" in err
    assert "drift" not in command("bright.safetensors", "a.png", "--out", "c.png", "--quiet")[2]
    code, _, err = command("bright.safetensors", "a.png", "--out", "d.png", "--consistent")
    assert code == 0 and "drift" not in err


def test_inpainting_by_mask(command, tmp_path):
    torch.manual_seed(0)
    table = {"name": "medfe", "channels": 3, "width": 2, "blocks": 1}
    save(tmp_path / "medfe.safetensors", Medfe(width=2, blocks=1), Card("medfe", "inpainting", table))
    hole = np.zeros((20, 24), np.uint8)
    hole[5:12, 8:20] = 255
    Image.fromarray(hole).save("m.png")
    Image.fromarray(255 - hole).save("inverse.png")
    assert command("medfe.safetensors", "a.png", "--out", "white.png", "--mask", "m.png")[0] == 0
    words = ("--mask", "inverse.png", "--hole", "black")
    assert command("medfe.safetensors", "a.png", "--out", "black.png", *words)[0] == 0
    before, after = read_samples("a.png"), read_samples("white.png")
    assert np.array_equal(after[hole == 0], before[hole == 0])
    assert not np.array_equal(after[hole > 0], before[hole > 0])
    assert np.array_equal(after, read_samples("black.png"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("low.safetensors", "--perception", "0.5"),
            "--perception 0.5: 'low' has no such dial; expected --with FILE",
        ),
        (
            ("low.safetensors", "--with", "high.safetensors"),
            "--with high.safetensors: has a meaning with --perception P",
        ),
        (
            ("low.safetensors", "--interpolate", "weights"),
            "--interpolate weights: has a meaning with --perception P",
        ),
        (
            ("low.safetensors", "--perception", "2", "--with", "high.safetensors"),
            "--perception 2: expected a number from 0 to 1",
        ),
        (
            ("low.safetensors", "--perception", "0.5", "--with", "bicubic-x4"),
            "--with bicubic-x4: scale 4; expected 2, as 'low' has",
        ),
        (("low.safetensors", "--steps", "4"), "--steps 4: 'low' restores in one pass; "),
        (("bicubic-x4", "--seed", "4"), "--seed 4: 'bicubic-x4' draws nothing; "),
        (
            ("identity", "--consistent"),
            "--consistent: 'identity' has scale 1; expected a restorer that enlarges",
        ),
        (("identity", "--mask", "a.png"), "--mask a.png: 'identity' takes no mask"),
        (("identity", "--mask", "none.png"), "--mask none.png: no such file or folder"),
        (("identity", "--hole", "black"), "--hole black: has a meaning with --mask alone"),
        (("bicubic-x4", "--set", "sigma=25"), "bicubic-x4: takes no settings; got sigma"),
        (
            ("low.safetensors", "--set", "sigma=25"),
            "low.safetensors: network.sigma: unknown key of network 'plain-sr'",
        ),
        (("denoise.safetensors", "--set", "sigma"), "--set sigma: expected KEY=VALUE"),
    ],
)
def test_requests_without_a_meaning_are_one_line(command, tmp_path, words, line):
    code, out, err = command(words[0], "a.png", "--out", "out", *words[1:])
    assert (code, out) == (2, "") and err.startswith(f"restoration: {line}") and err.count("\n") == 1
    assert not (tmp_path / "out").exists()
