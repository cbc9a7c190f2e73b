"""JPEG's segments beside the picture, and the quality that quantisation tables stand for."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from restoration.formats.metadata import Metadata, iptc_of_resources, resources_of_iptc

XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
PHOTOSHOP = b"Photoshop 3.0\0"
LARGEST_SEGMENT = 65533
LOW_QUALITY = 75  # below it, what is written may put back what was restored
# Annex K of the standard: luminance and chrominance, by rows; quality scales them as libjpeg does
LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
    51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121,
    120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


@dataclass(frozen=True)
class Segments:
    """What a JPEG file holds beside the picture, and that Pillow does not hand on."""

    iptc: bytes | None
    extended_xmp: tuple[bytes, ...]
    comment: bytes | None


def segments(stream: IO[bytes]) -> Segments:
    """Return the IPTC records, the extended XMP and the comment of a JPEG file."""
    resources, extended, comment = b"", [], None
    for marker, data in _segments(stream):
        if marker == 0xED and data.startswith(PHOTOSHOP):
            resources += data.removeprefix(PHOTOSHOP)
        elif marker == 0xE1 and data.startswith(XMP_EXTENSION):
            extended.append(data)
        elif marker == 0xFE:
            comment = comment or data
    return Segments(iptc_of_resources(resources) or None, tuple(extended), comment)


def quality_of(table: tuple[int, ...]) -> int:
    """Return the quality, 1 to 100, whose luminance table (by rows) is nearest to this one."""

    def distance(quality: int) -> int:
        return sum(abs(a - b) for a, b in zip(table, scaled(quality), strict=True))

    return min(range(100, 0, -1), key=distance)


def scaled(quality: int) -> tuple[int, ...]:
    """Return the luminance table of a quality from 1 to 100."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(max((value * percent + 50) // 100, 1), 255) for value in LUMINANCE)


class WithSegments(io.RawIOBase):
    """A stream for Pillow's writer, which puts in the segments that it cannot write, after the first one."""

    def __init__(self, stream: IO[bytes], metadata: Metadata) -> None:
        self.stream, self.extra = stream, b""
        payloads = list(metadata.stored.extended_xmp if metadata.xmp else ())
        if metadata.iptc:
            resources = resources_of_iptc(metadata.iptc)
            step = LARGEST_SEGMENT - len(PHOTOSHOP)
            parts = (PHOTOSHOP + resources[i : i + step] for i in range(0, len(resources), step))
            self.extra = b"".join(_segment(0xED, part) for part in parts)
        self.extra += b"".join(_segment(0xE1, payload) for payload in payloads)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write, and the segments after SOI and APP0 of the first piece."""
        if self.extra and data[:4] == b"\xff\xd8\xff\xe0":
            end = 4 + int.from_bytes(data[4:6], "big")
            self.stream.write(bytes(data[:end]) + self.extra + bytes(data[end:]))
            self.extra = b""
        else:
            self.stream.write(data)
        return len(data)


def _segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(data) + 2).to_bytes(2, "big") + data


def _segments(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the segments up to the first scan."""
    stream.seek(2)
    while (head := stream.read(2)) and head[0] == 0xFF and head[1:] not in (b"\xda", b"\xd9", b""):
        if head[1] == 0xFF:  # a filling byte
            stream.seek(-1, 1)
            continue
        length = int.from_bytes(stream.read(2), "big")
        if length < 2:
            return
        yield head[1], stream.read(length - 2)
