"""Margins shorter than the field: whatever the weights and the picture, tiles stay exact or say that they are not."""

import pytest
import torch
from torch import nn

from restoration.applying.planning import planned
from restoration.applying.running import Inference, Runner
from restoration.restorers import Card, Restorer
from restoration.tiling import fetch_from, tiled

SIDE = 400


class Taps(nn.Module):
    """A weighted sum of an image's pixels at given distances, in zero padding; the rest passes as it is."""

    conditions, channels, scale, multiple = (), None, 1, 1

    def __init__(self, taps, reach):
        super().__init__()
        self.taps, self.receptive_field = taps, reach
        self.weight = nn.Parameter(torch.tensor(list(taps.values())))
        self.largest = 0

    def forward(self, image):
        self.largest = max(self.largest, image.shape[-1])
        height, width = image.shape[-2:]
        there = nn.functional.pad(image, (self.receptive_field,) * 4)
        for (down, across), weight in zip(self.taps, self.weight, strict=True):
            top, left = self.receptive_field + down, self.receptive_field + across
            image = image + weight * there[..., top : top + height, left : left + width]
        return image


class Hungry(Taps):
    """The same, for which memory holds 200 pixels of a side."""

    def forward(self, image):
        if max(image.shape[-2:]) > 200:
            raise MemoryError
        return super().forward(image)


class Dilated(nn.Module):
    """Convolutions of 3² pixels, the last of which looks 64 pixels away; heavier there where that is asked for."""

    conditions, channels, scale, multiple, receptive_field = (), 3, 1, 1, 67

    def __init__(self, far):
        super().__init__()
        torch.manual_seed(0)
        near = [nn.Conv2d(3 if i == 0 else 8, 8, 3, padding=1) for i in range(3)]
        self.near, self.last = nn.Sequential(*near, nn.ReLU()), nn.Conv2d(8, 3, 3, padding=64, dilation=64)
        with torch.no_grad():
            self.last.weight *= far
            self.last.weight[:, :, 1, 1] /= far

    def forward(self, image):
        return self.last(self.near(image)) + image


def detailed(channels=1, side=SIDE):
    return torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(1))


def flat_where_looked(channels=1, side=SIDE):
    """Return a black picture whose middle and quarters are blank, with detail between them."""
    image = torch.zeros(1, channels, side, side)
    for quarter in (1, 3):
        lines = slice(side * quarter // 8 - 8, side * quarter // 8 + 8)
        image[..., lines, :] = detailed(channels, side)[..., lines, :]
    return image


def outcome(network, image, **options):
    """Return the largest difference in standard deviations, and the plan."""
    restorer = Restorer(network.eval(), Card("far", "restoration", {"name": "far"}, 1))
    runner = Runner(restorer, Inference(precision="fp32", **options))
    height, width = image.shape[-2:]
    with torch.inference_mode():
        plan = planned(runner, fetch_from(image), height, width, image.shape[1])
        parts = tiled(runner, image, tiling=plan.tiling)
        whole = network(image)
    return float((parts - whole).abs().max() / whole.std()), plan


NETWORKS = {
    "one tap": lambda: Taps({(0, 60): 0.5}, 60),
    "one faint tap": lambda: Taps({(0, -60): 1e-3}, 60),
    "tap across": lambda: Taps({(60, 60): 0.2}, 60),
    "farther tap": lambda: Taps({(0, 190): 0.2}, 190),
    "edge": lambda: Taps({(0, 60): 0.2, (0, 59): -0.2}, 60),
    "steps": lambda: Taps({(0, 4): 0.2, (13, 0): 0.2, (0, -47): 0.01}, 60),
    "far end": lambda: Taps({(0, x): 0.01 * 1.1**x for x in range(60)}, 60),
    "dilated": lambda: Dilated(1.0),
    "dilated, heavy": lambda: Dilated(4.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("picture", [detailed, flat_where_looked])
@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_are_exact_or_say_so(name, picture, monkeypatch):
    monkeypatch.setattr("restoration.applying.planning._is_large", lambda *args: True)
    network = NETWORKS[name]()
    worst, plan = outcome(network, picture(network.channels or 1), tile=64)
    assert worst <= 1e-5
    assert plan.certificate.exact and plan.notes == () and plan.tiling.receptive_field is not None


def strip():
    return torch.rand(1, 1, 24, 1700, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
@pytest.mark.parametrize(("tap", "margin"), [(600, 768), (1390, 1400)])
def test_margins_wider_than_tiles_are_kept_where_they_are_needed(tap, margin):
    worst, plan = outcome(Taps({(0, tap): 0.2}, 1400), strip(), tile=256)
    assert worst <= 1e-5 and plan.notes == ()
    assert (plan.tiling.margin, plan.tiling.receptive_field) == (margin, 1400)


@pytest.mark.slow
def test_margins_of_a_picture_do_not_hold_for_one_that_shows_more_of_the_field(monkeypatch):
    monkeypatch.setattr("restoration.applying.planning.UNCUT", 0)
    network = Taps({(0, 600): 0.2}, 1400).eval()
    restorer = Restorer(network, Card("far", "restoration", {"name": "far"}, 1))
    runner, image = Runner(restorer, Inference(tile=256, precision="fp32")), strip()
    margins = []
    with torch.inference_mode():
        for width in (400, 1700, 400):
            plan = planned(runner, fetch_from(image[..., :width]), 24, width, 1)
            margins.append(plan.tiling.margin)
        parts, whole = tiled(runner, image, tiling=plan.tiling), network(image)
    assert margins[0] < 600 and margins[1:] == [768, 768]
    assert (parts - whole).abs().max() <= 1e-5 * whole.std()


@pytest.mark.slow
def test_tiles_are_blended_and_said_where_memory_does_not_hold_their_margins():
    restorer = Restorer(Hungry({(0, 600): 0.2}, 1400).eval(), Card("far", "restoration", {"name": "far"}, 1))
    runner, image = Runner(restorer, Inference(tile=64, precision="fp32")), strip()
    with torch.inference_mode():
        plan = planned(runner, fetch_from(image), 24, 1700, 1)
        parts = tiled(runner, image, tiling=plan.tiling)
    assert plan.tiling.receptive_field is None and parts.shape == image.shape
    assert plan.notes[0].startswith("blended tiles differ from the untiled result by ")


def test_plan_of_a_flat_picture_holds_for_a_detailed_one(monkeypatch):
    monkeypatch.setattr("restoration.applying.planning._is_large", lambda *args: True)
    network = Taps({(0, x): 0.3 * 0.8**x for x in range(1, 60)}, 60)
    restorer = Restorer(network.eval(), Card("far", "restoration", {"name": "far"}, 1))
    runner, image = Runner(restorer, Inference(tile=64, precision="fp32")), detailed()
    with torch.inference_mode():
        planned(runner, fetch_from(torch.zeros_like(image)), SIDE, SIDE, 1)
        plan = planned(runner, fetch_from(image), SIDE, SIDE, 1)
        parts, whole = tiled(runner, image, tiling=plan.tiling), network(image)
    assert plan.tiling.receptive_field == 60
    assert (parts - whole).abs().max() <= 1e-5 * whole.std()
