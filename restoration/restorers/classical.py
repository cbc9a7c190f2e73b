"""Baselines without parameters, to compare with."""

import importlib.util
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from restoration.degradations.resize import resize
from restoration.errors import RequestError
from restoration.image import PEAKS, quantise
from restoration.networks.network import Network

PATCH, WINDOW, FILTERING = 5, 21, 0.4  # of non-local means: pixels, pixels, and h over σ
RADIUS = 5  # pixels around a point of a hole that Telea looks at
MEDIAN = 0.6745  # of |z| of a standard normal z


class Bicubic(Network):
    """Bicubic enlargement as MATLAB's imresize (Keys, 1981; a = -1/2).

    MATLAB rounds 8-bit images after each of the two passes and others never. Published tables depend on it (by
    0.0015 dB), so an image whose values all are 8-bit samples is treated as one.
    """

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.receptive_field = 2
        self.channels = None

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the enlarged image."""
        return torch.cat([self._enlarged(image) for image in degraded.split(1)])

    def _enlarged(self, image: Tensor) -> Tensor:
        levels = PEAKS[8] if torch.equal(quantise(image), image) else None
        return resize(image, scale=self.scale, levels=levels)


class Nearest(Network):
    """Every pixel enlarged to a square."""

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.receptive_field = 0
        self.channels = None

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the enlarged image."""
        return degraded.repeat_interleave(self.scale, dim=-2).repeat_interleave(self.scale, dim=-1)


class Identity(Network):
    """The degraded image itself."""

    def __init__(self) -> None:
        super().__init__()
        self.receptive_field = 0
        self.channels = None

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the degraded image."""
        return degraded


class NonLocalMeans(Network):
    """Non-local means (Buades et al., 2005, 2011): every pixel the mean of those around it whose patches are alike.

    A pixel q of the 21×21 around p counts by exp(−max(d² − 2σ², 0) / h²), d² the mean squared difference of the 5×5
    patches of all colours around p and q, h = 0.4 σ. σ is estimated, image by image: see `noise_level`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.receptive_field = None  # the noise is that of the whole image
        self.channels = None

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the denoised image."""
        return torch.cat([self._denoised(image) for image in degraded.split(1)])

    def _denoised(self, image: Tensor) -> Tensor:
        sigma = noise_level(image)
        if not sigma:
            return image
        height, width = image.shape[-2:]
        reach, edge = WINDOW // 2, PATCH // 2
        wide = pad(image, [reach + edge] * 4, mode="replicate")
        here = wide[..., reach:-reach, reach:-reach]
        total, weights = torch.zeros_like(image), torch.zeros_like(image[:, :1])
        for down in range(WINDOW):
            for across in range(WINDOW):
                there = wide[..., down : down + height + 2 * edge, across : across + width + 2 * edge]
                apart = avg_pool2d((there - here).square().mean(1, keepdim=True), PATCH, 1)
                weight = torch.exp((2 * sigma**2 - apart).clamp(max=0) / (FILTERING * sigma) ** 2)
                total += weight * there[..., edge:-edge, edge:-edge]
                weights += weight
        return total / weights


class Filling(Network, ABC):
    """What fills holes: the image and, behind it, a mask that is 1 in them; what is known stays as it is."""

    conditions = ("mask",)
    module, package = "", ""  # what computes it

    def __init__(self) -> None:
        super().__init__()
        if importlib.util.find_spec(self.module) is None:
            raise RequestError(
                f"'{type(self).__name__.lower()}' is computed by {self.package}, which is not here: "
                'pip install "restoration-suite[classical]"'
            )
        self.receptive_field = None  # a hole may be as large as the image
        self.channels = None

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the image with its holes filled."""
        filled = [self._filled(image) for image in degraded.split(1)]
        return torch.where(degraded[:, -1:] > 0.5, torch.cat(filled), degraded[:, :-1])

    def _filled(self, image: Tensor) -> Tensor:
        hole = (image[0, -1] > 0.5).cpu().numpy()
        if not hole.any() or hole.all():  # nothing to fill, or nothing to fill it with
            return image[:, :-1]
        if not image.isfinite().all():  # what is filled in depends on all that is known
            return torch.full_like(image[:, :-1], torch.nan)
        samples = image[0, :-1].permute(1, 2, 0).clamp(0, 1).cpu().double().numpy()
        return torch.from_numpy(self.fill(samples, hole)).permute(2, 0, 1)[None].to(image)

    @abstractmethod
    def fill(self, samples: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """Return samples (H, W, C) in [0, 1] with values where ``hole`` (H, W) is true."""


class Telea(Filling):
    """Fast marching inpainting (Telea, 2004) by OpenCV, radius 5, colour by colour in 16 bits; needs a mask."""

    module, package = "cv2", "OpenCV"

    def fill(self, samples: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """Return the samples with holes filled from their edges inwards."""
        import cv2

        deep = np.floor(PEAKS[16] * samples + 0.5).astype(np.uint16)
        mask = np.where(hole, np.uint8(255), np.uint8(0))
        colours = np.split(deep, deep.shape[2], 2)
        filled = [
            cv2.inpaint(np.ascontiguousarray(c[..., 0]), mask, RADIUS, cv2.INPAINT_TELEA) for c in colours
        ]
        return np.stack(filled, -1) / PEAKS[16]


class Biharmonic(Filling):
    """Inpainting by the biharmonic equation (Damelin & Hoang, 2018), as scikit-image solves it; needs a mask."""

    module, package = "skimage", "scikit-image"

    def fill(self, samples: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """Return the samples with the smoothest surface in holes, each hole by itself."""
        from skimage.restoration import inpaint_biharmonic

        return inpaint_biharmonic(samples, hole, split_into_regions=True, channel_axis=-1)


def noise_level(image: Tensor) -> float:
    """Return the deviation of white noise in an image (1, C, H, W); 0 where it is smaller than 3×3.

    The median of |image ∗ Immerkær's (1996) second difference of second differences|, which edges hardly touch, over
    that of Gaussian noise of deviation 1: 6 · 0.6745.
    """
    if min(image.shape[-2:]) < 3:
        return 0.0
    across = image[..., 2:] - 2 * image[..., 1:-1] + image[..., :-2]
    both = across[..., 2:, :] - 2 * across[..., 1:-1, :] + across[..., :-2, :]
    return both.float().abs().median().item() / (6 * MEDIAN)
