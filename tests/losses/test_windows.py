"""Blurs by blocks against sums over every window, and the transpose against its definition."""

import pytest
import torch
from torch import Tensor

from restoration.losses import windows
from restoration.losses.windows import Gaussian, mean_difference, sums_and_differences


def by_every_window(planes: Tensor, window: Gaussian) -> Tensor:
    offsets = torch.arange(window.size, dtype=torch.float64) - window.size // 2
    line = (-offsets.square() / (2 * window.sigma**2)).exp()
    weights = torch.outer(line, line) / line.sum() ** 2
    around = planes.unfold(0, window.size, 1).unfold(2, window.size, 1)
    return (around * weights).sum((-1, -2))


# heights that are one window, less than a block, whole blocks, and blocks with a rest
CASES = [
    (11, 1.5, 11, 16),
    (11, 1.5, 14, 32),
    (11, 1.5, 26, 48),
    (7, 1.0, 37, 16),
    (1, 2.0, 9, 16),
    (33, 8.0, 50, 64),
]


@pytest.mark.parametrize(("size", "sigma", "height", "width"), CASES)
def test_blur_is_the_sum_over_every_window(size, sigma, height, width):
    window = Gaussian(size, sigma)
    assert window.rounded_up(width) == width
    planes = torch.rand(height, 3, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = by_every_window(planes, window)
    found = window.blur(planes)[..., : width - size + 1]
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize(("size", "sigma", "height", "width"), CASES)
def test_spread_is_the_transpose_of_blur(size, sigma, height, width):
    window, valid = Gaussian(size, sigma), width - size + 1
    planes = torch.rand(height, 2, width, dtype=torch.float64).requires_grad_()
    slopes = torch.rand(height - size + 1, 2, width, dtype=torch.float64)
    blurred = by_every_window(planes, window)
    (expected,) = torch.autograd.grad(blurred, planes, slopes[..., :valid].clone())
    torch.testing.assert_close(window.spread(slopes, valid), expected, rtol=1e-12, atol=1e-15)


def test_maps_are_less_their_means_and_end_in_zeros():
    restored, clean = torch.rand(2, 20, 3, 21, dtype=torch.float64)
    maps, means = sums_and_differences(restored, clean, 32)
    assert maps.shape == (20, 4, 3, 32) and not maps[..., 21:].any()
    for i, values in enumerate((restored + clean, restored - clean)):
        mean = values.mean((0, 2))[:, None]
        torch.testing.assert_close(means[i], mean)
        torch.testing.assert_close(maps[:, i, :, :21], values - mean)
        torch.testing.assert_close(maps[:, i + 2, :, :21], (values - mean).square())


class Middle:
    """1 − F is the product of both images in the middle of each window of three."""

    size = 3

    def __call__(
        self, restored: Tensor, clean: Tensor, signs: tuple[int, ...]
    ) -> tuple[Tensor, list[Tensor]]:
        inside = torch.zeros_like(restored)
        inside[1:-1, :, 1:-1] = 1
        parts = {1: clean * inside / 4, -1: restored * inside / 4}
        return (restored * clean * inside).sum((0, 2)), [parts[sign] for sign in signs]


@pytest.mark.parametrize(("rows", "samples"), [(96, 1 << 17), (8, 200), (8, 2000)])
def test_every_window_of_every_plane_is_measured_once(monkeypatch, rows, samples):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(windows, "BAND_ROWS", rows)
    monkeypatch.setattr(windows, "BAND_SAMPLES", samples)
    restored, clean = torch.rand(2, 2, 3, 45, 13, dtype=torch.float64).unbind(0)
    expected = (restored * clean)[..., 1:-1, 1:-1].mean((2, 3))
    torch.testing.assert_close(mean_difference(restored, clean, Middle()), expected)
    images = restored.requires_grad_(), clean.requires_grad_()
    weights = torch.rand(2, 3, dtype=torch.float64)
    found = torch.autograd.grad(mean_difference(*images, Middle()), images, weights)
    wanted = torch.autograd.grad((restored * clean)[..., 1:-1, 1:-1].mean((2, 3)), images, weights)
    for slope, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(slope, expected)
