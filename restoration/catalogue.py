"""Weights that others published, for the command line: found, fetched, verified; refusals are of this package."""

import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from restoration.errors import RestorationError, WeightsError
from restoration.files import atomic
from restoration.losses import published
from restoration.losses.published import CATALOGUE, FOLDER_VARIABLE, OPENED, Entry, digest, folder

__all__ = [
    "CATALOGUE",
    "FOLDER_VARIABLE",
    "OPENED",
    "Entry",
    "digest",
    "fetch",
    "find",
    "folder",
    "lines",
    "require",
    "verify",
]


def find(name: str) -> Path | None:
    """Return the file of a catalogue entry where it is here, unchecked: our folder, then torch hub's."""
    with _refusals():
        return published.find(name)


def require(name: str) -> Path:
    """Return the verified file of a catalogue entry; where it is missing, say what to fetch."""
    with _refusals():
        return published.require(name)


def verify(path: Path, entry: Entry) -> None:
    """Raise where the file at ``path`` is not the one that ``entry`` describes."""
    with _refusals():
        published.verify(path, entry)


def fetch(name: str) -> str:
    """Download a catalogue entry into our folder, check it, and say where it lies."""
    path = find(name)
    entry = CATALOGUE[name]
    if path is None:
        path = folder() / entry.file
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with atomic(path) as stream, urllib.request.urlopen(entry.source, timeout=60) as response:
                shutil.copyfileobj(response, stream)
                stream.flush()
                verify(Path(stream.name), entry)
        except OSError as error:
            raise RestorationError(
                f"weights '{name}': {entry.source} could not be fetched: {error}"
            ) from None
    verify(path, entry)
    return f"{name}: {path}"


def lines() -> dict[str, str]:
    """Return one line per entry: file, size, sha256, licence, source, whether it is here."""
    return {
        name: f"{entry.file}, {entry.size}, {entry.hash}, {entry.licence}, from {_host(entry.source)}; "
        f"{'here' if find(name) else 'not here'}"
        for name, entry in CATALOGUE.items()
    }


def _host(address: str) -> str:
    return urllib.parse.urlsplit(address).netloc


@contextmanager
def _refusals() -> Iterator[None]:
    """Pass on what the losses refuse as this package's own kind of refusal, word for word."""
    try:
        yield
    except ValueError as error:
        raise WeightsError(str(error)) from None
