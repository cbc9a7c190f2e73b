"""Luma as papers measure it."""

from torch import Tensor

# ITU-R BT.601, studio swing as MATLAB's rgb2ycbcr: Y = 16 + 65.481 R + 128.553 G + 24.966 B for R, G, B in [0, 1]
WEIGHTS = (65.481, 128.553, 24.966)
OFFSET = 16.0
PEAK = 255.0


def luma(image: Tensor) -> Tensor:
    """Return Y / 255 of RGB in [0, 1], not rounded: (N, 1, H, W) in [16/255, 235/255]. Grey passes through."""
    if image.shape[1] == 1:
        return image
    if image.shape[1] != 3:
        raise ValueError(f"luma: the image has {image.shape[1]} channels; expected 1 or 3")
    red, green, blue = image.split(1, dim=1)
    return (WEIGHTS[0] * red + WEIGHTS[1] * green + WEIGHTS[2] * blue + OFFSET) / PEAK
