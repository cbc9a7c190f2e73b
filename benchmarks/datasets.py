"""Where the images of a protocol lie, what is missing, and whether they are those that others measured on."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import cycle, pairwise, starmap
from pathlib import Path

import numpy as np

from restoration.benchmarks.clips import clip_of
from restoration.benchmarks.flows import SUFFIX
from restoration.benchmarks.manifest import (
    SHIPPED,
    Record,
    bare_suffix,
    manifest,
    matcher,
    pages,
    records,
    total,
)
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.protocol import Protocol
from restoration.benchmarks.sources import Frames
from restoration.errors import RequestError
from restoration.image import find_images
from restoration.printing import listed

__all__ = ["SHIPPED", "Case", "Record", "cases", "identity", "manifest", "partners_of", "pixels_sha256"]

NAMED = 24  # missing files are named one by one up to this many
Named = tuple[str, Path]  # the name in results, and the file


@dataclass(frozen=True)
class Case:
    """One image of a protocol: its name in results, the clean file, and the given file that goes with it.

    There is no clean file where a protocol has degraded images alone. The given file is the degraded image, or a mask.
    ``flow`` leads from the frame before to this one, where that is known. ``cluster`` names what an image shares with
    others, which are then no witnesses of their own: the clip of a frame, the clean file of several degraded ones; else
    it is the image's own name.
    """

    name: str
    clean: Path | None
    degraded: Path | None = None
    flow: Path | None = None
    cluster: str = ""


def cases(protocol: Protocol, root: Path) -> list[Case]:
    """Return the images of a protocol, in order, or name every file that is missing; no image is decoded."""
    if protocol.reference:
        reference_images(protocol, root)
    named = [pair for entry in protocol.clean for pair in _listed_files(protocol, entry, root)]
    source = protocol.source
    if source.given is None:
        return [Case(name, path, cluster=name) for name, path in named]
    given = [pair for pair in _listed_files(protocol, source.given, root) if source.takes(pair[1])]
    if not given:
        raise RequestError(
            f"{protocol.name}: none of the images in {root / source.given} is as 'degraded' asks"
        )
    if not named:
        alone = [Case(name, None, path, cluster=name) for name, path in given]
        return _as_frames(protocol, alone, root)
    if source.by_order:
        turns = zip(named, cycle(given), strict=False)
        return [Case(name, path, mask, cluster=name) for (name, path), (_, mask) in turns]
    pairs = _paired(protocol, named, given, root)
    matched = {pair.clean for pair in pairs}
    lonely = [name for name, path in named if path not in matched]
    if lonely:
        raise RequestError(
            f"{protocol.name}: no degraded image in {root / source.given} for {listed(lonely, NAMED)}"
        )
    return _as_frames(protocol, pairs, root)


def reference_images(protocol: Protocol, root: Path) -> list[Path]:
    """Return the images that metrics of sets compare with, or say that they are not there, or not asked for."""
    if not any(METRICS[name].kind == "set" for name in protocol.metrics):
        raise RequestError(
            f"{protocol.name}.reference: no metric of sets is measured; expected one, such as kid"
        )
    folder = _place(protocol.reference, root)
    paths = find_images(folder) if folder.is_dir() else []
    if not paths:
        what = "holds no images" if folder.is_dir() else "no such folder"
        raise RequestError(f"{protocol.name}.reference: {folder}: {what}; expected a folder of clean images")
    return paths


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
    """Return in words whether the images, name → hash of their pixels, are those of the manifest.

    They are the clean ones, or the degraded ones of a protocol that has no others.
    """
    entries = protocol.clean or (protocol.source.given or "",)
    known = [record for entry in entries for record in records(entry)]
    hashes = {record.pixels_sha256 for record in known if record.pixels_sha256}
    if not known:
        return "own images: no manifest to compare with"
    if not hashes:
        return f"not verified: the manifest knows names and sources of these {total(known)} images, no hashes"
    foreign = [name for name, value in found.items() if value not in hashes]
    if not foreign:
        return f"all {len(found)} images are those of the manifest"
    unknown = total(known) - len(hashes)
    verb = "are not known to be" if unknown else "are not"
    return f"{len(foreign)} of {len(found)} images {verb} those of the manifest: {listed(foreign, NAMED)}"


def _paired(protocol: Protocol, named: Sequence[Named], given: Sequence[Named], root: Path) -> list[Case]:
    """Return clean and degraded images that belong together; a clean one may have several degraded ones."""
    where = protocol.source.given or ""
    if "*" not in where:
        partners = partners_of([path for _, path in named], [path for _, path in given])
        return [Case(name, path, partners[path], cluster=name) for name, path in named if path in partners]
    own: dict[Path, tuple[str, ...]] = {}
    for entry in protocol.clean:
        own |= {path: found for _, path in named if (found := _starred(entry, path, root))}
    length = max(map(len, own.values()), default=0)
    theirs: dict[tuple[str, ...], list[Named]] = {}
    for name, path in given:
        theirs.setdefault((_starred(where, path, root) or ())[:length], []).append((name, path))
    pairs = []
    for name, path in named:
        several = theirs.get(own[path], []) if path in own else []
        pairs += [
            Case(name if len(several) == 1 else other, path, file, cluster=name) for other, file in several
        ]
    return pairs


def _as_frames(protocol: Protocol, found: list[Case], root: Path) -> list[Case]:
    """Return the frames of clips without the first and the last ones that are not scored; other images as they are."""
    if not isinstance(protocol.source, Frames):
        return found
    first, last = protocol.source.skip
    clips: dict[str, list[Case]] = {}
    for case in found:
        clip = clip_of(case.name)
        clips.setdefault(clip, []).append(replace(case, cluster=clip))
    if protocol.source.flow:
        clips = _with_flow(protocol, clips, root)
    kept = [case for clip in clips.values() for case in clip[first : max(0, len(clip) - last)]]
    if not kept:
        raise RequestError(
            f"{protocol.name}: no clip has more than the {first} + {last} frames that are left out"
        )
    return kept


def _with_flow(protocol: Protocol, clips: Mapping[str, list[Case]], root: Path) -> dict[str, list[Case]]:
    """Return the clips, each frame but the first with the flow that leads to it, or name the files that are missing."""
    assert isinstance(protocol.source, Frames), "only frames have flow"
    folder = _place(protocol.source.flow, root)

    def led(before: Case, case: Case) -> Case:
        return replace(case, flow=(folder / before.name).with_suffix(SUFFIX))

    found = {clip: [frames[0], *starmap(led, pairwise(frames))] for clip, frames in clips.items()}
    paths = [case.flow for frames in found.values() for case in frames if case.flow]
    if lost := [path.relative_to(folder).as_posix() for path in paths if not path.is_file()]:
        raise RequestError(f"{protocol.name}: no flow in {folder}: {listed(lost, NAMED)}")
    return found


def _listed_files(protocol: Protocol, entry: str, root: Path) -> list[Named]:
    """Return name in results and path of every file that a file, a folder or a pattern stands for."""
    path = _place(entry, root)
    if "*" not in entry and path.suffix and not path.is_dir():
        found = _file(path)
        if found is None:
            raise _missing(protocol, records(entry) or [entry], root)
        return [(entry, found)]
    folder = _fixed(entry)
    paths = _folder(protocol, entry, root)
    above = "" if len(protocol.clean) == 1 or entry == protocol.source.given else f"{folder}/"
    return [(above + p.relative_to(_place(folder, root)).as_posix(), p) for p in paths]


def _folder(protocol: Protocol, entry: str, root: Path) -> list[Path]:
    """Return the images of a folder or pattern; it may hold other names than the manifest, but not fewer images."""
    path = _place(_fixed(entry), root)
    paths = find_images(path) if path.is_dir() else []
    if "*" in entry:
        paths = [p for p in paths if _starred(entry, p, root)]
    known = records(entry)
    if len(paths) < total(known):
        raise _missing(protocol, _not_among(known, paths), root, total(known), len(paths))
    if not paths:
        what = f"no images {'named' if '*' in entry else 'in'}" if path.is_dir() else "no such folder:"
        raise RequestError(f"{protocol.name}: {what} {_place(entry, root) if path.is_dir() else path}")
    return paths


def _not_among(known: Sequence[Record], paths: Sequence[Path]) -> list[Record]:
    """Return the files of the manifest that none of these paths may be."""
    expected = {_bare(Path(record.file)): record for record in known if record.named}
    for present in paths:
        expected.pop(_bare(present), None)
    return [*expected.values(), *(record for record in known if not record.named)]


def _missing(
    protocol: Protocol, wanted: Sequence[Record | str], root: Path, expected: int | None = None, here: int = 0
) -> RequestError:
    """Return the refusal that names each missing file, where to get it, and the option."""
    sources = pages(record for record in wanted if isinstance(record, Record))
    names = [record if isinstance(record, str) else record.file for record in wanted]
    count = f"{here} of {expected} images are in {root}; missing" if expected else f"missing in {root}"
    remedy = f"get: {', '.join(sources)}    or copy them there    or name " if sources else "name "
    return RequestError(
        f"{protocol.name}: {count}: {listed(names, NAMED)}\n{remedy}another data root with --data or RESTORATION_DATA"
    )


def _fixed(entry: str) -> str:
    """Return the folder that a pattern begins with; an entry without ``*`` as it is."""
    parts = Path(entry).parts
    whole = next((i for i, part in enumerate(parts) if "*" in part), len(parts))
    return Path(*parts[:whole]).as_posix()


def _starred(entry: str, path: Path, root: Path) -> tuple[str, ...] | None:
    """Return the texts that each ``*`` of a pattern stands for in a path, in small letters; None if it does not fit.

    A folder is the pattern of all names in it.
    """
    folder = _fixed(entry)
    place = _place(folder, root)
    if not path.is_relative_to(place):
        return None
    below = Path(folder, path.relative_to(place)).as_posix()
    found = matcher(entry if "*" in entry else f"{entry}/*").fullmatch(bare_suffix(below))
    return found and tuple(text.lower() for text in found.groups())


def _place(entry: str, root: Path) -> Path:
    if Path(entry).parts[:1] == (SHIPPED,):
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
