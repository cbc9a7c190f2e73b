"""What every network says about itself."""

from typing import Literal

from torch import nn


class Network(nn.Module):
    """A map from degraded to restored images, NCHW in [0, 1]; the constructor's keywords are its config.

    ``scale`` is the size ratio of output and input. Input sizes are a multiple of ``multiple``: callers pad, by
    reflection, or with the last row and column where ``edge`` is "repeated": such a network pads other sizes so itself.
    ``receptive_field`` is a radius: the farthest, in input pixels, at which an input pixel still changes an
    output pixel (counted from the input pixel that one lies in); None where the whole image matters.
    ``channels`` counts those of the image, None where any number will do.
    ``conditions`` names further inputs, given as further channels. ``batch_statistics`` says that images of a
    batch influence each other in training, as under batch normalisation.
    """

    scale: int = 1
    multiple: int = 1
    edge: Literal["mirrored", "repeated"] = "mirrored"
    receptive_field: int | None = None
    conditions: tuple[str, ...] = ()
    channels: int | None = 3
    batch_statistics: bool = False
