"""Files on disk and behind fsspec URLs: listed, measured, and read at any place."""

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from restoration.data.kept import Latest, each
from restoration.errors import ConfigError, ImageError, RestorationError

OPEN = 64  # files kept open
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
CHOICE = re.compile(r"\{([^{}]*,[^{}]*)\}")
ASKING = 16  # questions to a remote store at a time
# what stores raise when a file is not there or not ours to read: other errors are not the file's
ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


def is_remote(place: str) -> bool:
    """Whether a place is a URL of fsspec."""
    return "://" in place


def is_pattern(place: str) -> bool:
    """Whether a place stands for several files."""
    return bool(_has_wildcard(place) or RANGE.search(place) or CHOICE.search(place))


def _has_wildcard(place: str) -> bool:
    return "*" in place if is_remote(place) else glob.has_magic(place)  # "?" and "[" are common in URLs


def expanded(place: str) -> list[str]:
    """Return what ``{000..099}`` and ``{train,val}`` stand for, in order."""
    if found := RANGE.search(place):
        first, last = int(found[1]), int(found[2])
        width = len(found[1]) if found[1].startswith("0") else 0
        choices = [f"{n:0{width}d}" for n in range(first, last + 1)]
    elif found := CHOICE.search(place):
        choices = found[1].split(",")
    else:
        return [place]
    return [p for c in choices for p in expanded(place[: found.start()] + c + place[found.end() :])]


def matched(place: str) -> list[str]:
    """Return the files that a pattern stands for: names in braces as they are, those that ``*`` matches if there."""
    return [file for one in expanded(place) for file in (_globbed(one) if _has_wildcard(one) else [one])]


def children(folder: str) -> list[str]:
    """Return the files directly in a folder, sorted; an empty list if it is no folder."""
    if not is_remote(folder):
        path = Path(folder)
        return sorted(p.as_posix() for p in path.iterdir() if p.is_file()) if path.is_dir() else []
    system, path = _system(folder)
    with _told(folder):
        found = system.ls(path, detail=True) if system.isdir(path) else []
    return sorted(_with_protocol(folder, entry["name"]) for entry in found if entry["type"] == "file")


def exists(place: str) -> bool:
    """Whether there is a file or folder."""
    if not is_remote(place):
        return Path(place).exists()
    system, path = _system(place)
    with _told(place):
        return bool(system.exists(path))


def sizes(files: Iterable[str]) -> list[int | None]:
    """Return the files' lengths in bytes; None for one that is not there."""
    with ThreadPoolExecutor(ASKING) as pool:
        return list(pool.map(_size, files))


def opened(file: str) -> IO[bytes]:
    """Open a file to be read from front to back; the caller closes it."""
    if not is_remote(file):
        return open(file, "rb")
    system, path = _system(file)
    with _told(file):
        return system.open(path, "rb")


def reason(error: OSError) -> str:
    """Return why a file cannot be read, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "no such file"  # stores give the path alone
    return error.strerror or " ".join(str(error).split())


def whole(file: str) -> bytes:
    """Return all bytes of a file."""
    with opened(file) as stream:
        return stream.read()


class Reader:
    """Reads parts of files, from several threads; remote files by the block that a part lies in.

    ``budget`` is how many bytes of remote blocks are kept, ``least`` how many blocks at any rate.
    """

    def __init__(self, budget: int, least: int = 1) -> None:
        self.files: Latest[_Handle] = Latest(OPEN, each)
        self.blocks: Latest[bytes] = Latest(budget, len, least)

    def read(self, file: str, start: int, length: int, block: tuple[int, int]) -> bytes:
        """Return ``length`` bytes from ``start`` on, fewer at the end; ``block`` is (start, end) of those around."""
        if not is_remote(file):
            handle = self.files.get(file, lambda: _Handle(file))
            return handle.read(start, length)
        first, last = block
        data = self.blocks.get((file, first), lambda: _remote_part(file, first, last))
        return data[start - first : start - first + length]


class _Handle:
    """An open file that several threads read at once; closed when nobody holds it."""

    def __init__(self, file: str) -> None:
        try:
            self.descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            self.descriptor = -1
            raise ImageError(f"{file}: cannot be read ({error.strerror})") from None
        self.file = file

    def read(self, start: int, length: int) -> bytes:
        if not hasattr(os, "pread"):
            with open(self.file, "rb") as stream:
                stream.seek(start)
                return stream.read(length)
        try:
            return os.pread(self.descriptor, length, start)
        except OSError as error:
            raise RestorationError(f"{self.file}: cannot be read ({error.strerror})") from None

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # os may be gone when Python ends
        if self.descriptor >= 0:
            close(self.descriptor)


def _remote_part(file: str, first: int, last: int) -> bytes:
    system, path = _system(file)
    try:
        with _told(file):
            return system.cat_file(path, start=first, end=last)
    except ABSENT:
        raise ImageError(f"{file}: cannot be read (no such file)") from None


def _size(file: str) -> int | None:
    try:
        if not is_remote(file):
            return os.stat(file).st_size
        system, path = _system(file)
        with _told(file):
            return int(system.size(path))
    except OSError:
        return None


def _globbed(pattern: str) -> list[str]:
    if not is_remote(pattern):
        return sorted(glob.glob(os.path.expanduser(pattern)))
    system, path = _system(pattern)
    with _told(pattern):
        return sorted(_with_protocol(pattern, found) for found in system.glob(path))


def _system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path in it."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ConfigError(f"{url}: needs a package that is not installed ({error})") from None
    except ValueError as error:
        raise ConfigError(f"{url}: {error}; expected a URL that fsspec reads") from None


def _with_protocol(url: str, path: str) -> str:
    protocol = url.split("://", 1)[0]
    return (
        path if "://" in path else f"{protocol}://{path.removeprefix('/') if protocol == 'memory' else path}"
    )


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What a remote store raises becomes one line; a file that is absent stays what it is.

    Stores raise what their own libraries do, so there is no list of what to expect.
    """
    try:
        yield
    except (*ABSENT, RestorationError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise RestorationError(f"{url}: cannot be read ({reason})") from None
