"""JPEG as a differentiable function: what libjpeg does to an image, or DiffJPEG's simpler model of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from restoration.degradations.codecs import Subsampling
from restoration.degradations.dct import (
    dct,
    half_up,
    integer_dct,
    integer_inverse_dct,
    inverse_dct,
    straight_through,
)
from restoration.degradations.degraded import Degradation, Degraded, one_per_image, over
from restoration.degradations.draws import Keys, Range, check_range, generator, uniform

Convention = Literal["libjpeg", "diffjpeg"]
Rounding = Literal["straight-through", "cubic"]

# ITU-T T.81, tables K.1 and K.2; rows are vertical frequencies
LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
CHROMA = np.full((8, 8), 99)
CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

# samples that share one sample of the colour differences: (rows, columns)
SHARED = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:2:0": (2, 2)}

# RGB → Y, Cb, Cr about 0, and back from Cb and Cr (JFIF), the latter as libjpeg has them, in whole 65536ths
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((0.0, 1.402), (-0.344136, -0.714136), (1.772, 0.0))
WHOLE_TO_YCC = tuple(
    tuple(n / 65536 for n in row)
    for row in ((19595, 38470, 7471), (-11059, -21709, 32768), (32768, -27439, -5329))
)
WHOLE_TO_RGB = tuple(tuple(n / 65536 for n in row) for row in ((0, 91881), (-22554, -46802), (116130, 0)))


@dataclass(frozen=True)
class DifferentiableJPEG(Degradation):
    """JPEG that lets gradients pass; ``quality`` is any number from 1 to 100, or a range of them.

    ``convention`` "libjpeg" gives libjpeg's own samples, as jpeg does; "diffjpeg" gives those of DiffJPEG, with which
    Real-ESRGAN was trained (Wang et al., 2021): table K.1 transposed and real-valued, colour differences averaged and
    repeated, 0 beyond the border, nothing rounded but coefficients; its qualities end at 99. ``rounding`` of
    coefficients is exact, with gradient 1 ("straight-through"), or x' + (x - x')³ of the rounded x' ("cubic", Shin and
    Song, 2017).
    """

    scale: ClassVar[int] = 1

    quality: Range = (30.0, 95.0)
    subsampling: Subsampling = "4:2:0"
    convention: Convention = "libjpeg"
    rounding: Rounding = "straight-through"

    def __post_init__(self) -> None:
        check_range("quality", self.quality, 1.0, 100.0 if self.convention == "libjpeg" else 99.0)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the compressed image, and each image's quality."""
        one_per_image(clean, keys)
        quality = [uniform(generator(key, "jpeg-differentiable"), self.quality) for key in keys]
        image = jpeg(clean, quality, self.subsampling, convention=self.convention, rounding=self.rounding)
        return Degraded(image, draw={"quality": quality})


def jpeg(
    image: Tensor,
    quality: Sequence[float],
    subsampling: Subsampling = "4:2:0",
    *,
    convention: Convention = "libjpeg",
    rounding: Rounding = "straight-through",
) -> Tensor:
    """Return ``image`` (N, 1 or 3, H, W) in [0, 1] after JPEG of one ``quality`` per image; see DifferentiableJPEG.

    The transform is in double: where the device has none (Apple's MPS), on the CPU. Images go one by one, so that no
    sum depends on the size of the batch.
    """
    if image.shape[1] not in (1, 3):
        raise ValueError(f"image has {image.shape[1]} channels; expected 1 or 3")
    passed = _libjpeg if convention == "libjpeg" else _diffjpeg
    work = image.cpu() if image.device.type == "mps" else image
    device = work.device.type
    with torch.autocast(device if torch.amp.is_autocast_available(device) else "cpu", enabled=False):
        done = [
            passed(one.float(), q, SHARED[subsampling], rounding)
            for one, q in zip(work, quality, strict=True)
        ]
    return torch.stack(done).to(image)


def tables(quality: float) -> tuple[np.ndarray, np.ndarray]:
    """Return libjpeg's steps of quantisation, luma and chroma, (8, 8) whole numbers from 1 to 255.

    A quality that is no whole number scales by the whole percentage below it, as libjpeg's integers would.
    """
    percent = int(5000 / quality if quality < 50 else 200 - 2 * quality)
    luma, chroma = (((table * percent + 50) // 100).clip(1, 255) for table in (LUMA, CHROMA))
    return luma, chroma


def _libjpeg(image: Tensor, quality: float, shared: tuple[int, int], rounding: Rounding) -> Tensor:
    """Return one image (C, H, W) as libjpeg (6b and its heirs) decodes it.

    Samples are whole numbers about 0. Sums of 65536ths below 256 are exact in single, and so the same everywhere.
    """
    samples = half_up(image.clamp(0, 1).mul_(255))
    height, width = image.shape[1:]
    luma_table, chroma_table = tables(quality)
    if len(image) == 1:
        return _limited(_recoded(samples - 128, luma_table, rounding))
    ycc = [_mixed(samples, weights) for weights in WHOLE_TO_YCC]
    luma = _recoded(half_up(ycc[0] - 128)[None], luma_table, rounding)
    # ties of the colour differences round down
    chroma = half_up(torch.stack(ycc[1:]) - 2**-16)
    chroma = _recoded(_reduced(chroma, *shared), chroma_table, rounding)[..., : -(-width // shared[1])]
    chroma = _enlarged(chroma, *shared)[:, :height, :width]
    return _limited(luma + torch.stack([half_up(_mixed(chroma, weights)) for weights in WHOLE_TO_RGB]))


def _diffjpeg(image: Tensor, quality: float, shared: tuple[int, int], rounding: Rounding) -> Tensor:
    """Return one image (C, H, W) as DiffJPEG has it."""
    height, width = image.shape[1:]
    rows, columns = shared
    padded = functional.pad(image * 255, (0, -width % (8 * columns), 0, -height % (8 * rows)))
    factor = (5000 / quality if quality < 50 else 200 - 2 * quality) / 100
    if len(image) == 1:
        return _limited(_real_recoded(padded - 128, LUMA.T * factor, rounding))[:, :height, :width]
    ycc = torch.stack([_mixed(padded, weights) for weights in TO_YCC])
    luma = _real_recoded(ycc[:1] - 128, LUMA.T * factor, rounding)
    chroma = _real_recoded(_summed(ycc[1:], *shared) / (rows * columns), CHROMA * factor, rounding)
    chroma = _repeated(chroma, rows, columns)
    return _limited(luma + torch.stack([_mixed(chroma, weights) for weights in TO_RGB]))[:, :height, :width]


def _limited(centred: Tensor) -> Tensor:
    return over((centred + 128).clamp_(0, 255), 255)


def _mixed(planes: Tensor, weights: Sequence[float]) -> Tensor:
    """Return a weighted sum of planes, (H, W)."""
    total = planes[0] * weights[0]
    for plane, weight in zip(planes[1:], weights[1:], strict=True):
        total = torch.add(total, plane, alpha=weight)
    return total


def _recoded(planes: Tensor, table: np.ndarray, rounding: Rounding) -> Tensor:
    """Return whole samples (C, H, W) from -128 to 127 after their coefficients are rounded to multiples of a table."""
    height, width = planes.shape[1:]
    padded = _extended(planes, 8, 8).double()
    step = _steps(padded, table)
    # a hair less than 8 steps, so that halves round away from 0; the next nearest quotients are 2⁻¹¹ off
    blocks = integer_dct(padded).view(-1, 8, padded.shape[2]) / (step * (8 - 2**-30))
    samples = integer_inverse_dct(_quantised(blocks, rounding) * step).view(padded.shape)
    return samples[:, :height, :width].clamp(-128, 127).to(planes.dtype)


def _real_recoded(planes: Tensor, table: np.ndarray, rounding: Rounding) -> Tensor:
    wide = planes.double()
    step = _steps(wide, table)
    blocks = dct(wide).view(-1, 8, planes.shape[2]) / step
    samples = inverse_dct(_quantised(blocks, rounding) * step)
    return samples.view(planes.shape).to(planes.dtype)


def _steps(planes: Tensor, table: np.ndarray) -> Tensor:
    """Return a table beside itself over a whole row of blocks, (8, W)."""
    return torch.from_numpy(np.tile(table, planes.shape[2] // 8)).to(planes)


def _quantised(value: Tensor, rounding: Rounding) -> Tensor:
    nearest = value.detach().round()
    return (
        straight_through(value, nearest)
        if rounding == "straight-through"
        else nearest + (value - nearest) ** 3
    )


def _extended(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Return planes (C, H, W) whose last samples go on until height and width are multiples."""
    height, width = planes.shape[1:]
    below, right = -height % rows, -width % columns
    return functional.pad(planes, (0, right, 0, below), "replicate") if below or right else planes


def _summed(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Return the sums of ``rows`` x ``columns`` samples, each 1 or 2."""
    if rows == 2:
        planes = planes[:, ::2] + planes[:, 1::2]
    return planes[..., ::2] + planes[..., 1::2] if columns == 2 else planes


def _repeated(planes: Tensor, rows: int, columns: int) -> Tensor:
    count, height, width = planes.shape
    wide = planes[:, :, None, :, None].expand(-1, -1, rows, -1, columns)
    return wide.reshape(count, height * rows, width * columns)


def _reduced(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Return the means of ``rows`` x ``columns`` samples in whole numbers; ties round down and up by turns."""
    total = _summed(_extended(planes, rows, 8 * columns), rows, columns)
    count = rows * columns
    if count == 1:
        return total
    downwards = np.tile([1 / count, 0], total.shape[2] // 2)
    return half_up(total / count - torch.from_numpy(downwards).to(total))


def _enlarged(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Return whole planes (C, H · rows, W · columns): 3/4 of the near sample and 1/4 of the next one, on both axes."""
    if columns == 1:
        return planes
    if planes.shape[2] <= 2:  # libjpeg repeats the samples of images this small
        return _repeated(planes, rows, columns)
    if rows == 2:
        planes = torch.stack(_fourfold(planes, 1), 2).flatten(1, 2)
    left, right = _fourfold(planes, 2)
    if rows == 2:
        return torch.stack([half_up(left / 16), half_up((right - 1) / 16)], 3).flatten(2)
    return torch.stack([half_up((left - 1) / 4), half_up(right / 4)], 3).flatten(2)


def _fourfold(planes: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return three times each sample plus the one before it along an axis, and plus the one after it."""
    last = planes.shape[axis] - 1
    beside = torch.cat([planes.narrow(axis, 0, 1), planes, planes.narrow(axis, last, 1)], axis)
    before, after = beside.narrow(axis, 0, last + 1), beside.narrow(axis, 2, last + 1)
    return torch.add(before, planes, alpha=3), torch.add(after, planes, alpha=3)
