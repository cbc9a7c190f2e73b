"""One kernel per image, applied on any device; by the Fourier transform where kernels are wide."""

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from restoration.degradations.smooth import mirrored

Edges = Literal["reflect", "clamp", "zero", "wrap"]
PADDING = {"reflect": "reflect", "clamp": "replicate", "zero": "constant", "wrap": "circular"}

# From this width on the Fourier transform is faster: its time does not grow with the width, a convolution's with its
# square.
WIDE = 9
# Complex products are worked out by as many as PyTorch never shares out among threads: where a thread's part ends they
# round otherwise than within it.
GRAIN = 2**14


def filtered(image: Tensor, kernels: Tensor, edges: Edges = "reflect") -> Tensor:
    """Return ``image`` (N, C, H, W) with each image correlated with its own kernel, or all with one.

    ``kernels`` (N or 1, k, k), k odd: out(y, x) = Σ kernel(i, j) · image(y + i − r, x + j − r) with r = ⌊k/2⌋, which is
    OpenCV's filter2D; a convolution is that of the kernel turned by 180°. Beyond the border the image is mirrored,
    the border pixel not repeated ("reflect"), its last pixel goes on ("clamp"), is black ("zero") or starts again
    ("wrap"). Computed in float32, or float64 for an image of that type; differentiable.
    """
    size = kernels.shape[-1]
    if kernels.ndim != 3 or kernels.shape[-2] != size or size % 2 == 0:
        raise ValueError(
            f"kernels have shape {tuple(kernels.shape)}; expected (images, size, size), size odd"
        )
    if len(kernels) not in (1, len(image)):
        raise ValueError(f"{len(kernels)} kernels for {len(image)} images; expected one, or one each")
    dtype = torch.promote_types(image.dtype, torch.float32)
    kernels = kernels.to(image.device, dtype).expand(len(image), -1, -1)
    if not image.is_cpu:
        return _by_spectrum(_extended(image.to(dtype), size // 2, edges), kernels).to(image.dtype)
    # one by one: what a transform or a convolution of many images rounds to could depend on how many there are
    one = _by_spectrum if size >= WIDE else _directly
    result = torch.cat(
        [
            one(_extended(image[i : i + 1].to(dtype), size // 2, edges), kernels[i : i + 1])
            for i in range(len(image))
        ]
    )
    return result.to(image.dtype)


def _directly(padded: Tensor, kernels: Tensor) -> Tensor:
    channels = padded.shape[1]
    with torch.autocast("cpu", enabled=False):
        return functional.conv2d(padded, kernels[:, None].expand(channels, -1, -1, -1), groups=channels)


def _by_spectrum(padded: Tensor, kernels: Tensor) -> Tensor:
    """Correlate by the Fourier transform; what wraps around falls outside of the part that is kept."""
    size = kernels.shape[-1]
    height, width = padded.shape[-2:]
    transformed = fast_length(height), fast_length(width)
    spectrum = torch.fft.rfft2(padded, s=transformed)
    spectrum = _product(spectrum, torch.fft.rfft2(kernels, s=transformed).conj().resolve_conj()[:, None])
    whole = torch.fft.irfft2(spectrum, s=transformed)
    return whole[..., : height - size + 1, : width - size + 1].contiguous()


def _product(spectrum: Tensor, kernels: Tensor) -> Tensor:
    """Return the product of spectra (N, C, h, w) and (N, 1, h, w), which overwrites the first where nobody learns."""
    if not spectrum.is_cpu:
        return spectrum * kernels
    rows = max(1, GRAIN // (spectrum.shape[1] * spectrum.shape[3]))
    parts = zip(spectrum.split(rows, 2), kernels.split(rows, 2), strict=True)
    if spectrum.requires_grad or kernels.requires_grad:
        return torch.cat([part * kernel for part, kernel in parts], 2)
    for part, kernel in parts:
        part.mul_(kernel)
    return spectrum


@lru_cache(maxsize=4096)
def fast_length(least: int) -> int:
    """Return the smallest even product of 2, 3, 5 and 7 from ``least`` on."""
    length = least + least % 2
    while True:
        rest = length
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2


def _extended(image: Tensor, by: int, edges: Edges) -> Tensor:
    if edges not in PADDING:
        raise ValueError(f"unknown edges '{edges}'; expected one of {', '.join(PADDING)}")
    height, width = image.shape[-2:]
    if edges in ("clamp", "zero") or by < min(height, width):
        return functional.pad(image, (by,) * 4, mode=PADDING[edges])
    return _far(_far(image.mT, by, edges).mT, by, edges)


def _far(image: Tensor, by: int, edges: Edges) -> Tensor:
    """Extend the columns by any number, which PyTorch does only by less than there are."""
    length = image.shape[-1]
    index = torch.arange(-by, length + by, device=image.device)
    if edges == "wrap":
        return image.index_select(-1, index % length)
    return image.index_select(-1, mirrored(index, length))
