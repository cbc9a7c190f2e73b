"""GMSD, VIF, HaarPSI and MDSI against piq on photographs, and where piq gives infinities or refuses."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import piq
import pytest
import torch
from torch import Tensor

from restoration.image import read
from restoration.losses.similarity import Gmsd, Haarpsi, Mdsi, Vif, halved, magnitude, planes, shortfall

PEERS = {Gmsd: piq.gmsd, Haarpsi: piq.haarpsi, Mdsi: piq.mdsi, Vif: piq.vif_p}
PHOTOGRAPHS = [("coffee.png", 96, 130), ("rocket.jpg", 121, 97)]


@pytest.fixture(params=sorted(PEERS, key=str), ids=lambda loss: loss.__name__.lower())
def loss(request):
    return request.param()


def photographs(channels: int = 3) -> list[tuple[Tensor, Tensor]]:
    """Return noisy and clean parts of photographs, one of odd sides with a flat sky and a burnt-out corner."""
    pairs = []
    for name, height, width in PHOTOGRAPHS:
        photograph = read(Path(str(files("restoration"))) / "photos" / name).pixels
        clean = photograph[:, :channels, :height, :width].double().clone()
        clean[..., :20, :30] = 1
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        pairs.append(((0.95 * clean + 0.06 * noise).clamp(0, 1), clean))
    return pairs


@pytest.mark.filterwarnings("ignore:The original MDSI")
@pytest.mark.parametrize("channels", [3, 1])
def test_values_are_piqs(loss, channels):
    for restored, clean in photographs(channels):
        expected = PEERS[type(loss)](restored, clean, reduction="none")
        torch.testing.assert_close(loss.metric(loss(restored, clean)), expected, rtol=0, atol=2e-6)
        single = loss.metric(loss(restored.float(), clean.float()))
        torch.testing.assert_close(single.double(), expected, rtol=0, atol=1e-5)


def test_mdsi_of_a_large_image_is_piqs():
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(1, 3, 520, 601, generator=rng, dtype=torch.float64)
    restored = (clean + 0.1 * torch.randn(clean.shape, generator=rng, dtype=torch.float64)).clamp(0, 1)
    torch.testing.assert_close(
        Mdsi()(restored, clean), piq.mdsi(restored, clean, reduction="none"), rtol=0, atol=2e-6
    )


def test_mdsi_of_inverted_colours_has_complex_roots_and_is_piqs():
    clean = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64).round()
    restored = 1 - clean
    gradients = [
        magnitude(plane, (1 / 3,) * 3) for i in (restored, clean) for plane in planes(i, ((0.3, 0.59, 0.11),))
    ]
    assert 1.6 * shortfall(*gradients, 140).max() > 0 and Mdsi()(restored, clean).min() > 0.3
    torch.testing.assert_close(
        Mdsi()(restored, clean), piq.mdsi(restored, clean, reduction="none"), rtol=0, atol=2e-6
    )


@pytest.mark.filterwarnings("ignore:The original MDSI")
def test_slopes_are_piqs_where_those_are_finite(loss):
    rng = torch.Generator().manual_seed(0)
    clean = 0.1 + 0.8 * torch.rand(1, 3, 44, 46, generator=rng, dtype=torch.float64)
    restored = (clean + 0.05 * torch.randn(clean.shape, generator=rng, dtype=torch.float64)).clamp(0, 1)
    restored = restored.requires_grad_()
    (found,) = torch.autograd.grad(loss.metric(loss(restored, clean)).sum(), restored)
    (expected,) = torch.autograd.grad(PEERS[type(loss)](restored, clean), restored)
    assert bool(expected.isfinite().all())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_black_white_and_almost_equal_images_have_finite_values_and_slopes(loss):
    noise = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    black, white = torch.zeros_like(noise), torch.ones_like(noise)
    half = torch.where(torch.arange(48) < 24, 1, noise)
    for restored, clean in (
        (black, black),
        (white, white),
        (black, white),
        (half, half),
        (noise + 1e-7, noise),
        (1e3 * noise, noise),
        (-noise, noise),
    ):
        given = restored.clone().requires_grad_()
        value = loss(given, clean)
        (slope,) = torch.autograd.grad(value.sum(), given)
        assert bool(value.isfinite().all()) and bool(slope.isfinite().all())
        if restored is clean:
            assert value.abs().max() < 1e-7


def test_values_outside_the_range_are_measured_as_they_are(loss):
    """Neither refused, as by piq, nor clamped, which would leave them without a slope."""
    clean = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    restored = (1.5 * clean - 0.2).requires_grad_()
    (slope,) = torch.autograd.grad(loss(restored, clean).sum(), restored)
    outside = (restored < 0) | (restored > 1)
    assert outside.sum() > 100 and torch.count_nonzero(slope[outside]) > 0.9 * outside.sum()
    assert (loss(restored, clean) - loss(restored.clamp(0, 1), clean)).abs() > 1e-4


def test_vif_rises_above_1_with_contrast():
    _, clean = photographs()[0]
    stronger = clean.mean() + 1.3 * (clean - clean.mean())
    assert Vif()(stronger, clean) < -0.1 and Vif()(clean, clean).abs() < 1e-6


@pytest.mark.parametrize("size", [(41, 41), (190, 77), (203, 530)])
def test_vif_by_bands_of_rows_is_vif_with_a_graph(size):
    """Without a graph, rows are worked on some at a time; heights here are less, no multiple, and several of them."""
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(2, 3, *size, generator=rng, dtype=torch.float64)
    clean[..., :9, :9] = 0.5
    restored = (0.9 * clean + 0.05 * torch.randn(clean.shape, generator=rng, dtype=torch.float64)).clamp(0, 1)
    with_graph = Vif()(restored.requires_grad_(), clean)
    assert with_graph.requires_grad
    with torch.no_grad():
        found = Vif()(restored, clean)
    torch.testing.assert_close(found, with_graph.detach(), rtol=0, atol=1e-12)


def test_vif_of_flat_float32_images_does_not_measure_rounding():
    """Variances as ``mean x² − mean² x`` of bright flat areas are noise in float32, and piq's value with them."""
    rng = torch.Generator().manual_seed(0)
    clean = 0.9 + 1e-4 * torch.rand(1, 3, 64, 64, generator=rng)
    restored = clean + 1e-4 * torch.rand(clean.shape, generator=rng)
    expected = Vif()(restored.double(), clean.double())
    torch.testing.assert_close(Vif()(restored, clean).double(), expected, rtol=1e-6, atol=0)
    assert (1 - piq.vif_p(restored, clean) - expected).abs() > 1e-2


def test_magnitude_is_the_prewitt_loop():
    image = np.random.default_rng(0).random((6, 7))
    padded = np.pad(image, 1)
    expected = np.zeros_like(image)
    for i in range(6):
        for j in range(7):
            part = padded[i : i + 3, j : j + 3]
            across, down = (part[:, 2] - part[:, 0]).sum() / 3, (part[2] - part[0]).sum() / 3
            expected[i, j] = np.hypot(across, down)
    found = magnitude(torch.from_numpy(image)[None, None], (1 / 3, 1 / 3, 1 / 3))
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-9)


def test_a_similarity_and_its_shortfall_sum_to_one():
    x, y = torch.rand(2, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 9
    torch.testing.assert_close((2 * x * y + 3) / (x**2 + y**2 + 3), 1 - shortfall(x, y, 3))


def test_halved_takes_zeros_beyond_odd_borders():
    found = halved(torch.ones(1, 1, 3, 4))
    torch.testing.assert_close(found, torch.tensor([[[[1.0, 1.0], [0.5, 0.5]]]]))


def test_other_channel_counts_are_refused(loss):
    with pytest.raises(ValueError) as error:
        loss(torch.rand(1, 4, 48, 48), torch.rand(1, 4, 48, 48))
    assert str(error.value) == f"{type(loss).__name__.lower()}: the images have 4 channels; expected 1 or 3"


def test_small_images_are_refused(loss):
    small = torch.rand(1, 3, loss.minimum_size - 1, 60)
    with pytest.raises(ValueError) as error:
        loss(small, small)
    name, size = type(loss).__name__.lower(), f"{loss.minimum_size - 1}x60"
    assert (
        str(error.value) == f"{name}: images are {size}; expected at least {loss.minimum_size} pixels a side"
    )
