"""Weights that others published: which file, how large, from where, under which licence."""

import hashlib
import os
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from restoration.config import nearest
from restoration.errors import RestorationError, WeightsError
from restoration.files import atomic

FOLDER_VARIABLE = "RESTORATION_WEIGHTS"


@dataclass(frozen=True)
class Entry:
    """A published file; ``sha256`` holds as many leading digits as are known."""

    file: str
    sha256: str
    megabytes: int
    source: str
    licence: str
    avoid: str


TORCHVISION = "https://download.pytorch.org/models"
# torchvision names its files by the first eight digits of their sha256
CATALOGUE: dict[str, Entry] = {
    "alexnet": Entry(
        file="alexnet-owt-7be5be79.pth",
        sha256="7be5be79",
        megabytes=233,
        source=f"{TORCHVISION}/alexnet-owt-7be5be79.pth",
        licence="BSD-3-Clause (torchvision); trained on ImageNet",
        avoid="a stack or metric without 'lpips'",
    ),
    "vgg16": Entry(
        file="vgg16-397923af.pth",
        sha256="397923af",
        megabytes=528,
        source=f"{TORCHVISION}/vgg16-397923af.pth",
        licence="BSD-3-Clause (torchvision); trained on ImageNet",
        avoid="a stack without 'dists' and a metric without 'lpips-vgg'",
    ),
    "vgg19": Entry(
        file="vgg19-dcbb9e9d.pth",
        sha256="dcbb9e9d",
        megabytes=548,
        source=f"{TORCHVISION}/vgg19-dcbb9e9d.pth",
        licence="BSD-3-Clause (torchvision); trained on ImageNet",
        avoid="a stack without 'perceptual'",
    ),
}


def folder() -> Path:
    """Return where weights are kept: RESTORATION_WEIGHTS, else the user's cache."""
    named = os.environ.get(FOLDER_VARIABLE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named).expanduser() if named else cache / "restoration" / "weights"


def find(name: str) -> Path | None:
    """Return the file of a catalogue entry where it is here, unchecked: our folder, then torch hub's."""
    import torch

    entry = _entry(name)
    places = (folder(), Path(torch.hub.get_dir()) / "checkpoints")
    return next((place / entry.file for place in places if (place / entry.file).is_file()), None)


def require(name: str) -> Path:
    """Return the verified file of a catalogue entry; where it is missing, say what to fetch."""
    entry, path = _entry(name), find(name)
    if path is None:
        raise WeightsError(
            f"weights '{name}' are not here. Expected {entry.file} ({entry.megabytes} MB, "
            f"sha256 {entry.sha256}…) in {_short(folder())}\n"
            f"fetch: restoration weights fetch {name}    or copy the file there    or use {entry.avoid}"
        )
    verify(path, entry)
    return path


def fetch(name: str) -> str:
    """Download a catalogue entry into our folder, check it, and say where it lies."""
    entry, path = _entry(name), find(name)
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
    """Return one line per entry: size, licence, whether it is here."""
    return {
        name: f"{entry.file}, {entry.megabytes} MB, {entry.licence}; {'here' if find(name) else 'not here'}"
        for name, entry in CATALOGUE.items()
    }


def verify(path: Path, entry: Entry) -> None:
    """Raise where the file at ``path`` is not the one that ``entry`` describes."""
    found = digest(path)
    if not found.startswith(entry.sha256):
        raise WeightsError(
            f"{path}: sha256 starts with {found[: len(entry.sha256)]}; expected {entry.sha256}…; "
            f"delete it and fetch it again"
        )


def digest(path: Path) -> str:
    """Return the sha256 of the file at ``path``."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(name: str) -> Entry:
    if name not in CATALOGUE:
        raise WeightsError(f"unknown weights '{name}'{nearest(name, CATALOGUE)}")
    return CATALOGUE[name]


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)
