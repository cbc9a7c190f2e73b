"""Untrained feature networks with seeded weights, for tests on machines without the published files."""

from collections.abc import Callable
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

from restoration.losses import backbones, features, lpips, published
from restoration.losses.backbones import alexnet, squeezenet, vgg16_l2pool
from restoration.losses.features import Backbone


def seeded(network: nn.Module) -> dict[str, Tensor]:
    """Return the state of a torchvision trunk whose kernels keep the size of what passes, by torchvision's names."""
    rng = torch.Generator("cpu").manual_seed(0)
    state = {}
    for name, parameter in network.named_parameters():
        fan = parameter[0].numel()
        size = (2 / fan) ** 0.5 if parameter.ndim == 4 else 0.1
        state[f"features.{name}"] = size * torch.randn(parameter.shape, generator=rng, device="cpu")
    return state


@lru_cache
def untrained_state(name: str) -> dict[str, Tensor]:
    """Return the seeded state of a trunk."""
    from torchvision.models import AlexNet, squeezenet1_1
    from torchvision.models.vgg import cfgs, make_layers

    with torch.device("meta"):  # only names and shapes
        if name == "alexnet":
            return seeded(AlexNet().features)
        if name == "squeezenet":
            return seeded(squeezenet1_1().features)
        return seeded(make_layers(cfgs["D" if name == "vgg16" else "E"]))


@pytest.fixture
def untrained_states() -> Callable[[str], dict[str, Tensor]]:
    """Return what gives the seeded state of a trunk; the table of networks stays as it is."""
    return untrained_state


@lru_cache
def untrained_network(name: str) -> Backbone:
    """Return the one network of that name with seeded weights."""
    state = untrained_state(name.removesuffix("-l2pool"))
    if name in backbones.VGG:
        return backbones.vgg(name, state)
    makers = {"alexnet": alexnet, "squeezenet": squeezenet, "vgg16-l2pool": vgg16_l2pool}
    return makers[name](state)


@pytest.fixture
def untrained(monkeypatch) -> Callable[[str], dict[str, Tensor]]:
    """Put seeded weights where published ones would be, for the length of a test; return what gives the states."""
    features.backbone.cache_clear()
    for name in ("alexnet", "squeezenet", "vgg16", "vgg16-l2pool", "vgg19"):
        monkeypatch.setitem(backbones.BACKBONES, name, lambda name=name: untrained_network(name))
    yield untrained_state
    features.backbone.cache_clear()


@pytest.fixture
def dists_state() -> dict[str, Tensor]:
    """Seeded α and β in the layout of the authors' file; like those of piq they sum to 1."""
    both = torch.rand(2, 1, sum(lpips.CHANNELS), 1, 1, generator=torch.Generator().manual_seed(3))
    alpha, beta = both / both.sum()
    return {"alpha": alpha, "beta": beta}


@pytest.fixture
def untrained_dists(untrained, dists_state, tmp_path, monkeypatch):
    """Put seeded α and β in the catalogue, three times too large: the loss divides by their sum."""
    path = tmp_path / "dists.pth"
    torch.save({key: 3 * value for key, value in dists_state.items()}, path)
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path))
    entry = published.Entry(path.name, published.digest(path), 1, "", "", "")
    monkeypatch.setitem(published.CATALOGUE, "dists", entry)
    lpips.dists_weights.cache_clear()
    yield dists_state
    lpips.dists_weights.cache_clear()


@pytest.fixture
def images() -> tuple[Tensor, Tensor]:
    """Return restored and clean: smooth colours with some noise, three of each, 36×32."""
    rng = torch.Generator().manual_seed(5)
    coarse = torch.rand(3, 3, 6, 6, generator=rng)
    clean = nn.functional.interpolate(coarse, size=(36, 32), mode="bicubic").clamp(0, 1)
    return clean + 0.1 * torch.randn(clean.shape, generator=rng), clean
