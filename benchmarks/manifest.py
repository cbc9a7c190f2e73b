"""Data sets as their manifests describe them: files, sizes, hashes, licences and sources, one CSV file per set.

A line names one file, or many: ``{001..100}`` stands for these numbers, ``*`` for names that are not known, with their
``count``. Hashes and sizes are empty where nobody here had the file.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from restoration.image import IMAGE_SUFFIXES

SHIPPED = "photos"  # the one data set that comes with the package


@dataclass(frozen=True)
class Record:
    """One line of a manifest: ``file`` below the data root; ``count`` where it holds a ``*``; ``bytes`` of the file."""

    file: str
    sha256: str
    pixels_sha256: str
    width: str
    height: str
    channels: str
    licence: str
    source: str
    bytes: str = ""
    count: str = ""

    @property
    def amount(self) -> int:
        """Return how many files this stands for."""
        return int(self.count or 1)

    @property
    def named(self) -> bool:
        """Return whether the name of the file is known."""
        return "*" not in self.file


def datasets() -> list[str]:
    """Return the names of all data sets that have a manifest."""
    folder = files("restoration.benchmarks").joinpath("manifests")
    return sorted(path.name.removesuffix(".csv") for path in folder.iterdir() if path.name.endswith(".csv"))


@cache
def lines(dataset: str) -> tuple[Record, ...]:
    """Return a manifest as it stands, ranges of numbers not spelled out; nothing for sets that we do not know."""
    path = files("restoration.benchmarks").joinpath("manifests", f"{dataset}.csv")
    if not path.is_file():
        return ()
    with path.open(encoding="utf-8") as file:
        return tuple(Record(**line) for line in csv.DictReader(file))


@cache
def manifest(dataset: str) -> dict[str, Record]:
    """Return file → record of a data set, files relative to the data root, ranges spelled out; ``*`` is kept."""
    return {file: replace(line, file=file) for line in lines(dataset) for file in spelled_out(line.file)}


def spelled_out(file: str) -> Iterator[str]:
    """Yield the names that ``{001..100}`` stands for, padded as its first number is; several ranges multiply."""
    found = re.search(r"\{(\d+)\.\.(\d+)\}", file)
    if found is None:
        yield file
        return
    first, last = found.groups()
    for number in range(int(first), int(last) + 1):
        yield from spelled_out(f"{file[: found.start()]}{number:0{len(first)}}{file[found.end() :]}")


def records(entry: str) -> list[Record]:
    """Return what the manifests know of a file, of the files below a folder, or of those that a ``*`` stands for."""
    if "*" in entry:
        fits = matcher(entry)
        return [record for file, record in _all_files().items() if fits.fullmatch(bare_suffix(file))]
    if entry in _all_files():
        return [_all_files()[entry]]
    return [record for file, record in _all_files().items() if file.startswith(f"{entry}/")]


def total(found: Iterable[Record]) -> int:
    """Return how many files records stand for."""
    return sum(record.amount for record in found)


@cache
def matcher(pattern: str) -> re.Pattern[str]:
    """Return what matches paths without image suffix, in any case of letters; each ``*`` is a group within one name."""
    pieces = map(re.escape, bare_suffix(pattern).split("*"))
    return re.compile("([^/]+)".join(pieces), re.IGNORECASE)


def bare_suffix(file: str) -> str:
    """Return a path without its image suffix; the encoding does not matter."""
    return file[: -len(Path(file).suffix)] if file.lower().endswith(IMAGE_SUFFIXES) else file


def pages(found: Iterable[Record]) -> list[str]:
    """Return where files come from, without their own names, each place once."""
    return list(dict.fromkeys(map(_page, found)))


def licences(found: Sequence[Record]) -> str:
    """Return the licences of files, each once."""
    return "; ".join(dict.fromkeys(record.licence for record in found))


def _page(record: Record) -> str:
    site, _, place = record.source.partition(" ")
    folder = place.partition(" at ")[0]
    if not place:
        return site
    return f"{site} ({folder.rpartition('/')[0] if '.' in folder.rpartition('/')[2] else folder})"


@cache
def _all_files() -> dict[str, Record]:
    return {file: record for dataset in datasets() for file, record in manifest(dataset).items()}
