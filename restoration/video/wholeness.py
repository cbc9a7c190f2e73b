"""Whether a file holds all the bytes that its own headers promise; nothing is decoded."""

from pathlib import Path
from typing import IO

BOXES = {b"ftyp", b"free", b"mdat", b"moof", b"moov", b"pnot", b"sidx", b"skip", b"styp", b"uuid", b"wide"}
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def promised(path: Path) -> int | None:
    """Return the least number of bytes that an MP4, MOV, Matroska, WebM or AVI file must have; None for others.

    MP4 and MOV are a list of boxes, each headed by its size (ISO/IEC 14496-12, 4.2); Matroska is one segment after
    a header (RFC 8794, 9), whose size is left open in live recordings; AVI is one RIFF chunk, and maybe more.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
        if head[4:] in BOXES:
            return _boxes(stream, size)
        if head[:4] == EBML:
            return _segment(stream)
        if head[:4] == b"RIFF":
            return int.from_bytes(head[4:], "little") + 8
    return None


def _boxes(stream: IO[bytes], size: int) -> int:
    at = 0
    while at < size:
        stream.seek(at)
        head = stream.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if len(head) < 8 or head[4:8] not in BOXES or length < 8:  # padding, or a box that reaches the end
            return size
        at += length
    return at


def _segment(stream: IO[bytes]) -> int | None:
    stream.seek(4)
    header = _length(stream)
    if header is None:
        return None
    stream.seek(header, 1)
    if stream.read(4) != SEGMENT:
        return None
    length = _length(stream)
    return None if length is None else stream.tell() + length


def _length(stream: IO[bytes]) -> int | None:
    """Return an EBML length, whose first byte's leading zeros count the bytes that follow; None if left open."""
    first = stream.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    value = int.from_bytes(first + stream.read(width - 1), "big") & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else value
