"""The codebook and the grids of the autoencoder."""

import pytest
import torch

from restoration.networks.vq_autoencoder import Halving, VqAutoencoder

SMALL = {"width": 32, "levels": (1, 1), "blocks": (1, 1)}


@pytest.mark.parametrize("pixels", [1, 7, 4096])
def test_every_latent_becomes_its_nearest_code(pixels, monkeypatch):
    monkeypatch.setattr("restoration.networks.vq_autoencoder.PIXELS", pixels)
    network = VqAutoencoder(**SMALL, codes=9)
    latents = torch.rand(2, 3, 4, 5) * 0.4 - 0.2
    book = network.quantize["embedding"].weight
    found = network.quantised(latents)
    for image, codes in zip(latents, found, strict=True):
        for vector, code in zip(image.flatten(1).T, codes.flatten(1).T, strict=True):
            assert torch.equal(code, book[(book - vector).square().sum(1).argmin()])


def test_gradients_pass_the_codebook():
    network = VqAutoencoder(**SMALL, codes=4)
    latents = torch.rand(1, 3, 2, 2, requires_grad=True)
    weights = torch.rand(1, 3, 2, 2)
    (network.quantised(latents) * weights).sum().backward()
    assert torch.equal(latents.grad, weights)
    assert network.quantize["embedding"].weight.grad.sum() == pytest.approx(weights.sum().item(), rel=1e-5)


def test_halving_sees_zeros_beyond_the_lower_and_right_border_alone():
    halving = Halving(1)
    halving.conv.weight.data = torch.ones(1, 1, 3, 3)
    halving.conv.bias.data.zero_()
    image = torch.arange(16.0).view(1, 1, 4, 4)
    corner = image[0, 0, :3, :3].sum().item(), image[0, 0, 2:, 2:].sum().item()
    found = halving(image)[0, 0]
    assert (found[0, 0].item(), found[1, 1].item()) == corner
