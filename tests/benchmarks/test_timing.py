"""Timings: the order of calls, what is counted, and what the record keeps to itself."""

import json
import time
from pathlib import Path

import pytest
import torch

from restoration.benchmarks.timing import alternate, environment, medians


def test_candidates_take_turns_after_one_warm_up_each():
    calls: list[str] = []
    seconds = alternate({name: lambda name=name: calls.append(name) for name in "ab"}, repeats=3)
    turns = ["".join(calls[i : i + 2]) for i in range(0, len(calls), 2)]
    assert len(turns) == 4 and turns[0] == "ab" and {*turns[1:]} == {"ab", "ba"}
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}


def test_seconds_are_those_of_the_call():
    seconds = alternate({"short": lambda: None, "long": lambda: time.sleep(0.02)}, repeats=3)
    assert min(seconds["long"]) >= 0.02 > min(seconds["short"]) >= 0


def test_medians():
    assert medians({"odd": [5.0, 1.0, 2.0], "even": [1.0, 2.0, 4.0, 9.0]}) == {"odd": 2.0, "even": 3.0}


def test_no_repeats_are_refused():
    with pytest.raises(ValueError) as error:
        alternate({}, 0)
    assert str(error.value) == "repeats = 0; expected a whole number from 1"


def test_environment_is_json_and_names_versions_but_no_path():
    found = environment()
    text = json.dumps(found)
    assert torch.__version__.startswith(found["versions"]["torch"]) and "numpy" in found["versions"]
    assert found["hardware"]["threads"] == torch.get_num_threads() and found["hardware"]["processor"]
    assert str(Path.home()) not in text and str(Path.cwd()) not in text
