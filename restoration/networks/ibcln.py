"""IBCLN: two recurrent networks that take a picture apart into transmission and reflection, in turns."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import conv3
from restoration.networks.network import Network

FIRST_REFLECTION = 0.1
DILATIONS = (2, 4, 8, 16)


class Estimate(NamedTuple):
    """What one step gives: the layer, the state that goes on, and the layer at half and quarter size."""

    image: Tensor
    hidden: Tensor
    cell: Tensor
    half: Tensor | None
    quarter: Tensor | None


class Ibcln(Network):
    """Reflection removal by two recurrent networks (Li et al., 2020) of 10,804,169 parameters each.

    They are released as one file each. Every step first estimates the transmission, then the reflection, each
    from the picture and both last estimates, and each with a memory of its own. ``sides`` adds what gives
    estimates at half and quarter size, which losses look at. The receptive field is finite, but of more than a
    thousand pixels: it is not declared.
    """

    multiple = 4

    def __init__(
        self, *, channels: int = 3, width: int = 64, steps: int = 3, dropout: float = 0.3, sides: bool = False
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps = {steps}: expected at least 1")
        self.channels, self.steps = channels, steps
        self.transmission = LayerEstimator(channels, width, dropout, sides)
        self.reflection = LayerEstimator(channels, width, dropout, sides)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the transmission after the last step."""
        return self.taken_apart(degraded, last_reflection=False)[0]

    def taken_apart(self, degraded: Tensor, last_reflection: bool = True) -> tuple[Tensor, Tensor]:
        """Return transmission and reflection after the last step; the reflection of the step before on demand."""
        transmission, reflection = degraded, torch.full_like(degraded, FIRST_REFLECTION)
        memory = other = self.transmission.blank(degraded)
        for step in range(self.steps):
            seen = torch.cat((degraded, transmission, reflection), 1)
            transmission, *memory = self.transmission(seen, *memory)[:3]
            if step < self.steps - 1 or last_reflection:
                seen = torch.cat((degraded, transmission, reflection), 1)
                reflection, *other = self.reflection(seen, *other)[:3]
        return transmission, reflection


class LayerEstimator(nn.Module):
    """One of the two networks: an encoder, a convolutional LSTM at quarter size, and a decoder."""

    def __init__(self, channels: int = 3, width: int = 64, dropout: float = 0.3, sides: bool = False) -> None:
        super().__init__()
        self.width = width
        deep = 4 * width
        self.conv1 = nn.Conv2d(3 * channels, width, 5, padding=2)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.conv3 = conv3(2 * width, 2 * width)
        self.conv4 = nn.Conv2d(2 * width, deep, 3, stride=2, padding=1)
        self.conv5 = conv3(deep, deep)
        self.conv6 = conv3(deep, deep)
        self.wide = nn.ModuleList(nn.Conv2d(deep, deep, 3, padding=d, dilation=d) for d in DILATIONS)
        self.conv7 = conv3(deep, deep)
        self.gates = nn.ModuleDict({gate: conv3(2 * deep, deep) for gate in "ifgo"})
        self.conv8 = conv3(deep, deep)
        self.deconv1 = nn.ConvTranspose2d(deep, 2 * width, 4, stride=2, padding=1)
        self.conv9 = conv3(2 * width, 2 * width)
        self.dropout = nn.Dropout(dropout)
        self.deconv2 = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1)
        self.conv10 = conv3(width, width // 2)
        self.output = conv3(width // 2, channels)
        self.at_quarter = conv3(deep, channels) if sides else None
        self.at_half = conv3(2 * width, channels) if sides else None

    def blank(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden and cell state before the first step, for images (N, C, H, W)."""
        batch, _, height, width = image.shape
        zeros = image.new_zeros(batch, 4 * self.width, height // 4, width // 4)
        return zeros, zeros

    def forward(self, seen: Tensor, hidden: Tensor, cell: Tensor) -> Estimate:
        """Return the estimate from picture, transmission and reflection stacked (N, 3C, H, W), and a state."""
        fine = self.conv1(seen).relu()
        middle = self.conv3(self.conv2(fine).relu()).relu()
        features = self.conv6(self.conv5(self.conv4(middle).relu()).relu()).relu()
        for conv in self.wide:
            features = conv(features).relu()
        joined = torch.cat((self.conv7(features).relu(), hidden), 1)
        keep, take, give = (self.gates[gate](joined).sigmoid() for gate in "fio")
        cell = keep * cell + take * self.gates["g"](joined).tanh()
        hidden = give * cell.tanh()
        features = self.conv8(hidden).relu()
        quarter = None if self.at_quarter is None else self.at_quarter(features).relu()
        features = _smoothed(self.deconv1(features)) + middle
        features = self.dropout(self.conv9(features).relu())
        half = None if self.at_half is None else self.at_half(features).relu()
        features = _smoothed(self.deconv2(features)) + fine
        image = self.output(self.conv10(features).relu()).relu()
        return Estimate(image, hidden, cell, half, quarter)


def _smoothed(features: Tensor) -> Tensor:
    """Return means of every pixel and its neighbours above and to the left, activated: no checkerboard."""
    padded = functional.pad(features, (1, 0, 1, 0), mode="reflect")
    return functional.avg_pool2d(padded, 2, stride=1).relu()
