"""Sharpening: the unsharp mask in closed form, and BasicSR's."""

from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

from restoration.benchmarks.peers import basicsr
from restoration.degradations.chain import Chain
from restoration.degradations.noise import Noise
from restoration.degradations.sharpen import Sharpen, unsharp

KEYS = [(0, 0), (0, 1)]


def steps(height: float) -> Tensor:
    """Return two images with edges of a height between flat halves, far from any threshold that is tested."""
    image = torch.full((2, 3, 80, 90), 0.5 - height / 2)
    image[0, :, :, 45:] = image[1, :, 37:] = 0.5 + height / 2
    return image


def test_flat_images_and_small_detail_stay_as_they_are():
    flat = torch.full((2, 3, 64, 64), 0.4)
    torch.testing.assert_close(Sharpen()(flat, KEYS).image, flat, atol=1e-6, rtol=0)
    small = steps(0.02)  # 5 steps of 255: half of that beside the edge
    assert torch.equal(Sharpen()(small, KEYS).image, small)
    assert not torch.equal(Sharpen(threshold=2.0)(small, KEYS).image, small)


def test_edges_overshoot_by_the_weight():
    image = steps(0.4)
    sharp = Sharpen(threshold=0.5, radius=5)(image, KEYS).image
    row = sharp[0, 0, 40]
    taps = torch.exp(-0.5 * (torch.arange(-2, 3) / 1.1) ** 2)  # OpenCV's σ of 5 pixels
    taps /= taps.sum()
    detail = 0.4 * taps[3:].sum().item()  # of the pixels beside the edge
    mask = 1 - taps[4].item()  # two pixels on either side have detail, the third has none
    assert row[45].item() == pytest.approx(0.7 + 0.5 * detail * mask, abs=2e-6)
    assert row[44].item() == pytest.approx(0.3 - 0.5 * detail * mask, abs=2e-6)
    assert torch.equal(row[:40], image[0, 0, 40, :40]) and torch.equal(row[50:], image[0, 0, 40, 50:])


def test_results_keep_their_range():
    checks = (torch.arange(64)[:, None] // 8 + torch.arange(64)[None, :] // 8).remainder(2).float()
    sharp = unsharp(checks.expand(1, 3, -1, -1), weight=3.0)
    assert sharp.min() >= -1e-6 and sharp.max() <= 1 + 1e-6


def test_the_sharpened_image_may_be_the_target():
    image = steps(0.4)
    degraded = Chain(of=(Sharpen(target=True), Noise(sigma=25.0)))(image, KEYS)
    assert torch.equal(degraded.clean, Sharpen()(image, KEYS).image)
    assert Chain(of=(Sharpen(), Noise(sigma=25.0)))(image, KEYS).clean is None


@pytest.mark.parametrize("weight", [0.5, 1.5])
def test_basicsr_sharpens_alike(weight):
    if find_spec("basicsr") is None:
        pytest.skip("needs the extra 'basicsr'")
    smooth = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(smooth, size=(96, 110), mode="bicubic").clamp(0, 1)
    theirs = basicsr("utils.img_process_util").USMSharp(50)
    for image in (steps(0.4), steps(0.9), smooth):
        ours, reference = unsharp(image, weight), theirs(image, weight, 10)
        assert not torch.equal(reference, image)
        torch.testing.assert_close(ours, reference, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": 0}, "radius = 0; expected a whole number from 1 to 4095"),
        ({"weight": -1.0}, "weight = -1; expected a number from 0"),
        ({"threshold": float("inf")}, "threshold = inf; expected a number from 0"),
    ],
)
def test_bad_values_are_refused(arguments, message):
    with pytest.raises(ValueError) as error:
        Sharpen(**arguments)
    assert str(error.value) == message
