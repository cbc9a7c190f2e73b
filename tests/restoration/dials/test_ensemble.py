"""Self-ensemble through tiles: the mean of eight by hand, of pictures that are not square, in bounded memory."""

import weakref

import pytest
import torch
from torch import nn

from restoration.apply import restore_image
from restoration.tiling import self_ensemble


class Odd(nn.Module):
    """Convolutions that prefer directions, at a scale; what it needs at sides and multiples it says."""

    conditions = ()

    def __init__(self, scale, multiple):
        super().__init__()
        torch.manual_seed(scale)
        self.scale, self.multiple, self.receptive_field = scale, multiple, 3
        self.first = nn.Conv2d(3, 6, 5, padding=2)
        self.second = nn.Conv2d(6, 3 * scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, image):
        assert image.shape[-1] % self.multiple == 0 == image.shape[-2] % self.multiple
        return self.shuffle(self.second(self.first(image).relu()))


def by_hand(network, image):
    results = []
    for turns in range(4):
        for mirrored in (False, True):
            turned = torch.rot90(image, turns, (-2, -1))
            turned = turned.flip(-1) if mirrored else turned
            result = restore_image(network, turned, precision="fp32", tile="off")
            result = result.flip(-1) if mirrored else result
            results.append(torch.rot90(result, -turns, (-2, -1)))
    return torch.stack(results).mean(0)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("multiple", [1, 4])
@pytest.mark.parametrize("tile", ["off", 16])
def test_ensemble_is_the_mean_of_eight_turned_pictures(scale, multiple, tile):
    network = Odd(scale, multiple)
    image = torch.rand(1, 3, 36, 64, generator=torch.Generator().manual_seed(0))
    restored = restore_image(network, image, precision="fp32", tile=tile, ensemble=True)
    assert (restored - by_hand(network, image)).abs().max() < 1e-6
    assert (restored - restore_image(network, image, precision="fp32")).abs().max() > 1e-3


def test_few_results_are_there_at_a_time():
    alive, most = [], 0

    def function(image):
        nonlocal most
        result = image.clone()
        alive.append(weakref.ref(result.untyped_storage()))
        most = max(most, sum(reference() is not None for reference in alive))
        return result

    image = torch.rand(1, 3, 8, 12)
    assert torch.equal(self_ensemble(function)(image), image)
    assert len(alive) == 8 and most <= 4
