"""What is wrong with a file that could not be decoded, and how long a file says that it is."""

from pathlib import Path
from typing import IO

from PIL import UnidentifiedImageError

from restoration.formats.png_reading import LARGEST_TEXT, chunks
from restoration.formats.png_writing import SIGNATURE


def unreadable(path: Path, error: BaseException, formats: tuple[str, ...]) -> str:
    """Return why a file whose decoding ended in ``error`` is not a readable image."""
    size = path.stat().st_size
    if size == 0:
        return "empty file"
    with path.open("rb") as stream:
        declared = _declared_size(stream)
    if declared and declared > size:
        return f"truncated after {size} of {declared} bytes"
    if isinstance(error, UnidentifiedImageError) and declared is None:
        return f"none of {', '.join(formats)}"
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    text = " ".join(str(error).replace("decoder error -2", "broken data").split())
    if "Decompressed data too large" in text:
        return f"damaged: a text or profile in it inflates beyond {LARGEST_TEXT >> 20} MiB"
    if "truncated" in text.lower() or "buffer is not large enough" in text:
        return f"truncated after {size} bytes"
    return f"damaged: {text}" if text and not isinstance(error, UnidentifiedImageError) else "damaged header"


def shown(path: str | Path) -> str:
    """Return a path on one line: what a terminal would obey, such as a newline, is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


def _declared_size(stream: IO[bytes]) -> int | None:
    """Return how long the file says it is; 0 where its format does not say, None where it is no image."""
    head = stream.read(26)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return 8 + int.from_bytes(head[4:8], "little")
    if head[:2] == b"BM":
        return int.from_bytes(head[2:6], "little")
    if head[:8] == SIGNATURE:
        return _declared_png_size(stream)
    if head[:4] in (b"II*\0", b"MM\0*"):  # the directory, with two bytes at least, lies where the header says
        return int.from_bytes(head[4:8], "little" if head[:1] == b"I" else "big") + 2
    known = (b"\xff\xd8\xff", b"GIF8", b"II+\0", b"MM\0+")
    is_avif = head[4:12] in (b"ftypavif", b"ftypavis")
    return 0 if head.startswith(known) or is_avif or (head[:1] == b"P" and head[1:2] in b"123456") else None


def _declared_png_size(stream: IO[bytes]) -> int:
    end, last = 8, b""
    for last, start, length in chunks(stream):  # noqa: B007
        end = start + length + 4
    return end if last == b"IEND" else end + 12  # at least the chunk that should stand here
