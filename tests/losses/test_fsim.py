"""FSIM against piq on photographs; phase congruency of an edge."""

from importlib.resources import files
from pathlib import Path

import piq
import pytest
import torch

from restoration.image import read
from restoration.losses.fsim import Fsim, phase_congruency


def photograph(name: str, height: int, width: int, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = read(Path(str(files("restoration"))) / "photos" / name).pixels
    clean = pixels[:, :channels, :height, :width].double().clone()
    clean[..., :20, :30] = 1
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (0.95 * clean + 0.06 * noise).clamp(0, 1), clean


@pytest.mark.parametrize(("name", "height", "width"), [("coffee.png", 96, 130), ("rocket.jpg", 121, 97)])
@pytest.mark.parametrize("channels", [3, 1])
def test_values_are_piqs(name, height, width, channels):
    restored, clean = photograph(name, height, width, channels)
    expected = piq.fsim(restored, clean, reduction="none", chromatic=channels == 3)
    torch.testing.assert_close(1 - Fsim()(restored, clean), expected, rtol=0, atol=1e-6)
    single = 1 - Fsim()(restored.float(), clean.float())
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=1e-5)


def test_a_large_photograph_is_shrunk_as_piq_does():
    restored, clean = photograph("china.jpg", 400, 401)
    expected = piq.fsim(restored, clean, reduction="none")
    torch.testing.assert_close(Fsim().metric(Fsim()(restored, clean)), expected, rtol=0, atol=1e-6)


def test_slopes_are_piqs_where_those_are_finite():
    rng = torch.Generator().manual_seed(0)
    clean = 0.1 + 0.8 * torch.rand(1, 3, 30, 33, generator=rng, dtype=torch.float64)
    restored = (clean + 0.05 * torch.randn(clean.shape, generator=rng, dtype=torch.float64)).clamp(0, 1)
    restored = restored.requires_grad_()
    (found,) = torch.autograd.grad(-Fsim()(restored, clean).sum(), restored)
    (expected,) = torch.autograd.grad(piq.fsim(restored, clean), restored)
    assert bool(expected.isfinite().all())
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * expected.abs().max().item())


def test_flat_and_equal_images_have_finite_slopes_and_those_of_piq_are_not():
    noise = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    half = torch.where(torch.arange(48) < 24, 1, noise)
    flat = torch.full_like(noise, 0.5)
    for restored, clean in (
        (flat, flat),
        (half, half),
        (half, noise),
        (flat, noise),
        (noise, flat),
        (9 * noise - 4, half),
    ):
        given = restored.clone().requires_grad_()
        value = Fsim()(given, clean)
        (slope,) = torch.autograd.grad(value.sum(), given)
        assert bool(value.isfinite().all()) and bool(slope.isfinite().all())
        if restored is clean:
            assert value == 0 and slope.abs().max() < 1e-6
    given = half.clone().requires_grad_()
    (slope,) = torch.autograd.grad(piq.fsim(given, noise), given)
    assert bool(slope.isnan().any())


def test_phase_congruency_does_not_depend_on_contrast_and_brightness_and_is_high_on_an_edge():
    noise = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)).double()
    edge = (torch.arange(64) >= 32).double().expand(1, 1, 64, 64) + 0.02 * noise
    found = phase_congruency(edge)
    torch.testing.assert_close(phase_congruency(200 * edge + 20), found, rtol=1e-6, atol=1e-9)
    assert bool((found >= 0).all()) and bool((found <= 1).all())
    assert found[..., 31:33].min() > 0.7 and phase_congruency(200 * noise[None, None]).mean() < 0.2


def test_small_images_are_refused():
    small = torch.rand(1, 3, 15, 60)
    with pytest.raises(ValueError) as error:
        Fsim()(small, small)
    assert str(error.value) == "fsim: images are 15x60; expected at least 16 pixels a side"
