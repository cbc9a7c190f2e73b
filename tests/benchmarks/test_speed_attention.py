"""The speed of HDiT's attention: what is timed is attention, by the way it is named for, and what is written is all."""

import json
import sys

import pytest
import torch

from restoration.benchmarks import speed_attention
from restoration.networks.neighbourhood import blocked_attention

SMALL = {
    "widths": (32, 48), "depths": (1, 1), "head": 16, "patch": 2, "mapping_width": 12, "mapping_hidden": 20, "timed": True,
}  # fmt: skip


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: function)


@pytest.mark.parametrize(("found", "name"), [(None, "plain"), ("natten's", "natten")])
def test_flex_is_timed_where_its_kernels_are(monkeypatch, found, name):
    monkeypatch.setattr(speed_attention, "find_spec", lambda package: found)
    assert speed_attention.ways(torch.device("cpu")) == {"plain": False}
    assert speed_attention.ways(torch.device("cuda")) == {name: False, "flex": True}


def test_attention_is_that_of_the_first_level_to_neighbours(monkeypatch):
    seen = []

    def watched(*parts):
        seen.append([tuple(part.shape) for part in parts[:3]])
        return blocked_attention(*parts)

    monkeypatch.setattr(speed_attention, "neighbourhood_attention", watched)
    found = speed_attention.of_attention(SMALL, torch.rand(3, 3, 20, 20), 2)
    assert found["tokens"] == [3, 2, 10, 10, 16] and found["window"] == 7
    assert {*map(str, seen[2:])} == {str([(3, 2, 10, 10, 16)] * 3)}
    assert 0 < found["error"]["plain"] < 0.01
    assert [*found["seconds"]] == [*found["mebibytes"]] == ["plain, forward", "plain, with gradients"]


def test_another_attention_is_refused():
    with pytest.raises(
        ValueError, match=r"^attention of the first level = 'global': expected 'neighbourhood'$"
    ):
        speed_attention.of_attention({**SMALL, "attention": ("global", "global")}, torch.rand(1, 3, 8, 8), 1)


def test_every_way_of_a_network_has_the_same_weights(monkeypatch):
    monkeypatch.setattr(speed_attention, "ways", lambda device: {"plain": False, "flex": True})
    found = speed_attention.of_network(SMALL, torch.rand(2, 3, 16, 16), 1)
    assert found["error"]["plain"] == found["error"]["flex"] and 0 < found["error"]["flex"] < 0.05
    passes = ["forward", "with gradients", "compiled, with gradients"]
    assert [*found["seconds"]] == [f"plain, {one}" for one in passes] + [f"flex, {one}" for one in passes[1:]]


def test_the_command_writes_what_it_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = {
        "seconds": {"plain, forward": 0.25},
        "mebibytes": {"plain, forward": 3.0},
        "error": {"plain": 0.5},
    }
    for name in ("of_attention", "of_network"):
        monkeypatch.setattr(speed_attention, name, lambda *_: found)
    asked = "--device cpu --experiments pmrf-denoise --images 2 --side 16 --out it.json"
    monkeypatch.setattr(sys, "argv", ["speed_attention", *asked.split()])
    speed_attention.main()
    record = json.loads((tmp_path / "it.json").read_text())
    assert record["command"] == (
        "python -m restoration.benchmarks.speed_attention --device cpu --experiments pmrf-denoise --images 2 --side 16 "
        "--repeats 15 --out it.json"
    )
    assert record["experiments"]["pmrf-denoise"] == {
        "image": [2, 3, 16, 16], "attention": found, "network": found
    }  # fmt: skip
    assert "| network | plain, forward | 250.00 | 3 |" in capsys.readouterr().out
