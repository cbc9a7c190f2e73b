"""Zhao's mix: every window by brute force, closed forms, and what ports get wrong."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from restoration.losses.zhao import ZhaoMix

SIGMAS = (0.5, 1.0, 2.0, 4.0, 8.0)


def pair(height: int, width: int, *, images: int = 1, channels: int = 1) -> tuple[Tensor, Tensor]:
    """Return a smooth picture and the same with noise, in float64."""
    rng = torch.Generator().manual_seed(height * 1000 + width)
    coarse = torch.rand(images, channels, height // 6 + 2, width // 6 + 2, generator=rng, dtype=torch.float64)
    clean = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return clean + 0.1 * torch.randn(clean.shape, generator=rng, dtype=torch.float64), clean


def weights(size: int, sigma: float) -> np.ndarray:
    line = [math.exp(-((i - size // 2) ** 2) / (2 * sigma**2)) for i in range(size)]
    return np.outer(line, line) / sum(line) ** 2


def brute_force(restored: Tensor, clean: Tensor, alpha: float = 0.84, sigmas=SIGMAS) -> float:
    """The definition, window by window, of one image."""
    size = int(4 * sigmas[-1]) + 1
    values = []
    for x, y in zip(restored[0].numpy(), clean[0].numpy(), strict=True):
        for top, left in np.ndindex(x.shape[0] - size + 1, x.shape[1] - size + 1):
            a, b = (image[top : top + size, left : left + size] for image in (x, y))
            factors = 1.0
            for sigma in sigmas:
                w = weights(size, sigma)
                mean_a, mean_b = (w * a).sum(), (w * b).sum()
                covariance = (w * (a - mean_a) * (b - mean_b)).sum()
                variances = (w * ((a - mean_a) ** 2 + (b - mean_b) ** 2)).sum()
                factors *= (2 * covariance + 0.03**2) / (variances + 0.03**2)
            luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
            values.append(alpha * (1 - luminance * factors) + (1 - alpha) * (w * np.abs(a - b)).sum())
    return float(np.mean(values))


@pytest.mark.parametrize(("height", "width"), [(33, 33), (34, 37), (40, 33)])
@pytest.mark.parametrize("alpha", [0.84, 0.025])
def test_every_window_by_brute_force(height, width, alpha):
    restored, clean = pair(height, width, channels=2)
    value = ZhaoMix(alpha=alpha)(restored, clean)
    assert value.item() == pytest.approx(brute_force(restored, clean, alpha), abs=1e-12)
    value = ZhaoMix(alpha=alpha)(restored.float(), clean.float())
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(brute_force(restored, clean, alpha), abs=1e-6)


def test_other_widths_have_their_own_window():
    restored, clean = pair(12, 11)
    loss = ZhaoMix(sigmas=(0.7, 1.0, 2.0))
    assert loss(restored, clean).item() == pytest.approx(
        brute_force(restored, clean, sigmas=(0.7, 1.0, 2.0)), abs=1e-12
    )


def test_constants_have_luminance_and_l1_alone():
    image = torch.ones(2, 3, 40, 47, dtype=torch.float64)
    luminance = (2 * 0.3 * 0.5 + 1e-4) / (0.3**2 + 0.5**2 + 1e-4)
    expected = 0.84 * (1 - luminance) + 0.16 * 0.2
    torch.testing.assert_close(
        ZhaoMix()(0.3 * image, 0.5 * image), torch.full((2,), expected, dtype=torch.float64)
    )


def test_the_ends_of_the_mix():
    restored, clean = pair(35, 36, images=2, channels=3)
    both = ZhaoMix(alpha=1.0)(restored, clean), ZhaoMix(alpha=0.0)(restored, clean)
    torch.testing.assert_close(ZhaoMix(alpha=0.3)(restored, clean), 0.3 * both[0] + 0.7 * both[1])
    inside = (restored - clean).abs()
    assert (both[1] > inside.amin((1, 2, 3))).all() and (both[1] < inside.amax((1, 2, 3))).all()


def test_channels_are_not_coupled():
    """Not as in a port that multiplies the factors of all three channels."""
    restored, clean = pair(36, 40, channels=3)
    each = [ZhaoMix()(restored[:, i : i + 1], clean[:, i : i + 1]) for i in range(3)]
    torch.testing.assert_close(ZhaoMix()(restored, clean), torch.cat(each).mean(0, keepdim=True))


def test_gradients_are_the_derivatives():
    images = tuple(image.requires_grad_() for image in pair(9, 11))
    assert torch.autograd.gradcheck(ZhaoMix(sigmas=(0.5, 1.0, 2.0)), images)


def test_gradients_of_the_full_set_are_the_derivatives():
    images = tuple(image.requires_grad_() for image in pair(36, 39, images=2))
    assert torch.autograd.gradcheck(ZhaoMix(), images, fast_mode=True)


@pytest.mark.parametrize("flip", [-1.0, 0.0])
def test_negative_and_vanishing_structure_are_finite(flip):
    """Factors below 0, an odd number of them, and exactly 0 elsewhere: no powers are taken, so nothing breaks."""
    noise = torch.randn(2, 3, 40, 41, generator=torch.Generator().manual_seed(0))
    restored = (0.5 + 0.2 * flip * noise).requires_grad_()
    value = ZhaoMix()(restored, 0.5 + 0.2 * noise)
    (slope,) = torch.autograd.grad(value.sum(), restored)
    assert bool(value.isfinite().all()) and bool(slope.isfinite().all()) and slope.any()
    assert (value > 0.84).all() if flip else (value > 0.8).all()


def test_half_precision_is_worked_out_in_float32():
    restored, clean = (image.bfloat16() for image in pair(40, 40, channels=3))
    expected = ZhaoMix()(restored.float(), clean.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ZhaoMix()(restored.float(), clean.float()), expected)
    torch.testing.assert_close(ZhaoMix()(restored, clean), expected, rtol=0, atol=1e-6)


def test_a_first_call_without_autograd_spoils_no_later_gradient():
    restored, clean = pair(41, 43)
    with torch.inference_mode():
        value = ZhaoMix()(restored, clean)
    again = ZhaoMix()(restored.requires_grad_(), clean)
    torch.testing.assert_close(again.detach(), value.clone())
    assert torch.autograd.grad(again.sum(), restored)[0].any()


def message(function, *arguments, **options) -> str:
    with pytest.raises(ValueError) as error:
        function(*arguments, **options)
    return str(error.value)


def test_refusals():
    small = torch.rand(1, 3, 32, 64)
    assert (
        message(ZhaoMix(), small, small) == "zhao-mix: images are 32x64; expected at least 33 pixels a side"
    )
    assert message(ZhaoMix, alpha=1.5) == "alpha = 1.5; expected 0 to 1"
    assert message(ZhaoMix, k2=0.0) == "k2 = 0; expected more than 0"
    assert message(ZhaoMix, sigmas=(0.0, 1.0)) == "sigmas = 0; expected more than 0"
    assert (
        message(ZhaoMix, sigmas=(2.0, 1.0)) == "sigmas = (2.0, 1.0); expected one or more, the largest last"
    )
    assert message(ZhaoMix, sigmas=()) == "sigmas = (); expected one or more, the largest last"
