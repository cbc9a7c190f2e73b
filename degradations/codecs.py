"""Images through files of real codecs, in memory: JPEG, WebP, AVIF."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.degraded import STEPS, Degradation, Degraded, one_per_image, over
from restoration.degradations.draws import Keys, Range, check_range, ends, generator

Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]
Codec = Literal["JPEG", "WEBP", "AVIF"]


@dataclass(frozen=True)
class JPEG(Degradation):
    """Written as JPEG and read again (libjpeg); a whole ``quality`` from 1 to 100, or a range of them.

    ``subsampling`` of the colour differences: one, or several of which each image draws one, all as likely. Real-ESRGAN
    and BSRGAN have qualities 30 to 95 at 4:2:0. The image is limited to [0, 1] and rounded half up to 8 bits; one
    channel is a grey file. No gradient passes; see jpeg-differentiable.
    """

    scale: ClassVar[int] = 1

    quality: Range = (30.0, 95.0)
    subsampling: Subsampling | tuple[Subsampling, ...] = "4:2:0"

    def __post_init__(self) -> None:
        check_whole("quality", self.quality, 1, 100)
        if not self.subsampling:
            raise ValueError("subsampling = []; expected at least one")

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return what the files hold, and each image's quality and subsampling."""
        one_per_image(clean, keys)
        rngs = [generator(key, "jpeg") for key in keys]
        draw = {
            "quality": [whole(rng, self.quality) for rng in rngs],
            "subsampling": [one_of(rng, self.subsampling) for rng in rngs],
        }
        return Degraded(through_files(clean, "JPEG", draw), draw=draw)


@dataclass(frozen=True)
class WebP(Degradation):
    """Written as lossy WebP and read again (libwebp); ``quality`` 0 to 100, ``method`` 0 (fast) to 6 (small).

    Colour differences are always 4:2:0. Rounding is that of jpeg.
    """

    scale: ClassVar[int] = 1

    quality: Range = (30.0, 95.0)
    method: int = 4

    def __post_init__(self) -> None:
        check_whole("quality", self.quality, 0, 100)
        check_whole("method", self.method, 0, 6)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return what the files hold, and each image's quality."""
        one_per_image(clean, keys)
        draw = {"quality": [whole(generator(key, "webp"), self.quality) for key in keys]}
        return Degraded(through_files(clean, "WEBP", draw, method=self.method), draw=draw)


@dataclass(frozen=True)
class AVIF(Degradation):
    """Written as AVIF and read again (libavif); ``quality`` 0 to 100, ``speed`` 0 (small) to 10 (fast).

    ``subsampling`` and rounding are those of jpeg.
    """

    scale: ClassVar[int] = 1

    quality: Range = (30.0, 95.0)
    speed: int = 8
    subsampling: Subsampling | tuple[Subsampling, ...] = "4:2:0"

    def __post_init__(self) -> None:
        check_whole("quality", self.quality, 0, 100)
        check_whole("speed", self.speed, 0, 10)
        if not self.subsampling:
            raise ValueError("subsampling = []; expected at least one")
        _has_avif()

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return what the files hold, and each image's quality and subsampling."""
        one_per_image(clean, keys)
        rngs = [generator(key, "avif") for key in keys]
        draw = {
            "quality": [whole(rng, self.quality) for rng in rngs],
            "subsampling": [one_of(rng, self.subsampling) for rng in rngs],
        }
        # with several threads the bytes may depend on how many cores there are
        return Degraded(through_files(clean, "AVIF", draw, speed=self.speed, max_threads=1), draw=draw)


def encoded(samples: np.ndarray, codec: Codec, **options: object) -> bytes:
    """Return the file of 8-bit samples (H, W, C), C = 1 or 3; ``options`` are Pillow's."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples).save(file, codec, **options)
    return file.getvalue()


def decoded(data: bytes, channels: int) -> np.ndarray:
    """Return the 8-bit samples of a file, (H, W, ``channels``); a codec without grey has equal channels for it."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        samples = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return samples.reshape(*samples.shape[:2], channels)


def through_files(image: Tensor, codec: Codec, each: dict[str, list], **options: object) -> Tensor:
    """Return a batch (N, 1 or 3, H, W) as its files hold it; ``each`` has an option's value per image."""
    if image.shape[1] not in (1, 3):
        raise ValueError(f"clean has {image.shape[1]} channels; a file of {codec} needs 1 or 3")
    rounded = image.detach().clamp(0, 1).mul(STEPS).add_(0.5).floor_().to(torch.uint8)
    steps = rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    passed = np.empty_like(steps)
    for i, samples in enumerate(steps):
        own = {name: values[i] for name, values in each.items()}
        passed[i] = decoded(encoded(samples, codec, **own, **options), samples.shape[2])
    stored = torch.from_numpy(passed).to(image.device).permute(0, 3, 1, 2)
    return over(stored.to(image.dtype).contiguous(), STEPS)


def whole(rng: np.random.Generator, value: Range) -> int:
    """Return one whole number of a range, both ends included and all as likely."""
    low, high = ends(value)
    return int(rng.integers(int(low), int(high) + 1))


def one_of(rng: np.random.Generator, values: str | Sequence[str]) -> str:
    """Return one of several names, all as likely; a name alone is itself, and draws nothing."""
    return values if isinstance(values, str) else values[int(rng.integers(len(values)))]


def check_whole(name: str, value: Range, least: int, most: int) -> None:
    """Refuse a range that is not within [least, most] or whose ends are no whole numbers."""
    check_range(name, value, least, most)
    for end in ends(value):
        if not math.isclose(end, round(end)):
            raise ValueError(f"{name} = {end:g}; expected a whole number from {least} to {most}")


def _has_avif() -> None:
    import PIL
    from PIL import features

    if "avif" not in features.get_supported_modules():
        raise ValueError(
            f"avif: Pillow {PIL.__version__} has no AVIF here; expected 11.3 or later with libavif"
        )
