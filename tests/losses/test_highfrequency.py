"""The high-frequency loss: its controls have closed forms, its features are the shipped network's."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from restoration.losses.features import backbone
from restoration.losses.haar import details
from restoration.losses.highfrequency import HighFrequencyInn
from restoration.losses.invertible import random_inn


def pair(channels: int = 3, height: int = 16, width: int = 20) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(2, channels, height, width, generator=rng)
    return clean + 0.1 * torch.randn(clean.shape, generator=rng), clean


def test_identity_is_the_mean_squared_error():
    restored, clean = pair()
    expected = (restored - clean).square().mean((1, 2, 3))
    torch.testing.assert_close(HighFrequencyInn(features="identity")(restored, clean), expected)


def test_haar_is_the_distance_of_the_bands_and_all_of_them_keep_the_energy():
    restored, clean = pair()
    expected = (details(restored) - details(clean)).square().mean((1, 2, 3))
    torch.testing.assert_close(HighFrequencyInn(features="haar")(restored, clean), expected)
    coarse = (2 * avg_pool2d(restored - clean, 2)).square().mean((1, 2, 3))
    torch.testing.assert_close(HighFrequencyInn(features="haar", channels="coarse")(restored, clean), coarse)
    energy = (restored - clean).square().mean((1, 2, 3))
    torch.testing.assert_close(HighFrequencyInn(features="haar", channels="all")(restored, clean), energy)


@pytest.mark.parametrize("features", ["inn", "random-inn"])
def test_value_is_the_weighted_sum_over_couplings(features):
    restored, clean = pair()
    network = backbone("inn") if features == "inn" else random_inn(3, 0)
    loss = HighFrequencyInn(features=features, couplings=(1, 3), weights=(2.0, 0.5))
    expected = 0
    for weight, coupling in ((2.0, 1), (0.5, 3)):
        ours, theirs = (network(image, [f"coupling{coupling}"])[0][:, 3:] for image in (restored, clean))
        expected = expected + weight * np.mean((ours - theirs).numpy() ** 2, (1, 2, 3))
    np.testing.assert_allclose(loss(restored, clean).numpy(), expected, rtol=1e-5)


def test_the_default_is_the_details_of_the_last_coupling():
    restored, clean = pair()
    (ours,), (theirs,) = backbone("inn")(restored, ["details"]), backbone("inn")(clean, ["details"])
    expected = (ours - theirs).square().mean((1, 2, 3))
    torch.testing.assert_close(HighFrequencyInn()(restored, clean), expected)
    torch.testing.assert_close(HighFrequencyInn(couplings=(4,))(restored, clean), expected)


def test_halves_add_up_to_all():
    restored, clean = pair()
    values = {
        name: HighFrequencyInn(features="random-inn", channels=name)(restored, clean)
        for name in ("details", "coarse", "all")
    }
    torch.testing.assert_close(values["all"], 0.75 * values["details"] + 0.25 * values["coarse"])


def test_latents_are_shown_in_the_range_of_photographs():
    restored, clean = pair()
    inputs = [(image - 0.45) / 0.25 for image in (restored, clean)]
    torch.testing.assert_close(
        HighFrequencyInn(space="latent")(*inputs), HighFrequencyInn()(restored, clean), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("features", ["random-inn", "haar", "identity"])
def test_controls_read_latents_of_any_width(features):
    restored, clean = pair(channels=4)
    loss = HighFrequencyInn(features=features, space="latent")
    assert (loss(restored, clean) > 0).all() and not loss(clean, clean).any()


def test_trained_features_read_one_or_three_channels():
    restored, clean = pair(channels=1)
    grey = HighFrequencyInn()(restored, clean)
    torch.testing.assert_close(
        grey, HighFrequencyInn()(restored.expand(-1, 3, -1, -1), clean.expand(-1, 3, -1, -1))
    )
    message = (
        '^high-frequency-inn: images have 4 channels; features = "inn" reads 1 or 3, '
        '"random-inn", "haar" and "identity" any number$'
    )
    with pytest.raises(ValueError, match=message):
        HighFrequencyInn()(*pair(channels=4))


@pytest.mark.parametrize("features", ["inn", "random-inn", "haar"])
def test_odd_sides_are_mirrored(features):
    restored, clean = pair(height=15, width=19)

    def mirrored(image: Tensor) -> Tensor:
        image = torch.cat([image, image[:, :, -2:-1]], 2)
        return torch.cat([image, image[..., -2:-1]], 3)

    loss = HighFrequencyInn(features=features)
    torch.testing.assert_close(loss(restored, clean), loss(mirrored(restored), mirrored(clean)))


def test_seeds_make_different_networks():
    values = [HighFrequencyInn(features="random-inn", seed=seed)(*pair())[0].item() for seed in (0, 1, 0)]
    assert values[0] == values[2] != values[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"couplings": (0, 5)}, "couplings = (0, 5); expected numbers from 1 to 4"),
        ({"weights": (1.0, 2.0)}, "weights = (1, 2); expected one for each coupling, 1"),
        ({"couplings": (1, 2), "weights": (1.0,)}, "weights = (1); expected one for each coupling, 2"),
        (
            {"features": "haar", "couplings": (1,)},
            'couplings = (1); expected (): features = "haar" has no couplings',
        ),
        (
            {"features": "identity", "weights": (0.5,)},
            'weights = (0.5); expected (): features = "identity" has no couplings',
        ),
        (
            {"features": "identity", "channels": "coarse"},
            'channels = "coarse"; expected the default: images have no halves',
        ),
        ({"seed": -1}, "seed = -1; expected a whole number from 0"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError) as caught:
        HighFrequencyInn(**arguments)
    assert str(caught.value) == message


def test_images_of_one_pixel_are_refused():
    with pytest.raises(
        ValueError, match=r"^high-frequency-inn: images are 1x8; expected at least 2 pixels a side$"
    ):
        HighFrequencyInn()(torch.rand(1, 3, 1, 8), torch.rand(1, 3, 1, 8))


def test_half_precision_first_asked_for_while_measuring_still_trains():
    random_inn.cache_clear()
    loss = HighFrequencyInn(features="random-inn")
    restored, clean = pair()
    with torch.inference_mode():
        loss(restored.clone(), clean.clone())
    restored.requires_grad_()
    loss(restored, clean).sum().backward()
    assert restored.grad.abs().max() > 0
