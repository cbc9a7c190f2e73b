"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def real(path: str | Path) -> Path:
    """Return the absolute path behind links; of links that run in a circle, the one that was given."""
    return Path(os.path.realpath(path))


def at_home(path: str | Path) -> Path:
    """Return the path with a leading ``~`` replaced by that user's home, where there is such a user."""
    return Path(os.path.expanduser(path))


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream whose bytes become ``path`` when the block ends well; else nothing is left behind.

    Where the system has files without a name, not even a killed process leaves anything.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")  # same folder: a rename never copies
    try:
        with _unnamed(path.parent) or temporary.open("x+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            if not temporary.exists():
                _name(stream, path, temporary)
        if temporary.exists():
            os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, str(temporary)) or str(error.filename).startswith("/proc/self/fd/"):
            error.filename = str(path)  # what was to be written, not the temporary
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _name(stream: IO[bytes], path: Path, other: Path) -> None:
    """Give a file that has no name one: ``path``, or ``other`` where that is taken, which no link replaces."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:  # without a folder to start from, Python's call would not follow the link in /proc
        source = f"/proc/self/fd/{stream.fileno()}"
        try:
            os.link(source, path, src_dir_fd=folder, follow_symlinks=True)
        except FileExistsError:
            os.link(source, other, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _unnamed(folder: Path) -> IO[bytes] | None:
    """Return a file in a folder that has no name yet; None where that is not to be had."""
    if not hasattr(os, "O_TMPFILE") or not Path("/proc/self/fd").exists():
        return None
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), "w+b")
    except OSError:
        return None
