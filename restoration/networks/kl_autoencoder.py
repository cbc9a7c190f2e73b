"""An autoencoder with a normal posterior of its latents (Rombach et al., 2022), in the layout of diffusers."""

from typing import NamedTuple

import torch
from torch import Tensor

from restoration.networks.network import Network
from restoration.transport.latents import built

LEAST, MOST = -30.0, 20.0  # of the logarithm of a variance: beyond, single precision has no exponential
FIRST = (
    -6.0
)  # of the same before training: noise as large as the latents would hide them for thousands of steps


class Posterior(NamedTuple):  # a tuple: sharding looks for the tensors that forward returns
    """N(mean, exp(log_variance)) of every latent, (N, latent, H / factor, W / factor)."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Return the latents that normal numbers of their size stand for."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self) -> Tensor:
        """Return the Kullback-Leibler divergence from N(0, 1), summed over the latents of each image: (N,)."""
        spread = self.mean.square() + self.log_variance.exp() - 1 - self.log_variance
        return 0.5 * spread.flatten(1).sum(1)


class KlAutoencoder(Network):
    """Images to latents, 2 to the power of levels less one times smaller, and back.

    It consists of diffusers' AutoencoderKL with ``widths`` channels and ``blocks`` residual blocks per level (one more
    in the decoder), ``latent`` channels between, norms of ``groups`` groups, and attention in the middle where
    ``attention`` says so; tensors have diffusers' names. Images are in [0, 1], and in [−1, 1] inside. The restored
    image is that of the posterior's mode. The defaults have 648,375 parameters.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        widths: tuple[int, ...] = (16, 32, 64),
        blocks: int = 1,
        latent: int = 4,
        groups: int = 8,
        attention: bool = False,
    ) -> None:
        super().__init__()
        if not widths or min(widths) < 1 or min(blocks, latent, groups) < 1:
            raise ValueError(
                f"widths = {list(widths)}, blocks = {blocks}, latent = {latent}, groups = {groups}: "
                "expected one width or more, and all of them from 1"
            )
        if bad := next((width for width in widths if width % groups), None):
            raise ValueError(f"widths: {bad} is no multiple of groups = {groups}, those of the norm")
        self.channels, self.latent, self.multiple = channels, latent, 1 << (len(widths) - 1)
        self.configuration = {
            "in_channels": channels, "out_channels": channels, "latent_channels": latent,
            "layers_per_block": blocks, "norm_num_groups": groups, "block_out_channels": list(widths),
            "down_block_types": ["DownEncoderBlock2D"] * len(widths),
            "up_block_types": ["UpDecoderBlock2D"] * len(widths), "mid_block_add_attention": attention,
        }  # fmt: skip
        model = built(self.configuration)
        self.encoder, self.decoder = model.encoder, model.decoder
        self.quant_conv, self.post_quant_conv = model.quant_conv, model.post_quant_conv
        with torch.no_grad():
            self.quant_conv.bias[latent:] = FIRST

    def forward(self, degraded: Tensor, noise: Tensor | None = None) -> Tensor | tuple[Tensor, Posterior]:
        """Return the image of the posterior's mode; with noise that of the sample it draws, and the posterior.

        ``noise`` holds normal numbers, (N, latent, H / factor, W / factor); the posterior comes in their precision.
        """
        found = self.encode(degraded)
        if noise is None:
            return self.decode(found.mean)
        posterior = Posterior(found.mean.to(noise), found.log_variance.to(noise))
        return self.decode(posterior.sample(noise)), posterior

    def encode(self, image: Tensor) -> Posterior:
        """Return the posterior of the latents of an image in [0, 1]."""
        mean, log_variance = self.quant_conv(self.encoder(2 * image - 1)).chunk(2, 1)
        return Posterior(mean, torch.clamp(log_variance, LEAST, MOST))

    def decode(self, latents: Tensor) -> Tensor:
        """Return the image of latents."""
        return (self.decoder(self.post_quant_conv(latents)) + 1) / 2
