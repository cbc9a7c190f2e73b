"""Samples and images: one decoded file, and the way between its levels and floats."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.degraded import over
from restoration.formats.metadata import Stored

ROWS = 256
PEAKS = {8: 255, 16: 65535, 32: 1}
DTYPES = {8: np.uint8, 16: np.uint16, 32: np.float32}


@dataclass(frozen=True)
class Picture:
    """One decoded file: upright samples in the file's own colour space, and what travels with them."""

    samples: np.ndarray  # (H, W, 1 or 3) of uint8, uint16 or float32
    alpha_samples: np.ndarray | None = None  # (H, W, 1)
    palette: bool = False  # the file held palette indices; the samples are the colours they stand for
    icc: bytes | None = None
    exif: bytes | None = None  # orientation set to upright
    dpi: tuple[float, float] | None = None
    format: str = "PNG"
    lossless: bool = True
    xmp: bytes | None = None  # orientation set to upright
    iptc: bytes | None = None  # the records (IIM), without what a format wraps around them
    stored: Stored = field(default_factory=Stored)
    notes: tuple[str, ...] = ()  # what reading could not keep
    following: "tuple[Picture, ...]" = ()  # further frames or pages
    duration: float | None = None  # milliseconds that this frame is shown; None for stills and pages
    loop: int | None = None  # how often an animation repeats, 0 for ever; None where the file does not say

    @property
    def depth(self) -> int:
        """Return the bits per sample: 8, 16, or 32 for floats."""
        return self.samples.dtype.itemsize * 8

    @property
    def pixels(self) -> Tensor:
        """Return the colours as an image; grey files have one channel."""
        return to_float(self.samples)

    @property
    def alpha(self) -> Tensor | None:
        """Return the opacity as an image of one channel, or None where the file has none."""
        return None if self.alpha_samples is None else to_float(self.alpha_samples)

    @property
    def frames(self) -> "tuple[Picture, ...]":
        """Return every frame or page as a picture of its own."""
        return (replace(self, following=()), *self.following)


def each_frame(picture: Picture, function: Callable[[Picture], Picture]) -> Picture:
    """Return the picture whose every frame or page is what the function makes of it."""
    first, *others = (function(frame) for frame in picture.frames)
    return replace(first, following=tuple(others))


def to_float(samples: np.ndarray) -> Tensor:
    """Return samples (H, W, C) as an image (1, C, H, W): levels in [0, 1], floats as they are."""
    floats = samples.transpose(2, 0, 1)[None].astype(np.float32, order="C")
    return torch.from_numpy(floats).div_(PEAKS[samples.dtype.itemsize * 8])


def to_samples(image: Tensor, depth: int = 8) -> np.ndarray:
    """Return an image (1, C, H, W) as samples (H, W, C): clamped and rounded half up, or floats as they are."""
    image = image.detach()[0].float()
    if depth == 32:
        return image.permute(1, 2, 0).cpu().numpy().astype(np.float32, order="C")
    raised = image.clamp(0, 1).mul_(PEAKS[depth]).add_(0.5).permute(1, 2, 0)
    return raised.cpu().numpy().astype(DTYPES[depth], order="C")  # truncates


def quantise(image: Tensor, depth: int = 8) -> Tensor:
    """Return the image as it reads back from a file of ``depth`` bits, still in [0, 1]."""
    return over(image.clamp(0, 1).mul_(PEAKS[depth]).add_(0.5).floor_(), PEAKS[depth])


def rgb(image: Tensor) -> Tensor:
    """Return the image with three channels: grey is replicated."""
    return image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image


def finite(samples: np.ndarray) -> bool:
    """Whether all samples are numbers, and none infinite."""
    if samples.dtype.kind != "f":
        return True
    return all(bool(np.isfinite(samples[top : top + ROWS]).all()) for top in range(0, len(samples), ROWS))


def opaque(alpha: np.ndarray) -> bool:
    """Whether nothing shows through."""
    white = 1 if alpha.dtype.kind == "f" else np.iinfo(alpha.dtype).max
    return bool((alpha >= white).all())
