"""Distances between the distributions of two images: the samples are the positions of one image's feature map."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, unfold

from restoration.losses.checks import one_of, positive
from restoration.losses.features import backbone
from restoration.losses.loss import Compares, Loss, large_enough, per_image, same_shape

# added to a variance before its root, and the least spread that kernels are scaled by: constant images have a slope
FLOOR = 1e-8


@dataclass(frozen=True)
class DistributionJs(Loss):
    """Jensen-Shannon divergence in nats, ``½ KL(P‖M) + ½ KL(Q‖M)``, ``M = (P + Q)/2``; from 0 to ln 2 (Lin, 1991).

    P and Q are ``softmax(e/τ)`` over the channels of the features e of the clean and the restored image, τ =
    ``temperature``. ``positions`` = "pooled" compares the means of e over the positions, one pair of distributions
    per image; "each" compares those of every position and averages. The clean image gets no gradient. ``layer`` = ""
    is the last usual one, of DINOv2 its patch tokens; its class token is "cls". From Python ``features`` may also be a
    `Backbone` of one's own; `jensen_shannon` takes embeddings themselves.
    """

    value_range: ClassVar[str] = "0 to ln 2"
    compares: ClassVar[Compares] = "pair"
    minimum_size: ClassVar[int] = 14

    features: str = "dinov2"
    layer: str = ""
    temperature: float = 1.0
    positions: Literal["pooled", "each"] = "pooled"

    def __post_init__(self) -> None:
        positive("temperature", self.temperature)
        one_of("positions", self.positions, ("pooled", "each"))
        smallest = backbone(self.features).minimum_size([_layer(self.features, self.layer)])
        object.__setattr__(self, "minimum_size", smallest)  # that of these features, not of the default ones

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the divergence of each image: (N,)."""
        ours, theirs = (e.flatten(2) for e in _maps(restored, clean, self.features, self.layer))
        if self.positions == "pooled":
            ours, theirs = ours.mean(2, keepdim=True), theirs.mean(2, keepdim=True)
        return jensen_shannon(theirs / self.temperature, ours / self.temperature).mean(1)


@dataclass(frozen=True)
class SlicedWasserstein(Loss):
    """``meanₖ W₁`` or ``meanₖ W₂²`` between the samples' projections on K fixed directions (Bonneel et al., 2015).

    In one dimension they are ``mean |a₍ᵢ₎ − b₍ᵢ₎|`` and ``mean (a₍ᵢ₎ − b₍ᵢ₎)²`` of the sorted samples; ``order`` is 1
    or 2. Directions are unit vectors, orthogonal as far as the dimension
    allows, drawn from ``seed``: the loss is a pure function.
    Samples are the ``patch``×``patch`` patches of the image, one every ``stride`` pixels, less their mean colour if
    ``centred``; with patch = 1 and centred = false they are the pixels' colours. With a backbone's ``features`` they
    are the positions of its ``layer`` ("" is the last usual one).
    Moving samples about changes nothing: permuted pixels (patch = stride = 1), permuted blocks (stride = patch).
    Centred patches do not see a constant that is added to a colour.
    """

    compares: ClassVar[Compares] = "set"
    minimum_size: ClassVar[int] = 7

    features: str = "pixels"
    layer: str = ""
    patch: int = 7
    stride: int = 4
    centred: bool = True
    projections: int = 64
    order: Literal[1, 2] = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise ValueError(f"order = {self.order}; expected 1 or 2")
        for name in ("patch", "stride", "projections"):
            _at_least(name, getattr(self, name), 1)
        _at_least("seed", self.seed, 0)
        if self.features == "pixels" and self.centred and self.patch == 1:
            raise ValueError("patch = 1 with centred = true: nothing would be left; expected centred = false")
        _check_samples(self, ("patch", "stride", "centred"))

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the distance of each image: (N,)."""
        pixels = self.features == "pixels"
        if pixels:
            large_enough(restored, self.patch, "sliced-wasserstein")
        ours, theirs = _maps(restored, clean, self.features, self.layer)
        patch, stride, centred = (self.patch, self.stride, self.centred) if pixels else (1, 1, False)
        directions = _directions(ours.shape[1], patch, centred, self.projections, self.seed)
        kernels = torch.from_numpy(directions).to(ours)
        ours, theirs = (conv2d(m, kernels, stride=stride).flatten(2) for m in (ours, theirs))
        difference = ours.sort(-1).values - theirs.sort(-1).values
        return per_image(difference.abs() if self.order == 1 else difference.square())

    def metric(self, value: Tensor) -> Tensor:
        """Return the distance in the units of the samples."""
        return value if self.order == 1 else value.sqrt()


@dataclass(frozen=True)
class MomentMatching(Loss):
    """Distance of the moments of two images' samples x and y, d-dimensional and n of them, by ``kind``.

    "coral": ``‖C(x) − C(y)‖²_F / 4d²`` of the covariances, over n − 1 (Sun & Saenko, 2016, eq. 1); blind to the means.
    "mean-variance": ``mean over d of (μ(x) − μ(y))² + (σ(x) − σ(y))²``, variances over n (Li et al., 2017,
    "Demystifying neural style transfer").
    "mmd": ``mean k(x, x′) + mean k(y, y′) − 2 mean k(x, y)`` (Gretton et al., 2012), k the mean of the Gaussian kernels
    ``exp(−‖x − y‖² / 2hv)``, h in ``widths`` and v the mean squared distance of the clean samples; all pairs with
    ``estimate`` = "biased" (eq. 5; never under 0), without those of a sample and itself if "unbiased" (eq. 3; under 0
    for equal images). Its cost is quadratic: of more than ``samples`` positions it sees as many, drawn from ``seed``.
    Samples are colours, or with ``patch`` > 1 the patches one every ``stride`` pixels; with a backbone's ``features``
    the positions of its ``layer`` ("" is the last usual one). Moving samples about changes nothing if all are seen.
    """

    value_range: ClassVar[str] = "from 0, of the unbiased MMD also below"
    compares: ClassVar[Compares] = "set"
    minimum_size: ClassVar[int] = 2

    kind: Literal["coral", "mmd", "mean-variance"] = "coral"
    features: str = "pixels"
    layer: str = ""
    patch: int = 1
    stride: int = 1
    widths: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    estimate: Literal["biased", "unbiased"] = "biased"
    samples: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("kind", self.kind, ("coral", "mmd", "mean-variance"))
        one_of("estimate", self.estimate, ("biased", "unbiased"))
        for name, least in (("patch", 1), ("stride", 1), ("samples", 2), ("seed", 0)):
            _at_least(name, getattr(self, name), least)
        if not self.widths or not all(width > 0 for width in self.widths):
            raise ValueError(f"widths = {list(self.widths)}; expected at least one, each more than 0")
        _check_samples(self, ("patch", "stride"))

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the distance of each image: (N,)."""
        if self.features == "pixels":
            large_enough(restored, max(self.patch, self.minimum_size), "moment-matching")
        maps = _maps(restored, clean, self.features, self.layer)
        ours, theirs = (unfold(m, self.patch, stride=self.stride).mT for m in maps)
        if ours.shape[1] < 2:
            height, width = restored.shape[-2:]
            raise ValueError(
                f"moment-matching: one sample in images of {height}x{width}; expected at least 2"
            )
        if self.kind == "coral":
            return (_covariance(ours) - _covariance(theirs)).square().flatten(1).mean(1) / 4
        if self.kind == "mean-variance":
            means = (ours.mean(1) - theirs.mean(1)).square()
            return (means + (_deviation(ours) - _deviation(theirs)).square()).mean(1)
        chosen = _chosen(ours.shape[1], self.samples, self.seed)
        return _mmd(ours[:, chosen], theirs[:, chosen], self.widths, self.estimate == "unbiased")


def jensen_shannon(one: Tensor, other: Tensor) -> Tensor:
    """Return the divergence of the softmaxes over dimension 1, in nats: (N, C, L) to (N, L)."""
    p, q = one.log_softmax(1), other.log_softmax(1)
    middle = torch.logaddexp(p, q) - np.log(2)
    return (p.exp() * (p - middle) + q.exp() * (q - middle)).sum(1) / 2


def _mmd(x: Tensor, y: Tensor, widths: tuple[float, ...], unbiased: bool) -> Tensor:
    centre = y.mean(1, keepdim=True)  # distances stay the same, and lose fewer digits
    x, y = x - centre, y - centre
    among = _squared_distances(y, y)
    scales = -0.5 / (
        among.mean((1, 2), keepdim=True).clamp(min=FLOOR) * x.new_tensor(widths).view(-1, 1, 1, 1)
    )
    pairs = (_squared_distances(x, x), among, _squared_distances(x, y))
    xx, yy, xy = ((d * scales).exp().mean((0, 2, 3)) for d in pairs)
    if unbiased:  # a sample's kernel with itself is 1
        n = x.shape[1]
        xx, yy = (xx * n - 1) / (n - 1), (yy * n - 1) / (n - 1)
    return xx + yy - 2 * xy


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return ``‖xᵢ − yⱼ‖²``: (N, n, n)."""
    return x.square().sum(2).unsqueeze(2) + y.square().sum(2).unsqueeze(1) - 2 * x @ y.mT


def _covariance(samples: Tensor) -> Tensor:
    centred = samples - samples.mean(1, keepdim=True)
    return centred.mT @ centred / (samples.shape[1] - 1)


def _deviation(samples: Tensor) -> Tensor:
    return (samples.var(1, correction=0) + FLOOR).sqrt()


def _chosen(positions: int, samples: int, seed: int) -> np.ndarray | slice:
    if positions <= samples:
        return slice(None)
    return np.random.default_rng(seed).choice(positions, samples, replace=False)


@lru_cache(maxsize=32)
def _directions(channels: int, patch: int, centred: bool, count: int, seed: int) -> np.ndarray:
    """Return unit vectors as kernels, (K, C, p, p), orthogonal within each run of as many as there are dimensions.

    A centred patch has no component along constants; taking them out of the direction does the same.
    """
    rng, area = np.random.default_rng(seed), patch * patch
    block = channels * (area - centred)
    found = []
    while count > 0:
        drawn = rng.standard_normal((channels, area, min(block, count)))
        drawn -= centred * drawn.mean(1, keepdims=True)
        found.append(np.linalg.qr(drawn.reshape(channels * area, -1))[0].T)
        count -= block
    return np.concatenate(found).reshape(-1, channels, patch, patch)


def _maps(restored: Tensor, clean: Tensor, features: str, layer: str) -> tuple[Tensor, Tensor]:
    """Return the maps whose positions are samples: the images or a backbone's layer of them, (N, C, H, W) each."""
    same_shape(restored, clean)
    if features == "pixels":
        return restored, clean
    (ours,), (theirs,) = backbone(features).of_pair(restored, clean, [_layer(features, layer)])
    return ours, theirs


def _layer(features: str, layer: str) -> str:
    """Return the layer's name, the last usual one if none is given; refuse names that are no layers."""
    return backbone(features).chosen([layer] if layer else [])[-1]


def _check_samples(loss: "SlicedWasserstein | MomentMatching", of_patches: tuple[str, ...]) -> None:
    """Refuse a layer of pixels, an unknown one, and keywords of patches where a backbone makes the samples."""
    if loss.features == "pixels":
        if loss.layer:
            raise ValueError(f'layer = "{loss.layer}" with features = "pixels"; pixels have no layers')
        return
    _layer(loss.features, loss.layer)
    for name in of_patches:
        if getattr(loss, name) != getattr(type(loss), name):
            value = str(getattr(loss, name)).lower()
            raise ValueError(
                f'{name} = {value} with features = "{loss.features}"; patches are of pixels only'
            )


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} = {value}; expected at least {least}")
