"""What is known of the data sets in the manifests: which are here, and what tells their images where they are not."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from restoration.benchmarks.datasets import partners_of, pixels_sha256
from restoration.benchmarks.manifest import (
    SHIPPED,
    Record,
    datasets,
    licences,
    lines,
    manifest,
    pages,
    records,
    total,
)
from restoration.benchmarks.protocol import load_protocol, protocol_names
from restoration.benchmarks.samples import file_sha256
from restoration.config import nearest
from restoration.errors import ImageError, RequestError
from restoration.image import find_images, read_samples
from restoration.printing import listed

COMMON = re.compile(
    r"(hr|lr|im|img|input|norain|rain|mask)[-_]?\d+", re.IGNORECASE
)  # any set may have such names

# The hundred images of BSDS300's `test`, which are BSDS500's `val` and BSD100; BSD68 and CBSD68 are 68 of them. The
# manifests number them anew, as those sets' copies do.
# fmt: off
BSD100 = frozenset(str(number) for number in (
    3096, 8023, 12084, 14037, 16077, 19021, 21077, 24077, 33039, 37073, 38082, 38092, 41033, 41069, 42012,
    42049, 43074, 45096, 54082, 55073, 58060, 62096, 65033, 66053, 69015, 69020, 69040, 76053, 78004, 85048,
    86000, 86016, 86068, 87046, 89072, 97033, 101085, 101087, 102061, 103070, 105025, 106024, 108005, 108070,
    108082, 109053, 119082, 123074, 126007, 130026, 134035, 143090, 145086, 147091, 148026, 148089, 156065,
    157055, 159008, 160068, 163085, 167062, 167083, 170057, 175032, 175043, 182053, 189080, 196073, 197017,
    208001, 210088, 216081, 219090, 220075, 223061, 227092, 229036, 236037, 241004, 241048, 253027, 253055,
    260058, 271035, 285079, 291000, 295087, 296007, 296059, 299086, 300091, 302008, 304034, 304074, 306005,
    351093, 361010, 376043, 385039,
))
# fmt: on


@dataclass(frozen=True)
class Holding:
    """How much of a data set is here; ``state`` is complete, partly or missing.

    ``known`` files have a hash in the manifest and lie here under its name; ``other`` names those of them whose bytes
    and pixels are others. ``absent`` names what is missing, with a ``*`` where names are not known.
    """

    name: str
    here: int
    total: int
    licence: str
    source: str
    renamed: bool = False  # enough images, but not under the manifest's names
    places: tuple[str, ...] = ()  # folders, below the data root
    known: int = 0
    other: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Return the folder below the data root that all of it lies in."""
        return os.path.commonpath(self.places) if self.places else ""

    @property
    def where(self) -> list[str]:
        """Return where all of its files come from, with the folder there."""
        return pages(manifest(self.name).values())

    @property
    def state(self) -> str:
        """Return complete, partly or missing."""
        return "missing" if not self.here else "partly" if self.here < self.total else "complete"

    @property
    def fits(self) -> str:
        """Return in words whether the files are those of the manifest."""
        if not self.known:
            return "" if not self.here else "no hashes to compare"
        if not self.other:
            return f"{self.known} fit" if self.known < self.here else "fit"
        return f"{len(self.other)} of {self.known} differ"


def holdings(root: Path, names: Sequence[str] = (), compare: bool = False) -> list[Holding]:
    """Return how much of every data set, or of the named ones, is below the data root.

    With ``compare``, files are compared with the hashes of the manifest: bytes first, and where these differ the
    pixels. Without it they go by their names, and nothing is opened.
    """
    return [_holding(name, root, compare) for name in names or datasets()]


def sets_of(name: str) -> list[str]:
    """Return the data set of this name, and those that the protocol of this name needs."""
    own = [name] if name in datasets() else []
    if name not in protocol_names():
        if own:
            return own
        raise RequestError(
            f"data status: unknown data set or protocol '{name}'{nearest(name, [*datasets(), *protocol_names()])}"
        )
    protocol = load_protocol(name)
    wanted = {r.file for entry in (*protocol.clean, protocol.source.given or "") for r in records(entry)}
    return [each for each in datasets() if each in own or wanted & manifest(each).keys()]


def table(found: Sequence[Holding]) -> list[str]:
    """Return one line per data set under a line of headings."""
    rows = [("set", "state", "files", "hashes", "folder", "licence; source")]
    for h in found:
        amount = f"{h.here}/{h.total}" + (" (other names)" if h.renamed else "")
        place = "in the package" if h.name == SHIPPED else h.place
        rows.append((h.name, h.state, amount, h.fits or "-", place, f"{h.licence}; {h.source}"))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return [
        "  ".join(f"{text:<{width}}" for text, width in zip(row, [*widths, 0], strict=True)) for row in rows
    ]


def remedies(holding: Holding, root: Path, most: int) -> list[str]:
    """Return what is missing or differs of one data set, where to put it and where to get it."""
    said = []
    for what, names in (("missing", holding.absent), ("not the published files", holding.other)):
        if names:
            said.append(f"{holding.name}: {what}: {listed(names, most)}")
    if said:
        said.append(f"{holding.name}: put them in {root / holding.place}; get: {', '.join(holding.where)}")
        said.append(f"{holding.name}: licence: {holding.licence}")
    return said


def reserved_names() -> dict[str, frozenset[str]]:
    """Return test set → the names of its clean images without suffix, where a set of more images has not the same."""
    names = {name: _stems(name) for name in datasets() if name != SHIPPED}
    names["bsd100 (BSDS500's val)"] = BSD100
    return {n: own for n, own in names.items() if own and not any(own < other for other in names.values())}


def reserved_pixels() -> dict[str, str]:
    """Return hash of the pixels → file of all test images whose hash is known."""
    known = [record for name in datasets() if name != SHIPPED for record in lines(name)]
    return {record.pixels_sha256: record.file for record in known if record.pixels_sha256}


def published_files() -> frozenset[str]:
    """Return where the images of all test sets lie below a data root, such as ``set5/HR/baby.png``."""
    return frozenset(file for name in datasets() if name != SHIPPED for file in manifest(name))


def other_folders(root: Path) -> list[str]:
    """Return the folders of a data root that no manifest names, such as training images, masks or clips."""
    named = {Path(file).parts[0] for file in published_files()}
    inside = root.iterdir() if root.is_dir() else ()
    return sorted(p.name for p in inside if p.is_dir() and p.name not in named and not p.name.startswith("."))


def _stems(name: str) -> frozenset[str]:
    """Return the names that tell images of a set: not those of a range of numbers, nor a common word with a number."""
    paths = [Path(line.file) for line in lines(name) if line.named and "{" not in line.file]
    stems = (path.stem for path in paths if not path.parent.name.startswith("LR"))
    return frozenset(stem for stem in stems if not COMMON.fullmatch(stem))


def _holding(name: str, root: Path, compare: bool) -> Holding:
    described = list(manifest(name).values())
    base = Path(str(files("restoration"))) if name == SHIPPED else root
    folders: dict[str, list[Record]] = {}
    for record in described:
        folders.setdefault(_folder_of(record), []).append(record)
    here, known, renamed = 0, 0, False
    absent: list[str] = []
    other: list[str] = []
    for folder, expected in folders.items():
        found = _images(
            base / folder, deep=any("*" in Path(record.file).parent.as_posix() for record in expected)
        )
        named, lost = _named(expected, found, base)
        wanted = total(expected)
        renamed |= len(named) < sum(record.named for record in expected) and wanted <= len(found)
        unnamed = max(0, min(len(found) - len(named), wanted - sum(record.named for record in expected)))
        here += wanted if len(found) >= wanted else len(named) + unnamed
        absent += [] if len(found) >= wanted else lost
        if compare:
            known += sum(bool(record.sha256) for record in named)
            other += [r.file for r, path in named.items() if r.sha256 and not _same(r, path)]
    source = described[0].source.split(" ")[0] if described else ""
    return Holding(
        name, here, total(described), licences(described), source, renamed, tuple(folders), known, tuple(other),
        tuple(absent),
    )  # fmt: skip


def _folder_of(record: Record) -> str:
    """Return the folder of a file; the folders that a ``*`` stands for lie below it."""
    parts = Path(record.file).parts[:-1]
    whole = next((i for i, part in enumerate(parts) if "*" in part), len(parts))
    return Path(*parts[:whole]).as_posix()


def _images(folder: Path, deep: bool) -> list[Path]:
    found = find_images(folder) if folder.is_dir() else []
    return found if deep else [path for path in found if path.parent == folder]


def _named(
    expected: Sequence[Record], found: Sequence[Path], base: Path
) -> tuple[dict[Record, Path], list[str]]:
    """Return record → file under the manifest's name, in any encoding, and the names that are missing."""
    places = {base / record.file: record for record in expected if record.named}
    same = {path: path for path in found if path in places}
    rest = [path for path in places if path not in same]
    same |= partners_of(rest, [path for path in found if path not in same])
    named = {places[path]: present for path, present in same.items()}
    return named, [record.file for record in expected if record not in named]


def _same(record: Record, path: Path) -> bool:
    """Return whether a file has the bytes of the manifest, or else its pixels."""
    if file_sha256(path) == record.sha256:
        return True
    try:
        return pixels_sha256(read_samples(path)) == record.pixels_sha256
    except ImageError:
        return False
