"""Image files in memory to samples; uncompressed ones by a view of their bytes."""

import io
import math
import re

import numpy as np
from PIL import Image, UnidentifiedImageError

from restoration.errors import ImageError
from restoration.image import MAX_PIXELS
from restoration.image.decoding import DAMAGE, FORMATS, PILLOW_SETTINGS, Unsupported, decode

HEAD = 64  # bytes that hold the size of a PPM, PGM or PNG file
# the header of binary PGM (P5) and PPM (P6) files that hold no comment
PPM = re.compile(rb"P([56])\s+(\d{1,9})\s+(\d{1,9})\s+(255|65535)\s")
PNG = b"\x89PNG\r\n\x1a\n"


def decoded(data: bytes, name: str) -> np.ndarray:
    """Return a file's samples, (H, W, 1 or 3) of uint8 or uint16; ``name`` is what errors call it."""
    found = PPM.match(data, 0, HEAD)
    return _uncompressed(data, found, name) if found else _compressed(data, name)


def size_of_head(head: bytes) -> tuple[int, int] | None:
    """Return (height, width) by a file's first bytes, or None where they do not tell."""
    found = PPM.match(head)
    if found:
        return int(found[3]), int(found[2])
    if head.startswith(PNG) and len(head) >= 24:
        return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")
    return None


def _uncompressed(data: bytes, header: re.Match[bytes], name: str) -> np.ndarray:
    width, height, channels = int(header[2]), int(header[3]), 3 if header[1] == b"6" else 1
    count, kind = height * width * channels, np.dtype(np.uint8 if header[4] == b"255" else ">u2")
    if not count or len(data) < header.end() + count * kind.itemsize:
        expected = header.end() + count * kind.itemsize
        raise ImageError(f"{name}: not a readable image (truncated after {len(data)} of {expected} bytes)")
    samples = np.frombuffer(data, kind, count, header.end()).reshape(height, width, channels)
    return samples if kind.itemsize == 1 else samples.astype(np.uint16)


def _compressed(data: bytes, name: str) -> np.ndarray:
    stream = io.BytesIO(data)
    with PILLOW_SETTINGS:
        try:
            image = Image.open(stream, formats=FORMATS)
            if math.prod(image.size) > MAX_PIXELS:
                raise Unsupported(f"{image.width}x{image.height} pixels; expected at most {MAX_PIXELS:,}")
            samples = decode(image, stream).samples
        except Unsupported as error:
            raise ImageError(f"{name}: {error}") from None
        except DAMAGE as error:
            reason = " ".join(str(error).split())
            if isinstance(error, UnidentifiedImageError):
                reason = f"none of {', '.join(FORMATS)}" if data else "empty"
            raise ImageError(f"{name}: not a readable image ({reason})") from None
    return np.ascontiguousarray(samples[..., : 1 if samples.shape[2] < 3 else 3])
