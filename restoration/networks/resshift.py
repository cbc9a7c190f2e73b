"""ResShift: clean latents, reached from the degraded image's by shifting their residual away (Yue et al., 2023)."""

import math
from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from restoration.networks.network import Network
from restoration.networks.placing import Place
from restoration.networks.resshift_unet import ResShiftUnet
from restoration.networks.vq_autoencoder import VqAutoencoder

Sampling = Literal["ancestral", "deterministic", "one-step"]


class ResShift(Network):
    """``x_T = y + κ·√η_T·ε`` carried to clean latents x_0, which the network ``unet`` predicts at every step.

    y are the latents of the degraded image, enlarged (bicubic), by ``autoencoder``; without one they are its pixels in
    [-1, 1]. "ancestral" draws each of ``steps`` from the posterior (Yue et al., 2023); "deterministic" follows
    SinSR's teacher (Wang et al., 2024); "one-step" takes the first prediction for x_0, as SinSR's student does.
    √η rises from ``least`` / κ to ``largest`` with exponent ``power``; the authors' first version has 15 steps, the
    journal's 4 with ``least`` 0.2. ε depends on ``seed`` and a latent's place alone.

    An autoencoder fixes the scale: its factor over the shrinkage of the degraded image within ``unet``. Where ``unet``
    wants a mask, it is a further channel, 1 in holes.
    """

    def __init__(
        self,
        *,
        unet: Network | None = None,
        autoencoder: Network | None = None,
        scale: int = 4,
        sampling: Sampling = "ancestral",
        steps: int = 15,
        kappa: float = 2.0,
        power: float = 0.3,
        least: float = 0.04,
        largest: float = 0.99,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(unet, ResShiftUnet):
            raise ValueError(f"unet is {_kind(unet)}; expected the network 'resshift-unet'")
        if autoencoder is not None and not isinstance(autoencoder, VqAutoencoder):
            raise ValueError(f"autoencoder is {_kind(autoencoder)}; expected the network 'vq-autoencoder'")
        self.scale, factor = scale, 1
        if autoencoder is not None:
            factor = autoencoder.factor
            if scale << unet.shrink != factor:
                raise ValueError(
                    f"scale = {scale}: the autoencoder shrinks by {factor} and unet by {1 << unet.shrink}; "
                    f"expected scale = {factor >> unet.shrink}"
                )
            if autoencoder.latent != unet.channels:
                raise ValueError(
                    f"unet has {unet.channels} channels; expected the latents' {autoencoder.latent}"
                )
        elif unet.shrink:
            raise ValueError(
                f"unet shrinks the degraded image by {1 << unet.shrink}: expected an autoencoder"
            )
        self.unet, self.autoencoder = unet, autoencoder
        self.channels = unet.condition_channels
        self.conditions = ("mask",) if unet.hole else ()
        # latents are a multiple of unet's; without an autoencoder they are as large as the restored image
        self.multiple = (
            unet.multiple << unet.shrink if autoencoder else unet.multiple // math.gcd(unet.multiple, scale)
        )
        self.sampling, self.kappa, self.seed = sampling, kappa, seed
        self.place, self.ratio = Place(), Fraction(scale, factor)
        self.roots = shift_roots(steps, kappa, power, least, largest)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        image, mask = degraded[:, : self.channels], degraded[:, self.channels :]
        larger = image if self.scale == 1 else _enlarged(image, self.scale)
        origin = 2 * larger - 1 if self.autoencoder is None else self.autoencoder.encode(larger)
        shown = larger if self.autoencoder is None else image
        clean = self.sample(origin, 2 * shown - 1, mask if self.conditions else None)
        return (clean + 1) / 2 if self.autoencoder is None else self.autoencoder.decode(clean)

    def sample(self, origin: Tensor, condition: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return clean latents, given those of the degraded image (y), and what the network is shown."""
        last = len(self.roots) - 1
        state = origin + self.kappa * self.roots[last] * self.place.noise(self.seed, origin, self.ratio)
        for t in range(last, -1, -1):
            clean = self._predicted(state, t, condition, mask)
            if t == 0 or self.sampling == "one-step":
                return clean
            state = self._earlier(state, clean, origin, t)
        return state

    def _predicted(self, state: Tensor, t: int, condition: Tensor, mask: Tensor | None) -> Tensor:
        """Return x_0 as the network sees it in x_t, which it is given with about unit variance."""
        spread = math.sqrt((self.kappa * self.roots[t]) ** 2 + 1)
        return self.unet(state / spread, state.new_full((state.shape[0],), t), condition, mask)

    def _earlier(self, state: Tensor, clean: Tensor, origin: Tensor, t: int) -> Tensor:
        """Return x_{t−1}, given x_t, x_0 and y."""
        now, before = self.roots[t] ** 2, self.roots[t - 1] ** 2
        if self.sampling == "deterministic":
            kept = math.sqrt(before / now)
            shifted = before - math.sqrt(before * now)
            return kept * state + shifted * origin + (1 - kept - shifted) * clean
        mean = before / now * state + (now - before) / now * clean
        noise = self.place.noise(self.seed + len(self.roots) - t, state, self.ratio)
        return mean + self.kappa * math.sqrt(before / now * (now - before)) * noise


def shift_roots(steps: int, kappa: float, power: float, least: float, largest: float) -> tuple[float, ...]:
    """Return √η of every step, from the first on: geometric in ``((t − 1) / (T − 1))^power`` (Yue et al., 2023)."""
    first = min(least / kappa, least, math.sqrt(0.001))
    if steps < 2 or not 0 < first < largest < 1:
        raise ValueError(
            f"steps = {steps}, kappa = {kappa}, least = {least}, largest = {largest}: expected two steps or more and "
            f"0 < least / kappa < largest < 1"
        )
    ratio = largest / first
    return tuple(first * ratio ** ((t / (steps - 1)) ** power) for t in range(steps))


def _enlarged(image: Tensor, scale: int) -> Tensor:
    """Return the image enlarged by PyTorch's bicubic kernel (a = −3/4), as the networks were trained with."""
    return functional.interpolate(image, scale_factor=scale, mode="bicubic")


def _kind(network: torch.nn.Module | None) -> str:
    return "missing" if network is None else type(network).__name__
