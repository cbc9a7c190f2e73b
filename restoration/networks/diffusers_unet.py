"""The U-Net of diffusers, UNet2DModel: convolutions, group norms, attention on coarse grids; it knows the time."""

from typing import Any

import torch
from torch import Tensor

from restoration.networks.network import Network

TIMES = 1000  # what a time of 1 is called within: the positions that its embedding is made for


class DiffusersUnet(Network):
    """diffusers' ``UNet2DModel`` (after Ho et al., 2020): a velocity of `PosteriorMeanFlow`, or a restorer by itself.

    ``widths`` are the channels per level, the finest first, each of half the size of the one before, with ``blocks``
    residual blocks on the way down and one more on the way up. ``attention`` says which levels attend globally; the
    middle does where any level does. ``head`` is the width of a head, which divides the widths that attend, and
    ``groups`` counts those of group norms, which divide every width. ``seen`` counts channels of images given beside
    the first. Its tensors have diffusers' names behind ``model.``. Group norms see the whole image, so tiles are
    blended. Without a time it restores as at t = 0.
    The defaults have 26,623,363 parameters.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        seen: int = 0,
        widths: tuple[int, ...] = (64, 128, 256, 256),
        blocks: int = 2,
        attention: tuple[bool, ...] = (False, False, True, True),
        head: int = 32,
        groups: int = 32,
    ) -> None:
        super().__init__()
        if not len(widths) == len(attention) > 0:
            raise ValueError(
                f"{len(widths)} widths, {len(attention)} of attention: expected one of each per level"
            )
        if groups < 1 or head < 1:
            raise ValueError(f"groups = {groups}, head = {head}; expected numbers from 1")
        if odd := [width for width in widths if width % groups]:
            raise ValueError(f"widths = {tuple(widths)}: {odd[0]} is no multiple of groups = {groups}")
        attending = [width for width, attends in zip(widths, attention, strict=True) if attends]
        if odd := [width for width in (*attending, *widths[-1:] * bool(attending)) if width % head]:
            raise ValueError(
                f"widths = {tuple(widths)}: {odd[0]}, which attends, is no multiple of head = {head}"
            )
        self.channels, self.seen = channels, seen
        self.multiple = 2 ** (len(widths) - 1)
        self.model = _unet(
            in_channels=channels + seen,
            out_channels=channels,
            block_out_channels=tuple(widths),
            layers_per_block=blocks,
            down_block_types=["AttnDownBlock2D" if attends else "DownBlock2D" for attends in attention],
            up_block_types=["AttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(attention)],
            add_attention=any(attention),
            attention_head_dim=head,
            norm_num_groups=groups,
        )

    def forward(self, between: Tensor, t: Tensor | None = None, seen: Tensor | None = None) -> Tensor:
        """Return the restored image or, at one time per image (N,), the velocity, given images seen beside it."""
        image = between if seen is None else torch.cat((between, seen), 1)
        time = image.new_zeros(image.shape[0]) if t is None else t * TIMES
        return self.model(image, time, return_dict=False)[0]


def _unet(**configuration: Any) -> torch.nn.Module:
    """Return diffusers' module of this configuration; diffusers takes seconds to import."""
    try:
        from diffusers import UNet2DModel
    except ImportError as error:
        raise ValueError(
            f"network 'diffusers-unet' needs diffusers, which cannot be imported ({error}); "
            'pip install "diffusers>=0.32"'
        ) from None
    return UNet2DModel(**configuration)
