"""A convolutional autoencoder with a codebook (Esser et al., 2021): the latent space of ResShift."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import conv3
from restoration.networks.network import Network

GROUPS = 32
EPSILON = 1e-6
PIXELS = 4096  # whose distances to all codes are held at once


class VqAutoencoder(Network):
    """Images to latents, 2 to the power of levels less one times smaller, and back through a codebook.

    ``levels`` multiply ``width``, ``blocks`` count residual blocks per level, and ``attention`` lists the levels with
    attention, the finest being 0; the middle always has it. ``codes`` vectors of ``code_width`` values are all that a
    latent is decoded from. Images are in [0, 1], and in [-1, 1] inside. Names are those of the authors' files; the
    defaults have 55,322,782 parameters (f4).
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 128,
        levels: tuple[int, ...] = (1, 2, 4),
        blocks: tuple[int, ...] = (2, 2, 2),
        attention: tuple[int, ...] = (),
        latent: int = 3,
        codes: int = 8192,
        code_width: int = 3,
    ) -> None:
        super().__init__()
        if len(levels) != len(blocks) or not levels:
            raise ValueError(f"{len(levels)} levels, {len(blocks)} blocks: expected one count per level")
        self.channels, self.factor, self.latent = channels, 1 << (len(levels) - 1), code_width
        self.multiple = self.factor
        widths = [width * level for level in levels]
        self.encoder = Encoder(channels, width, widths, blocks, attention, latent)
        self.decoder = Decoder(channels, widths, blocks, attention, latent)
        self.quantize = nn.ModuleDict({"embedding": nn.Embedding(codes, code_width)})
        nn.init.uniform_(self.quantize["embedding"].weight, -1 / codes, 1 / codes)
        self.quant_conv = nn.Conv2d(latent, code_width, 1)
        self.post_quant_conv = nn.Conv2d(code_width, latent, 1)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the image after a visit to the codebook."""
        return self.decode(self.encode(degraded))

    def encode(self, image: Tensor) -> Tensor:
        """Return latents of an image in [0, 1]; they are no vectors of the codebook yet."""
        return self.quant_conv(self.encoder(2 * image - 1))

    def decode(self, latents: Tensor, *, quantise: bool = True) -> Tensor:
        """Return the image of latents, each replaced by the nearest vector of the codebook unless told not to."""
        codes = self.quantised(latents) if quantise else latents
        return (self.decoder(self.post_quant_conv(codes)) + 1) / 2

    def quantised(self, latents: Tensor) -> Tensor:
        """Return the nearest vectors of the codebook; gradients reach the latents as if they had been returned."""
        book = self.quantize["embedding"].weight
        flat = latents.permute(0, 2, 3, 1).to(book.dtype)
        nearest = _nearest(flat.detach().flatten(0, 2), book)
        codes = self.quantize["embedding"](nearest).view_as(flat)
        straight = codes + (flat - flat.detach())
        return straight.permute(0, 3, 1, 2).to(latents.dtype)


def _nearest(vectors: Tensor, book: Tensor) -> Tensor:
    """Return the index of the code at the least squared distance of each vector (pixels, width)."""
    # value by value: a matrix product would be rounded to bfloat16 under autocast
    found = []
    for some in vectors.split(PIXELS):
        distance = (some[:, :1] - book.detach()[:, 0]).square()
        for i in range(1, book.shape[1]):
            distance += (some[:, i : i + 1] - book.detach()[:, i]).square()
        found.append(distance.argmin(1))
    return torch.cat(found)


class Encoder(nn.Module):
    """Residual blocks, and a halving behind every level but the last."""

    def __init__(
        self,
        channels: int,
        width: int,
        widths: list[int],
        blocks: tuple[int, ...],
        attention: tuple[int, ...],
        latent: int,
    ) -> None:
        super().__init__()
        self.conv_in = conv3(channels, width)
        self.down = nn.ModuleList()
        inner = width
        for i, own in enumerate(widths):
            self.down.append(Level(inner, own, blocks[i], attends=i in attention))
            if i + 1 < len(widths):
                self.down[-1].downsample = Halving(own)
            inner = own
        self.mid = Middle(inner)
        self.norm_out = _norm(inner)
        self.conv_out = conv3(inner, latent)

    def forward(self, image: Tensor) -> Tensor:
        """Return what the latents are made of."""
        features = self.conv_in(image)
        for level in self.down:
            features = level(features)
        return self.conv_out(functional.silu(self.norm_out(self.mid(features))))


class Decoder(nn.Module):
    """Residual blocks, one more per level than the encoder has, and a doubling behind every level but the finest."""

    def __init__(
        self,
        channels: int,
        widths: list[int],
        blocks: tuple[int, ...],
        attention: tuple[int, ...],
        latent: int,
    ) -> None:
        super().__init__()
        inner = widths[-1]
        self.conv_in = conv3(latent, inner)
        self.mid = Middle(inner)
        levels = []
        for i, own in reversed(list(enumerate(widths))):
            levels.append(Level(inner, own, blocks[i] + 1, attends=i in attention))
            if i:
                levels[-1].upsample = Doubling(own)
            inner = own
        self.up = nn.ModuleList(reversed(levels))
        self.norm_out = _norm(inner)
        self.conv_out = conv3(inner, channels)

    def forward(self, latents: Tensor) -> Tensor:
        """Return the image, in [-1, 1]."""
        features = self.mid(self.conv_in(latents))
        for level in reversed(self.up):
            features = level(features)
        return self.conv_out(functional.silu(self.norm_out(features)))


class Level(nn.Module):
    """Residual blocks, each followed by attention where the level has it, then the change of grids."""

    def __init__(self, inputs: int, outputs: int, blocks: int, *, attends: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(Block(outputs if i else inputs, outputs) for i in range(blocks))
        self.attn = nn.ModuleList(Attention(outputs) for _ in range(blocks if attends else 0))
        self.downsample: nn.Module = nn.Identity()
        self.upsample: nn.Module = nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Return the features of the next level."""
        for i, block in enumerate(self.block):
            features = block(features)
            if len(self.attn):
                features = self.attn[i](features)
        return self.upsample(self.downsample(features))


class Middle(nn.Module):
    """Residual block, attention, residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block_1 = Block(width, width)
        self.attn_1 = Attention(width)
        self.block_2 = Block(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features after all three."""
        return self.block_2(self.attn_1(self.block_1(features)))


class Block(nn.Module):
    """Two convolutions behind norms, added to the input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = _norm(inputs)
        self.conv1 = conv3(inputs, outputs)
        self.norm2 = _norm(outputs)
        self.conv2 = conv3(outputs, outputs)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)
        self.changes = inputs != outputs

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus their residual."""
        inner = self.conv1(functional.silu(self.norm1(features)))
        inner = self.conv2(functional.silu(self.norm2(inner)))
        return (self.nin_shortcut(features) if self.changes else features) + inner


class Attention(nn.Module):
    """Attention of one head among all pixels, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus what each pixel gathers."""
        normal = self.norm(features)
        parts = (layer(normal).flatten(2).transpose(1, 2)[:, None] for layer in (self.q, self.k, self.v))
        mixed = functional.scaled_dot_product_attention(*parts)[:, 0].transpose(1, 2)
        return features + self.proj_out(mixed.reshape(features.shape))


class Halving(nn.Module):
    """A convolution that keeps every second pixel and sees zeros beyond the right and lower border alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features at half the size."""
        return self.conv(functional.pad(features, (0, 1, 0, 1)))


class Doubling(nn.Module):
    """Nearest neighbours, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = conv3(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features at twice the size."""
        return self.conv(functional.interpolate(features, scale_factor=2, mode="nearest"))


def _norm(width: int) -> nn.GroupNorm:
    if width % GROUPS:
        raise ValueError(f"{width} channels: expected a multiple of {GROUPS}, the groups of the norm")
    return nn.GroupNorm(GROUPS, width, EPSILON)
