"""Distances of features whose weights were fitted to human judgements: LPIPS and DISTS."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from restoration.losses.backbones import DISTS_LAYERS
from restoration.losses.checks import one_of
from restoration.losses.loss import Loss
from restoration.losses.perceptual import features_of_pair, prepare, unit
from restoration.losses.published import MissingPackageError, require

Net = Literal["alex", "squeeze", "vgg"]
# what Zhang et al. compare of each trunk: after every stage's last activation
TRUNKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "alex": ("alexnet", ("relu1", "relu2", "relu3", "relu4", "relu5")),
    "squeeze": ("squeezenet", ("relu1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")),
    "vgg": ("vgg16", ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")),
}
STABLE = 1e-6  # c₁ and c₂ of DISTS
CHANNELS = (3, 64, 128, 256, 512, 512)  # of the image and of the five layers of DISTS


@dataclass(frozen=True)
class Lpips(Loss):
    """``Σₗ mean_hw Σ_c w_lc · (φ̂_lc(restored) − φ̂_lc(clean))²``, φ̂ of unit length (Zhang et al., 2018, eq. 1).

    The trunk is AlexNet, VGG16 or SqueezeNet as ImageNet trained it, the weights those of LPIPS 0.1 as the package
    ``lpips`` ships them. Images are in [0, 1] here as everywhere; that package wants [−1, 1], and its own shift and
    scale of those are ImageNet's of these. No gradient goes to the clean image.
    """

    net: Net = "alex"

    minimum_size: ClassVar[int] = 31
    as_metric: ClassVar[tuple[str, ...]] = ("lpips-alex", "lpips-vgg")

    def __post_init__(self) -> None:
        one_of("net", self.net, tuple(TRUNKS))
        linear_heads(self.net)
        prepare(self, *TRUNKS[self.net], ())
        named = tuple(name for name in self.as_metric if name == f"lpips-{self.net}")
        object.__setattr__(self, "as_metric", named)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the distance of each image: (N,)."""
        return lpips_distance(*features_of_pair(*TRUNKS[self.net], restored, clean), linear_heads(self.net))


def lpips_distance(restored: Sequence[Tensor], clean: Sequence[Tensor], heads: Sequence[Tensor]) -> Tensor:
    """Return LPIPS, given the features of each layer, (N, C, H, W), and the weights of their channels, (C,): (N,)."""
    layers = zip(restored, clean, heads, strict=True)
    # means of channels first: their weights then cost nothing
    squares = [((unit(a) - unit(b)).square().mean((2, 3)) * w.to(a)).sum(1) for a, b, w in layers]
    return torch.stack(squares).sum(0)


@lru_cache
def linear_heads(net: str) -> tuple[Tensor, ...]:
    """Return the weights of the channels of each layer, (C,) each, from the package ``lpips``, version 0.1."""
    spec = find_spec("lpips")
    if spec is None or spec.origin is None:
        raise MissingPackageError(
            "the weights of 'lpips' come with the package lpips, which is not installed\npip install lpips"
        )
    path = Path(spec.origin).parent / "weights" / "v0.1" / f"{net}.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    return tuple(state[f"lin{layer}.model.1.weight"].flatten() for layer in range(len(TRUNKS[net][1])))


@dataclass(frozen=True)
class Dists(Loss):
    """``1 − Σ_lc (α_lc l_lc + β_lc s_lc)``: structure and texture of VGG16's features (Ding et al., 2020, eq. 6 to 8).

    With a channel's means μ, variances σ² and covariance over the image, l = (2μμ' + c₁)/(μ² + μ'² + c₁) and
    s = (2σσ' + c₂)/(σ² + σ'² + c₂), c₁ = c₂ = 1e-6; the image itself is layer 0, pooling is by roots of Hann-weighted
    mean squares. ``shorter`` = 256 first reduces images whose shorter side is larger to that size, bilinearly, as the
    authors' script and piq do; 0 leaves all as they are. No gradient goes to the clean image.
    """

    value_range: ClassVar[str] = "0 to 1"

    shorter: int = 0

    minimum_size: ClassVar[int] = 16
    as_metric: ClassVar[tuple[str, ...]] = ("dists",)

    def __post_init__(self) -> None:
        if self.shorter and self.shorter < self.minimum_size:
            raise ValueError(f"shorter = {self.shorter}; expected at least {self.minimum_size} pixels, or 0")
        dists_weights()
        prepare(self, "vgg16-l2pool", DISTS_LAYERS, ())

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the distance of each image, from 0 to 1: (N,)."""
        if self.shorter and min(restored.shape[-2:]) > self.shorter:
            restored, clean = _reduced(restored, self.shorter), _reduced(clean, self.shorter)
        ours, theirs = features_of_pair("vgg16-l2pool", DISTS_LAYERS, restored, clean)
        images = [image.expand(-1, 3, -1, -1) for image in (restored, clean)]
        return dists_distance([images[0], *ours], [images[1], *theirs], *dists_weights())


def dists_distance(
    restored: Sequence[Tensor], clean: Sequence[Tensor], alpha: Sequence[Tensor], beta: Sequence[Tensor]
) -> Tensor:
    """Return DISTS, given each layer, (N, C, H, W), and its weights α and β, (C,), which sum to 1 in all: (N,)."""
    values = []
    for ours, theirs, texture, structure in zip(restored, clean, alpha, beta, strict=True):
        x, y = ours.flatten(2), theirs.flatten(2)
        mean_x, mean_y = x.mean(2), y.mean(2)
        x, y = x - mean_x[..., None], y - mean_y[..., None]
        # 1 − l and 1 − s, in a form that is 0 at equality whatever rounding does
        means = (mean_x - mean_y).square() / (mean_x.square() + mean_y.square() + STABLE)
        energies = x.square().mean(2) + y.square().mean(2)
        rest = (x - y).square().mean(2) / (energies + STABLE)
        values.append((texture.to(x) * means + structure.to(x) * rest).sum(1))
    return torch.stack(values).sum(0)


@lru_cache
def dists_weights() -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return the authors' α and β of each layer, (C,) each, divided by the sum of all as their code does."""
    state = torch.load(require("dists"), map_location="cpu", weights_only=True)
    alpha, beta = state["alpha"].flatten(), state["beta"].flatten()
    whole = alpha.sum() + beta.sum()
    return (alpha / whole).split(CHANNELS), (beta / whole).split(CHANNELS)


def _reduced(image: Tensor, shorter: int) -> Tensor:
    factor = shorter / min(image.shape[-2:])
    return interpolate(image, scale_factor=factor, mode="bilinear", recompute_scale_factor=False)
