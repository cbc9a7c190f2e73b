"""Restorers at settings of their dials, by name."""

import pytest
import torch

from restoration.benchmarks.dialled import expanded, label, load_dialled, split_name
from restoration.dials.perception import Between
from restoration.errors import RestorationError
from restoration.weights import load


@pytest.mark.parametrize(
    "name, base, settings",
    [
        ("identity", "identity", {}),
        ("a[perception=0.5]", "a", {"perception": "0.5"}),
        ("runs/a.safetensors[steps=5, seed=1]", "runs/a.safetensors", {"steps": "5", "seed": "1"}),
        ("odd[1].pth", "odd[1].pth", {}),
        ("a[]", "a[]", {}),
        ("a[perception]", "a[perception]", {}),
    ],
)
def test_a_name_with_its_settings(name, base, settings):
    assert split_name(name) == (base, settings)


def test_several_values_are_several_restorers():
    assert expanded("a[steps=1|5,seed=0|1]") == [
        "a[steps=1,seed=0]", "a[steps=1,seed=1]", "a[steps=5,seed=0]", "a[steps=5,seed=1]",
    ]  # fmt: skip
    assert expanded("bicubic-x4") == ["bicubic-x4"]


def test_results_name_files_without_their_folder():
    assert label("runs/a.safetensors[perception=0.5]") == "a.safetensors[perception=0.5]"
    assert label("pmrf-denoise[perception=0.5]") == "pmrf-denoise[perception=0.5]"
    assert label("hf:owner/name[perception=0.5]") == "hf:owner/name[perception=0.5]"


def test_a_point_between_two_restorers_is_the_mixture_of_both():
    image = torch.rand(1, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    mixed = load_dialled("nearest-x2[perception=0.25,with=bicubic-x2]")
    assert isinstance(mixed.network, Between)
    expected = torch.lerp(load("bicubic-x2")(image), load("nearest-x2")(image), 0.25)
    assert torch.equal(mixed(image), expected)


@pytest.mark.parametrize(
    "source, words",
    [
        ("bicubic-x4[perception=much]", "perception = much: expected a number"),
        ("bicubic-x4[steps=1.5]", "steps = 1.5: expected a whole number"),
        ("bicubic-x4[steps=5]", "'bicubic-x4' restores in one pass"),
        ("bicubic-x4[perception=0.5]", "has no such dial"),
        ("bicubic-x4[perception=2,with=nearest-x4]", "expected a number from 0 to 1"),
        ("bicubic-x4[with=nearest-x4]", "'with' has a meaning beside 'perception' alone"),
        ("bicubic-x4[percepton=0.5]", "takes no settings; got percepton"),
        ("bicubic-x5[perception=0.5]", "no such file and no restorer of that name"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(source, words):
    with pytest.raises(RestorationError) as caught:
        load_dialled(source)
    assert words in str(caught.value)


def test_brackets_without_settings_are_refused():
    with pytest.raises(RestorationError, match=r"^a\[0\.5\]: expected NAME\[KEY=VALUE,…\]"):
        expanded("a[0.5]")
