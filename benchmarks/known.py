"""What is known of the data sets in the manifests: which are here, and what tells their images where they are not."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from restoration.benchmarks.datasets import SHIPPED, Record, manifest, partners_of
from restoration.image import find_images

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
    """How much of a data set is here; ``state`` is complete, partly or missing."""

    name: str
    here: int
    total: int
    licence: str
    source: str
    renamed: bool = False  # enough images, but not under the manifest's names

    @property
    def state(self) -> str:
        """Return complete, partly or missing."""
        return "missing" if not self.here else "partly" if self.here < self.total else "complete"


def datasets() -> list[str]:
    """Return the names of all data sets that have a manifest."""
    folder = files("restoration.benchmarks").joinpath("manifests")
    return sorted(path.name.removesuffix(".csv") for path in folder.iterdir() if path.name.endswith(".csv"))


def holdings(root: Path) -> list[Holding]:
    """Return how much of every data set is below the data root, by names; nothing is decoded."""
    return [_holding(name, list(manifest(name).values()), root) for name in datasets()]


def reserved_names() -> dict[str, frozenset[str]]:
    """Return test set → the names of its clean images without suffix, where a set of more images has not the same."""
    names = {name: _stems(name) for name in datasets() if name != SHIPPED}
    names["bsd100 (BSDS500's val)"] = BSD100
    return {n: own for n, own in names.items() if not any(own < other for other in names.values())}


def reserved_pixels() -> dict[str, str]:
    """Return hash of the pixels → file of all test images whose hash is known."""
    records = [record for name in datasets() if name != SHIPPED for record in manifest(name).values()]
    return {record.pixels_sha256: record.file for record in records if record.pixels_sha256}


def published_files() -> frozenset[str]:
    """Return where the images of all test sets lie below a data root, such as ``set5/HR/baby.png``."""
    return frozenset(file for name in datasets() if name != SHIPPED for file in manifest(name))


def other_folders(root: Path) -> list[str]:
    """Return the folders of a data root that no manifest names, such as training images, masks or clips."""
    named = {Path(file).parts[0] for file in published_files()}
    inside = root.iterdir() if root.is_dir() else ()
    return sorted(p.name for p in inside if p.is_dir() and p.name not in named and not p.name.startswith("."))


def _stems(name: str) -> frozenset[str]:
    paths = [Path(file) for file in manifest(name)]
    return frozenset(path.stem for path in paths if not path.parent.name.startswith("LR"))


def _holding(name: str, records: Sequence[Record], root: Path) -> Holding:
    base = Path(str(files("restoration"))) if name == SHIPPED else root
    folders: dict[Path, list[Path]] = {}
    for record in records:
        folders.setdefault((base / record.file).parent, []).append(base / record.file)
    here, renamed = 0, False
    for folder, expected in folders.items():
        found = [path for path in find_images(folder) if path.parent == folder] if folder.is_dir() else []
        same = set(found) & set(expected)
        named = len(same) + len(
            partners_of([p for p in expected if p not in same], [p for p in found if p not in same])
        )
        renamed |= named < len(expected) <= len(found)
        here += len(expected) if len(found) >= len(expected) else named
    licences = dict.fromkeys(record.licence for record in records)
    source = records[0].source.split(" ")[0] if records else ""
    return Holding(name, here, len(records), "; ".join(licences), source, renamed)
