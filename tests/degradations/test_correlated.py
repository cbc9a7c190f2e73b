"""Correlated noise: the covariance that was drawn, between channels and between pixels."""

import numpy as np
import pytest
import torch

from restoration.degradations.correlated import CorrelatedNoise
from restoration.degradations.dct import dct

KEYS = [(0, sample) for sample in range(1000)]


def test_channels_have_the_covariance_that_was_drawn():
    """The whitened noise of all images together is standard normal, and has no correlation."""
    clean = torch.full((1000, 3, 5, 5), 0.5)
    degraded = CorrelatedNoise(sigma=(10.0, 40.0))(clean, KEYS)
    noise = ((degraded.image - clean).double() * 255).flatten(2)
    factors = torch.linalg.cholesky(torch.tensor(degraded.draw["covariance"]))
    z = torch.linalg.solve_triangular(factors, noise, upper=False).transpose(0, 1).flatten(1)
    n = z.shape[1]
    np.testing.assert_allclose(z @ z.T / n, np.eye(3), atol=4.5 * (2 / n) ** 0.5)
    assert (z.mean(1).abs() < 4.5 / n**0.5).all()
    np.testing.assert_allclose(z.pow(4).mean(1), 3, atol=4.5 * (96 / n) ** 0.5)


def test_covariances_are_those_of_bsrgan():
    """Trace σ²·ΣD of three uniform eigenvalues, mean 3/2; no element is negative; eigenvalues are not either."""
    covariance = (
        np.array(CorrelatedNoise(sigma=20.0)(torch.zeros(1000, 3, 1, 1), KEYS).draw["covariance"]) / 400
    )
    traces = np.trace(covariance, axis1=1, axis2=2)
    assert traces.mean() == pytest.approx(1.5, abs=4.5 * (3 / 12 / 1000) ** 0.5)
    assert covariance.min() >= 0 and np.linalg.eigvalsh(covariance).min() > -1e-12


@pytest.mark.parametrize("blur", [0.6, 1.2])
def test_blur_keeps_the_variance_and_correlates_neighbours(blur):
    clean = torch.zeros(1000, 1, 12, 12)
    degraded = CorrelatedNoise(blur=blur)(clean, KEYS)
    deviation = torch.tensor(degraded.draw["covariance"]).sqrt().view(-1, 1, 1, 1) / 255
    z = (degraded.image / deviation).double()
    taps = np.exp(-0.5 * (np.arange(-9, 10) / blur) ** 2) * (np.abs(np.arange(-9, 10)) <= np.ceil(3 * blur))
    correlation = (taps[1:] * taps[:-1]).sum() / (taps**2).sum()
    assert correlation > 0.15
    for product, expected in (
        (z * z, 1),
        (z[..., 1:] * z[..., :-1], correlation),
        (z[..., 1:, :] * z[..., :-1, :], correlation),
    ):
        means = product.flatten(1).mean(1)
        assert means.mean().item() == pytest.approx(expected, abs=4.5 * means.std().item() / 1000**0.5)


def test_with_a_quality_the_noise_is_what_a_jpeg_file_keeps_of_it():
    """Of grey noise at quality 30 nothing of the highest frequency, whose step is 165, but what rounding adds."""
    degraded = CorrelatedNoise(sigma=25.0, quality=(30.0, 30.0))(torch.zeros(20, 1, 64, 64), KEYS[:20])
    assert degraded.draw["quality"] == [30] * 20
    blocks = dct(degraded.image[:, 0].double() * 255).unflatten(1, (8, 8)).unflatten(3, (8, 8))
    corner = blocks[:, :, 7, :, 7]
    plain = CorrelatedNoise(sigma=25.0)(torch.zeros(20, 1, 64, 64), KEYS[:20])
    assert (corner.abs() < 3).all()
    n = degraded.image.numel()
    assert abs(degraded.image.mean().item()) < 4.5 * degraded.image.std().item() / n**0.5 + 0.1 / 255
    assert (
        dct(plain.image[:, 0].double() * 255).unflatten(1, (8, 8)).unflatten(3, (8, 8))[:, :, 7, :, 7].std()
        > 5
    )


def test_multiplied_noise_is_speckle():
    clean = torch.rand(4, 3, 8, 8)
    added = CorrelatedNoise()(clean, KEYS[:4]).image - clean
    speckle = CorrelatedNoise(multiplied=True)(clean, KEYS[:4]).image - clean
    torch.testing.assert_close(speckle, clean * added, rtol=0, atol=1e-6)


def test_clip_limits_the_image():
    clean = torch.rand(2, 3, 16, 16)
    noisy = CorrelatedNoise(sigma=90.0)(clean, KEYS[:2]).image
    assert noisy.max() > 1
    assert torch.equal(CorrelatedNoise(sigma=90.0, clip=True)(clean, KEYS[:2]).image, noisy.clamp(0, 1))


def test_refusals():
    with pytest.raises(
        ValueError, match=r"^blur = 11; expected a number from 0 to 10, or \[lowest, highest\] of such$"
    ):
        CorrelatedNoise(blur=11.0)
    with pytest.raises(ValueError, match=r"^quality = 30.5; expected a whole number from 1 to 100$"):
        CorrelatedNoise(quality=30.5)
    with pytest.raises(ValueError, match=r"^clean has 4 channels; correlated noise needs 1 or 3$"):
        CorrelatedNoise()(torch.rand(1, 4, 8, 8), KEYS[:1])
