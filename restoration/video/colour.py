"""Planes of video samples ↔ images: matrices and ranges of ITU-T H.273, in float, chroma at its own size."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.resize import resize
from restoration.video.chroma import enlarged, reduced

# H.273, table 4: MatrixCoefficients → (K_R, K_B)
MATRICES = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
HIGH = 576  # rows: above, a file that does not name its matrix has that of HDTV, BT.709, as players assume
UNSPECIFIED = 2
LIMITED, FULL = 1, 2  # as FFmpeg counts ranges; 0 is unspecified


@dataclass(frozen=True)
class Colour:
    """What a file says of its colours, as numbers of H.273, the range as FFmpeg counts it."""

    range: int = 0
    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    def weights(self, height: int) -> tuple[float, float] | None:
        """Return (K_R, K_B), None for a matrix that is not one; unnamed, it goes by the height as players do."""
        named = (1 if height > HIGH else 6) if self.matrix == UNSPECIFIED else self.matrix
        return MATRICES.get(named)


@dataclass(frozen=True)
class Layout:
    """How samples lie: planes of ``bits``; yuv: luma and two chroma planes, rgb: G, B, R, grey: one."""

    kind: str
    bits: int
    down: tuple[int, int] = (0, 0)  # log2 of the factors by which chroma is smaller in height and width

    @cached_property
    def dtype(self) -> np.dtype:
        """Return the type of a sample."""
        return np.dtype(np.uint8 if self.bits == 8 else "<u2")

    def shapes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return the size of every plane of a frame."""
        small = (-(-height // 2 ** self.down[0]), -(-width // 2 ** self.down[1]))
        others = {"yuv": [small] * 2, "rgb": [(height, width)] * 2, "grey": []}[self.kind]
        return [(height, width), *others]


@dataclass(frozen=True)
class Picture:
    """A frame as an image in [0, 1], (1, 1 or 3, H, W), and by how much its samples leave that; None if nowhere.

    YCbCr can say colours that RGB cannot. A restorer never sees them; what they exceed by is added to its result.
    """

    image: Tensor
    excess: Tensor | None

    def with_excess(self, restored: Tensor, scale: int) -> Tensor:
        """Return the restored image, clamped, with this picture's excess."""
        restored = restored.clamp(0, 1)
        if self.excess is None:
            return restored
        return restored + (resize(self.excess, scale=scale) if scale != 1 else self.excess)


class Conversion:
    """Planes → picture and image → planes, for one layout, one colour description and one height of the source.

    Limited range: luma 16…235 and chroma 16…240 of 8 bits, times 2^(bits − 8); full: 0…2^bits − 1. Grey is full and
    YCbCr limited where the file says nothing.
    """

    def __init__(self, layout: Layout, colour: Colour, height: int) -> None:
        self.layout = layout
        unit, top = 2 ** (layout.bits - 8), 2**layout.bits - 1
        limited = colour.range == LIMITED or (colour.range != FULL and layout.kind == "yuv")
        self.luma = (16 * unit, 219 * unit) if limited and layout.kind != "rgb" else (0, top)
        self.chroma = (128 * unit, 224 * unit if limited else top)
        self.top = top
        self.weights = colour.weights(height) or MATRICES[1]

    def picture(self, planes: Sequence[np.ndarray]) -> Picture:
        """Return the picture of planes, each (h, w)."""
        height, width = planes[0].shape
        first, *others = (torch.from_numpy(plane.astype(np.float32))[None, None] for plane in planes)
        values = (first - self.luma[0]) / self.luma[1]
        if self.layout.kind == "rgb":
            green, blue, red = values, *((other - self.luma[0]) / self.luma[1] for other in others)
            values = torch.cat((red, green, blue), 1)
        elif others:
            small = (torch.cat(others, 1) - self.chroma[0]) / self.chroma[1]
            values = self._rgb(values, enlarged(small, height, width, self.layout.down))
        image = values.clamp(0, 1)
        excess = values - image
        return Picture(image, excess if excess.any() else None)

    def planes(self, image: Tensor) -> list[np.ndarray]:
        """Return the planes of an image (1, C, H, W), rounded; values may leave [0, 1] as far as samples reach."""
        kind = self.layout.kind
        if kind == "grey":
            return [self._samples(image, self.luma)]
        image = image.expand(-1, 3, -1, -1)
        if kind == "rgb":
            return [self._samples(image[:, [channel]], self.luma) for channel in (1, 2, 0)]
        luma, chroma = self._ycbcr(image)
        small = reduced(chroma, self.layout.down)
        return [self._samples(luma, self.luma), *(self._samples(c, self.chroma) for c in small.split(1, 1))]

    def _rgb(self, luma: Tensor, chroma: Tensor) -> Tensor:
        kr, kb = self.weights
        kg = 1 - kr - kb
        cb, cr = chroma.split(1, 1)
        red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
        green = luma - (2 * kb * (1 - kb) / kg) * cb - (2 * kr * (1 - kr) / kg) * cr
        return torch.cat((red, green, blue), 1)

    def _ycbcr(self, image: Tensor) -> tuple[Tensor, Tensor]:
        kr, kb = self.weights
        red, green, blue = image.split(1, 1)
        luma = kr * red + (1 - kr - kb) * green + kb * blue
        return luma, torch.cat(((blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))), 1)

    def _samples(self, values: Tensor, levels: tuple[int, int]) -> np.ndarray:
        raised = (values[0, 0].float() * levels[1] + levels[0] + 0.5).floor().clamp(0, self.top)
        return raised.cpu().numpy().astype(self.layout.dtype)
