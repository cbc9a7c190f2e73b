"""Where the images of a protocol lie, what is missing, and whether they are those that others measured on."""

import csv
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from restoration.benchmarks.protocol import Protocol
from restoration.errors import RequestError
from restoration.image import find_images

SHIPPED = "photos"  # the one data set that comes with the package
NAMED = 24  # missing files are named one by one up to this many


@dataclass(frozen=True)
class Record:
    """One line of a manifest; hashes and sizes are empty where we never had the file."""

    file: str
    sha256: str
    pixels_sha256: str
    width: str
    height: str
    channels: str
    licence: str
    source: str


@dataclass(frozen=True)
class Case:
    """One image of a protocol: its name in results, the clean file, and the given degraded file."""

    name: str
    clean: Path
    degraded: Path | None = None


@cache
def manifest(dataset: str) -> dict[str, Record]:
    """Return file → record of a data set, files relative to the data root; empty for sets that we do not know."""
    path = files("restoration.benchmarks").joinpath("manifests", f"{dataset}.csv")
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8") as file:
        return {line["file"]: Record(**line) for line in csv.DictReader(file)}


def cases(protocol: Protocol, root: Path) -> list[Case]:
    """Return the images of a protocol, in order, or name every file that is missing; nothing is decoded."""
    named = [pair for entry in protocol.clean for pair in _clean_files(protocol, entry, root)]
    folder = protocol.source.given
    if folder is None:
        return [Case(name, path) for name, path in named]
    given = _folder(protocol, folder, root)
    partners = partners_of([path for _, path in named], given)
    lonely = [name for name, path in named if path not in partners]
    if lonely:
        raise RequestError(f"{protocol.name}: no degraded image in {root / folder} for {_listed(lonely)}")
    return [Case(name, path, partners[path]) for name, path in named]


def partners_of(paths: Sequence[Path], others: Sequence[Path]) -> dict[Path, Path]:
    """Return path → the one of ``others`` with the same name, as ``babyx4.png`` and ``baby_GT.bmp`` have.

    Exact names are tried first; then names without what only tells a degraded file from a clean one. A name that
    several files share pairs with none of them.
    """
    found: dict[Path, Path] = {}
    for key in (_stem, _bare):
        used = set(found.values())
        ours = _unique([p for p in paths if p not in found], key)
        theirs = _unique([p for p in others if p not in used], key)
        found |= {path: theirs[name] for name, path in ours.items() if name in theirs}
    return found


def pixels_sha256(samples: np.ndarray) -> str:
    """Return a hash of the samples (H, W, C) that does not depend on the file's name and encoding."""
    head = f"{samples.shape}{samples.dtype.str[1:]}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(samples).tobytes()).hexdigest()


def identity(protocol: Protocol, found: dict[str, str]) -> str:
    """Return in words whether the clean images, name → hash of their pixels, are those of the manifest."""
    records = [record for entry in protocol.clean for record in _records(entry)]
    known = {record.pixels_sha256 for record in records if record.pixels_sha256}
    if not records:
        return "own images: no manifest to compare with"
    if not known:
        return f"not verified: the manifest knows names and sources of these {len(records)} images, no hashes"
    foreign = [name for name, value in found.items() if value not in known]
    if not foreign:
        return f"all {len(found)} images are those of the manifest"
    unknown = len(records) - len(known)
    verb = "are not known to be" if unknown else "are not"
    return f"{len(foreign)} of {len(found)} images {verb} those of the manifest: {_listed(foreign)}"


def _clean_files(protocol: Protocol, entry: str, root: Path) -> list[tuple[str, Path]]:
    """Return name in results and path of every clean file that one entry of ``clean`` stands for."""
    path = _place(entry, root)
    if path.suffix:
        found = _file(path)
        if found is None:
            raise _missing(protocol, [entry], root)
        return [(entry, found)]
    paths = _folder(protocol, entry, root)
    above = "" if len(protocol.clean) == 1 else f"{entry}/"
    return [(above + p.relative_to(path).as_posix(), p) for p in paths]


def _folder(protocol: Protocol, entry: str, root: Path) -> list[Path]:
    """Return the images of a folder; it may hold other names than the manifest, but not fewer images."""
    path = _place(entry, root)
    paths = find_images(path) if path.is_dir() else []
    records = _records(entry)
    if len(paths) < len(records):
        expected = {_bare(Path(record.file)): record.file for record in records}
        for present in paths:
            expected.pop(_bare(present), None)
        raise _missing(protocol, list(expected.values()), root, len(records), len(paths))
    if not paths:
        what = "no images in" if path.is_dir() else "no such folder:"
        raise RequestError(f"{protocol.name}: {what} {path}")
    return paths


def _missing(
    protocol: Protocol, wanted: list[str], root: Path, expected: int | None = None, here: int = 0
) -> RequestError:
    """Return the refusal that names each missing file, where to get it, and the option."""
    records = [manifest(_dataset(file)).get(file) for file in wanted]
    sources = list(dict.fromkeys(_page(r) for r in records if r))
    count = f"{here} of {expected} images are in {root}; missing" if expected else f"missing in {root}"
    remedy = f"get: {', '.join(sources)}    or copy them there    or name " if sources else "name "
    return RequestError(
        f"{protocol.name}: {count}: {_listed(wanted)}\n{remedy}another data root with --data or RESTORATION_DATA"
    )


def _page(record: Record) -> str:
    """Return where a file comes from, without the file's own name."""
    site, _, place = record.source.partition(" ")
    folder = place.partition(" at ")[0]
    return (
        f"{site} ({folder.rpartition('/')[0] if '.' in folder.rpartition('/')[2] else folder})"
        if place
        else site
    )


def _records(entry: str) -> list[Record]:
    """Return the manifest's lines for a file, or for the files below a folder."""
    known = manifest(_dataset(entry))
    return (
        [known[entry]] if entry in known else [r for file, r in known.items() if file.startswith(f"{entry}/")]
    )


def _dataset(entry: str) -> str:
    return Path(entry).parts[0] if Path(entry).parts else ""


def _place(entry: str, root: Path) -> Path:
    if _dataset(entry) == SHIPPED:
        return Path(str(files("restoration"))).joinpath(entry)
    return root / Path(entry).expanduser()


def _file(path: Path) -> Path | None:
    """Return the file, or one of the same name in another encoding."""
    if path.is_file():
        return path
    siblings = find_images(path.parent) if path.parent.is_dir() else []
    same = [p for p in siblings if p.parent == path.parent and _stem(p) == _stem(path)]
    return same[0] if len(same) == 1 else None


def _unique(paths: Iterable[Path], key: Callable[[Path], str]) -> dict[str, Path]:
    grouped: dict[str, list[Path]] = {}
    for path in paths:
        grouped.setdefault(key(path), []).append(path)
    return {name: group[0] for name, group in grouped.items() if len(group) == 1}


def _stem(path: Path) -> str:
    return path.stem.lower()


_MARK = re.compile(
    r"([-_. ]?(srf[-_]?\d+|x\d+|lr|hr|lrbi|gt|sr|bicubic|clean|degraded|restored|noisy|original))$"
)


def _bare(path: Path) -> str:
    """Return the name without marks such as ``x4``, ``_HR``, ``_SRF_4_LR`` at its end."""
    name = _stem(path)
    while (shorter := _MARK.sub("", name)) not in ("", name):
        name = shorter
    return name


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown
