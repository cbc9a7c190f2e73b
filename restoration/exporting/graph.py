"""A network as one graph for pictures of any size: padded within as `apply` pads, cropped behind."""

from typing import cast

import torch
from torch import Tensor, nn

from restoration.networks.network import Network
from restoration.networks.spandrel import Adapter, Spandrel


class AnySize(nn.Module):
    """Restored images from degraded ones of any height and width, ``(N, C, H, W)`` in [0, 1].

    The picture is continued at its lower and right edges as `restoration.tiling` continues it (as ``edge`` says, up to
    a multiple of ``multiple``), then as spandrel does (by its last pixels, up to the size that an architecture needs at
    least), then by reflection to whole windows, which such networks otherwise do within. All three are one choice of
    rows and columns, computed from the picture's size: sizes stay open in an exported graph.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        adapter = network.adapter if isinstance(network, Spandrel) else network
        self.network, self.scale, self.multiple = network, network.scale, network.multiple
        self.adapter = adapter if isinstance(adapter, Adapter) else None
        self.least, self.needed, self.window = 1, 1, 1
        if self.adapter is not None:
            needs = self.adapter.requirements
            self.least, self.needed = needs.minimum, needs.multiple_of
            self.window = window_of(self.adapter.model)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        height, width = degraded.shape[-2:]
        padded = self._continued(self._continued(degraded, -2), -1)
        restored = (
            self.network(padded) if self.adapter is None else self.adapter.call(self.adapter.model, padded)
        )
        return restored[..., : height * self.scale, : width * self.scale]

    def _continued(self, image: Tensor, axis: int) -> Tensor:
        length = image.shape[axis]
        if max(self.multiple, self.least, self.needed, self.window) == 1:
            return image
        first = _up(length, self.multiple)
        second = _up(first if self.least == 1 else torch.sym_max(first, self.least), self.needed)
        place = torch.arange(_up(second, self.window), device=image.device)
        if self.window > 1:
            place = _reflected(place, second)
        if second is not first:
            place = torch.minimum(
                place, torch.scalar_tensor(first - 1, dtype=place.dtype, device=place.device)
            )
        if self.network.edge == "repeated":
            last = torch.scalar_tensor(length - 1, dtype=place.dtype, device=place.device)
            return image.index_select(axis, torch.minimum(place, last))
        return image.index_select(axis, _reflected(place, length))


def window_of(model: nn.Module) -> int:
    """Return the side of the windows to whole numbers of which a module of spandrel's pads within, else 1."""
    side = getattr(model, "window_size", 1)
    return side if isinstance(side, int) else 1


def _reflected(place: Tensor, length: int) -> Tensor:
    """Return the indices of an axis of ``length`` pixels, continued by reflection about its first and last ones."""
    extent = torch.scalar_tensor(length, dtype=place.dtype, device=place.device)
    period = torch.clamp(2 * (extent - 1), min=1)
    place = torch.remainder(place, period)
    return torch.where(place < extent, place, period - place)


def _up(length: int | torch.SymInt, multiple: int) -> int:
    rounded = length if multiple == 1 else (length + multiple - 1) // multiple * multiple
    return cast(int, rounded)  # a whole number, or the symbol of one
