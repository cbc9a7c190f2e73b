"""Embeddings: unit vectors of feature maps, and networks that stay as they are while they are asked."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from restoration.losses.discriminators.patch import GlobalLocal, Patch
from restoration.losses.embedding import OfBackbone, OfDiscriminator, by_pixel, frozen, known_layers, pooled
from restoration.losses.features import backbone


def network() -> nn.Sequential:
    torch.manual_seed(0)
    first, last = spectral_norm(nn.Conv2d(3, 4, 3)), nn.Conv2d(4, 4, 3)
    made = nn.Sequential(first, nn.BatchNorm2d(4), nn.Dropout(0.5), last)
    last.bias.requires_grad_(False)
    return made


def state(part: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in part.state_dict().items()}


@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_frozen_changes_nothing_and_puts_all_back(statistics):
    part, image = network(), torch.rand(2, 3, 9, 9).requires_grad_()
    part[0].eval()  # modes may be mixed
    before, modes = state(part), [m.training for m in part.modules()]
    asked = [p.requires_grad for p in part.parameters()]
    with frozen(part, statistics):
        found = part(image)
    assert all(torch.equal(value, before[name]) for name, value in state(part).items())
    assert [m.training for m in part.modules()] == modes
    assert [p.requires_grad for p in part.parameters()] == asked
    found.sum().backward()
    assert image.grad.abs().sum() > 0 and all(p.grad is None for p in part.parameters())


def test_frozen_puts_all_back_after_an_error():
    part = network()
    with pytest.raises(RuntimeError), frozen(part):
        part(torch.rand(1, 5, 3, 3))
    assert all(m.training for m in part.modules()) and part[1].track_running_stats
    assert sum(p.requires_grad for p in part.parameters()) == 5


def test_statistics_are_the_batchs_own_or_the_running_ones():
    norm = nn.Sequential(nn.BatchNorm2d(2))
    with torch.no_grad():
        norm(9 + torch.randn(8, 2, 9, 9))
    image = torch.rand(3, 2, 6, 6)
    with frozen(norm, "batch"):
        own = norm(image)
    assert own.mean().abs() < 1e-5
    with frozen(norm, "running"):
        running = norm(image)
        torch.testing.assert_close(running[1:2], norm(image[1:2]))
    torch.testing.assert_close(running, norm.eval()(image))
    assert running.mean().abs() > 0.1


def test_every_pixel_is_a_unit_vector():
    features = torch.randn(2, 5, 3, 4)
    found = by_pixel(features)
    assert found.shape == (2, 12, 5)
    torch.testing.assert_close(found[1, 7], features[1, :, 1, 3] / features[1, :, 1, 3].norm())
    mean = features.mean((2, 3))
    torch.testing.assert_close(pooled(features)[:, 0], mean / mean.norm(dim=1, keepdim=True))


def test_features_of_nothing_have_a_finite_slope():
    for places in (by_pixel, pooled):
        features = torch.zeros(1, 5, 2, 2).requires_grad_()
        (slope,) = torch.autograd.grad(places(features).sum(), features)
        assert slope.isfinite().all() and slope.abs().max() <= 1.001e4


def test_maps_of_a_discriminator_are_those_of_its_layers():
    part = Patch(layers=2, width=4, norm="instance")
    image = torch.rand(2, 3, 24, 24)
    expected = part.features(image)
    found = OfDiscriminator(part, (2, 0), "batch")(image)
    assert torch.equal(found[0], expected[2]) and torch.equal(found[1], expected[0])
    assert OfDiscriminator(part, (), "batch").channels() == {"0": 4, "1": 8, "2": 16}


def test_masks_go_to_discriminators_that_want_them():
    part = GlobalLocal(window=24, width=4)
    embedding, mask = OfDiscriminator(part, (), "batch"), torch.zeros(2, 1, 48, 48)
    image = torch.rand(2, 3, 48, 48)
    before = embedding(image, mask)
    mask[..., 40:, 40:] = 1
    assert any(not torch.equal(a, b) for a, b in zip(before, embedding(image, mask), strict=True))
    assert list(embedding.channels().values()) == [maps.shape[1] for maps in before]


def test_maps_of_a_frozen_network(untrained):
    network = backbone("vgg16")
    layers = network.names[1], network.names[4]
    embedding, image = OfBackbone(network, layers), torch.rand(1, 3, 32, 32)
    for found, expected in zip(embedding(image), network(image, layers), strict=True):
        assert torch.equal(found, expected)
    assert embedding.channels() == {
        name: found.shape[1] for name, found in zip(layers, embedding(image), strict=True)
    }


@pytest.mark.parametrize(("layers", "named"), [((1, 8), "8"), ((-1,), "-1"), (("relu1",), "'relu1'")])
def test_unknown_layers_are_refused(layers, named):
    with pytest.raises(ValueError) as error:
        known_layers("haar-trunk", layers, 8)
    assert str(error.value) == f"haar-trunk: unknown layer {named}; it has 0 to 7"
    with pytest.raises(ValueError, match=rf"^patch: unknown layer {named}; it has 0 to 2$"):
        OfDiscriminator(Patch(layers=2, width=4), layers, "batch").channels()
