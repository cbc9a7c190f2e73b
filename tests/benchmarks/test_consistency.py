"""Down-scaling consistency: against MATLAB's own reduction, and where there is nothing to compare with."""

import math

import pytest
import torch

from restoration.benchmarks.metrics import METRICS, Seen
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.scores import Beside, planes, score
from restoration.degradations.resize import resize
from restoration.image import quantise, read_samples, to_float

NAMES = ("consistency", "consistency-max")


@pytest.fixture
def clean():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, 3, 48, 40), generator=generator) / 255


def found(restored, degraded, scale=4):
    protocol = load_protocol(f"set5-x{scale}", [], NAMES)
    return score(planes(restored, protocol, NAMES), None, protocol, NAMES, Beside(degraded))


def test_the_image_that_was_reduced_is_consistent_with_what_became_of_it(clean):
    degraded = resize(clean, scale=0.25, levels=255)
    assert found(clean, degraded) == {"consistency": 100.0, "consistency-max": 0.0}


def test_one_level_of_one_sample_is_the_closed_form(clean):
    degraded = resize(clean, scale=0.25, levels=255)
    degraded[0, 0, 3, 3] += 1 / 255 if degraded[0, 0, 3, 3] < 0.5 else -1 / 255
    values = found(clean, degraded)
    assert values["consistency-max"] == pytest.approx(1.0, abs=1e-5)
    assert values["consistency"] == pytest.approx(
        20 * math.log10(255) + 10 * math.log10(degraded.numel()), abs=1e-3
    )


def test_the_border_of_the_protocol_is_not_cut_off(clean):
    spoilt = clean.clone()
    spoilt[..., :4, :] = 0
    assert found(spoilt, resize(clean, scale=0.25, levels=255))["consistency"] < 40
    convention = load_protocol("set5-x4", [], NAMES).convention("consistency")
    assert convention == (
        "rgb,border=0,uint8-output,reduced by MATLAB's bicubic in 8 bits, against the degraded image in 8 bits"
    )


def test_matlabs_own_files_are_consistent_with_their_originals(data_root):
    clean = to_float(read_samples(data_root / "set5" / "HR" / "bird.png")).double()
    degraded = to_float(read_samples(data_root / "set5" / "LR_bicubic_x4" / "birdx4.png"))
    assert found(clean, degraded) == {"consistency": 100.0, "consistency-max": 0.0}


@pytest.mark.parametrize(
    ("degraded", "scale", "reason"),
    [
        (None, 4, "there is no degraded image to compare with"),
        (torch.zeros(1, 3, 12, 11), 4, "the degraded image is 11x12; expected 10x12 at scale 4"),
        (torch.zeros(1, 1, 12, 10), 4, "the degraded image has 1 channels, the restored 3"),
        (torch.zeros(1, 3, 48, 40), 1, "the scale is 1: nothing was reduced"),
    ],
)
def test_why_there_is_nothing_to_compare(clean, degraded, scale, reason):
    metric = METRICS["consistency"]()
    assert metric.lacks(Seen(quantise(clean), degraded=degraded, scale=scale)) == reason
