"""The invertible network: it inverts, its determinant is the Jacobian's, its parts are what they say."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from restoration.losses import invertible
from restoration.losses.features import backbone, shared_passes
from restoration.losses.haar import details as haar_details
from restoration.losses.invertible import (
    GAIN,
    Coupling,
    Invertible,
    as_features,
    random_inn,
    randomise,
    shipped_inn,
    squeeze,
    unsqueeze,
)
from restoration.losses.published import MissingWeightsError

RNG = torch.Generator()


def extremes(side: int = 32) -> dict[str, Tensor]:
    """Return images at the edges of what there is, and beyond."""
    RNG.manual_seed(0)
    noise = torch.rand(2, 3, side, side, generator=RNG)
    rows = torch.arange(side)
    checks = ((rows + rows[:, None]) % 2).float().expand(2, 3, side, side)
    stripes = (rows % 2).float().expand(2, 3, side, side)
    return {
        "noise": noise,
        "checks": checks,
        "stripes": stripes,
        "edge": (rows > side // 2).float().expand(2, 3, side, side),
        "black": torch.zeros_like(noise),
        "white": torch.ones_like(noise),
        "outside": 3 * noise - 1,
    }


@pytest.fixture(scope="module")
def trained() -> Invertible:
    network = Invertible()
    stages = backbone("inn").stages[1:-1]
    network.couplings.load_state_dict(stages.state_dict())
    return network.float()


@pytest.mark.parametrize("which", [*extremes(), "far outside"])
def test_the_inverse_inverts_the_trained_network(trained, which):
    image = extremes()[which] if which != "far outside" else 20 * extremes()["noise"] - 10
    with torch.no_grad():
        mapped = trained(image)
        error = (trained.inverse(mapped.coarse, mapped.details) - image).abs().max()
    assert mapped.details.isfinite().all() and error < 1e-4 * max(1, image.abs().max())


@pytest.mark.parametrize("couplings", [1, 2, 4])
@pytest.mark.parametrize("which", extremes())
def test_the_inverse_inverts_random_networks(which, couplings):
    image, network = extremes()[which], randomise(Invertible(couplings=couplings), seed=1)
    with torch.no_grad():
        mapped = network(image)
        error = (network.inverse(mapped.coarse, mapped.details) - image).abs().max()
    assert error < 1e-4


def test_forward_undoes_the_inverse():
    network = randomise(Invertible(channels=2, couplings=3, width=4), seed=0).double()
    coarse, details = torch.rand(2, 2, 5, 4).double(), torch.randn(2, 6, 5, 4).double()
    with torch.no_grad():
        mapped = network(network.inverse(coarse, details))
    torch.testing.assert_close(mapped.coarse, coarse, rtol=0, atol=1e-10)
    torch.testing.assert_close(mapped.details, details, rtol=0, atol=1e-10)


@pytest.mark.parametrize("channels", [1, 3])
def test_log_determinant_is_that_of_the_jacobian(channels):
    network = randomise(Invertible(channels=channels, couplings=2, width=4), seed=0).double()
    images = torch.rand(2, channels, 4, 6, generator=RNG.manual_seed(0)).double()

    def flat(image: Tensor) -> Tensor:
        mapped = network(image.view(1, channels, 4, 6))
        return torch.cat([mapped.coarse, mapped.details], 1).flatten()

    for image, found in zip(images, network(images).log_determinant, strict=True):
        jacobian = torch.autograd.functional.jacobian(flat, image.flatten())
        torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], found, rtol=1e-9, atol=1e-9)


def test_a_coupling_is_its_formula_and_moves_only_what_it_says():
    coupling = randomise(Invertible(channels=1, couplings=1, width=4), seed=0).couplings[0]
    features = torch.rand(1, 4, 6, 6, generator=RNG.manual_seed(0))
    with torch.no_grad():
        coupled, log_scale = coupling.step(features)
        coarse = features[:, :1] + coupling.phi(features[:, 1:])
        raw, shift = coupling.rho_eta(coarse)[:, :3], coupling.rho_eta(coarse)[:, 3:]
    torch.testing.assert_close(coupled[:, :1], coarse)
    torch.testing.assert_close(coupled[:, 1:], features[:, 1:] * (2 * raw.tanh()).exp() + shift)
    assert log_scale.abs().max() <= 2


def test_reach_is_how_far_an_inversion_looks():
    network = randomise(Invertible(channels=1, couplings=2, width=4), seed=0).double()
    coarse = torch.rand(1, 1, 21, 21, generator=RNG.manual_seed(0)).double().requires_grad_()
    image = network.inverse(coarse, torch.randn(1, 3, 21, 21, generator=RNG).double())
    (slope,) = torch.autograd.grad(image[0, 0, 20:22, 20:22].sum(), coarse)
    touched = (slope[0, 0] != 0).nonzero() - 10
    assert touched.abs().max() == 2 * Coupling.reach


def test_a_new_network_starts_at_means_and_haar_details():
    image = torch.rand(2, 3, 8, 6, generator=RNG.manual_seed(0))
    with torch.no_grad():
        mapped = Invertible()(image)
    torch.testing.assert_close(mapped.coarse, avg_pool2d(image, 2), rtol=0, atol=0.1)
    torch.testing.assert_close(mapped.details, GAIN * haar_details(image), rtol=0, atol=0.3)
    expected = 3 * 4 * 3 * (3 * math.log(8) - math.log(2))
    assert mapped.log_determinant == pytest.approx([expected, expected], abs=0.5)


def test_unsqueeze_undoes_squeeze():
    image = torch.rand(2, 3, 8, 6, generator=RNG.manual_seed(0))
    assert squeeze(image).shape == (2, 12, 4, 3)
    torch.testing.assert_close(unsqueeze(squeeze(image)), image, rtol=0, atol=1e-6)


def test_hidden_maps_lead_from_coupling_to_coupling():
    network = randomise(Invertible(couplings=3), seed=0)
    image = torch.rand(1, 3, 8, 8, generator=RNG.manual_seed(0))
    with torch.no_grad():
        mapped = network(image)
        assert len(mapped.hidden) == 3
        assert torch.equal(network.couplings[2](mapped.hidden[1]), mapped.hidden[2])
    assert torch.equal(torch.cat([mapped.coarse, mapped.details], 1), mapped.hidden[2])


def test_odd_sides_and_empty_networks_are_refused():
    with pytest.raises(ValueError, match=r"^haar: images are 7x8; expected even sides$"):
        Invertible()(torch.rand(1, 3, 7, 8))
    with pytest.raises(ValueError, match=r"^couplings = 0; expected a whole number from 1$"):
        Invertible(couplings=0)


def test_random_networks_depend_on_their_seed_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    random_inn.cache_clear()
    first = random_inn(3, 11).stages.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    random_inn.cache_clear()
    again, other = random_inn(3, 11).stages.state_dict(), random_inn(3, 12).stages.state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_random_kernels_have_hes_spread_and_a_tenth_of_it_at_the_end():
    first, _, last = randomise(Invertible(couplings=1, width=512), seed=0).couplings[0].rho_eta
    assert first.weight.std().item() == pytest.approx((2 / (3 * 9)) ** 0.5, rel=0.02)
    assert last.weight.std().item() == pytest.approx(0.1 * (2 / (512 * 9)) ** 0.5, rel=0.02)


def test_features_are_the_networks_maps_and_one_pass_serves_all():
    network = randomise(Invertible(couplings=2), seed=0)
    features, image = as_features(network, "test"), torch.rand(1, 3, 9, 8, generator=RNG.manual_seed(0))
    calls = []
    features.stages[1].register_forward_hook(lambda *_: calls.append(1))
    mirrored = torch.cat([image, image[:, :, -2:-1]], 2)
    with torch.no_grad(), shared_passes():
        haar, last = features(image, ["haar", "coupling2"])
        (details,) = features(image, ["details"])
        mapped = network(mirrored)
    assert len(calls) == 1
    torch.testing.assert_close(haar, squeeze(mirrored))
    torch.testing.assert_close(last, mapped.hidden[1])
    torch.testing.assert_close(details, mapped.details)


def test_the_trained_network_is_frozen_and_there_is_one():
    network = backbone("inn")
    assert network is backbone("inn") and network.names[-1] == "details"
    assert not any(p.requires_grad for p in network.parameters())


def test_missing_weights_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(invertible, "files", lambda _: tmp_path)
    with pytest.raises(
        MissingWeightsError, match=r"^features 'inn' come with the package in .*inn-small.safetensors"
    ):
        shipped_inn()
