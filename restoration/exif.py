"""EXIF blocks: orientation applied once, the rest carried along untouched."""

import struct

import numpy as np
from PIL import Image, TiffImagePlugin

ORIENTATION = 0x0112
# Descriptive TIFF tags; all others describe how that one file stores its samples.
TIFF_TEXT = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
SUB_IFDS = (0x8769, 0x8825)


def turned(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Return the samples of a file with this EXIF orientation (1 to 8) upright."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples


def upright(exif: bytes) -> tuple[int, bytes]:
    """Return the orientation in an EXIF block, and the block with 1 in its place and all else untouched."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    try:
        (start,) = struct.unpack_from(f"{order}L", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHLH", exif, entry)
            if tag == ORIENTATION and kind == 3:
                patched = bytearray(exif)
                struct.pack_into(f"{order}H", patched, entry + 8, 1)
                return value if 1 <= value <= 8 else 1, bytes(patched)
    except struct.error:  # no EXIF, or a damaged block: there is no orientation to apply
        pass
    return 1, exif


def exif_of(image: Image.Image) -> bytes:
    """Return a file's EXIF block, empty if it has none."""
    exif = image.info.get("exif") or b""
    return exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""


def exif_of_tiff(image: TiffImagePlugin.TiffImageFile) -> bytes:
    """Return the descriptive tags of a TIFF file as an EXIF block."""
    source, exif = image.getexif(), Image.Exif()
    for tag in TIFF_TEXT:
        if tag in source:
            exif[tag] = source[tag]
    for tag in SUB_IFDS:
        if source.get_ifd(tag):
            exif.get_ifd(tag).update(source.get_ifd(tag))
            exif[tag] = exif.get_ifd(tag)
    return exif.tobytes().removeprefix(b"Exif\0\0") if len(exif) else b""
