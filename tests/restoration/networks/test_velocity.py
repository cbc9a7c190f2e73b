"""The velocity's U-Net: it knows each image's time, starts near zero and reaches as far as it says."""

import torch

from restoration.networks.velocity import TimeEmbedding, VelocityUnet


def scrambled(**keywords: int) -> VelocityUnet:
    torch.manual_seed(0)
    network = VelocityUnet(**keywords).double()
    for parameter in network.parameters():
        parameter.data = torch.randn_like(parameter) * 0.1
    return network


def test_default_size():
    assert sum(p.numel() for p in VelocityUnet().parameters()) == 646_092


def test_untrained_velocity_is_about_zero():
    torch.manual_seed(0)
    between = torch.rand(2, 3, 16, 16)
    assert VelocityUnet(width=8)(between, torch.tensor([0.0, 0.9])).abs().max() < 0.05


def test_every_image_has_its_own_time():
    network = scrambled(width=4)
    between = torch.rand(1, 3, 8, 8, dtype=torch.float64).expand(3, -1, -1, -1)
    t = torch.tensor([0.1, 0.1, 0.7], dtype=torch.float64)
    with torch.no_grad():
        first, second, late = network(between, t)
        torch.testing.assert_close(network(between[:1], t[2:])[0], late)
    torch.testing.assert_close(first, second)
    assert (first - late).abs().max() > 1e-2


def test_embedding_tells_all_times_apart():
    """The features alone, before the layers, are as far apart as the first harmonics make them."""
    embedding = TimeEmbedding()
    embedding.layers = torch.nn.Sequential(torch.nn.Identity())
    seen = embedding(torch.linspace(0, 1, 101, dtype=torch.float64))
    distance = torch.cdist(seen, seen) + 10 * torch.eye(101)
    assert distance.min() > 0.2


def test_what_it_sees_beside_matters():
    network = scrambled(width=4, seen=3)
    between, seen = torch.rand(2, 1, 3, 8, 8, dtype=torch.float64)
    t = torch.tensor([0.5], dtype=torch.float64)
    with torch.no_grad():
        assert (network(between, t, seen) - network(between, t, 1 - seen)).abs().max() > 1e-2


def test_receptive_field_is_the_support_of_the_gradient():
    network = scrambled(width=2)
    for parameter in network.parameters():
        parameter.data = 0.001 + 0.01 * parameter.data.abs()  # so that no two paths cancel
    side, centre = 144, 72
    between = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    velocity = network(between, torch.tensor([0.3], dtype=torch.float64))
    reach = 0
    for phase in range(network.multiple):
        pixel = centre + phase
        (gradient,) = torch.autograd.grad(velocity[0, :, pixel, pixel].sum(), between, retain_graph=True)
        touched = (gradient.abs().sum((0, 1)) > 0).nonzero()
        reach = max(reach, int((touched - pixel).abs().max()))
    assert reach == network.receptive_field
