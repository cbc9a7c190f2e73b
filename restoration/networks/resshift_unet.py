"""ResShift's denoiser of latents: a U-Net with Swin layers that knows the step (Yue et al., 2023)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import conv3
from restoration.networks.network import Network
from restoration.networks.resshift_layers import (
    Conditioned,
    Downsample,
    FeatureExtractor,
    ResBlock,
    SwinLayer,
    Upsample,
    group_norm,
    step_features,
)


class ResShiftUnet(Network):
    """The network that predicts clean latents from noisy ones, the degraded image and the step; its authors' names.

    ``levels`` multiply ``width``, ``blocks`` count residual blocks per level, and ``attention`` lists the levels with
    Swin layers (``swin_width`` wide, ``swin_depth`` deep, heads of ``head`` channels, windows of ``window``), the
    finest being 0. ``size`` is that of the latents in training: windows are no wider than a level had then, and shift
    only where they were narrower. ``shrink`` counts the halvings of the degraded image down to latents (0: it is
    given at their size), and ``condition_channels`` its channels (unless said, as many as latents have); with ``hole``
    a mask comes along. ``transposed_mask`` lets windows at borders mix as in the authors' files, which were trained
    so. The defaults have 118,593,583 parameters.

    By itself it restores images as it would latents, one step from the degraded one; `ResShift` adds the rest.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        condition_channels: int | None = None,
        width: int = 160,
        levels: tuple[int, ...] = (1, 2, 2, 4),
        blocks: tuple[int, ...] = (2, 2, 2, 2),
        attention: tuple[int, ...] = (0, 1, 2, 3),
        middle_attention: bool = True,
        swin_width: int = 192,
        swin_depth: int = 2,
        head: int = 32,
        window: int = 8,
        expansion: float = 4.0,
        size: int = 64,
        shift_and_scale: bool = True,
        resampling_blocks: bool = False,
        shrink: int = 0,
        hole: bool = False,
        transposed_mask: bool = False,
    ) -> None:
        super().__init__()
        if len(levels) != len(blocks) or not levels:
            raise ValueError(f"{len(levels)} levels, {len(blocks)} blocks: expected one count per level")
        if swin_width % head:
            raise ValueError(f"swin_width = {swin_width}, head = {head}: expected a multiple of head")
        condition_channels = channels if condition_channels is None else condition_channels
        self.channels, self.condition_channels, self.hole = channels, condition_channels, hole
        self.shrink, self.width = shrink, width
        embedding = 4 * width
        self.time_embed = nn.Sequential(
            nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        given = condition_channels + hole
        if shrink:
            self.feature_extractor = FeatureExtractor(given, shrink)
            given = self.feature_extractor.outputs
        attends = (swin_width, swin_width // head, swin_depth, round(expansion * swin_width))
        make = _Maker(
            embedding, (shift_and_scale, resampling_blocks), attends, (size, window), transposed_mask
        )
        widths = [width * level for level in levels]
        swins = [i in attention for i in range(len(levels))]
        # Swin layers need whole windows at each of their levels
        used = {i for i, own in enumerate(swins) if own} | ({len(levels) - 1} if middle_attention else set())
        self.multiple = max([make.side(i) << i for i in used] + [1 << (len(levels) - 1)])
        first = Conditioned(conv3(channels + given, widths[0]))
        encoders, skips = _encoders(make, widths, blocks, swins)
        self.input_blocks = nn.ModuleList([first, *encoders])
        inner = widths[-1]
        middle = [make.swin(len(levels) - 1, inner)] if middle_attention else []
        self.middle_block = Conditioned(make.residual(inner, inner), *middle, make.residual(inner, inner))
        self.output_blocks = nn.ModuleList(_decoders(make, widths, blocks, swins, skips))
        self.out = nn.Sequential(group_norm(widths[0]), nn.SiLU(), conv3(widths[0], channels))

    def forward(
        self,
        noisy: Tensor,
        step: Tensor | None = None,
        condition: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return the clean latents, given each image's step (N,), counted from 0.

        The condition is the degraded image, ``2 ** shrink`` times as large as latents: where it is missing, the
        latents' first channels, enlarged. A missing mask (1 in holes) is empty.
        """
        if step is None:
            step = noisy.new_zeros(noisy.shape[0])
        if condition is None:
            shown = noisy[:, : self.condition_channels]
            condition = functional.interpolate(shown, scale_factor=2**self.shrink) if self.shrink else shown
        if self.hole:
            mask = condition.new_zeros(condition[:, :1].shape) if mask is None else mask
            condition = torch.cat((condition, mask), 1)
        if self.shrink:
            condition = self.feature_extractor(condition)
        embedded = self.time_embed(step_features(step, self.width).to(noisy.dtype))
        features = torch.cat((noisy, condition), 1)
        skips = []
        for block in self.input_blocks:
            features = block(features, embedded)
            skips.append(features)
        features = self.middle_block(features, embedded)
        for block in self.output_blocks:
            features = block(torch.cat((features, skips.pop()), 1), embedded)
        return self.out(features)


class _Maker:
    """The parts of one network, which share most of their settings."""

    def __init__(
        self,
        embedding: int,
        residuals: tuple[bool, bool],
        swins: tuple[int, int, int, int],
        grid: tuple[int, int],
        transposed: bool,
    ) -> None:
        self.embedding = embedding
        self.shift_and_scale, self.resampling = residuals
        self.swins, self.transposed = swins, transposed
        self.size, self.window = grid

    def side(self, level: int) -> int:
        return min(self.window, self.size >> level)

    def residual(self, inputs: int, outputs: int, resample: str = "") -> ResBlock:
        return ResBlock(
            inputs, outputs, self.embedding, shift_and_scale=self.shift_and_scale, resample=resample
        )

    def swin(self, level: int, outer: int) -> SwinLayer:
        width, heads, depth, hidden = self.swins
        shift = self.window // 2 if self.size >> level > self.window else 0
        shifts = tuple(shift if i % 2 else 0 for i in range(depth))
        return SwinLayer(outer, width, heads, shifts, self.side(level), hidden, transposed=self.transposed)

    def halving(self, width: int) -> nn.Module:
        return self.residual(width, width, "down") if self.resampling else Downsample(width)

    def doubling(self, width: int) -> nn.Module:
        return self.residual(width, width, "up") if self.resampling else Upsample(width)


def _encoders(
    make: _Maker, widths: list[int], blocks: tuple[int, ...], swins: list[bool]
) -> tuple[list[nn.Module], list[int]]:
    """Return the blocks of the way down, and the widths of all that is kept for the way up."""
    made: list[nn.Module] = []
    inner = widths[0]
    skips = [inner]
    for level, width in enumerate(widths):
        for i in range(blocks[level]):
            swin = [make.swin(level, width)] if i == 0 and swins[level] else []
            made.append(Conditioned(make.residual(inner, width), *swin))
            inner = width
            skips.append(inner)
        if level + 1 < len(widths):
            made.append(Conditioned(make.halving(inner)))
            skips.append(inner)
    return made, skips


def _decoders(
    make: _Maker, widths: list[int], blocks: tuple[int, ...], swins: list[bool], skips: list[int]
) -> list[nn.Module]:
    """Return the blocks of the way up, one more per level than there are on the way down."""
    made: list[nn.Module] = []
    inner, left = widths[-1], list(skips)
    for level, width in reversed(list(enumerate(widths))):
        for i in range(blocks[level] + 1):
            layers: list[nn.Module] = [make.residual(inner + left.pop(), width)]
            layers += [make.swin(level, width)] if i == 0 and swins[level] else []
            layers += [make.doubling(width)] if level and i == blocks[level] else []
            made.append(Conditioned(*layers))
            inner = width
    return made
