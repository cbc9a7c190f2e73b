"""Frames of an animated PNG as its specification (third edition, 11.3.6) composes them, all bits of them.

Pillow keeps 8 bits of 16, and does not take back a second frame that is to leave the first behind.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

import numpy as np
from PIL import Image

from restoration.formats.by_pillow import samples_by_pillow
from restoration.formats.png_reading import chunks
from restoration.formats.png_writing import SIGNATURE, chunk

BACKGROUND, PREVIOUS = 1, 2  # what a frame leaves behind
OVER = 1
BESIDE = (b"PLTE", b"tRNS", b"sBIT")  # what samples need to be understood


@dataclass
class Part:
    """The compressed samples of one frame, and where they go."""

    width: int
    height: int
    left: int = 0
    top: int = 0
    milliseconds: float = 0.0
    dispose: int = 0
    blend: int = 0
    data: list[bytes] = field(default_factory=list)


def frames(stream: IO[bytes]) -> Iterator[tuple[np.ndarray, float]]:
    """Yield every frame as it is shown, (H, W, C) of uint8 or uint16 with alpha last, and its milliseconds.

    A still picture that is no part of the animation comes first, with 0 milliseconds. Alpha is left out of frames
    that are opaque where the file has none.
    """
    head, beside, parts = _parts(stream)
    width, height = struct.unpack(">LL", head[:8])
    canvas: np.ndarray | None = None
    for part in parts:
        samples = _decoded(head, beside, part)
        whole = samples if samples.shape[2] in (2, 4) else _with_alpha(samples)
        if canvas is None:
            canvas = np.zeros((height, width, whole.shape[2]), whole.dtype)
        place = (slice(part.top, part.top + part.height), slice(part.left, part.left + part.width))
        before = canvas.copy() if part.dispose == PREVIOUS else None
        canvas[place] = _over(whole, canvas[place]) if part.blend == OVER else whole
        shown = canvas.copy()
        plain = samples.shape[2] in (1, 3) and (shown[..., -1] == np.iinfo(shown.dtype).max).all()
        yield shown[..., :-1] if plain else shown, part.milliseconds
        if part.dispose == BACKGROUND:
            canvas[place] = 0
        elif before is not None:
            canvas = before


def _parts(stream: IO[bytes]) -> tuple[bytes, list[tuple[bytes, bytes]], list[Part]]:
    """Return the header, the chunks that all frames need, and the frames."""
    head, beside, parts = b"", [], []
    for kind, start, length in chunks(stream):
        if kind not in (b"IHDR", b"fcTL", b"IDAT", b"fdAT", *BESIDE):
            continue
        stream.seek(start)
        data = stream.read(length)
        if len(data) < length or stream.read(4) != struct.pack(">L", zlib.crc32(data, zlib.crc32(kind))):
            raise OSError("image file is truncated, or one of its chunks is broken")
        if kind == b"IHDR":
            head = data
        elif kind == b"fcTL":
            width, height, left, top, count, per, dispose, blend = struct.unpack(">4LHHBB", data[4:26])
            across, down = struct.unpack(">LL", head[:8])
            if not (0 < width <= across - left and 0 < height <= down - top):
                raise ValueError(f"a frame of {height}x{width} at {top}, {left} of {down}x{across}")
            parts.append(Part(width, height, left, top, 1000 * count / (per or 100), dispose, blend))
        elif kind == b"IDAT":
            if not parts:  # a still picture of its own
                width, height = struct.unpack(">LL", head[:8])
                parts.append(Part(width, height, dispose=BACKGROUND))
            parts[0].data.append(data)
        elif kind == b"fdAT":
            parts[-1].data.append(data[4:])
        else:
            beside.append((kind, data))
    return head, beside, parts


def _decoded(head: bytes, beside: list[tuple[bytes, bytes]], part: Part) -> np.ndarray:
    """Return the samples of one frame, read as a file of its own."""
    file = io.BytesIO()
    file.write(SIGNATURE)
    chunk(file, b"IHDR", struct.pack(">LL", part.width, part.height) + head[8:13])
    for kind, data in beside:
        chunk(file, kind, data)
    chunk(file, b"IDAT", b"".join(part.data))
    chunk(file, b"IEND", b"")
    file.seek(0)
    with Image.open(file, formats=("PNG",)) as image:
        return samples_by_pillow(image, file, ("PNG",))


def _with_alpha(samples: np.ndarray) -> np.ndarray:
    alpha = np.full((*samples.shape[:2], 1), np.iinfo(samples.dtype).max, samples.dtype)
    return np.concatenate([samples, alpha], -1)


def _over(front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return colours laid over others, neither multiplied with its alpha (PNG specification, 13.16)."""
    white = np.iinfo(front.dtype).max
    opacity, beneath = front[..., -1:] / white, back[..., -1:] / white
    behind = beneath * (1 - opacity)
    alpha = opacity + behind
    colour = (front[..., :-1] * opacity + back[..., :-1] * behind) / np.where(alpha > 0, alpha, 1)
    mixed = np.concatenate([colour, alpha * white], -1)
    return np.where(opacity == 1, front, np.where(opacity == 0, back, np.rint(mixed))).astype(front.dtype)
