"""The command `restoration weights`: what it prints, and what it refuses."""

import json
import subprocess
import sys

import pytest
import torch

from restoration import cli, weights
from restoration.networks.msrresnet import MsrResNet


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "theirs.pth"
    torch.save({"params": MsrResNet(width=8, blocks=2).state_dict()}, path)
    return path


@pytest.fixture
def run(monkeypatch, capsys):
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["restoration", "weights", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        printed = capsys.readouterr()
        return done.value.code, printed.out, printed.err

    return command


def test_without_a_word_it_lists(run):
    code, listed, _ = run()
    assert code == 0 and "vgg19" in listed
    assert run("list") == (0, listed, "")


def test_import_says_what_it_found(run, checkpoint):
    code, said, _ = run("import", checkpoint, "--name", "mine", "--licence", "MIT")
    assert code == 0
    assert "theirs.safetensors: msrresnet (scale = 4, channels = 3, width = 8, blocks = 2)" in said
    assert "scale 4, " in said and "licence: MIT" in said and "sha256 " in said
    assert weights.load(checkpoint.with_suffix(".safetensors")).card.name == "mine"
    code, _, complaint = run("import", checkpoint)
    assert code == 2 and complaint.count("\n") == 1 and "--overwrite" in complaint


def test_import_as_json(run, checkpoint):
    code, said, _ = run("import", checkpoint, "--json")
    assert code == 0 and json.loads(said)["card"]["network"]["name"] == "msrresnet"


def test_export_to_a_folder_of_the_hub_and_back(run, checkpoint, tmp_path):
    assert run("export", checkpoint, "--format", "hub", "--out", tmp_path / "hub")[0] == 0
    assert weights.load(tmp_path / "hub").card.network["name"] == "msrresnet"
    code, _, complaint = run("export", checkpoint, "--format", "hub", "--out", tmp_path / "hub")
    assert code == 2 and "is there already; --overwrite replaces it" in complaint
    assert run("export", checkpoint, "--format", "hub", "--out", tmp_path / "hub", "--overwrite")[0] == 0


def test_export_for_basicsr(run, checkpoint, tmp_path):
    code, said, _ = run("export", checkpoint, "--format", "basicsr", "--out", tmp_path / "a.pth")
    assert code == 0 and "MSRResNet(num_in_ch=3, num_out_ch=3, num_feat=8, num_block=2, upscale=4)" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("sr-x4-small", "--format", "spandrel", "--out", "a.pth"),
            "none is laid out as 'plain-sr'; use --format onnx",
        ),
        (("bicubic-x4", "--format", "onnx", "--out", "a.onnx"), "has no weights to export"),
        (("sr-x4-small", "--format", "onnx", "--out", "a.pth"), "expected a name that ends in .onnx"),
        (("sr-x4-small", "--format", "onnx", "--out", "a.onnx", "--push", "a/b"), "only with --format hub"),
        (("sr-x4-small", "--format", "onxx", "--out", "a.onnx"), "'onxx' is not one of"),
        (("nothing", "--format", "hub", "--out", "a"), "no such file and no restorer of that name"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(run, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, printed, complaint = run("export", *arguments)
    assert (code, printed) == (2, "") and said in complaint and complaint.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_option_is_one_line_with_its_choices(run):
    code, _, complaint = run("export", "sr-x4-small", "--out", "a")
    assert code == 2 and complaint.count("\n") == 1 and "basicsr, hub, onnx, spandrel" in complaint


def test_verifying_nothing_says_so(run, monkeypatch):
    monkeypatch.setattr("restoration.catalogue.find", lambda _: None)
    code, said, _ = run("verify")
    assert code == 0 and said.startswith("none of the published weights is on this machine: alexnet, ")


def test_the_list_says_digest_licence_and_source(run):
    listed = " ".join(run("list")[1].split())
    assert "vgg19-dcbb9e9d.pth, 548 MB, sha256 dcbb9e9d…, BSD-3-Clause" in listed
    assert "from download.pytorch.org" in listed


def test_the_command_line_imports_no_torch():
    code = "import sys, restoration.cli_weights; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
