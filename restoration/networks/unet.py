"""A residual U-Net of plain convolutions on 2×2-packed pixels."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import (
    Down,
    ResidualBlock,
    Up,
    conv3,
    near_zero_,
    receptive_radius,
    scaled_he_,
)
from restoration.networks.network import Network


class ResUnet(Network):
    """Residual blocks in a U-Net (DRUNet; Zhang et al., 2021) on packed pixels (FFDNet; Zhang et al., 2018).

    ``widths`` and ``blocks`` are per level, the finest first; every level halves the grid of the one before, and
    levels are joined by addition. Convolutions are dense, 3×3 or 2×2: fast on CPUs as on GPUs. The output is added
    to the input.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        widths: tuple[int, ...] = (32, 64, 128),
        blocks: tuple[int, ...] = (1, 2, 2),
        packing: int = 2,
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks) or not widths:
            raise ValueError(
                f"widths has {len(widths)} levels but blocks {len(blocks)}; expected one entry each per level"
            )
        self.channels = channels
        self.packing = packing
        self.multiple = packing * 2 ** (len(widths) - 1)
        self.receptive_field = _radius(blocks, packing)
        self.head = conv3(channels * packing**2, widths[0])
        self.encoders = nn.ModuleList(_level(w, b) for w, b in zip(widths[:-1], blocks[:-1], strict=True))
        self.downs = nn.ModuleList(nn.Conv2d(w, v, 2, stride=2) for w, v in pairwise(widths))
        self.middle = _level(widths[-1], blocks[-1])
        self.ups = nn.ModuleList(nn.Conv2d(v, 4 * w, 1) for w, v in pairwise(widths))
        self.decoders = nn.ModuleList(_level(w, b) for w, b in zip(widths[:-1], blocks[:-1], strict=True))
        self.tail = conv3(widths[0], channels * packing**2)
        self._initialise()

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the degraded image plus the learnt correction."""
        features = self.head(functional.pixel_unshuffle(degraded, self.packing))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            features = encoder(features)
            skips.append(features)
            features = down(features)
        features = self.middle(features)
        for decoder, up in zip(reversed(self.decoders), reversed(self.ups), strict=True):
            features = decoder(functional.pixel_shuffle(up(features), 2) + skips.pop())
        return degraded + functional.pixel_shuffle(self.tail(features), self.packing)

    def _initialise(self) -> None:
        # every residual branch and the output start near zero: the untrained network is about the identity
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                scaled_he_(module.conv1, 1.0)
                near_zero_(module.conv2)
        near_zero_(self.tail)


def _level(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*[ResidualBlock(width) for _ in range(blocks)])


def _radius(blocks: tuple[int, ...], packing: int) -> int:
    path: list[int | Up | Down] = [ResidualBlock.reach * blocks[-1]]
    for count in reversed(blocks[:-1]):
        convolutions = ResidualBlock.reach * count
        path = [convolutions, Down(2), *path, Up(2), convolutions]
    return receptive_radius(Down(packing), 1, *path, 1, Up(packing))
