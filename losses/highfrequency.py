"""The high-frequency loss: squared distance between the detail features of a frozen invertible network."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from restoration.losses.checks import not_negative
from restoration.losses.features import Backbone, backbone
from restoration.losses.haar import even, haar
from restoration.losses.invertible import random_inn
from restoration.losses.loss import Loss, large_enough, per_image, same_shape

Features = Literal["inn", "random-inn", "haar", "identity"]
Channels = Literal["details", "coarse", "all"]
Space = Literal["pixel", "latent"]
MEAN, DEVIATION = 0.45, 0.25  # of photographs in [0, 1]; latents of unit deviation are brought there


@dataclass(frozen=True)
class HighFrequencyInn(Loss):
    """``Σ_l w_l · mean‖h_l(clean) − h_l(restored)‖²`` on features of an invertible network (Sami et al., 2024).

    ``h_l`` are the detail channels after coupling l of a network that photographs trained without labels (``inn``: the
    restorer inn-small). Sami et al. weigh the term 0.2, on latents. Their network is unpublished; this one is that of
    Xiao et al. (2020). Its details are in deviations of what the coarse image leaves open, so an error counts most
    where an image is smooth, and values are large: noise of deviation 0.05 on a photograph makes about 10 where its
    mean square is 0.0025. Beside an L1 of images in [0, 1] a weight of about 1e-3 is as strong.

    Controls, to be named as such: ``random-inn`` is the same network with He-normal kernels drawn from ``seed``,
    ``haar`` the Haar bands, ``identity`` the images, that is their mean squared error.

    ``couplings`` counts from 1; () is the last one. ``weights`` has one number for each; () is 1 for all. ``channels``
    are those of the details, of the coarse image, or both. ``space = "latent"`` takes inputs of zero mean and unit
    deviation and shows the networks 0.45 + 0.25 · input; ``inn`` reads one or three channels, the controls any number.
    Odd sides are mirrored to even ones.
    """

    minimum_size: ClassVar = 2
    multiple: ClassVar = 2

    features: Features = "inn"
    couplings: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    channels: Channels = "details"
    space: Space = "pixel"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}; expected a whole number from 0")
        if self.features == "identity":
            object.__setattr__(self, "multiple", 1)
        if self.features in ("haar", "identity"):
            self._check_control()
            return
        last = _couplings(self._network(3))
        if any(not 1 <= coupling <= last for coupling in self.couplings):
            raise ValueError(f"couplings = {_listed(self.couplings)}; expected numbers from 1 to {last}")
        if self.weights and len(self.weights) != (expected := max(1, len(self.couplings))):
            raise ValueError(f"weights = {_listed(self.weights)}; expected one for each coupling, {expected}")
        for weight in self.weights:
            not_negative("weights", weight)

    def _check_control(self) -> None:
        for name in ("couplings", "weights"):
            if getattr(self, name):
                got = _listed(getattr(self, name))
                raise ValueError(
                    f'{name} = {got}; expected (): features = "{self.features}" has no couplings'
                )
        if self.features == "identity" and self.channels != "details":
            raise ValueError(f'channels = "{self.channels}"; expected the default: images have no halves')

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        large_enough(same_shape(restored, clean), self.minimum_size, "high-frequency-inn")
        if self.features == "identity":
            return per_image((restored - clean).square())
        if self.features == "haar":  # linear: the bands of the difference are the difference of the bands
            bands = haar(even(restored - clean))
            return self._distance(torch.cat([bands[:, :, 0], bands[:, :, 1:].flatten(1, 2)], 1))
        pairs = zip(self._maps(restored), self._maps(clean), strict=True)
        distances = [self._distance(ours - theirs) for ours, theirs in pairs]
        weights = self.weights or (1.0,) * len(distances)
        return sum(weight * distance for weight, distance in zip(weights, distances, strict=True))

    def _maps(self, image: Tensor) -> list[Tensor]:
        channels = image.shape[1]
        if self.features == "inn" and channels not in (1, 3):
            raise ValueError(
                f'high-frequency-inn: images have {channels} channels; features = "inn" reads 1 or 3, '
                '"random-inn", "haar" and "identity" any number'
            )
        network = self._network(3 if channels == 1 else channels)
        couplings = self.couplings or (_couplings(network),)
        image = MEAN + DEVIATION * image if self.space == "latent" else image
        return network(image, [f"coupling{coupling}" for coupling in couplings])

    def _network(self, channels: int) -> Backbone:
        return backbone("inn") if self.features == "inn" else random_inn(channels, self.seed)

    def _distance(self, difference: Tensor) -> Tensor:
        coarse = difference.shape[1] // 4
        chosen = {"details": slice(coarse, None), "coarse": slice(coarse), "all": slice(None)}
        return per_image(difference[:, chosen[self.channels]].square())


def _couplings(network: Backbone) -> int:
    return sum(name.startswith("coupling") for name in network.names)


def _listed(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value:g}' for value in values)})"
