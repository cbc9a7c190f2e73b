"""Deep optimal transport: a restorer's results carried to the distribution of clean images, in closed form."""

import copy
import math
from fractions import Fraction
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.errors import WeightsError
from restoration.networks.network import Network
from restoration.networks.placing import Place, placed_noise
from restoration.transport.gaussian import EPS, Affine, Gaussian, between, between_beside, is_symmetric
from restoration.transport.latents import Latent, Posterior, latents_of
from restoration.transport.patches import Draw, mapped, means, moments

Blend = Literal["pixels", "latents"]
LARGEST = 4096  # numbers of a patch: covariances of more take gigabytes
ALPHAS = (-1.0, 2.0)


class Transport(Network):
    """``x̂ = (1 − α)·x̂_0 + α·x*`` with x* of a restorer and x̂_0 its transport to clean images (Adrai et al., 2023).

    x̂_0 = decode(map(encode(x*))): patches of latents, restored and clean, are taken for two Gaussians, and mapped by
    the optimal transport between these. ``inner`` is the restorer, ``baseline`` the name of a classical one instead.
    ``latent`` is "pixels", "haar" or "dct" (orthonormal blocks of 4×4), or "autoencoder", diffusers' AutoencoderKL
    of the configuration ``autoencoder``, whose latents are a ``posterior``'s "sample" or its "mode".

    ``alpha`` is 0 for the most perceptual, 1 for x*; beyond, it extrapolates. The mix is of pixels, or of latents
    (``blend``). ``mean_free`` leaves the mean of every patch as it is; False is the authors' way, which needs
    many images, or pairs, not to copy the brightness of the clean ones. ``zero_shot`` takes the statistics of x* from
    the image at hand alone. ``weighting`` is the σ of weights with which overlapping patches are averaged, 0 for
    equal ones; variances up to ``eps`` count as none, and noise, which depends on ``seed`` and a pixel's place
    alone, takes their place. Until statistics are set, nothing is transported.
    """

    dial = (1 - ALPHAS[1], 1 - ALPHAS[0])

    def __init__(
        self,
        *,
        inner: Network | None = None,
        baseline: str = "",
        channels: int = 3,
        latent: Latent = "pixels",
        autoencoder: dict[str, Any] | None = None,
        patch: int = 5,
        alpha: float = 0.0,
        mean_free: bool = True,
        zero_shot: bool = False,
        posterior: Posterior = "sample",
        blend: Blend = "pixels",
        weighting: float = 0.0,
        eps: float = EPS,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not ALPHAS[0] <= alpha <= ALPHAS[1]:
            raise ValueError(f"alpha = {alpha:g}; expected a number from {ALPHAS[0]:g} to {ALPHAS[1]:g}")
        if patch < 1 or patch % 2 == 0:
            raise ValueError(f"patch = {patch}; expected an odd number of pixels, such as 3 or 5")
        if not (0 < eps < 1 and 0 <= weighting < math.inf):
            raise ValueError(
                f"eps = {eps:g}, weighting = {weighting:g}; expected 0 < eps < 1 and weighting ≥ 0"
            )
        self.inner = _inner(inner, baseline)
        self.scale, self.channels = self.inner.scale, self.inner.channels or channels
        if self.channels != channels:
            raise ValueError(
                f"channels = {channels}, but the restorer has {self.channels}; expected the same"
            )
        self.latents = latents_of(latent, self.channels, autoencoder, posterior)
        self.patch, self.alpha, self.mean_free, self.zero_shot = patch, alpha, mean_free, zero_shot
        self.blend, self.weighting, self.eps, self.seed = blend, weighting, eps, seed
        size = self.latents.channels * patch**2
        if size > LARGEST:
            raise ValueError(
                f"patch = {patch}: of {self.latents.channels} channels it has {size} numbers; "
                f"expected at most {LARGEST}"
            )
        self.statistics, self.place = Statistics(size), Place()
        self.affine = Affine(torch.eye(size, dtype=torch.double), torch.zeros(size, dtype=torch.double))
        self.register_load_state_dict_post_hook(_derived)
        factor = self.latents.factor
        self.multiple = math.lcm(self.inner.multiple, factor // math.gcd(factor, self.scale))
        self.ratio = Fraction(self.scale, factor)
        self.batch_statistics, self.edge = self.inner.batch_statistics, self.inner.edge
        self.receptive_field = self._radius()

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        restored = self.inner(degraded)
        if self.alpha == 1:
            return restored
        whole = restored.double() if restored.device.type != "mps" else restored.float()
        if self.blend == "latents":
            mixed = self.transported(whole, self.alpha)
        else:
            mixed = torch.lerp(self.transported(whole), whole, self.alpha)
        return mixed.to(torch.double if restored.dtype == torch.double else torch.float)

    def transported(self, restored: Tensor, alpha: float = 0.0) -> Tensor:
        """Return decode(map(encode(restored))), of any size; the map is mixed with the identity by ``alpha``."""
        height, width = restored.shape[-2:]
        factor = self.latents.factor
        least = 0 if self.latents.local else 2 * factor  # group normalisation needs more than one latent
        down, right = (max(-side % factor, least - side) for side in (height, width))
        whole = functional.pad(restored, (0, right, 0, down), mode="replicate")
        latents = self.latents.encode(whole, self.drawn).to(restored.dtype)
        draw = self._draw(latents)
        parts = [(latents, self.affine)]
        if self.zero_shot:
            parts = [(image, self._own(image)) for image in latents.split(1)]
        made = [
            mapped(
                image, affine.towards_identity(alpha) if alpha else affine, self.patch, draw, self.weighting
            )
            for image, affine in parts
        ]
        return self.latents.decode(torch.cat(made)).to(restored.dtype)[..., :height, :width]

    def fit(self, source: Gaussian | None, target: Gaussian, counts: tuple[int, int]) -> None:
        """Take the distributions of restored and clean patches, and how many patches they come from.

        ``source`` may be None where it is taken from every image alone.
        """
        self.statistics.fill(source, target, counts)
        self.derive()

    def derive(self) -> None:
        """Work out the map from the statistics as they are."""
        counts, (source, target) = self.statistics.counts.tolist(), self.statistics.gaussians()
        if not any(counts):
            return
        if not all(is_symmetric(gaussian.covariance) for gaussian in (source, target)):
            raise WeightsError("its statistics are no covariances; expected symmetric matrices")
        if not self.zero_shot and not counts[0]:
            raise WeightsError("it holds no statistics of restored images; expected zero_shot = true")
        if not self.zero_shot:
            self.affine = self._between(source, target)

    def ends(self) -> tuple[Network, Network]:
        """Return the restorer within, and the transport at α = 0."""
        return self.inner, self if self.alpha == 0 else self.mixed(1.0)

    def mixed(self, perception: float) -> "Transport":
        """Return this network at α = 1 − ``perception``; the weights are the same tensors."""
        other = copy.copy(self)
        other.alpha = 1 - perception
        return other

    def _between(self, source: Gaussian, target: Gaussian) -> Affine:
        if not self.mean_free:
            return between(source, target, self.eps)
        untouched = means(self.latents.channels, self.patch, self.latents.brightness)
        return between_beside(source, target, untouched, self.eps)

    def _own(self, latents: Tensor) -> Affine:
        """Return the map of one image, whose patches alone are the source."""
        lacking = [max(0, self.patch - side) for side in latents.shape[:1:-1]]
        enough = functional.pad(latents, (0, lacking[0], 0, lacking[1]), mode="replicate")
        return self._between(moments(enough, self.patch).gaussian(), self.statistics.gaussians()[1])

    def drawn(self, like: Tensor) -> Tensor:
        """Return normal numbers of the size of latents, by seed and place."""
        return self.place.noise(self.seed, like, self.ratio)

    def _draw(self, latents: Tensor) -> Draw:
        """Return what draws the noise of patches around the pixels of some rows, by their place."""
        at = self.place.at * self.ratio.numerator // self.ratio.denominator
        seed = self.place.seeded(self.seed + 1)

        def draw(channels: int, first: int, rows: int, columns: int) -> Tensor:
            here = at + at.new_tensor([first, 0, 0, 0])
            return placed_noise(seed, latents.new_empty(1, channels, rows, columns), here)[0]

        return draw

    def _radius(self) -> int | None:
        """Return the reach: that of the restorer, and of the patches over a pixel, which lie around whole latents."""
        if self.inner.receptive_field is None or self.zero_shot or not self.latents.local:
            return None
        pixels = (2 * (self.patch // 2) + 1) * self.latents.factor - 1
        return self.inner.receptive_field + -(-pixels // self.scale)


class Statistics(nn.Module):
    """Means and covariances of patches, restored and clean, and of how many: on the CPU in double precision.

    They stay there, whatever the network that holds them is moved or converted to.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        for name in ("source", "target"):
            self.register_buffer(f"{name}_mean", torch.zeros(size, dtype=torch.double))
            self.register_buffer(f"{name}_covariance", torch.eye(size, dtype=torch.double))
        self.register_buffer("counts", torch.zeros(2, dtype=torch.long))

    def gaussians(self) -> tuple[Gaussian, Gaussian]:
        """Return the distributions of restored and of clean patches."""
        source = Gaussian(self.source_mean, self.source_covariance)
        return source, Gaussian(self.target_mean, self.target_covariance)

    def fill(self, source: Gaussian | None, target: Gaussian, counts: tuple[int, int]) -> None:
        """Take others."""
        for name, gaussian in (("source", source), ("target", target)):
            if gaussian is not None:
                getattr(self, f"{name}_mean").copy_(gaussian.mean)
                getattr(self, f"{name}_covariance").copy_(gaussian.covariance)
        self.counts.copy_(torch.tensor(counts))

    def _apply(self, fn: Any, recurse: bool = True) -> "Statistics":
        return self


def _derived(network: Transport, keys: object) -> None:
    network.derive()


def _inner(inner: Network | None, baseline: str) -> Network:
    from restoration.config import nearest
    from restoration.restorers import RESTORERS  # here: they are networks themselves

    if (inner is None) == (not baseline):
        raise ValueError("expected a restorer: inner, or the name of a baseline")
    if baseline and baseline not in RESTORERS:
        raise ValueError(f"unknown baseline '{baseline}'{nearest(baseline, RESTORERS)}")
    network = inner if inner is not None else RESTORERS[baseline]()
    if network.conditions:
        raise ValueError(f"the restorer needs {', '.join(network.conditions)} beside the image")
    return network.eval()
