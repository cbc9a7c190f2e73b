"""RBPN, the generator of iSeeBetter: a frame enlarged with the help of its neighbours, by back-projection."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from restoration.networks.layers import Strided, Transposed, conv3, receptive_radius
from restoration.networks.network import Network

# kernel, stride and padding of the projections (Haris et al., 2018)
PROJECTION = {2: (6, 2, 2), 4: (8, 4, 2), 8: (12, 8, 2)}
FLOW = 2


class Rbpn(Network):
    """Video super-resolution by back-projection (Haris et al., 2019): 12,771,943 parameters at ×4.

    ``frames`` counts the target and its neighbours. Conditions are the neighbours and then the flows to them, in
    order of the neighbours: with f frames, the channels after the target's are 3 (f − 1) of images and 2 (f − 1)
    of flows, horizontal and vertical, in pixels from the target to the neighbour: neighbour(x + flow) ≈ target(x).
    A frame outside the clip is replaced by the target, with zero flow.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 3,
        width: int = 256,
        features: int = 64,
        blocks: int = 5,
        frames: int = 7,
    ) -> None:
        super().__init__()
        if scale not in PROJECTION:
            raise ValueError(f"scale = {scale}: expected 2, 4 or 8")
        if frames < 2:
            raise ValueError(f"frames = {frames}: expected at least 2, the target and a neighbour")
        kernel = PROJECTION[scale]
        self.scale, self.channels, self.frames = scale, channels, frames
        self.conditions = ("neighbour",) * (channels * (frames - 1)) + ("flow",) * (FLOW * (frames - 1))
        self.receptive_field = _radius(scale, blocks, frames)
        self.target = Activated(conv3(channels, width))
        self.pair = Activated(conv3(2 * channels + FLOW, width))
        self.single = DbpnS(scale=scale, width=width, features=features)
        self.multi = nn.Sequential(
            *[Residual(width) for _ in range(blocks)],
            Activated(nn.ConvTranspose2d(width, features, *kernel)),
        )
        self.error = nn.Sequential(
            *[Residual(features) for _ in range(blocks)], Activated(conv3(features, features))
        )
        self.back = nn.Sequential(
            *[Residual(features) for _ in range(blocks)], Activated(nn.Conv2d(features, width, *kernel))
        )
        self.tail = conv3(features * (frames - 1), channels)
        _he_(self)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the enlarged target, of target, neighbours and flows stacked as ``conditions`` says."""
        count, others = self.frames - 1, self.channels * (self.frames - 1)
        target, neighbours, flows = degraded.split((self.channels, others, FLOW * count), 1)
        return self.enlarged(target, neighbours.chunk(count, 1), flows.chunk(count, 1))

    def enlarged(self, target: Tensor, neighbours: Sequence[Tensor], flows: Sequence[Tensor]) -> Tensor:
        """Return the enlarged target (N, C, H, W), of neighbours alike and flows (N, 2, H, W) to them."""
        state, states = self.target(target), []
        for neighbour, flow in zip(neighbours, flows, strict=True):
            single = self.single(state)
            multi = self.multi(self.pair(torch.cat((target, neighbour, flow), 1)))
            enlarged = single + self.error(single - multi)
            state = self.back(enlarged) if len(states) < self.frames - 2 else state
            states.append(enlarged)
        return self.tail(torch.cat(states, 1))


class DbpnS(nn.Module):
    """The small back-projection network (Haris et al., 2018) from features (N, C, H, W) to enlarged features."""

    def __init__(self, *, scale: int = 4, width: int = 256, features: int = 64) -> None:
        super().__init__()
        kernel = PROJECTION[scale]
        self.head = Activated(nn.Conv2d(width, features, 1))
        self.ups = nn.ModuleList(UpProjection(features, kernel) for _ in range(3))
        self.downs = nn.ModuleList(DownProjection(features, kernel) for _ in range(2))
        self.tail = nn.Conv2d(3 * features, features, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return features ``scale`` times as large."""
        large = [self.ups[0](self.head(features))]
        for down, up in zip(self.downs, self.ups[1:], strict=True):
            large.append(up(down(large[-1])))
        return self.tail(torch.cat(large[::-1], 1))


class UpProjection(nn.Module):
    """Enlarge, reduce again, and add the enlarged error of that."""

    def __init__(self, features: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.first = Activated(nn.ConvTranspose2d(features, features, *kernel))
        self.back = Activated(nn.Conv2d(features, features, *kernel))
        self.correction = Activated(nn.ConvTranspose2d(features, features, *kernel))

    def forward(self, small: Tensor) -> Tensor:
        """Return large features."""
        large = self.first(small)
        return large + self.correction(self.back(large) - small)


class DownProjection(nn.Module):
    """Reduce, enlarge again, and add the reduced error of that."""

    def __init__(self, features: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.first = Activated(nn.Conv2d(features, features, *kernel))
        self.back = Activated(nn.ConvTranspose2d(features, features, *kernel))
        self.correction = Activated(nn.Conv2d(features, features, *kernel))

    def forward(self, large: Tensor) -> Tensor:
        """Return small features."""
        small = self.first(large)
        return small + self.correction(self.back(small) - large)


class Residual(nn.Module):
    """Two convolutions around one PReLU, which also follows the skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv3(width, width)
        self.conv2 = conv3(width, width)
        self.slope = nn.PReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus their residual, activated."""
        return self.slope(features + self.conv2(self.slope(self.conv1(features))))


class Activated(nn.Module):
    """A convolution and a PReLU of one slope."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.conv = conv
        self.slope = nn.PReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return activated features."""
        return self.slope(self.conv(features))


def _radius(scale: int, blocks: int, frames: int) -> int:
    """Return the reach along the recurrent states, the first of which comes from the target or a pair."""
    kernel, stride, padding = PROJECTION[scale]
    up, down = Transposed(kernel, stride, padding), Strided(kernel, stride, padding)
    single = (up, down, up, down, up, down, up, down, up, down, up, down, up, down, up)
    error, back = 2 * blocks + 1, (2 * blocks, down)
    further = (error, *back, *single) * (frames - 2)
    last = (error, 1)
    from_target = receptive_radius(1, *single, *further, *last)
    from_pair = receptive_radius(1, 2 * blocks, up, *further, *last)
    return max(from_target, from_pair)


def _he_(network: nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
