"""Scores: what is looked at, at which precision, and why a value may be missing."""

import math

import pytest
import torch

from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.scores import made, planes, score
from restoration.errors import WeightsError
from restoration.losses.colour import luma


def scored(restored, clean, protocol, metrics=None):
    metrics = metrics or protocol.metrics
    return score(planes(restored, protocol, metrics), planes(clean, protocol, metrics), protocol, metrics)


@pytest.fixture
def clean():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, 3, 48, 40), generator=generator) / 255


def test_a_constant_error_has_the_psnr_of_the_closed_form(clean):
    protocol = load_protocol("kodak5-color-25", ["output=float"])
    clean = clean * 0.5
    value = scored(clean + 0.1, clean, protocol)["psnr-rgb"]
    assert value == pytest.approx(20.0, abs=1e-5)


def test_equal_images_reach_the_top(clean):
    found = scored(
        clean, clean, load_protocol("kodak5-color-25", [], ["psnr-y", "psnr-rgb", "ssim-y", "ssim-rgb"])
    )
    assert found["psnr-y"] == found["psnr-rgb"] == 100.0
    assert found["ssim-y"] == pytest.approx(1.0, abs=1e-12) and found["ssim-rgb"] == pytest.approx(
        1.0, abs=1e-12
    )


def test_the_border_is_not_looked_at(clean):
    protocol = load_protocol("set5-x4")
    spoilt = clean.clone()
    spoilt[..., :4, :] = spoilt[..., -4:, :] = 0
    spoilt[..., :, :4] = spoilt[..., :, -4:] = 1
    assert scored(spoilt, clean, protocol)["psnr-y"] == 100.0
    spoilt[..., 4, 4] = 0.0
    assert scored(spoilt, clean, protocol)["psnr-y"] < 100.0


def test_the_restored_image_is_rounded_to_eight_bits_unless_told_otherwise(clean):
    slight = clean + 0.4 / 255
    assert scored(slight, clean, load_protocol("set5-x4"))["psnr-y"] == 100.0
    assert scored(slight, clean, load_protocol("set5-x4", ["output=float"]))["psnr-y"] < 80


def test_eight_bit_luma_is_rounded(clean):
    view = planes(clean, load_protocol("set5-x4", ["luma=uint8", "border=0"]), ["psnr-y"])["y"]
    assert torch.equal(view, ((luma(clean.double()) * 255 + 0.5).floor()) / 255)
    assert view.dtype == torch.float64


def test_values_out_of_range_are_clamped_and_values_that_are_not_finite_are_named(clean):
    protocol = load_protocol("set5-x4")
    outside = torch.where(clean > 0.9, clean + 3, clean)
    assert math.isfinite(scored(outside, clean, protocol)["psnr-y"])
    for bad in (math.nan, math.inf):
        spoilt = clean.clone()
        spoilt[0, 0, 20, 20] = bad
        assert scored(spoilt, clean, protocol) == {
            "psnr-y": "the restored image holds values that are not finite",
            "ssim-y": "the restored image holds values that are not finite",
        }


def test_a_metric_that_needs_larger_images_says_so_and_the_others_still_run(clean):
    found = scored(clean, clean, load_protocol("set5-x4", [], ["psnr-y", "ms-ssim"]))
    assert found == {"psnr-y": 100.0, "ms-ssim": "the shorter side has 32 pixels; expected at least 161"}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_one_line_description_a_direction_and_orders_better_images_first(name):
    assert (METRICS[name].__doc__ or "").strip().count("\n") == 0
    try:
        metric = METRICS[name]()
    except WeightsError as error:
        pytest.skip(str(error).splitlines()[0])
    assert metric.better in ("higher", "lower", "one") and metric.plane in ("y", "rgb", "whole")
    if metric.kind in ("set", "frames"):
        pytest.skip("no value of a single pair: see the tests of sets and of frames")
    generator = torch.Generator().manual_seed(1)
    channels = 3 if metric.plane == "rgb" else 1
    clean = torch.rand(2, channels, 208, 200, generator=generator, dtype=torch.float64)
    noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    near, far = (metric((clean + sigma * noise), clean) for sigma in (0.05, 0.2))
    assert near.shape == (2,)
    assert not metric.reference or all(metric.improves(*pair) for pair in zip(near, far, strict=True))
    alone = metric((clean + 0.05 * noise)[:1], clean[:1])
    torch.testing.assert_close(near[:1], alone, rtol=1e-6, atol=1e-7, msg="an image depends on its neighbour")


def test_psnr_of_colour_is_over_all_samples_together():
    restored, clean = torch.zeros(1, 3, 12, 12), torch.zeros(1, 3, 12, 12)
    clean[:, 0] = 0.3
    assert METRICS["psnr-rgb"]()(restored, clean).item() == pytest.approx(
        -10 * math.log10(0.09 / 3), abs=1e-4
    )


def test_a_metric_without_its_weights_leaves_a_gap_that_says_why_and_the_others_run(
    clean, monkeypatch, tmp_path
):
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    made.cache_clear()
    found = scored(clean, clean, load_protocol("kodak5-color-25", [], ["psnr-rgb", "brisque"]))
    assert found["psnr-rgb"] == 100.0
    assert found["brisque"].startswith(
        "weights 'brisque' are not here. Expected brisque_svm_weights.pt (112 kB, "
    )
    assert "restoration weights fetch brisque" in found["brisque"] and "\n" not in found["brisque"]


def test_without_a_clean_image_metrics_of_the_restored_one_alone_still_run(clean):
    protocol = load_protocol("kodak5-color-25", [], ["psnr-rgb", "consistency"])
    views = planes(clean, protocol, protocol.metrics)
    assert score(views, None, protocol, protocol.metrics) == {
        "psnr-rgb": "there is no clean image, with which this metric compares",
        "consistency": "the scale is 1: nothing was reduced",
    }


def test_a_clean_image_that_is_not_finite_is_named_as_such(clean):
    spoilt = clean.clone()
    spoilt[..., 20, 20] = math.nan
    protocol = load_protocol("set5-x4", [], ["psnr-y"])
    assert scored(clean, spoilt, protocol) == {"psnr-y": "the clean image holds values that are not finite"}
