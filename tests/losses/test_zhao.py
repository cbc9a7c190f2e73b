"""The mix of Zhao et al. (2017): window by window with loops, its two halves, and what is refused."""

import math

import pytest
import torch
from torch import Tensor

from restoration.losses.zhao import ZhaoMix

SIGMAS = (0.5, 1.0, 2.0, 4.0, 8.0)


def pair(height: int, width: int, channels: int = 2) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(2, channels, height, width, generator=rng, dtype=torch.float64)
    noise = torch.randn(clean.shape, generator=rng, dtype=torch.float64)
    return clean + 0.2 * noise, clean


def window(sigma: float) -> Tensor:
    line = torch.tensor([math.exp(-((i - 16) ** 2) / (2 * sigma**2)) for i in range(33)], dtype=torch.float64)
    line = line / line.sum()
    return line[:, None] * line


def brute_force(restored: Tensor, clean: Tensor, alpha: float) -> float:
    """Eq. 11 to 14, one channel of one image, window by window; peak 1, k1 = 0.01, k2 = 0.03."""
    values = []
    for top in range(restored.shape[0] - 32):
        for left in range(restored.shape[1] - 32):
            x, y = (image[top : top + 33, left : left + 33] for image in (restored, clean))
            product = 1.0
            for sigma in SIGMAS:
                w = window(sigma)
                mx, my = (w * x).sum(), (w * y).sum()
                vx, vy, cov = (
                    (w * x * x).sum() - mx**2,
                    (w * y * y).sum() - my**2,
                    (w * x * y).sum() - mx * my,
                )
                product *= (2 * cov + 9e-4) / (vx + vy + 9e-4)
            product *= (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
            weighted = (window(SIGMAS[-1]) * (x - y).abs()).sum()
            values.append(alpha * (1 - product) + (1 - alpha) * weighted)
    return float(torch.stack(values).mean())


@pytest.mark.parametrize("alpha", [0.84, 0.0, 1.0])
def test_every_window_of_every_channel(alpha):
    restored, clean = pair(33, 35)
    found = ZhaoMix(alpha=alpha)(restored, clean)
    for i in range(2):
        expected = [brute_force(restored[i, c], clean[i, c], alpha) for c in range(2)]
        assert found[i].item() == pytest.approx(sum(expected) / 2, rel=1e-9)


def test_the_slope_is_the_derivative_of_both_images():
    restored, clean = (image.requires_grad_() for image in pair(34, 33, channels=1))
    assert torch.autograd.gradcheck(ZhaoMix(), (restored, clean), fast_mode=True)


def test_inverted_images_have_negative_structure_and_finite_slopes():
    clean = pair(40, 40)[1]
    restored = (1 - clean).requires_grad_()
    value = ZhaoMix(alpha=1.0)(restored, clean)
    (slope,) = torch.autograd.grad(value.sum(), restored)
    assert (value > 1).all() and bool(slope.isfinite().all())


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"alpha": 1.5}, "alpha = 1.5; expected 0 to 1"),
        ({"sigmas": (2.0, 1.0)}, "sigmas = (2.0, 1.0); expected one or more, the largest last"),
        ({"k2": 0.0}, "k2 = 0; expected more than 0"),
    ],
)
def test_what_is_refused(keywords, message):
    with pytest.raises(ValueError) as error:
        ZhaoMix(**keywords)
    assert str(error.value) == message


def test_images_below_a_window_are_refused():
    image = torch.rand(1, 3, 32, 40)
    with pytest.raises(ValueError, match=r"^zhao-mix: images are 32x40; expected at least 33 pixels a side$"):
        ZhaoMix()(image, image)
