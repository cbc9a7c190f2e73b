"""The samples of PCL-SR: sharpened positives, and hard negatives with less detail than the clean image."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, pad

from restoration.losses.checks import not_negative
from restoration.losses.draws import Keys, generator, one_key_each, uniform, whole
from restoration.losses.loss import large_enough
from restoration.losses.term import Pair

LEVELS = 255  # samples are rounded to 8 bits, as stored images are
SHARPNESS = (0.5, 3.0)
SIZES = (3, 5, 7, 9, 11)  # of the blur, in pixels
SPREADS = (0.1, 2.0)  # its standard deviations, in pixels
REACH = SIZES[-1] // 2


@dataclass(frozen=True)
class Samples:
    """Positives and negatives of a batch of images, (N, C, H, W) each; the first positive is the clean batch itself."""

    positives: tuple[Tensor, ...]
    negatives: tuple[Tensor, ...]


@dataclass(frozen=True)
class Recipe:
    """How the samples of Wu et al. (2023) are made, as released.

    Positives are the clean image, ``positives`` sharpened copies of it and, where ``noise`` is its standard deviation
    (released: 2/255), a noisy one. Negatives are the degraded image, brought to the clean one's size, and
    ``negatives`` blurred copies of the clean one. ``naive`` = true is a control: the clean and the degraded image
    alone. Every draw belongs to one image, by its key; the released code draws one blur for all images of a batch.
    """

    positives: int = 3
    negatives: int = 3
    noise: float = 0.0
    naive: bool = False

    def __post_init__(self) -> None:
        for name in ("positives", "negatives", "noise"):
            not_negative(name, getattr(self, name))

    @property
    def minimum_size(self) -> int:
        """Return how many pixels the shorter side of an image must have: what mirrored borders of blurs take."""
        return REACH + 1 if self.negatives and not self.naive else 3

    @torch.no_grad()
    def __call__(self, batch: Pair) -> Samples:
        """Return the samples of a batch, without gradient."""
        clean = batch.clean  # as it is: networks may have seen this very tensor
        negatives = [enlarged(batch.degraded, clean)]
        if self.naive:
            return Samples((clean,), tuple(negatives))
        one_key_each(batch.keys, len(clean), "contrastive samples")
        positives = [clean]
        if self.positives:
            positives += sharpened(clean, batch.keys, self.positives).unbind(1)
        if self.noise:
            positives.append(noisy(clean, batch.keys, self.noise))
        if self.negatives:
            negatives += blurred(clean, batch.keys, self.negatives).unbind(1)
        return Samples(tuple(positives), tuple(negatives))


def sharpened(image: Tensor, keys: Keys, copies: int) -> Tensor:
    """Return copies of random sharpness f ~ U(0.5, 3) each, which blurs below 1: (N, copies, C, H, W)."""
    factor = uniform(keys, "sharpness", (copies, 1, 1, 1), *SHARPNESS, image)
    return _rounded(sharpen(image.unsqueeze(1), factor))


def sharpen(image: Tensor, factor: Tensor) -> Tensor:
    """Return ``clamp(smooth + f·(image − smooth), 0, 1)``, where smooth is weighted by [1 1 1; 1 5 1; 1 1 1]/13.

    The border of one pixel stays as it is, as Pillow's ImageEnhance.Sharpness leaves it.
    """
    around = 9 * avg_pool2d(image.flatten(0, -4), 3, stride=1).unflatten(0, image.shape[:-3])
    inner = image[..., 1:-1, 1:-1]
    change = (factor - 1) * (inner - (around + 4 * inner) / 13)
    return (image + pad(change, [1, 1, 1, 1])).clamp(0, 1)


def blurred(image: Tensor, keys: Keys, copies: int) -> Tensor:
    """Return copies under Gaussians of random height, width and standard deviations: (N, copies, C, H, W).

    Height and width are each of 3, 5, 7, 9, 11 pixels, both standard deviations U(0.1, 2): one of 0.1 changes nothing.
    """
    large_enough(image, REACH + 1, "blur")
    sizes = torch.tensor(SIZES, device=image.device)[
        whole(keys, "sizes of blurs", (copies, 2), 0, len(SIZES), image)
    ]
    spreads = uniform(keys, "spreads of blurs", (copies, 2), *SPREADS, image)
    return _rounded(blur(image, *gaussians(sizes, spreads).unbind(2)))


def gaussians(sizes: Tensor, spreads: Tensor) -> Tensor:
    """Return normalised Gaussian weights of so many pixels at the middle of 11: (…) to (…, 11)."""
    place = torch.arange(-REACH, REACH + 1, device=spreads.device)
    weights = torch.exp(-(place**2) / (2 * spreads.unsqueeze(-1) ** 2))
    weights = weights * (2 * place.abs() < sizes.unsqueeze(-1))
    return weights / weights.sum(-1, keepdim=True)


def blur(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return images under their own separable kernels, mirrored at the border: (N, C, H, W), (N, K, 11) twice.

    ``rows`` weighs along the height, ``columns`` along the width; the result is (N, K, C, H, W).
    """
    images, copies, taps = rows.shape
    colours, height, width = image.shape[1:]
    planes = pad(image, [REACH] * 4, mode="reflect").unsqueeze(1).expand(-1, copies, -1, -1, -1)
    planes = planes.reshape(1, -1, height + 2 * REACH, width + 2 * REACH)
    rows, columns = (kernel.flatten(0, 1).repeat_interleave(colours, 0) for kernel in (rows, columns))
    planes = conv2d(planes, rows.view(-1, 1, taps, 1), groups=len(rows))
    planes = conv2d(planes, columns.view(-1, 1, 1, taps), groups=len(columns))
    return planes.view(images, copies, colours, height, width)


def noisy(image: Tensor, keys: Keys, sigma: float) -> Tensor:
    """Return the image with Gaussian noise, in 8 bits."""
    draws = [generator(key, "noise of positives").standard_normal(image.shape[1:], "float32") for key in keys]
    noise = torch.stack([torch.from_numpy(draw) for draw in draws]).to(image)
    return _rounded((image + sigma * noise).clamp(0, 1))


def enlarged(degraded: Tensor, clean: Tensor) -> Tensor:
    """Return the degraded image at the size of the clean one: bicubic with aligned corners, as released."""
    if degraded.shape[-2:] == clean.shape[-2:]:
        return degraded
    return interpolate(degraded, clean.shape[-2:], mode="bicubic", align_corners=True).clamp(0, 1)


def _rounded(image: Tensor) -> Tensor:
    return (image * LEVELS).round() / LEVELS
