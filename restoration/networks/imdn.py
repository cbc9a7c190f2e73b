"""IMDN+: information multi-distillation, as its small successor lays it out."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import conv3
from restoration.networks.network import Network


class Imdn(Network):
    """Distillation blocks in one skip, one convolution and pixel shuffle (after Hui et al., 2019).

    With the defaults this is IMDN+ ×4 (275,844 parameters) and its state dict has the authors' names.
    """

    def __init__(
        self, *, scale: int = 4, channels: int = 3, width: int = 36, blocks: int = 8, distilled: int = 6
    ) -> None:
        super().__init__()
        if width % distilled or width == distilled:
            raise ValueError(
                f"width = {width}: expected a multiple of distilled = {distilled}, at least twice"
            )
        self.scale = scale
        self.channels = channels
        self.receptive_field = 3 + blocks * (width // distilled)
        body = [DistillationBlock(width, distilled) for _ in range(blocks)]
        self.FEM = nn.Sequential(conv3(channels, width), Skip(*body, conv3(width, width)))
        self.RM = nn.Sequential(conv3(width, channels * scale**2), nn.PixelShuffle(scale))

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        return self.RM(self.FEM(degraded))


class Skip(nn.Module):
    """A chain of layers whose input is added to its output."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.sub = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Return the input plus what the chain makes of it."""
        return features + self.sub(features)


class DistillationBlock(nn.Module):
    """Convolutions that each set ``distilled`` channels aside; a 1×1 convolution merges these."""

    def __init__(self, width: int, distilled: int) -> None:
        super().__init__()
        self.distilled = distilled
        self.stages = width // distilled
        for i in range(self.stages):
            remaining = width - i * distilled
            self.add_module(f"c{i + 1}", conv3(remaining, remaining))
        self.add_module(f"c{self.stages + 1}", nn.Conv2d(width, width, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus the merged distillates of every stage."""
        kept, rest = [], features
        for i in range(1, self.stages):
            made = functional.silu(self.get_submodule(f"c{i}")(rest))
            kept.append(made[:, : self.distilled])
            rest = made[:, self.distilled :]
        kept.append(functional.silu(self.get_submodule(f"c{self.stages}")(rest)))
        merge = self.get_submodule(f"c{self.stages + 1}")
        return features + merge(torch.cat(kept, 1))
