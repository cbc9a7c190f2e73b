"""Samples that tests know, and files of them."""

import io

import numpy as np
from PIL import Image


def picture(number: int, height: int = 40, width: int = 48, channels: int = 3) -> np.ndarray:
    """Smooth samples with a number of their own in every pixel of the first channel's low bits."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 255, (height // 8 + 2, width // 8 + 2, channels), np.uint8)
    image = np.stack(
        [
            np.asarray(Image.fromarray(coarse[..., c]).resize((width, height), Image.BICUBIC))
            for c in range(channels)
        ],
        -1,
    )
    return image


def ppm(samples: np.ndarray) -> bytes:
    """A binary PPM or PGM file of 8 or 16 bits."""
    height, width, channels = samples.shape
    head = f"P{6 if channels == 3 else 5}\n{width} {height}\n{255 if samples.dtype == np.uint8 else 65535}\n"
    return head.encode() + samples.astype(samples.dtype.newbyteorder(">")).tobytes()


def file_of(samples: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(samples if samples.shape[2] == 3 else samples[..., 0]).save(stream, kind)
    return stream.getvalue()
