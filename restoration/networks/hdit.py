"""HDiT: an hourglass of transformer layers on pixel patches (Crowson et al., 2024), as PMRF's velocity."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from restoration.networks.hdit_attention import SelfAttention
from restoration.networks.hdit_layers import AdaRmsNorm, FourierFeatures, Gated, Mapping, RmsNorm, linear
from restoration.networks.network import Network

Attention = Literal["global", "neighbourhood", "shifted-window", "none"]
AUGMENTATIONS = 9  # values that say how a training image was changed; all zero here
LEAST = 16  # channels of a head that FlexAttention's kernels multiply


class Hdit(Network):
    """Transformer layers at several widths, joined by learnt mixtures, with the names of PMRF's authors.

    It restores by itself, and with a time it is a velocity: see `PosteriorMeanFlow`. Patches of ``patch`` × ``patch``
    pixels are tokens; each further level merges 2 × 2. ``widths``, ``depths`` and ``attention`` are per level, the
    finest first, and the last is the middle; a level before has ``depths`` layers on the way down and again on the way
    up. ``kernel`` is the side of a neighbourhood, ``window`` that of a shifted window. ``seen`` counts channels of
    images given beside the first. ``expansion`` is the hidden width of the perceptrons. ``timed`` says that the weights
    are a velocity's: without a time they restore nothing. ``flex`` has neighbourhoods computed by PyTorch's
    FlexAttention on a GPU, for gradients, with the same weights; elsewhere it changes nothing.

    The defaults are the authors' XL2: 121,544,221 parameters. Widths (256, 512, 1024) of depths (2, 2, 8) with two
    levels of neighbourhoods have 160,460,210 (ImageNet256Sp4, for blind faces).
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        seen: int = 0,
        widths: tuple[int, ...] = (384, 768),
        depths: tuple[int, ...] = (2, 11),
        attention: tuple[Attention, ...] = ("neighbourhood", "global"),
        head: int = 64,
        patch: int = 4,
        kernel: int = 7,
        window: int = 8,
        expansion: float = 3.0,
        mapping_width: int = 768,
        mapping_depth: int = 2,
        mapping_hidden: int = 2304,
        timed: bool = False,
        flex: bool = False,
    ) -> None:
        super().__init__()
        if not len(widths) == len(depths) == len(attention) > 0:
            raise ValueError(
                f"{len(widths)} widths, {len(depths)} depths, {len(attention)} attentions: expected one per level"
            )
        if flex and head < LEAST:
            raise ValueError(f"head = {head}, flex = true: expected heads of {LEAST} channels or more")
        self.channels, self.seen, self.patch, self.timed = channels, seen, patch, timed
        windows = [2**i * window if kind == "shifted-window" else 2**i for i, kind in enumerate(attention)]
        self.multiple = patch * math.lcm(*windows)
        self.patch_in = nn.ModuleDict({"proj": linear((channels + seen) * patch**2, widths[0])})
        self.time_emb = FourierFeatures(1, mapping_width)
        self.time_in_proj = linear(mapping_width, mapping_width)
        self.aug_emb = FourierFeatures(AUGMENTATIONS, mapping_width)
        self.aug_in_proj = linear(mapping_width, mapping_width)
        self.mapping = Mapping(mapping_width, mapping_depth, mapping_hidden)

        def level(i: int, first: int) -> nn.ModuleList:
            attends = [
                None if attention[i] == "none" else SelfAttention(
                    widths[i], head, mapping_width, attention[i],
                    kernel if attention[i] == "neighbourhood" else window,
                    shifted=(first + j) % 2 == 1, flex=flex,
                )
                for j in range(depths[i])
            ]  # fmt: skip
            hidden = round(expansion * widths[i])
            return nn.ModuleList(Layer(widths[i], hidden, mapping_width, own) for own in attends)

        outer = range(len(widths) - 1)
        self.down_levels = nn.ModuleList(level(i, 0) for i in outer)
        self.up_levels = nn.ModuleList(level(i, depths[i]) for i in outer)
        self.mid_level = level(len(widths) - 1, 0)
        self.merges = nn.ModuleList(
            nn.ModuleDict({"proj": linear(4 * widths[i], widths[i + 1])}) for i in outer
        )
        self.splits = nn.ModuleList(Split(widths[i + 1], widths[i]) for i in outer)
        self.out_norm = RmsNorm(widths[0])
        self.patch_out = nn.ModuleDict({"proj": linear(widths[0], channels * patch**2, small=True)})

    def forward(self, between: Tensor, t: Tensor | None = None, seen: Tensor | None = None) -> Tensor:
        """Return the restored image or, at one time per image (N,), the velocity, given images seen beside it."""
        image = between if seen is None else torch.cat((between, seen), 1)
        grid = self.patch_in["proj"](merged(image.permute(0, 2, 3, 1), self.patch))
        condition = self._condition(image, t)[:, None, None]
        skips = []
        for level, merge in zip(self.down_levels, self.merges, strict=True):
            grid = _through(level, grid, condition)
            skips.append(grid)
            grid = merge["proj"](merged(grid, 2))
        grid = _through(self.mid_level, grid, condition)
        for level, split in zip(reversed(self.up_levels), reversed(self.splits), strict=True):
            grid = _through(level, split(grid, skips.pop()), condition)
        result = spread(self.patch_out["proj"](self.out_norm(grid)), self.patch).permute(0, 3, 1, 2)
        # no view: what shards parameters hooks onto the result, and may lose a view's hook
        return result.clone(memory_format=torch.contiguous_format)

    def _condition(self, image: Tensor, t: Tensor | None) -> Tensor:
        """Return what the layers are scaled by: ``(N, mapping width)``; a missing time has features of one."""
        count = image.shape[0]  # len() would fix the count in a traced graph
        plain = image.new_zeros(count, AUGMENTATIONS)
        time = (
            plain.new_ones(count, self.time_in_proj.in_features) if t is None else self.time_emb(t[:, None])
        )
        return self.mapping(self.time_in_proj(time) + self.aug_in_proj(self.aug_emb(plain)))


class Layer(nn.Module):
    """Attention and a gated perceptron, each added to its input."""

    def __init__(self, width: int, hidden: int, mapping: int, attention: SelfAttention | None) -> None:
        super().__init__()
        if attention is not None:
            self.self_attn = attention
        self.attends = attention is not None
        self.ff = FeedForward(width, hidden, mapping)

    def forward(self, grid: Tensor, condition: Tensor) -> Tensor:
        """Return the grid ``(N, H, W, C)`` plus its residuals."""
        if self.attends:
            grid = grid + self.self_attn(grid, condition)
        return grid + self.ff(grid, condition)


class FeedForward(Gated):
    """A gated perceptron behind a norm that the condition scales."""

    def __init__(self, width: int, hidden: int, mapping: int) -> None:
        super().__init__(width, hidden)
        self.norm = AdaRmsNorm(width, mapping)

    def forward(self, grid: Tensor, condition: Tensor) -> Tensor:
        """Return the residual of each pixel's features."""
        return self.gated(self.norm(grid, condition))


class Split(nn.Module):
    """One token to 2 × 2 finer ones, mixed with what lay there on the way down."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.proj = linear(coarse, 4 * fine)
        self.fac = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, grid: Tensor, skip: Tensor) -> Tensor:
        """Return ``skip + fac · (finer − skip)``."""
        return torch.lerp(skip, spread(self.proj(grid), 2), self.fac.to(skip.dtype))


def merged(grid: Tensor, side: int) -> Tensor:
    """Return ``side`` × ``side`` pixels as one: ``(N, H, W, C)`` to ``(N, H / side, W / side, side² · C)``."""
    n, height, width, channels = grid.shape
    cut = grid.reshape(n, height // side, side, width // side, side, channels).transpose(2, 3)
    return cut.reshape(n, height // side, width // side, side * side * channels)


def spread(grid: Tensor, side: int) -> Tensor:
    """Undo `merged`."""
    n, height, width, packed = grid.shape
    cut = grid.view(n, height, width, side, side, packed // side**2).transpose(2, 3)
    return cut.reshape(n, height * side, width * side, packed // side**2)


def _through(level: nn.ModuleList, grid: Tensor, condition: Tensor) -> Tensor:
    for layer in level:
        grid = layer(grid, condition)
    return grid
