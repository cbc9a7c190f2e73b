"""Glass: Fresnel's and Snell's laws at angles where they are simple, and the second copy of a scene."""

import math

import pytest
import torch

from restoration.degradations.glass import INDEX, ghost_decay, ghost_shift, ghosted, reflectance


def test_reflectance_at_right_angles_at_brewsters_and_grazing():
    assert reflectance(0) == pytest.approx(((INDEX - 1) / (INDEX + 1)) ** 2)
    brewster = math.degrees(math.atan(INDEX))  # there only light that swings across the plane is reflected
    assert reflectance(brewster) == pytest.approx(((INDEX**2 - 1) / (INDEX**2 + 1)) ** 2 / 2)
    assert reflectance(90) == pytest.approx(1)
    assert ghost_decay(0) == pytest.approx(0.96**2)


@pytest.mark.parametrize("angle", [1.0, 30.0, 49.0, 75.0])
def test_the_shift_is_that_of_the_ray_through_the_pane(angle):
    incident = math.radians(angle)
    refracted = math.asin(math.sin(incident) / INDEX)
    assert ghost_shift(angle, 6.0) == pytest.approx(2 * 6.0 * math.tan(refracted) * math.cos(incident))
    assert ghost_shift(angle, 6.0) <= ghost_shift(49.0, 6.0) + 1e-3


def test_a_point_is_seen_twice():
    image = torch.zeros(1, 20, 30)
    image[0, 8, 10] = 1
    seen = ghosted(lambda index: image.index_select(1, index), (20, 30), (3.0, -2.25), 0.5)(torch.arange(20))
    expected = torch.zeros(1, 20, 30)
    expected[0, 8, 10], expected[0, 11, 8], expected[0, 11, 7] = 1 / 1.5, 0.375 / 1.5, 0.125 / 1.5
    torch.testing.assert_close(seen, expected)


def test_light_is_kept_and_bands_are_those_of_the_whole():
    image = torch.rand(3, 12, 9)
    rows = ghosted(lambda index: image.index_select(1, index), (12, 9), (-1.6, 40.3), 0.8)
    whole = rows(torch.arange(12))
    assert torch.equal(rows(torch.tensor([7, 2])), whole[:, [7, 2]])
    ones = ghosted(lambda index: torch.ones(3, len(index), 9), (12, 9), (2.5, 1.5), 0.8)(torch.arange(12))
    torch.testing.assert_close(ones, torch.ones(3, 12, 9))
