"""One command at a time in a folder: a lock file that names its process; called by ``restoration.curation.packing``."""

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from restoration.errors import RequestError

LOCK = "packing.lock"
WRITING = 10.0  # seconds that a lock may take to be written


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a folder, made where it is missing, within the block; what another process holds is refused.

    A lock whose process is gone is taken over; of another machine's processes nothing is known, so theirs stands. A
    folder that was made for the block and is empty after it is removed again.
    """
    made = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCK
    try:
        if not _taken(lock) and not (_cleared(lock) and _taken(lock)):
            raise RequestError(
                f"{folder}: another pack is at work here ({_said(_owner(lock))}); if not, delete {lock}"
            )
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
    finally:
        if made:
            with suppress(OSError):  # not empty
                folder.rmdir()


def _taken(lock: Path) -> bool:
    """Make the lock file, unless there is one."""
    try:
        with lock.open("x") as stream:
            json.dump({"pid": os.getpid(), "host": socket.gethostname()}, stream)
    except FileExistsError:
        return False
    return True


def _cleared(lock: Path) -> bool:
    """Remove a lock whose process is gone; one that somebody else has taken over meanwhile is put back."""
    owner = _owner(lock)
    if _alive(owner) or (not owner and _young(lock)):
        return False
    aside = lock.with_name(f".{LOCK}.{secrets.token_hex(8)}")
    try:
        os.rename(lock, aside)
    except FileNotFoundError:
        return True
    if _owner(aside) != owner:
        with suppress(OSError):
            os.link(aside, lock)
    aside.unlink(missing_ok=True)
    return True


def _owner(lock: Path) -> dict[str, object]:
    """Return what a lock says of its process; nothing where it is gone or was never written to its end."""
    try:
        owner = json.loads(lock.read_text())
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _alive(owner: dict[str, object]) -> bool:
    pid = owner.get("pid")
    if not isinstance(pid, int) or pid < 1:
        return False
    if owner.get("host") != socket.gethostname() or os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _young(lock: Path) -> bool:
    """Whether a lock that says nothing may still be being written."""
    try:
        return time.time() - lock.stat().st_mtime < WRITING
    except FileNotFoundError:
        return False


def _said(owner: dict[str, object]) -> str:
    return f"process {owner['pid']} on {owner['host']}" if {"pid", "host"} <= owner.keys() else "just begun"
