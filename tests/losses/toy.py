"""A small network without weights, as the losses take one and as a loop: features that a formula may be given."""

import math

import numpy as np
from torch import nn

from restoration.losses.features import Backbone

from .loops import Image, mean, places

LAYERS = ("image", "curved", "pooled")
MEAN, SPREAD = (0.25, 0.5, 0.625), (0.25, 0.5, 0.125)  # which float32 holds exactly
TOY = Backbone(
    "toy",
    dict(zip(LAYERS, (nn.Identity(), nn.Tanh(), nn.AvgPool2d(2)), strict=True)),
    MEAN,
    SPREAD,
    smallest=(1, 1, 2),
    usual=("curved", "pooled"),
)


def toy(image: Image, layer: str) -> Image:
    """Return a layer: colours less MEAN over SPREAD, the tanh of that, or means of 2×2 of that; grey as three colours."""
    image = np.concatenate([image] * 3) if len(image) == 1 else image
    shown = np.array([(plane - m) / s for plane, m, s in zip(image, MEAN, SPREAD, strict=True)])
    if layer == "image":
        return shown
    curved = np.vectorize(math.tanh)(shown)
    if layer == "curved":
        return curved
    found = np.zeros((3, shown.shape[1] // 2, shown.shape[2] // 2))
    for c, plane in enumerate(curved):
        for y, x in places(found[c]):
            found[c, y, x] = mean(plane[2 * y + j, 2 * x + i] for j in (0, 1) for i in (0, 1))
    return found
