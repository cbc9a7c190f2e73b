"""EXIF blocks: orientation applied once, sizes brought up to date, the rest carried along untouched."""

import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

ORIENTATION = 0x0112
# Descriptive TIFF tags; all others describe how that one file stores its samples.
TIFF_TEXT = (
    0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298,
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F,
)  # fmt: skip
SUB_IFDS = (0x8769, 0x8825)
EXIF_IFD = 0x8769
WIDTHS, HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)
ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
SHORT, LONG = 3, 4


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
    orientation = stated_orientation(exif)
    if orientation is None:
        return 1, exif
    return orientation, _patched(exif, {ORIENTATION: 1})


def stated_orientation(exif: bytes) -> int | None:
    """Return the orientation in an EXIF block, None where it has none; 1 for values that mean nothing."""
    for tag, kind, place in _entries(exif):
        if tag == ORIENTATION and kind == SHORT:
            (value,) = struct.unpack_from(f"{ORDERS[exif[:4]]}H", exif, place)
            return value if 1 <= value <= 8 else 1
    return None


def resized(exif: bytes, width: int, height: int) -> bytes:
    """Return the block with the pixel counts that it states, if any, replaced in their places."""
    return _patched(exif, dict.fromkeys(WIDTHS, width) | dict.fromkeys(HEIGHTS, height))


def with_resolution(dpi: tuple[float, float]) -> bytes:
    """Return an EXIF block that states a resolution, for formats with no other place for it."""
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = dpi[0], dpi[1], 2
    return exif.tobytes().removeprefix(b"Exif\0\0")


def resolution(exif: bytes) -> tuple[float, float] | None:
    """Return the resolution in dots per inch that a block states."""
    tags = Image.Exif()
    tags.load(b"Exif\0\0" + exif)
    per_inch = {2: 1.0, 3: 2.54}.get(tags.get(0x0128, 2))
    across, down = tags.get(0x011A), tags.get(0x011B)
    if per_inch is None or across is None or down is None:
        return None
    return float(across) * per_inch, float(down) * per_inch


def exif_of(image: Image.Image) -> bytes:
    """Return a file's EXIF block, empty if it has none."""
    exif = image.info.get("exif") or b""
    return exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""


def exif_of_tiff(source: Image.Exif) -> bytes:
    """Return the descriptive tags of a TIFF file as an EXIF block."""
    exif = Image.Exif()
    for tag in TIFF_TEXT:
        if tag in source:
            exif[tag] = source[tag]
    for tag in SUB_IFDS:
        if source.get_ifd(tag):
            exif.get_ifd(tag).update(source.get_ifd(tag))
            exif[tag] = exif.get_ifd(tag)
    return exif.tobytes().removeprefix(b"Exif\0\0") if len(exif) else b""


def _entries(exif: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the tag, the type and the value's place of single values, in the first directory and the EXIF one."""
    order = ORDERS.get(exif[:4])
    try:
        directories = list(struct.unpack_from(f"{order}L", exif, 4))
        while directories:
            start = directories.pop()
            (count,) = struct.unpack_from(f"{order}H", exif, start)
            for entry in range(start + 2, start + 2 + 12 * count, 12):
                tag, kind, length, value = struct.unpack_from(f"{order}HHLL", exif, entry)
                if tag == EXIF_IFD and kind == LONG and start != value:
                    directories = [value]
                elif length == 1:
                    yield tag, kind, entry + 8
    except struct.error:  # no EXIF, or a damaged block: what comes before the damage counts
        return


def _patched(exif: bytes, values: dict[int, int]) -> bytes:
    patched = bytearray(exif)
    for tag, kind, place in _entries(exif):
        if tag in values and kind in (SHORT, LONG) and (kind == LONG or values[tag] < 1 << 16):
            letter = "H" if kind == SHORT else "L"
            struct.pack_into(f"{ORDERS[exif[:4]]}{letter}", patched, place, values[tag])
    return bytes(patched)
