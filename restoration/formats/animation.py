"""GIF and WebP animations whose every frame is written: Pillow's writers merge frames that are alike."""

import io
import struct
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
from PIL import Image

from restoration.formats.metadata import Metadata
from restoration.formats.palettes import indices_of, palette_of, quantised

OPAQUE_FROM = 128  # of 255: GIF knows no half-transparent pixels
GIF_COMMENT = 255  # bytes in a block


def write_gif(
    stream: IO[bytes], frames: Sequence[np.ndarray], metadata: Metadata, durations: Sequence[float],
    loop: int | None,
) -> bool:  # fmt: skip
    """Write frames (H, W, 1 to 4) of uint8 as GIF, each with its palette; return whether colours had to go.

    ``durations`` are milliseconds, of which GIF keeps hundredths of a second; ``loop`` is how often it repeats,
    0 for ever, None for a single time.
    """
    height, width = frames[0].shape[:2]
    stream.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0))
    if loop is not None:
        stream.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", loop, 0))
    comment = metadata.stored.comment or b""
    if comment:
        parts = (comment[i : i + GIF_COMMENT] for i in range(0, len(comment), GIF_COMMENT))
        stream.write(b"\x21\xfe" + b"".join(bytes((len(p),)) + p for p in parts) + b"\0")
    if metadata.icc:
        stream.write(b"\x21\xff\x0bICCRGBG1012" + _blocks(metadata.icc))
    if metadata.xmp:
        stream.write(b"\x21\xff\x0bXMP DataXMP" + metadata.xmp + _xmp_trailer())
    changed = False
    for samples, duration in zip(frames, durations, strict=True):
        indices, colours, clear, reduced = _indexed(samples)
        changed |= reduced
        flags = (2 << 2 | 1) if clear is not None else 1 << 2  # the next frame replaces what is clear here
        delay = min(round((duration or 0) / 10), 65535)
        stream.write(b"\x21\xf9\x04" + struct.pack("<BHBB", flags, delay, clear or 0, 0))
        stream.write(_image(indices, colours))
    stream.write(b"\x3b")
    return changed


def write_webp(
    stream: IO[bytes], frames: Sequence[np.ndarray], metadata: Metadata, durations: Sequence[float],
    loop: int | None, quality: int,
) -> None:  # fmt: skip
    """Write frames (H, W, 1, 3 or 4) of uint8 as WebP; ``durations`` are milliseconds."""
    height, width = frames[0].shape[:2]
    body = [_riff(b"ANIM", struct.pack("<LH", 0, loop or 0))]
    alpha = any(f.shape[2] in (2, 4) for f in frames)
    for samples, duration in zip(frames, durations, strict=True):
        file = io.BytesIO()
        image = Image.fromarray(np.ascontiguousarray(samples if samples.shape[2] > 1 else samples[..., 0]))
        image.save(file, "WEBP", quality=quality, lossless=metadata.lossless, exact=True)
        parts = [_riff(k, d) for k, d in riff_chunks(file.getvalue()) if k in (b"ALPH", b"VP8 ", b"VP8L")]
        size = _three(0) * 2 + _three(width - 1) + _three(height - 1) + _three(round(duration or 0)) + b"\2"
        body.append(_riff(b"ANMF", size + b"".join(parts)))
    blocks = ((b"EXIF", metadata.exif), (b"XMP ", metadata.xmp))
    flags = 2 | (16 if alpha else 0) | (32 if metadata.icc else 0)
    flags |= (8 if metadata.exif else 0) | (4 if metadata.xmp else 0)
    head = [_riff(b"VP8X", bytes((flags, 0, 0, 0)) + _three(width - 1) + _three(height - 1))]
    head += [_riff(b"ICCP", metadata.icc)] if metadata.icc else []
    data = b"WEBP" + b"".join([*head, *body, *(_riff(kind, block) for kind, block in blocks if block)])
    stream.write(b"RIFF" + struct.pack("<L", len(data)) + data)


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a WebP file."""
    position = 12
    while position + 8 <= len(data):
        (length,) = struct.unpack_from("<L", data, position + 4)
        yield data[position : position + 4], data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<L", len(data)) + data + b"\0" * (len(data) % 2)


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _indexed(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, int | None, bool]:
    """Return indices, a palette (n, 3), the index of what is clear, and whether colours had to go."""
    if samples.shape[2] == 1:  # every level of grey at its place, by which readers know that it is grey
        return samples[..., 0], np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1), None, False
    colours = samples[..., :1].repeat(3, 2) if samples.shape[2] < 3 else samples[..., :3]
    clear = samples[..., -1] < OPAQUE_FROM if samples.shape[2] in (2, 4) else None
    half = clear is not None and bool(((samples[..., -1] > 0) & (samples[..., -1] < 255)).any())
    clear = clear if clear is not None and clear.any() else None
    hidden = np.zeros((1, 3), np.uint8)
    if clear is not None:
        hidden = colours[clear][:1]
        colours = np.where(clear[..., None], 0, colours).astype(np.uint8)
    most = 256 if clear is None else 255
    layout = palette_of(colours, None, most)
    reduced = half or layout is None
    if layout is None:
        colours = quantised(colours, most - 1)  # and the black under what is clear
        if clear is not None:
            colours = np.where(clear[..., None], 0, colours).astype(np.uint8)
        layout = palette_of(colours, None, most)
    assert layout is not None and layout.palette is not None
    indices = indices_of(colours, None, layout)[..., 0]
    if clear is None:
        return indices, layout.palette, None, reduced
    indices = np.where(clear, len(layout.palette), indices).astype(np.uint8)
    return indices, np.concatenate([layout.palette, hidden]), len(layout.palette), reduced


def _image(indices: np.ndarray, palette: np.ndarray) -> bytes:
    """Return a GIF image with its own palette: Pillow compresses it, as the only frame of a file."""
    image = Image.fromarray(indices).convert("P")
    image.putpalette(np.concatenate([palette, np.zeros((256 - len(palette), 3), np.uint8)]).tobytes())
    file = io.BytesIO()
    image.save(file, "GIF", optimize=False, interlace=0)
    data = file.getvalue()
    bits = data[10] & 7
    table = data[13 : 13 + 3 * 2 ** (bits + 1)]
    position = 13 + len(table)
    while data[position] == 0x21:  # extensions
        position += 2
        while data[position]:
            position += data[position] + 1
        position += 1
    descriptor = bytearray(data[position : position + 10])
    if descriptor[9] & 0x80:  # the palette is the image's own already
        return data[position:-1]
    descriptor[9] = 0x80 | bits
    return bytes(descriptor) + table + data[position + 10 : -1]


def _blocks(data: bytes) -> bytes:
    parts = (data[i : i + 255] for i in range(0, len(data), 255))
    return b"".join(bytes((len(p),)) + p for p in parts) + b"\0"


def _xmp_trailer() -> bytes:
    """Return the bytes that lead readers, who take the packet for blocks, to the end (XMP specification, part 3)."""
    return b"\x01" + bytes(range(255, -1, -1)) + b"\0"
