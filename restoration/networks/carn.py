"""CARN and CARN-M: residual blocks in cascades, one network for several scales."""

import torch
from torch import Tensor, nn

from restoration.networks.edsr import channel_mean
from restoration.networks.layers import Up, conv3, enlargement_steps, receptive_radius
from restoration.networks.network import Network

STAGES = 3


class Carn(Network):
    """Cascading residual network (Ahn et al., 2018): 1,591,963 parameters; CARN-M 414,811.

    ``scales`` are the enlargements that the weights hold, all from one body; ``scale`` is the one in use, and the
    only one held where ``scales`` is empty. CARN-M has ``groups`` 4 and ``shared`` blocks: one residual block serves
    three times in its cascade. The mean is taken off and put back by 1×1 convolutions, which are not trained.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        scales: tuple[int, ...] = (),
        channels: int = 3,
        width: int = 64,
        groups: int = 1,
        shared: bool = False,
    ) -> None:
        super().__init__()
        if scales and scale not in scales:
            raise ValueError(f"scale = {scale}: these weights enlarge by {', '.join(map(str, scales))}")
        self.scale = scale
        self.channels = channels
        tail = [step for factor in enlargement_steps(scale) for step in (1, Up(factor))]
        reach = STAGES * STAGES * ResidualBlock.reach
        self.receptive_field = receptive_radius(1 + reach, *tail, 1)
        self.remove_mean = Shift(-channel_mean(channels).flatten())
        self.head = conv3(channels, width)
        self.cascades = nn.ModuleList(Cascade(width, groups, shared) for _ in range(STAGES))
        self.merges = nn.ModuleList(_merge(width, i) for i in range(STAGES))
        self.enlarge = nn.ModuleDict({f"x{s}": _enlargement(width, s, groups) for s in scales or (scale,)})
        self.tail = conv3(width, channels)
        self.add_mean = Shift(channel_mean(channels).flatten())

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        features = _cascade(self.head(self.remove_mean(degraded)), self.cascades, self.merges)
        return self.add_mean(self.tail(self.enlarge[f"x{self.scale}"](features)))


class Cascade(nn.Module):
    """Three residual blocks; each is followed by a merger of the input and of all results so far."""

    def __init__(self, width: int, groups: int, shared: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(width, groups) for _ in range(1 if shared else STAGES))
        self.merges = nn.ModuleList(_merge(width, i) for i in range(STAGES))

    def forward(self, features: Tensor) -> Tensor:
        """Return the last merger."""
        blocks = [*self.blocks] * (STAGES // len(self.blocks))
        return _cascade(features, blocks, self.merges)


class ResidualBlock(nn.Module):
    """Two convolutions, in groups and then mixed by a third (1×1) where there are groups; added to the input."""

    reach = 2

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, groups=groups)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, groups=groups)
        self.mix = nn.Conv2d(width, width, 1) if groups > 1 else None

    def forward(self, features: Tensor) -> Tensor:
        """Return the rectified sum of the features and their residual."""
        residual = self.conv2(self.conv1(features).relu())
        residual = residual if self.mix is None else self.mix(residual.relu())
        return (features + residual).relu()


class Shift(nn.Module):
    """A constant per channel, added by a 1×1 convolution whose weights are part of the state but not trained."""

    def __init__(self, constant: Tensor) -> None:
        super().__init__()
        self.conv = nn.Conv2d(len(constant), len(constant), 1)
        self.conv.weight.data = torch.eye(len(constant)).view(*self.conv.weight.shape)
        self.conv.bias.data = constant.clone()
        self.conv.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the shifted image."""
        return self.conv(image)


def _merge(width: int, stage: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width * (stage + 2), width, 1), nn.ReLU())


def _cascade(features: Tensor, blocks: "list[nn.Module] | nn.ModuleList", merges: nn.ModuleList) -> Tensor:
    seen = features
    for block, merge in zip(blocks, merges, strict=True):
        seen = torch.cat((seen, block(features)), 1)
        features = merge(seen)
    return features


def _enlargement(width: int, scale: int, groups: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for factor in enlargement_steps(scale):
        conv = nn.Conv2d(width, width * factor**2, 3, padding=1, groups=groups)
        layers += [conv, nn.ReLU(), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers)
