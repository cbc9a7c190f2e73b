"""SSIM and MS-SSIM: the published values, fast, with gradients.

The window is separable, and a sum/difference basis needs four blurred maps instead of five: with s = x + y and
d = x − y, 2·cov(x, y) = (var s − var d)/2 and var x + var y = (var s + var d)/2. Each 1-D pass is a product with a
banded matrix, block by block, which on a CPU is several times faster than a convolution with one channel.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from restoration.losses.pixel import same_shape

# Wang, Simoncelli & Bovik, "Multi-scale structural similarity", 2003, section 3.2: finest scale first
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

# Outputs of one matrix product, and the rows and samples of one map that are worked on at a time, as measured fastest:
# wider blocks waste arithmetic on zeros and narrower ones memory traffic, larger bands leave the cache.
BLOCK = 16
BAND_ROWS = 96
BAND_SAMPLES = 1 << 17


@dataclass(frozen=True)
class Window:
    """The Gaussian window and the two constants of SSIM, for images in [0, 1]."""

    size: int = 11
    sigma: float = 1.5
    k1: float = 0.01
    k2: float = 0.03

    def __post_init__(self) -> None:
        if self.size < 1 or self.size % 2 == 0:
            raise ValueError(f"window = {self.size}; expected an odd number from 1")
        if not self.sigma > 0:
            raise ValueError(f"sigma = {self.sigma:g}; expected more than 0")
        if not (self.k1 > 0 and self.k2 > 0):
            raise ValueError(
                f"k1 = {self.k1:g}, k2 = {self.k2:g}; expected more than 0, flat areas would divide by 0"
            )


@dataclass(frozen=True)
class Ssim:
    """``1 − SSIM`` (Wang et al., 2004); see ``ssim``."""

    window: int = 11
    sigma: float = 1.5
    k1: float = 0.01
    k2: float = 0.03

    def __post_init__(self) -> None:
        Window(self.window, self.sigma, self.k1, self.k2)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        return 1 - ssim(restored, clean, window=self.window, sigma=self.sigma, k1=self.k1, k2=self.k2)


@dataclass(frozen=True)
class MsSsim:
    """``1 − MS-SSIM`` over five scales (Wang et al., 2003); see ``ms_ssim``."""

    window: int = 11
    sigma: float = 1.5
    k1: float = 0.01
    k2: float = 0.03

    def __post_init__(self) -> None:
        Window(self.window, self.sigma, self.k1, self.k2)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        return 1 - ms_ssim(restored, clean, window=self.window, sigma=self.sigma, k1=self.k1, k2=self.k2)


def ssim(
    restored: Tensor,
    clean: Tensor,
    *,
    window: int = 11,
    sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Tensor:
    """Return the structural similarity of each image, the mean over channels and the valid region: (N,).

    ``(2μₓμᵧ + C₁)(2σₓᵧ + C₂) / ((μₓ² + μᵧ² + C₁)(σₓ² + σᵧ² + C₂))`` with Cᵢ = kᵢ² (Wang, Bovik, Sheikh & Simoncelli,
    2004, eq. 13), Gaussian window, population covariance, no padding, no down-sampling. Peak 1.
    """
    settings = Window(window, sigma, k1, k2)
    height, width = same_shape(restored, clean).shape[-2:]
    if min(height, width) < window:
        raise ValueError(f"ssim: images are {height}x{width}; a window needs {window} pixels a side")
    return _similarity(restored, clean, settings)[0].mean(1)


def ms_ssim(
    restored: Tensor,
    clean: Tensor,
    *,
    window: int = 11,
    sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Tensor:
    """Return the multi-scale structural similarity of each image, the mean over channels: (N,).

    ``SSIM₅^w₅ · Π cs_j^w_j`` (Wang, Simoncelli & Bovik, 2003, eq. 7) over five scales, each the 2×2 means of the last;
    when either side is odd, the first row and column are repeated before, as in piq. A scale's similarity below 0,
    which has no real power, is taken as 0, with no gradient.
    """
    settings = Window(window, sigma, k1, k2)
    height, width = same_shape(restored, clean).shape[-2:]
    smallest = (window - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1
    if min(height, width) < smallest:
        article = "an" if window == 11 else "a"
        need = f"five scales of {article} {window}-pixel window need {smallest} pixels a side"
        raise ValueError(f"ms-ssim: images are {height}x{width}; {need}")
    powers = []
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            restored, clean = _halved(restored), _halved(clean)
        full, structure = _similarity(restored, clean, settings)
        powers.append(_power(full if scale == len(SCALE_WEIGHTS) - 1 else structure, weight))
    return torch.stack(powers).prod(0).mean(1)


def _similarity(restored: Tensor, clean: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Return the means over the valid region of SSIM and of its contrast-structure part: (N, C) each."""
    dtype = torch.promote_types(torch.promote_types(restored.dtype, clean.dtype), torch.float32)
    x, y = (image.to(dtype).flatten(0, 1).transpose(0, 1) for image in (restored, clean))
    needs_gradient = torch.is_grad_enabled() and (restored.requires_grad or clean.requires_grad)
    sums = _sums(x, y, window) if needs_gradient else _sums_by_band(x, y, window)
    height, width = (length - window.size + 1 for length in restored.shape[-2:])
    full, structure = (total.view(restored.shape[:2]) / (height * width) for total in sums)
    return full, structure


def _sums_by_band(restored: Tensor, clean: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Return ``_sums`` of (H, P, W) planes, worked out some rows of some planes at a time, to stay in the cache."""
    height, planes, width = restored.shape
    reach = window.size - 1
    group = max(1, BAND_SAMPLES // ((BAND_ROWS + reach) * width))
    sums = restored.new_zeros(2, planes)
    for first in range(0, planes, group):
        some = slice(first, first + group)
        for top in range(0, height - reach, BAND_ROWS):
            band = slice(top, top + BAND_ROWS + reach)
            sums[:, some] += torch.stack(_sums(restored[band, some], clean[band, some], window))
    return sums[0], sums[1]


def _sums(restored: Tensor, clean: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Return the sums over the valid region of SSIM and of its contrast-structure part, of (H, P, W) planes: (P,) each.

    One half is subtracted from either image: it changes no covariance, and keeps ``mean s² − (mean s)²`` from
    cancelling in float32.
    """
    total, difference = restored + clean - 1, restored - clean
    maps = torch.stack([total, difference, total.square(), difference.square()], 1)
    blurred = _Blur.apply(maps.flatten(1, 2), window.size, window.sigma)
    s, d, ss, dd = blurred.unflatten(2, (4, -1)).unbind(2)
    mean_s, mean_d = (s + 1).square(), d.square()
    var_s, var_d = ss - s.square(), dd - mean_d
    c1, c2 = 2 * window.k1**2, 2 * window.k2**2
    structure = (var_s - var_d + c2) / (var_s + var_d + c2)
    full = (mean_s - mean_d + c1) / (mean_s + mean_d + c1) * structure
    valid = restored.shape[2] - window.size + 1
    return _in_lines(full.sum(1))[:, :valid].sum(1), _in_lines(structure.sum(1))[:, :valid].sum(1)


class _Context(Protocol):
    """What the blur's two directions share."""

    window: tuple[int, float]
    width: int


class _Blur(torch.autograd.Function):
    """The valid part of a separable Gaussian blur of (H, P, W) planes, columns in blocks; see ``_in_lines``.

    Both passes are one batched product with a banded matrix: overlapping windows of the image go in without a copy. The
    last block is blurred as if zeros followed the image; its columns beyond the valid ones are not to be used.
    """

    @staticmethod
    def forward(ctx: _Context, planes: Tensor, size: int, sigma: float) -> Tensor:
        ctx.window, ctx.width = (size, sigma), planes.shape[2]
        matrix = _banded(size, sigma, planes.dtype, planes.device)
        planes = pad(planes, [0, (size - 1 - planes.shape[2]) % BLOCK])
        with torch.autocast(planes.device.type, enabled=False):
            return _across(_down(planes.contiguous(), matrix, size - 1), matrix, size - 1)

    @staticmethod
    def backward(ctx: _Context, slope: Tensor) -> tuple[Tensor, None, None]:
        # the window is symmetric: the transpose of a valid blur is the blur of the padded image
        reach, slope = ctx.window[0] - 1, _in_lines(slope)
        blurred = _Blur.apply(pad(slope, [reach, reach, 0, 0, reach, reach]), *ctx.window)
        return _in_lines(blurred)[..., : ctx.width], None, None


def _down(planes: Tensor, matrix: Tensor, reach: int) -> Tensor:
    """Blur the columns of (H, P, W): (H − reach, P, W)."""
    height, count, width = planes.shape
    valid, line = height - reach, count * width
    blocks, rest = divmod(valid, BLOCK)
    windows = planes.as_strided((blocks, BLOCK + reach, line), (BLOCK * line, line, 1))
    whole = torch.bmm(matrix.expand(blocks, -1, -1), windows).view(-1, count, width)
    if not rest:
        return whole
    last = matrix[:rest, : rest + reach] @ planes.flatten(1)[valid - rest :]
    return torch.cat([whole, last.view(rest, count, width)])


def _across(planes: Tensor, matrix: Tensor, reach: int) -> Tensor:
    """Blur the rows of (H, P, W): (blocks, H, P, BLOCK)."""
    height, count, width = planes.shape
    blocks, lines = (width - reach) // BLOCK, height * count
    windows = planes.as_strided((blocks, lines, BLOCK + reach), (BLOCK, width, 1))
    return torch.bmm(windows, matrix.T.expand(blocks, -1, -1)).view(blocks, height, count, BLOCK)


def _in_lines(blocks: Tensor) -> Tensor:
    """Return (blocks, …, BLOCK) with its columns side by side: (…, blocks · BLOCK)."""
    return blocks.movedim(0, -2).flatten(-2)


@lru_cache(maxsize=16)
def _banded(size: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix whose row i holds the window from column i on: (BLOCK, BLOCK + size − 1)."""
    offsets = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    taps = (-offsets.square() / (2 * sigma**2)).exp()
    matrix = torch.zeros(BLOCK, BLOCK + size - 1, dtype=torch.float64)
    for row in range(BLOCK):
        matrix[row, row : row + size] = taps / taps.sum()
    return matrix.to(device, dtype)


def _halved(image: Tensor) -> Tensor:
    odd = max(length % 2 for length in image.shape[-2:])
    return avg_pool2d(pad(image, [odd, 0, odd, 0], mode="replicate"), 2)


def _power(values: Tensor, exponent: float) -> Tensor:
    # 0 ** w has an infinite slope for w < 1, and clamping before the power would make it 0 · ∞
    positive = values > 0
    return torch.where(positive, values, 1).pow(exponent) * positive
