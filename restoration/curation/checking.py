"""What is wrong with folders of images: broken files, odd ones, duplicates, and test images among training images."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from restoration.curation.fingerprint import (
    KEPT,
    VERSIONS,
    Prints,
    blocks,
    colour,
    flat,
    of_some,
    spectrum,
    thumbnail,
)
from restoration.errors import ImageError, RequestError
from restoration.image import find_images, read
from restoration.image.picture import opaque
from restoration.pool import in_order

Digest = Callable[[np.ndarray], str]  # of samples (H, W, C): equal where the pixels are
LEAST_SIDE = 64  # pixels
FEW_NAMES = 3  # so many files named as a test set's are no coincidence
NUMBERED = re.compile(r"(img|image|im|test|frame|photo)?[-_ ]?\d{1,4}")  # any set may have such names
LONG_NUMBER = re.compile(r"\d{5,}")


@dataclass(frozen=True)
class Seen:
    """What is kept of one image that was decoded; ``notes`` say what is odd about it by itself."""

    path: Path
    digest: str
    thumbnail: np.ndarray  # (32, 32) of uint8
    depth: int
    colour: np.ndarray  # (2,): means of red - green and blue - green, NaN where it is grey
    notes: tuple[str, ...] = ()

    @property
    def grey(self) -> bool:
        """Whether it holds no colour."""
        return bool(np.isnan(self.colour).any())


@dataclass(frozen=True)
class Copy:
    """Two files that show the same picture; ``likeness`` is 1 where the pixels are the same, ``how`` says in words."""

    path: str
    other: str
    likeness: float
    how: str


@dataclass
class Findings:
    """What was found; keys are paths. ``named`` is test set → files that have its names."""

    files: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    duplicates: list[Copy] = field(default_factory=list)
    leaks: list[Copy] = field(default_factory=list)
    named: dict[str, list[str]] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Return 1 if a file is broken, or is or is named as a test image, else 0."""
        return 1 if self.broken or self.leaks or self.named else 0


@dataclass(frozen=True)
class Known:
    """What is known of test sets without their images.

    ``pixels`` is hash → file, ``names`` set → names of its files without suffix, ``files`` where they lie below a data
    root: what lies there is the test set itself.
    """

    pixels: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Iterable[str]] = field(default_factory=dict)
    files: Collection[str] = ()


def check(
    folder: Path,
    against: Sequence[Path] = (),
    *,
    digest: Digest,
    known: Known | None = None,
    least_side: int = LEAST_SIDE,
    workers: int | None = None,
    on_file: Callable[[int], None] = lambda done: None,
) -> Findings:
    """Return what is wrong with ``folder``, and which of its images are in the folders ``against``.

    Every file is decoded completely. A picture is found again re-encoded, resized, turned or mirrored, but not from a
    crop of a part of it. What a decoder mends without a word is not seen as damage: bytes that changed within a JPEG's
    scan decode to other pixels, and libjpeg's warnings do not reach Pillow.
    """
    findings, known = Findings(), known or Known()
    places = list(dict.fromkeys([folder, *against]))
    paths = [(place, path) for place in places for path in images_of(place)]
    seen: dict[Path, list[Seen]] = {place: [] for place in places}
    results = in_order(lambda pair: look(pair[1], digest, least_side), paths, workers)
    for done, ((place, path), result) in enumerate(zip(paths, results, strict=True), 1):
        _take(path, result, seen[place], findings)
        on_file(done)
    ours = seen[folder]
    findings.files = len(paths)
    findings.odd |= _odd(ours)
    prints = {place: _prints(images) for place, images in seen.items()}
    findings.duplicates = _duplicates(ours, prints[folder])
    for place in places[1:]:
        findings.leaks += _leaks(ours, prints[folder], seen[place], prints[place])
    leaked = {copy.path for copy in findings.leaks}
    findings.leaks += _known_leaks([image for image in ours if str(image.path) not in leaked], known.pixels)
    at_home = tuple(f"/{file}" for file in known.files)
    away = [i.path for i in ours if not i.path.absolute().as_posix().endswith(at_home)]
    findings.named = named_alike(away, known.names)
    return findings


def images_of(place: Path) -> list[Path]:
    """Return the image files below a folder, sorted, or refuse a place that has none."""
    if not place.is_dir():
        raise RequestError(f"{place}: no such folder")
    found = find_images(place)
    if not found:
        raise RequestError(f"{place}: no images in this folder")
    return found


def look(path: Path, digest: Digest, least_side: int = LEAST_SIDE) -> Seen:
    """Decode one file and return what is kept of it."""
    picture = read(path)
    samples = picture.samples
    height, width = samples.shape[:2]
    notes = []
    if min(height, width) < least_side:
        notes.append(f"{width}x{height} pixels, a side below {least_side}")
    if picture.alpha_samples is not None and not opaque(picture.alpha_samples):
        notes.append("partly transparent, which training does not see")
    small = thumbnail(samples)
    if flat(spectrum(small[None]))[0]:
        notes.append("nearly of one colour")
    return Seen(path, digest(samples), small, picture.depth, colour(samples), tuple(notes))


def named_alike(paths: Sequence[Path], names: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return test set → files that are named as its own, without suffix; short numbers, as 0001, say nothing.

    Where the pictures are not here to compare with, that is the only sign: BSDS500's ``val`` is BSD100. One number of
    five digits or more is enough, of words and other names it takes three.
    """
    found = {}
    for dataset, known in names.items():
        own = {name.lower() for name in known}
        alike = [path for path in paths if path.stem.lower() in own]
        telling = [path.stem for path in alike if not NUMBERED.fullmatch(path.stem.lower())]
        if len(telling) >= FEW_NAMES or any(LONG_NUMBER.fullmatch(stem) for stem in telling):
            found[dataset] = [str(path) for path in alike]
    return found


def _take(path: Path, result: Future[Seen], seen: list[Seen], findings: Findings) -> None:
    try:
        seen.append(result.result())
    except (ImageError, OSError, MemoryError) as error:
        findings.broken[str(path)] = str(error) if isinstance(error, ImageError) else f"{path}: {error}"


def _odd(images: Sequence[Seen]) -> dict[str, str]:
    """Return path → what makes an image unlike others: by itself, or because most are in colour or have 8 bits."""
    coloured = sum(not image.grey for image in images) * 2 > len(images)
    shallow = sum(image.depth == 8 for image in images) * 2 > len(images)
    found = {}
    for image in images:
        notes = list(image.notes)
        notes += ["grey among colour"] if image.grey and coloured else []
        notes += [f"{image.depth} bits among 8"] if image.depth > 8 and shallow else []
        if notes:
            found[str(image.path)] = "; ".join(notes)
    return found


def _prints(images: Sequence[Seen]) -> Prints:
    if not images:
        return Prints(np.zeros((0, KEPT, KEPT), np.float32))
    spectra = spectrum(np.stack([image.thumbnail for image in images]))
    return Prints(spectra, np.stack([image.colour for image in images]))


def _duplicates(images: Sequence[Seen], prints: Prints) -> list[Copy]:
    """Return every file that shows the same picture as an earlier one that is no copy itself, with the first of those.

    So what is left without the copies holds no picture twice, and each copy is like the file that it is told to be
    like, though a film's first frame need not be like its last.
    """
    copies: dict[int, Copy] = {}
    first_of: dict[str, int] = {}
    for place, image in enumerate(images):
        first = first_of.setdefault(image.digest, place)
        if first != place:
            copies[place] = _same(image, images[first])
    for rows in blocks(prints):
        rows = np.array([row for row in rows.tolist() if row not in copies], int)
        found = of_some(prints, rows)
        for i, (first, place) in enumerate(zip(found.ours.tolist(), found.theirs.tolist(), strict=True)):
            if first not in copies and place not in copies:
                copies[place] = _alike(images[place], images[first], found.version[i], found.likeness[i])
    return [copies[place] for place in sorted(copies)]


def _leaks(ours: Sequence[Seen], prints: Prints, theirs: Sequence[Seen], others: Prints) -> list[Copy]:
    """Return each of ours that shows the picture of one of theirs, with the likest; a file is no copy of itself."""
    exact: dict[str, list[Seen]] = {}
    for other in theirs:
        exact.setdefault(other.digest, []).append(other)
    copies: dict[int, Copy] = {}
    for place, image in enumerate(ours):
        same = next((other for other in exact.get(image.digest, ()) if not _one_file(image, other)), None)
        if same:
            copies[place] = _same(image, same)
    for rows in blocks(prints, others):
        rows = np.array([row for row in rows.tolist() if row not in copies], int)
        found = of_some(prints, rows, others)
        for i in np.argsort(-found.likeness, kind="stable").tolist():
            place, image = int(found.ours[i]), theirs[int(found.theirs[i])]
            if place not in copies and not _one_file(ours[place], image):
                copies[place] = _alike(ours[place], image, found.version[i], found.likeness[i])
    return [copies[place] for place in sorted(copies)]


def _one_file(image: Seen, other: Seen) -> bool:
    """Whether both are the same file, where one folder lies within the other; a copy of it is none."""
    return image.path == other.path or image.path.samefile(other.path)


def _known_leaks(images: Sequence[Seen], known: Mapping[str, str]) -> list[Copy]:
    """Return images whose pixels are known to be a test image's; those at its own place are the test set itself."""
    pairs = [(image, known[image.digest]) for image in images if image.digest in known]
    return [
        Copy(str(image.path), file, 1.0, "same pixels as the published file")
        for image, file in pairs
        if not image.path.absolute().as_posix().endswith(f"/{file}")
    ]


def _same(image: Seen, other: Seen) -> Copy:
    return Copy(str(image.path), str(other.path), 1.0, "same pixels")


def _alike(image: Seen, other: Seen, version: int, likeness: float) -> Copy:
    how = VERSIONS[version] or "same picture, other pixels"
    return Copy(str(image.path), str(other.path), round(min(float(likeness), 1.0), 4), how)
