"""Baselines against their definitions: enlarging, noise found and removed, holes filled and nothing else touched."""

import importlib.util

import numpy as np
import pytest
import torch
from torch.nn import functional

from restoration import restorers
from restoration.degradations.resize import resize
from restoration.errors import RequestError
from restoration.image import quantise
from restoration.losses.pixel import psnr
from restoration.restorers import RESTORERS, baseline, classical, described
from restoration.restorers.classical import Bicubic, Identity, Nearest, noise_level
from restoration.weights import available, load

FILLING = {"telea": ("cv2", "OpenCV"), "biharmonic": ("skimage", "scikit-image")}
NEAR = {"telea": 0.15, "biharmonic": 0.06}  # of a smooth image, in a hole of 10 × 12 pixels


def smooth(height=64, width=72, channels=3):
    rows, columns = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    waves = [0.5 + 0.3 * torch.sin(rows * (c + 1)) * torch.cos(columns) for c in range(channels)]
    return torch.stack(waves)[None]


def noisy(image, sigma):
    return image + sigma * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_nearest_repeats_every_pixel(scale):
    degraded = torch.rand(2, 3, 4, 5)
    restored = Nearest(scale=scale)(degraded)
    for dy in range(scale):
        for dx in range(scale):
            assert torch.equal(restored[..., dy::scale, dx::scale], degraded)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_bicubic_reproduces_a_plane_and_torch_inside(scale):
    degraded = torch.rand(1, 3, 12, 14)
    restored = Bicubic(scale=scale)(degraded)
    # the same kernel (a = -1/2); only the border differs: torch renormalises where MATLAB mirrors
    torchs = functional.interpolate(degraded, scale_factor=scale, mode="bicubic", antialias=True)
    border = 2 * scale
    inside = (..., slice(border, -border), slice(border, -border))
    torch.testing.assert_close(restored[inside], torchs[inside], rtol=0, atol=1e-5)
    ramp = torch.arange(12.0).view(1, 1, 12, 1).expand(1, 1, 12, 14)
    rows = (torch.arange(12 * scale) + 0.5) / scale - 0.5
    expected = rows.view(1, 1, -1, 1).expand(1, 1, 12 * scale, 14 * scale)
    torch.testing.assert_close(Bicubic(scale=scale)(ramp)[inside], expected[inside], rtol=0, atol=1e-4)


def test_bicubic_changes_within_its_receptive_field_only():
    degraded = torch.zeros(1, 1, 11, 11)
    degraded[0, 0, 5, 5] = 0.3
    touched = (Bicubic(scale=4)(degraded)[0, 0] != 0).nonzero() // 4
    assert (touched - 5).abs().max() == Bicubic(scale=4).receptive_field == 2


def test_bicubic_rounds_8_bit_images_after_each_pass_and_others_never():
    sharp = torch.rand(1, 1, 9, 8, generator=torch.Generator().manual_seed(0))
    samples = quantise(sharp)
    restored = Bicubic(scale=2)(torch.cat((samples, sharp)))
    assert torch.equal(restored[:1], resize(samples, scale=2, levels=255))
    assert torch.equal(restored[1:], resize(sharp, scale=2, levels=None))
    assert not torch.equal(restored[:1], quantise(resize(samples, scale=2, levels=None)))


def test_8_bit_images_are_known_however_a_device_divides(as_gpus_divide):
    samples = torch.arange(256.0).view(1, 1, 16, 16) / 255
    as_gpus_divide()
    assert torch.equal(quantise(samples), samples)


def test_identity_is_the_image_itself():
    degraded = torch.rand(1, 3, 4, 5)
    assert Identity()(degraded) is degraded


@pytest.mark.parametrize("sigma", [5 / 255, 25 / 255, 50 / 255])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_noise_of_an_image_is_found(sigma, channels):
    image = smooth(256, 256, channels)
    image[..., 100:140, 60:90] += 0.3  # edges hardly touch the median
    assert noise_level(noisy(image, sigma)) == pytest.approx(sigma, rel=0.05)
    assert noise_level(torch.full((1, 3, 9, 9), 0.4)) == 0
    assert noise_level(torch.rand(1, 3, 2, 9)) == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_non_local_means_removes_noise_and_leaves_clean_images_alone(channels):
    clean = smooth(channels=channels)
    degraded = noisy(clean, 25 / 255)
    restored = load("nlm")(degraded)
    assert psnr(restored, clean).item() > psnr(degraded, clean).item() + 6
    flat = torch.full((1, channels, 20, 20), 0.25)
    assert torch.equal(load("nlm")(flat), flat)


def test_non_local_means_is_its_formula():
    image = noisy(smooth(16, 15), 0.1)
    sigma = noise_level(image)
    wide = torch.nn.functional.pad(image, [12] * 4, mode="replicate")[0].double()
    row, column = 7, 4

    def patch(y, x):
        return wide[:, y + 12 - 2 : y + 12 + 3, x + 12 - 2 : x + 12 + 3]

    total, weights = 0.0, 0.0
    for y in range(row - 10, row + 11):
        for x in range(column - 10, column + 11):
            apart = (patch(y, x) - patch(row, column)).square().mean().item()
            weight = np.exp(-max(apart - 2 * sigma**2, 0) / (0.4 * sigma) ** 2)
            total, weights = total + weight * wide[:, y + 12, x + 12], weights + weight
    restored = load("nlm")(image)[0, :, row, column]
    assert torch.allclose(restored.double(), total / weights, atol=1e-5)


@pytest.mark.parametrize("name", FILLING)
@pytest.mark.parametrize("channels", [1, 3])
def test_holes_are_filled_from_around_them_and_the_rest_stays(name, channels):
    pytest.importorskip(FILLING[name][0], reason="it comes with the extra classical")
    image = smooth(channels=channels)
    mask = torch.zeros(1, 1, 64, 72)
    mask[..., 20:30, 40:52] = 1
    mask[..., 50:54, 5:9] = 1
    degraded = torch.cat((image * (1 - mask), mask), 1)
    restored = load(name)(torch.cat((degraded, degraded)))
    assert restored.shape == (2, channels, 64, 72) and torch.equal(restored[0], restored[1])
    known = (mask == 0).expand_as(image)
    assert torch.equal(restored[:1][known], image[known])
    assert (restored[:1] - image).abs().max() < NEAR[name]


@pytest.mark.parametrize("name", FILLING)
def test_nothing_to_fill_and_nothing_to_fill_it_with_are_left_as_they_are(name):
    pytest.importorskip(FILLING[name][0], reason="it comes with the extra classical")
    image = smooth(20, 20)
    for mask in (torch.zeros(1, 1, 20, 20), torch.ones(1, 1, 20, 20)):
        assert torch.equal(load(name)(torch.cat((image, mask), 1)), image)


@pytest.mark.parametrize("name", FILLING)
def test_a_package_that_is_missing_is_one_line_and_the_list_still_names_the_restorer(name, monkeypatch):
    module, package = FILLING[name]
    find = importlib.util.find_spec
    monkeypatch.setattr(classical.importlib.util, "find_spec", lambda n: None if n == module else find(n))
    with pytest.raises(RequestError) as caught:
        load(name)
    assert str(caught.value) == (
        f"'{name}' is computed by {package}, which is not here: pip install \"restoration-suite[classical]\""
    )
    assert available()[name] == described(name) != ""


def test_every_baseline_says_what_it_is_for():
    tasks = {name: baseline(name).card.task for name in RESTORERS if name not in FILLING}
    assert tasks["nlm"] == "denoising" and tasks["identity"] == "restoration"
    assert restorers.TASKS["telea"] == restorers.TASKS["biharmonic"] == "inpainting"


@pytest.mark.parametrize("name", ["nlm", *FILLING])
def test_a_value_that_is_no_number_reaches_all_that_depends_on_it(name):
    pytest.importorskip(FILLING.get(name, ("torch",))[0], reason="it comes with the extra classical")
    image = smooth(24, 24)
    image[..., 3, 4] = torch.nan
    mask = torch.zeros(1, 1, 24, 24)
    mask[..., 12:16, 12:16] = 1
    restored = load(name)(image if name == "nlm" else torch.cat((image, mask), 1))
    assert restored[..., 12:16, 12:16].isnan().all()
