"""Folders of images that somebody else restored: which files belong together, by place and name."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from restoration.benchmarks.datasets import partners_of
from restoration.benchmarks.gallery import OTHERS
from restoration.dials.masks import Masks
from restoration.errors import ImageError, RequestError
from restoration.image import find_images, read_samples
from restoration.image.decoding import PILLOW_SETTINGS
from restoration.printing import listed

GREY = ("1", "F", "L", "LA", "La")  # Pillow's names of one colour; those of 16 and 32 bits begin with I
UNREADABLE = (OSError, SyntaxError, ValueError)  # what Pillow raises where it does not know a header


@dataclass(frozen=True)
class Folders:
    """Where restored images lie, by the restorer's name, and what belongs to them.

    ``degraded`` are the images that they were restored from; ``mask`` is a file or a folder whose ``hole`` colour,
    "white" or "black", is where something was missing. With ``clips`` the images of each folder within them are the
    frames of a clip, in the order of their names. ``only`` names the restorers that are scored, where not all are.
    """

    restored: Mapping[str, Path]
    clean: Path | None = None
    degraded: Path | None = None
    mask: Path | None = None
    hole: str = "white"
    clips: bool = False
    only: Sequence[str] = ()

    @classmethod
    def of(cls, restored: Path | Sequence[Path], clean: Path | None = None, **others: Any) -> "Folders":  # noqa: ANN401
        """Return these folders, each restorer called by the folder's name."""
        return cls(named([restored] if isinstance(restored, Path) else restored), clean, **others)

    @classmethod
    def recorded(cls, record: Mapping[str, Any], restorers: Iterable[str]) -> "Folders":
        """Return the folders that a result records, of which some restorers alone are scored.

        Those of others still tell which images there are; such as are not here any more cannot.
        """
        paths = {key: record.get(key) and Path(record[key]) for key in ("clean", "degraded", "mask")}
        only, named = tuple(restorers), {name: Path(path) for name, path in record["restored"].items()}
        if lost := [name for name in only if name not in named]:
            raise RequestError(f"folders: the result does not record that of '{lost[0]}'")
        restored = {name: path for name, path in named.items() if name in only or path.is_dir()}
        hole, clips = record.get("hole", "white"), bool(record.get("clips"))
        return cls(restored, **paths, hole=hole, clips=clips, only=only)

    @property
    def scored(self) -> list[str]:
        """Return the restorers whose images are scored."""
        return [name for name in self.restored if not self.only or name in self.only]

    @property
    def option(self) -> str:
        """Return the option that names them."""
        return "--pairs" if self.clean else "--alone"

    def record(self) -> dict[str, Any]:
        """Return what a result notes of them: the folders as they were named, what there is not left out."""
        others = {"clean": self.clean, "degraded": self.degraded, "mask": self.mask}
        found: dict[str, Any] = {"restored": {name: str(path) for name, path in self.restored.items()}}
        found |= {key: str(path) for key, path in others.items() if path is not None}
        return found | ({"hole": self.hole} if self.mask else {}) | ({"clips": True} if self.clips else {})

    def masks(self) -> Masks | None:
        """Return the masks, or refuse such as there are not."""
        return None if self.mask is None else Masks(self.mask, self.hole)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Entry:
    """One image by its name in results: each restorer's file, or why there is none, and what belongs to it."""

    name: str
    restored: Mapping[str, Path | str]
    clean: Path | None = None
    degraded: Path | None = None
    cluster: str = ""  # what it shares with others: its clip, or the one mask of all

    @property
    def files(self) -> list[Path]:
        """Return all files of it."""
        own = [path for path in self.restored.values() if isinstance(path, Path)]
        return [*own, *(path for path in (self.clean, self.degraded) if path)]

    @property
    def guide(self) -> Path:
        """Return the file by whose name a mask is looked for: the clean one, where there is one."""
        return self.clean or self.files[0]


def named(restored: Sequence[Path]) -> dict[str, Path]:
    """Return folder by what results call its images: its name, with names of folders above where two have the same.

    None is called as degraded and clean images are.
    """
    places = [Path(os.path.abspath(folder)) for folder in restored]
    found: dict[str, Path] = {}
    for folder, place in zip(restored, places, strict=True):
        if places.count(place) > 1:
            raise RequestError(f"{folder}: this folder is named twice")
        others = [f"/{other.as_posix()}" for other in places if other != place]
        tails = (Path(*place.parts[-n:]).as_posix() for n in range(1, len(place.parts) + 1))
        name = next(tail for tail in tails if not any(other.endswith(f"/{tail}") for other in others))
        found[f"{name} (restored)" if name in OTHERS else name] = folder
    return found


def matched(folders: Folders) -> tuple[list[Entry], list[str]]:
    """Return the images, and a line for files that belong to none; folders of which nothing fits are refused.

    They are those of the clean folder, each with every restorer's file of its name, or with why there is none.
    Without a clean folder they are those of all restorers together.
    """
    _check(folders)
    problems: list[str] = []
    if folders.clean is not None:
        images = {path.relative_to(folders.clean).as_posix(): path for path in find_images(folders.clean)}
        own = _restored(folders, folders.clean, images, problems)
    else:
        images, own = _united(folders)
    base = folders.clean or next(iter(folders.restored.values()))
    low: dict[Path, Path] = {}
    if folders.degraded is not None:
        low = _partners(base, list(images.values()), folders.degraded, find_images(folders.degraded))
        lonely = [str(path) for path in images.values() if path not in low]
        if not low:
            raise RequestError(f"--degraded {folders.degraded}: no file of the same name as {lonely[0]}")
        if lonely:
            problems.append(f"--degraded {folders.degraded}: no file of the same name for {listed(lonely)}")
    clean = images if folders.clean else {}
    shared = {n: Path(n).parent.as_posix() if folders.clips else n for n in images}
    return [
        Entry(name, own[name], clean.get(name), low.get(path), shared[name]) for name, path in images.items()
    ], problems


def are_grey(paths: Iterable[Path]) -> bool:
    """Return whether every file has one channel, by its header; those that cannot be read do not count."""
    return all(_channels(path) in (None, 1) for path in paths)


def _check(folders: Folders) -> None:
    """Refuse folders that are not there, or hold no images."""
    asked = [(folders.option, folder) for folder in (*folders.restored.values(), folders.clean) if folder]
    for option, folder in [*asked, *([("--degraded", folders.degraded)] if folders.degraded else [])]:
        if not folder.is_dir():
            raise RequestError(f"{option} {folder}: no such folder")
        if not find_images(folder):
            raise RequestError(f"{option} {folder}: holds no images")


def _restored(
    folders: Folders, clean: Path, images: Mapping[str, Path], problems: list[str]
) -> dict[str, dict[str, Path | str]]:
    """Return image → restorer → its file of that name, or why there is none; note files that belong to no image."""
    own: dict[str, dict[str, Path | str]] = {name: {} for name in images}
    for restorer, folder in folders.restored.items():
        theirs = find_images(folder)
        partners = _partners(clean, list(images.values()), folder, theirs)
        for name, path in images.items():
            own[name][restorer] = partners.get(path, f"no file of the same name in {folder}")
        used = set(partners.values())
        if lonely := [str(path) for path in theirs if path not in used]:
            problems.append(f"{folders.option}: no file of the same name in {clean} for {listed(lonely)}")
    if not any(isinstance(file, Path) for files in own.values() for file in files.values()):
        looked = ", ".join(map(str, folders.restored.values()))
        example = next(iter(images))
        raise RequestError(
            f"{folders.option}: {looked}: no file has the name of one in {clean}, such as {example}"
        )
    return own


def _united(folders: Folders) -> tuple[dict[str, Path], dict[str, dict[str, Path | str]]]:
    """Return the images of all restorers by name, one file of each, and image → restorer → its file."""
    images: dict[str, Path] = {}
    own: dict[str, dict[str, Path | str]] = {}
    base = next(iter(folders.restored.values()))
    for restorer, folder in folders.restored.items():
        theirs = find_images(folder)
        partners = _partners(base, list(images.values()), folder, theirs)
        for name, path in images.items():
            own[name][restorer] = partners.get(path, f"no file of the same name in {folder}")
        used = set(partners.values())
        for path in (path for path in theirs if path not in used):
            name = path.relative_to(folder).as_posix()
            images[name] = path
            own[name] = {
                before: f"no file of the same name in {folders.restored[before]}"
                for before in list(folders.restored)[: list(folders.restored).index(restorer)]
            } | {restorer: path}
    return images, own


def _partners(folder: Path, paths: Sequence[Path], other: Path, theirs: Sequence[Path]) -> dict[Path, Path]:
    """Return path → the one of the other folder that has its name, first at the same place, then anywhere."""
    places: dict[Path, tuple[list[Path], list[Path]]] = {}
    for side, (base, files) in enumerate(((folder, paths), (other, theirs))):
        for path in files:
            place = path.parent.relative_to(base) if path.is_relative_to(base) else path.parent
            places.setdefault(place, ([], []))[side].append(path)
    found: dict[Path, Path] = {}
    for here, there in places.values():
        found |= partners_of(here, there)
    used = set(found.values())
    rest = [path for path in paths if path not in found], [path for path in theirs if path not in used]
    return found | partners_of(*rest)


def _channels(path: Path) -> int | None:
    """Return how many channels a file has, 1 or 3; None where it cannot be read."""
    try:
        with PILLOW_SETTINGS, Image.open(path) as image:
            grey = image.mode in GREY or image.mode.startswith("I") or "LA;16B" in str(image.tile)
            return 1 if grey else 3
    except UNREADABLE:
        with suppress(ImageError):
            return read_samples(path).shape[2]  # of a kind that Pillow does not know
    return None
