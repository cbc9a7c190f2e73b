"""What travels beside the samples: XMP packets, IPTC records, and how a file stored what it held."""

import re
import struct
from dataclasses import dataclass, field

from restoration.formats.integers import Integers

IPTC_RESOURCE = 0x0404  # Photoshop's number for IPTC records among its image resources
ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|[^<>]*>))\s*([1-8])(?=\s*["'<])""")
WIDTHS = rb"(?:exif:PixelXDimension|tiff:ImageWidth)"
HEIGHTS = rb"(?:exif:PixelYDimension|tiff:ImageLength)"


@dataclass(frozen=True)
class Stored:
    """How a file stored what it held, so that a result can be stored likewise where it fits."""

    palette: bool = False
    peak: int | None = None  # the white of grey with fewer than 8 bits, or of a PPM of 10, 12 …
    tables: tuple[tuple[int, ...], ...] = ()  # JPEG's quantisation
    premultiplied: bool = False  # TIFF's associated alpha
    white_is_zero: bool = False  # of TIFF's grey
    integers: Integers | None = None  # TIFF's with a sign, or of 32 bits
    chunks: tuple[tuple[bytes, bytes], ...] = ()  # PNG's text and colour chunks, as they are
    comment: bytes | None = None
    extended_xmp: tuple[bytes, ...] = ()  # JPEG segments beyond the first packet
    still_first: bool = False  # the first frame of an APNG is what viewers show that do not animate


@dataclass(frozen=True)
class Metadata:
    """What is written beside the samples, as far as the format has a place for it."""

    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    lossless: bool = True  # WebP has both kinds
    xmp: bytes | None = None
    iptc: bytes | None = None
    stored: Stored = field(default_factory=Stored)
    quality: int | None = None  # of lossy formats, 1 to 100; None keeps that of the source


def xmp_orientation(packet: bytes) -> int:
    """Return the orientation that an XMP packet states, 1 if none."""
    found = ORIENTATION.search(packet)
    return int(found[2]) if found else 1


def xmp_upright(packet: bytes) -> bytes:
    """Return the packet with orientation 1, all else untouched."""
    return ORIENTATION.sub(rb"\g<1>1", packet)


def xmp_resized(packet: bytes, width: int, height: int) -> bytes:
    """Return the packet with the pixel counts that it states, if any, replaced."""
    for names, length in ((WIDTHS, width), (HEIGHTS, height)):
        packet = re.sub(rb"(" + names + rb"""(?:\s*=\s*["']|>))\d+""", rb"\g<1>%d" % length, packet)
    return packet


def iptc_of_resources(block: bytes) -> bytes | None:
    """Return the IPTC records among Photoshop's image resources."""
    position = 0
    while block[position : position + 4] == b"8BIM":
        (number,) = struct.unpack_from(">H", block, position + 4)
        start = position + 6 + (block[position + 6] // 2 + 1) * 2  # past a name of even length
        (length,) = struct.unpack_from(">L", block, start)
        if number == IPTC_RESOURCE:
            return block[start + 4 : start + 4 + length]
        position = start + 4 + length + length % 2
    return None


def resources_of_iptc(records: bytes) -> bytes:
    """Return image resources that hold these IPTC records alone."""
    padding = b"\0" * (len(records) % 2)
    return b"8BIM" + struct.pack(">HHL", IPTC_RESOURCE, 0, len(records)) + records + padding
