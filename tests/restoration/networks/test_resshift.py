"""The chain of ResShift and SinSR: schedules, posteriors, one step, and what does not fit together."""

import math

import pytest
import torch
from torch import nn

from restoration.networks.placing import placed_noise
from restoration.networks.resshift import ResShift, shift_roots
from restoration.networks.resshift_unet import ResShiftUnet
from restoration.networks.swin import strangers, to_windows, transposed_strangers
from restoration.networks.vq_autoencoder import VqAutoencoder

UNET = {
    "width": 32, "levels": (1, 1), "blocks": (1, 1), "attention": (0,), "swin_width": 32, "head": 16,
    "window": 2, "size": 4, "expansion": 1.0,
}  # fmt: skip
FIRST_VERSION = (
    0.02, 0.1172, 0.1763, 0.2336, 0.2916, 0.351, 0.4124, 0.4759, 0.5417, 0.6099, 0.6807, 0.754, 0.83, 0.9086, 0.99,
)  # fmt: skip


def test_schedules_are_the_published_ones():
    assert shift_roots(15, 2.0, 0.3, 0.04, 0.99) == pytest.approx(FIRST_VERSION, abs=6e-5)
    assert shift_roots(4, 2.0, 0.3, 0.2, 0.99) == pytest.approx((0.0316, 0.3764, 0.6673, 0.99), abs=6e-5)


class Oracle(nn.Module):
    """Predicts the clean latents that it was told."""

    def __init__(self, clean: torch.Tensor) -> None:
        super().__init__()
        self.clean, self.steps = clean, []

    def forward(self, noisy, step, condition, mask):
        self.steps.append((int(step[0]), noisy.std().item()))
        return self.clean


def told(clean: torch.Tensor, **keywords: object) -> ResShift:
    network = ResShift(unet=ResShiftUnet(**UNET), **keywords)
    network.unet = Oracle(clean)
    return network


@pytest.mark.parametrize("sampling", ["ancestral", "deterministic", "one-step"])
def test_a_network_that_knows_the_truth_returns_it(sampling):
    clean, origin = torch.rand(2, 1, 3, 8, 8).double()
    network = told(clean, sampling=sampling)
    assert torch.equal(network.sample(origin, origin), clean)
    steps = [step for step, _ in network.unet.steps]
    assert steps == ([14] if sampling == "one-step" else list(range(14, -1, -1)))


def test_the_network_sees_about_unit_variance():
    generator = torch.Generator().manual_seed(0)
    clean, origin = torch.randn(2, 1, 3, 64, 64, generator=generator)
    network = told(clean, sampling="ancestral")
    network.sample(origin, origin)
    for step, spread in network.unet.steps:
        assert 0.7 < spread < 1.1, step


@pytest.mark.parametrize("t", [1, 7, 14])
def test_the_posterior_keeps_the_marginals(t):
    """Sample x_t from its marginal and step: x_{t−1} has mean x_0 + η(y − x_0) and variance κ²η."""
    clean, origin = torch.full((1, 1, 400, 400), 0.3), torch.full((1, 1, 400, 400), -0.5)
    network = told(clean)
    eta, before = (network.roots[i] ** 2 for i in (t, t - 1))
    state = clean + eta * (origin - clean) + 2 * math.sqrt(eta) * placed_noise(99, clean)
    earlier = network._earlier(state, clean, origin, t)
    mean = (clean + before * (origin - clean)).mean().item()
    assert earlier.mean().item() == pytest.approx(mean, abs=0.02 * math.sqrt(before) + 1e-6)
    assert earlier.std().item() == pytest.approx(2 * math.sqrt(before), rel=0.01)


@pytest.mark.parametrize(
    ("t", "kept", "shifted", "predicted"),
    [
        (14, 0.917784, -0.073955, 0.156171),
        (7, 0.866553, -0.026185, 0.159632),
        (1, 0.170699, -0.001943, 0.831244),
    ],
)
def test_deterministic_steps_have_sinsr_coefficients(t, kept, shifted, predicted):
    one, nil = torch.ones(1, 1, 1, 1).double(), torch.zeros(1, 1, 1, 1).double()
    network = told(nil, sampling="deterministic")
    found = [network._earlier(*(one if i == j else nil for j in range(3)), t).item() for i in range(3)]
    assert found == pytest.approx([kept, predicted, shifted], abs=2e-6)


def test_pixels_serve_as_latents_without_an_autoencoder():
    network = ResShift(unet=ResShiftUnet(**UNET), scale=2, steps=2)
    assert network.multiple == 2
    assert network(torch.rand(1, 3, 6, 4)).shape == (1, 3, 12, 8)


def test_parts_that_do_not_fit_are_refused():
    unet = ResShiftUnet(**UNET)
    autoencoder = VqAutoencoder(width=32, levels=(1, 1), blocks=(1, 1), codes=2)
    with pytest.raises(ValueError, match="expected scale = 2"):
        ResShift(unet=unet, autoencoder=autoencoder, scale=4)
    with pytest.raises(ValueError, match="expected the latents' 8"):
        wide = VqAutoencoder(width=32, levels=(1, 1), blocks=(1, 1), codes=2, code_width=8)
        ResShift(unet=unet, autoencoder=wide, scale=2)
    with pytest.raises(ValueError, match="unet is missing; expected the network 'resshift-unet'"):
        ResShift()
    with pytest.raises(ValueError, match="expected an autoencoder"):
        ResShift(unet=ResShiftUnet(**UNET, shrink=1))
    with pytest.raises(ValueError, match="steps = 1"):
        ResShift(unet=unet, steps=1)


def test_a_mask_is_a_further_channel():
    network = ResShift(
        unet=ResShiftUnet(**UNET, shrink=1, hole=True),
        autoencoder=VqAutoencoder(width=32, levels=(1, 1), blocks=(1, 1), codes=2),
        scale=1, sampling="one-step", steps=4,
    ).eval()  # fmt: skip
    assert network.conditions == ("mask",)
    image = torch.rand(1, 4, 8, 8)
    image[:, 3] = 0
    marked = image.clone()
    marked[:, 3, :4] = 1
    with torch.no_grad():
        latents = [network.sample(torch.zeros(1, 3, 4, 4), i[:, :3], i[:, 3:]) for i in (image, marked)]
    assert network(image).shape == (1, 3, 8, 8)
    assert not torch.equal(*latents)


def test_masks_part_what_a_roll_brought_together():
    height, width, side, shift = 8, 12, 4, 2
    place = torch.arange(height * width).view(1, height, width, 1).roll((-shift, -shift), (1, 2))
    windows = to_windows(place, side)[0, :, :, 0]
    rows, columns = windows // width, windows % width
    near = [(part[:, :, None] - part[:, None]).abs() < side for part in (rows, columns)]
    device = torch.device("cpu")
    assert torch.equal(strangers(height, width, side, shift, device), ~(near[0] & near[1]))

    authors = transposed_strangers(height, width, side, shift, device)
    assert not authors[: width // side].any()
    last = torch.arange(side * side) % side >= side - shift
    assert torch.equal(authors[width // side :], (last[:, None] != last).expand(width // side, -1, -1))
