"""The autoencoder with a normal posterior: diffusers' in all but its range, its divergence a formula."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from restoration.networks.kl_autoencoder import KlAutoencoder, Posterior


def image(height=16, width=24):
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def network(**changed):
    torch.manual_seed(1)
    return KlAutoencoder(**{"widths": (8, 16), "groups": 4, **changed}).eval()


@pytest.mark.parametrize(("widths", "groups", "factor", "count"), [
    ((32, 64), 16, 2, 0.62), ((16, 32, 64), 8, 4, 0.65), ((32, 64, 64), 16, 4, 0.92), ((32, 64, 128), 16, 4, 2.57),
])  # fmt: skip
def test_sizes(widths, groups, factor, count):
    with torch.device("meta"):
        found = KlAutoencoder(widths=widths, groups=groups)
    assert sum(p.numel() for p in found.parameters()) == pytest.approx(count * 1e6, abs=5e3)
    assert found.multiple == factor
    if widths == (16, 32, 64):
        assert sum(p.numel() for p in found.parameters()) == 648_375


@pytest.mark.parametrize("attention", [False, True])
def test_it_is_diffusers_autoencoder_of_images_in_plus_minus_one(attention):
    diffusers = pytest.importorskip("diffusers")
    ours = network(attention=attention, blocks=2)
    theirs = diffusers.AutoencoderKL(**ours.configuration).eval()
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        found, expected = ours.encode(image()), theirs.encode(2 * image() - 1).latent_dist
        assert torch.equal(found.mean, expected.mean)
        assert torch.equal(found.log_variance, expected.logvar)
        assert torch.allclose(found.divergence(), expected.kl(), rtol=1e-5)
        assert torch.allclose(ours(image()), (theirs.decode(expected.mode()).sample + 1) / 2, atol=1e-6)


def test_one_pass_with_noise_gives_the_image_of_a_sample_and_the_posterior():
    found, noise = network(latent=8), torch.randn(2, 8, 8, 12, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        found.quant_conv.bias[8:] = -1.0  # a deviation that can be seen
        restored, posterior = found(image(), noise)
        expected = found.encode(image())
        assert torch.equal(posterior.mean, expected.mean)
        assert torch.equal(posterior.log_variance, expected.log_variance)
        assert torch.allclose(restored, found.decode(expected.sample(noise)), atol=1e-6)
        assert not torch.allclose(restored, found(image()), atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert found(image(), noise)[1].mean.dtype == torch.float


def test_divergence_and_samples_are_those_of_normal_distributions():
    generator = torch.Generator().manual_seed(2)
    mean, log_variance, noise = torch.randn(3, 5, 4, 2, 3, generator=generator, dtype=torch.double)
    found = Posterior(mean, log_variance)
    distribution = Normal(mean, log_variance.exp().sqrt())
    expected = kl_divergence(distribution, Normal(torch.zeros_like(mean), torch.ones_like(mean)))
    assert torch.allclose(found.divergence(), expected.sum((1, 2, 3)), rtol=1e-12)
    assert torch.allclose(found.sample(noise), mean + distribution.stddev * noise, rtol=1e-12)
    assert not Posterior(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)).divergence().any()


def test_variances_stay_where_exponentials_are_finite():
    found = network()
    with torch.no_grad():
        found.quant_conv.bias[4:] = torch.tensor([1e4, -1e4, 0, 0])
        posterior = found.encode(image())
    assert posterior.log_variance[:, 0].eq(20).all() and posterior.log_variance[:, 1].eq(-30).all()


@pytest.mark.parametrize(("keywords", "line"), [
    ({"groups": 3}, "widths: 8 is no multiple of groups = 3, those of the norm"),
    ({"widths": ()}, "widths = [], blocks = 1, latent = 4, groups = 4: expected one width or more, and all of them "
     "from 1"),
    ({"latent": 0}, "widths = [8, 16], blocks = 1, latent = 0, groups = 4: expected one width or more, and all of "
     "them from 1"),
])  # fmt: skip
def test_settings_that_do_not_fit_are_refused(keywords, line):
    with pytest.raises(ValueError) as error:
        network(**keywords)
    assert str(error.value) == line
