"""Metrics that losses compute: the benchmark's numbers are piq's, of 8-bit photographs in float64."""

from importlib.resources import files
from pathlib import Path

import piq
import pytest
import torch

from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.scores import planes, score
from restoration.errors import ConfigError
from restoration.image import quantise, read

PEERS = {"fsim": piq.fsim, "gmsd": piq.gmsd, "haarpsi": piq.haarpsi, "mdsi": piq.mdsi, "vif": piq.vif_p}
OF_EQUAL_IMAGES = {"fsim": 1.0, "gmsd": 0.0, "haarpsi": 1.0, "mdsi": 0.0, "vif": 1.0}


@pytest.fixture(scope="module")
def pair():
    clean = read(Path(str(files("restoration"))) / "photos" / "coffee.png").pixels[..., :120, :150]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return clean + 0.08 * noise, clean


def protocol():
    return load_protocol("kodak5-color-25", [], sorted(PEERS))


def test_scores_are_piqs_of_the_rounded_image(pair):
    restored, clean = pair
    names = sorted(PEERS)
    found = score(planes(restored, protocol(), names), planes(clean, protocol(), names), protocol(), names)
    rounded = quantise(restored.double())
    for name, peer in PEERS.items():
        assert found[name] == pytest.approx(peer(rounded, clean.double()).item(), abs=2e-6)


def test_equal_images_reach_the_best_value(pair):
    views = planes(pair[1], protocol(), PEERS)
    found = score(views, views, protocol(), sorted(PEERS))
    assert found == {name: pytest.approx(best, abs=1e-7) for name, best in OF_EQUAL_IMAGES.items()}


@pytest.mark.parametrize("name", sorted(PEERS))
def test_direction_plane_and_smallest_side_are_the_losss(name, pair):
    metric = METRICS[name]()
    assert metric.plane == "rgb" and metric.better == metric.loss.better
    assert metric.smallest == metric.loss.minimum_size and name in metric.loss.as_metric
    assert metric.ceiling == (1.0 if name in ("fsim", "haarpsi") else float("inf"))
    image = pair[1][..., : metric.smallest - 1]
    views = planes(image, protocol(), [name])
    reason = f"the shorter side has {metric.smallest - 1} pixels; expected at least {metric.smallest}"
    assert score(views, views, protocol(), [name]) == {name: reason}


def test_a_protocol_without_colour_refuses_them():
    with pytest.raises(ConfigError, match=r"'gmsd' needs three channels"):
        load_protocol("set5-x4", ["colour=grey"], ["gmsd"])
