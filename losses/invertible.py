"""A strictly invertible network: the Haar bands of an image, then couplings of its coarse half with its details."""

import json
import math
from functools import lru_cache
from importlib.resources import as_file, files
from typing import NamedTuple

import torch
from torch import Tensor, nn

from restoration.losses.features import Backbone
from restoration.losses.haar import even, haar, unhaar
from restoration.losses.published import MissingWeightsError

CLAMP = 2.0  # of log scales: one coupling stretches or shrinks by at most e²
GAIN = 8.0  # of the detail bands: those of photographs, about 1/8 where there is something, start near 1
SHIPPED = "inn-small"  # the restorer whose weights are the trained features


class Mapped(NamedTuple):
    """What an image becomes: ``coarse`` (N, C, H/2, W/2), ``details`` (N, 3C, H/2, W/2), and how it came about.

    ``hidden`` are the maps (N, 4C, H/2, W/2) after each coupling, coarse first; ``log_determinant`` (N,) is ln|det J|.
    """

    coarse: Tensor
    details: Tensor
    hidden: list[Tensor]
    log_determinant: Tensor


class Coupling(nn.Module):
    """``c' = c + φ(d), d' = d · exp(ρ(c')) + η(c')``, ρ softly within ±2 (Xiao et al., 2020, section 3.2).

    The volume-preserving half comes first, as in their paper; affine couplings are those of Dinh et al. (2017). φ is
    1×1 and 3×3, ρ and η share two 3×3: small, because a loss runs them. They start near zero: a new coupling changes
    next to nothing.
    """

    reach = 3  # pixels of the coarse grid that one inversion looks around itself: 1 by φ after 2 by ρ and η

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.channels = channels
        self.phi = nn.Sequential(
            nn.Conv2d(3 * channels, width, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, channels, 3, padding=1)
        )
        self.rho_eta = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 6 * channels, 3, padding=1),
        )
        for last in (self.phi[-1], self.rho_eta[-1]):
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)

    def step(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the coupled features and the log scale of every detail: (N, 4C, …), (N, 3C, …)."""
        coarse, details = self._halves(features)
        coarse = coarse + self.phi(details)
        log_scale, shift = self._affine(coarse)
        return torch.cat([coarse, details * log_scale.exp() + shift], 1), log_scale

    def forward(self, features: Tensor) -> Tensor:
        """Return the coupled features."""
        return self.step(features)[0]

    def inverse(self, features: Tensor) -> Tensor:
        """Return what `forward` made these features of."""
        coarse, details = self._halves(features)
        log_scale, shift = self._affine(coarse)
        details = (details - shift) * (-log_scale).exp()
        return torch.cat([coarse - self.phi(details), details], 1)

    def _halves(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return features[:, : self.channels], features[:, self.channels :]

    def _affine(self, coarse: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = self.rho_eta(coarse).chunk(2, 1)
        return CLAMP * torch.tanh(raw), shift


class Invertible(nn.Module):
    """Haar bands and ``couplings`` of them: a bijection of images with even sides (Xiao et al., 2020).

    A new one is nearly the identity on its bands: coarse the 2×2 means, details 8 times the Haar details.
    """

    def __init__(self, *, channels: int = 3, couplings: int = 4, width: int = 16) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("couplings", couplings), ("width", width)):
            if value < 1:
                raise ValueError(f"{name} = {value}; expected a whole number from 1")
        self.channels = channels
        self.couplings = nn.ModuleList(Coupling(channels, width) for _ in range(couplings))

    def forward(self, image: Tensor) -> Mapped:
        """Return the coarse image, the details, all maps between, and the log determinant."""
        features = squeeze(image)
        per_place = self.channels * (3 * math.log(GAIN) - math.log(2))  # of the constant factors in `squeeze`
        log_determinant = features.new_full(features.shape[:1], per_place * features[0, 0].numel())
        hidden = []
        for coupling in self.couplings:
            features, log_scale = coupling.step(features)
            hidden.append(features)
            log_determinant = log_determinant + log_scale.flatten(1).sum(1)
        return Mapped(features[:, : self.channels], features[:, self.channels :], hidden, log_determinant)

    def inverse(self, coarse: Tensor, details: Tensor) -> Tensor:
        """Return the image (N, C, H, W) that `forward` maps to this coarse image and these details."""
        features = torch.cat([coarse, details], 1)
        for coupling in reversed(self.couplings):
            features = coupling.inverse(features)
        return unsqueeze(features)


def squeeze(image: Tensor) -> Tensor:
    """Return the 2×2 means of every channel, then its LH, HL and HH times 8: (N, 4C, H/2, W/2); sides are even."""
    bands = haar(image)
    return torch.cat([bands[:, :, 0] / 2, bands[:, :, 1:].flatten(1, 2) * GAIN], 1)


def unsqueeze(features: Tensor) -> Tensor:
    """Return the image of which `squeeze` makes these features: (N, C, H, W)."""
    channels = features.shape[1] // 4
    means, details = features[:, :channels], features[:, channels:].unflatten(1, (channels, 3))
    return unhaar(torch.cat([2 * means.unsqueeze(2), details / GAIN], 2))


def randomise(network: Invertible, seed: int) -> Invertible:
    """Draw every kernel from He's normal distribution (He et al., 2015), biases zero, and return the network.

    A subnetwork's last kernel is a tenth of that (Wang et al., 2018, section 3.1), or the inverse would lose digits.
    """
    generator = torch.Generator().manual_seed(seed)
    for coupling in network.couplings:
        for branch in (coupling.phi, coupling.rho_eta):
            for layer, gain in ((branch[0], 1.0), (branch[-1], 0.1)):
                spread = gain * math.sqrt(2 / layer.weight[0].numel())
                layer.weight.data = torch.randn(layer.weight.shape, generator=generator) * spread
                nn.init.zeros_(layer.bias)
    return network


def as_features(network: Invertible, name: str) -> Backbone:
    """Return the network as frozen features: layers haar, coupling1 … couplingN (coarse first), and details.

    Odd sides are mirrored to even ones.
    """
    couplings = {f"coupling{i}": coupling for i, coupling in enumerate(network.couplings, 1)}
    stages = {"haar": _Bands(), **couplings, "details": _Details(network.channels)}
    mean, std = [0.0] * network.channels, [1.0] * network.channels
    return Backbone(name, stages, mean, std, smallest=[2] * len(stages), usual=("details",), multiple=2)


def shipped_inn() -> Backbone:
    """The invertible network of the shipped restorer inn-small (after Xiao et al., 2020).

    Layers haar, coupling1 and so on, details. The package brings the weights.
    """
    from safetensors import safe_open

    source = files("restoration") / "shipped" / f"{SHIPPED}.safetensors"
    if not source.is_file():
        raise MissingWeightsError(
            f"features 'inn' come with the package in {source}, which is missing\nreinstall the package, or "
            f"`restoration train {SHIPPED}` and put its restorer.safetensors there"
        )
    with as_file(source) as path, safe_open(path, framework="pt") as file:
        table = json.loads(file.metadata()["restoration"])["card"]["network"]
        state = {name.removeprefix("flow."): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    network = _built(**{key: value for key, value in table.items() if key != "name"})
    network.load_state_dict(state)
    return as_features(network, "inn")


@lru_cache(maxsize=8)
def random_inn(channels: int, seed: int) -> Backbone:
    """Return the network with random kernels as frozen features of images of so many channels: a control."""
    with torch.inference_mode(False):  # else one first asked for while measuring could never serve training
        return as_features(randomise(_built(channels=channels), seed), "random-inn")


def _built(**table: int) -> Invertible:
    with torch.random.fork_rng(devices=[]):  # whoever asks first must not find other draws than the second
        return Invertible(**table)


class _Bands(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return squeeze(even(image))


class _Details(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, features: Tensor) -> Tensor:
        return features[:, self.channels :]
