"""Scoring beside restoring: the same results, gaps where they belong, and the image's name where something breaks."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from restoration.apply import Inference
from restoration.benchmarks.datasets import cases
from restoration.benchmarks.measuring import Measuring
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.samples import load_sample
from restoration.errors import RestorationError
from restoration.weights import load

NAMES = ("bicubic-x4", "nearest-x4")


@pytest.fixture(scope="module")
def samples():
    protocol = load_protocol("photos-x4", [], ["psnr-y", "high-frequency-ratio"])
    found = cases(protocol, Path())
    return protocol, [load_sample(protocol, case, place, len(found)) for place, case in enumerate(found)]


def measured(samples, overlap, watchers=(), restorers=None):
    protocol, images = samples
    restorers = restorers or {name: load(name) for name in NAMES}
    measuring = Measuring(
        protocol, restorers, Inference(), len(images), watchers=watchers, overlap=overlap
    )  # fmt: skip
    for i, sample in enumerate(images):
        if i == 2:
            measuring.lose("lost.png", "cannot be read", len(images))
        measuring.take(sample)
    measuring.finish()
    return measuring


def test_scoring_in_a_second_thread_changes_nothing(samples):
    orders = {False: [], True: []}
    found = {}
    for overlap, order in orders.items():
        watch = lambda protocol, name, sample, image, order=order: order.append((sample.name, name))  # noqa: E731
        found[overlap] = measured(samples, overlap, [watch])
    assert orders[True] == orders[False] and len(orders[True]) == 2 * len(samples[1])
    for name in NAMES:
        ours, theirs = (found[overlap].tallies[name].values for overlap in (True, False))
        assert {metric: list(values.items()) for metric, values in ours.items()} == {
            metric: list(values.items()) for metric, values in theirs.items()
        }, "values and their order"
    assert found[False].aside is None and list(ours["psnr-y"])[2] == "lost.png"


def test_beside_the_processor_is_where_restorers_run_elsewhere(samples):
    protocol, images = samples
    for device, expected in (("cpu", False), ("cuda", True), ("cuda:1", True), ("mps", True)):
        found = Measuring(protocol, {}, Inference(device=device), len(images))
        assert (found.aside is not None) == expected, device


@pytest.mark.parametrize("overlap", [False, True])
def test_a_restorer_that_fails_on_one_image_leaves_a_gap_there(samples, overlap):
    protocol, images = samples
    restorers = {name: load(name) for name in NAMES}
    forward = restorers["nearest-x4"].network.forward

    def failing(degraded):
        if degraded.shape == images[1].degraded.shape:
            raise RestorationError("this one\nnot")
        return forward(degraded)

    restorers["nearest-x4"].network.forward = failing
    found = measured((protocol, images[:3]), overlap, restorers=restorers)
    values = {name: found.tallies[name].values["psnr-y"] for name in NAMES}
    assert values["nearest-x4"][images[1].name] == "this one; not"
    assert isinstance(values["bicubic-x4"][images[1].name], float)
    assert list(values["nearest-x4"]) == [images[0].name, images[1].name, "lost.png", images[2].name]


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("error", [RestorationError("no space left"), KeyError("gone")])
def test_what_breaks_in_scoring_is_told_with_the_images_name(samples, overlap, error):
    bad = samples[1][3].name

    def watch(protocol, name, sample, image):
        if sample.name == bad:
            raise error

    with pytest.raises(type(error)) as caught:
        measured(samples, overlap, [watch])
    told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert bad in told and "photos-x4" in told


def test_a_damaged_image_in_the_middle_takes_no_other_with_it(samples):
    protocol, images = samples
    nan = replace(images[1], clean=torch.full_like(images[1].clean, torch.nan))
    found = measured((protocol, [images[0], nan, images[2]]), True)
    values = found.tallies["bicubic-x4"].values["psnr-y"]
    assert values[nan.name] == "the clean image holds values that are not finite"
    assert sum(isinstance(value, float) for value in values.values()) == 2
