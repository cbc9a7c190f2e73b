"""What is wrong with folders of images: broken files, odd ones, duplicates, and test images among training images."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from restoration.curation.fingerprint import VERSIONS, flat, groups, matches, spectrum, thumbnail
from restoration.errors import ImageError, RequestError
from restoration.image import find_images, read
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
    grey: bool
    notes: tuple[str, ...] = ()


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
        """Return 1 if a file is broken or a test image is among those to train on, else 0."""
        return 1 if self.broken or self.leaks else 0


@dataclass(frozen=True)
class Known:
    """What is known of test sets without their images: hash of the pixels → file, and set → names of its files."""

    pixels: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Iterable[str]] = field(default_factory=dict)


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
    crop of a part of it.
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
    spectra = {place: _spectra(images) for place, images in seen.items()}
    findings.duplicates = _duplicates(ours, spectra[folder])
    for place in places[1:]:
        findings.leaks += _leaks(ours, spectra[folder], seen[place], spectra[place])
    leaked = {copy.path for copy in findings.leaks}
    findings.leaks += _known_leaks([image for image in ours if str(image.path) not in leaked], known.pixels)
    findings.named = named_alike([image.path for image in ours], known.names)
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
    height, width, channels = samples.shape
    notes = []
    if min(height, width) < least_side:
        notes.append(f"{width}x{height} pixels, a side below {least_side}")
    if picture.alpha_samples is not None and (picture.alpha_samples < np.iinfo(samples.dtype).max).any():
        notes.append("partly transparent, which training does not see")
    small = thumbnail(samples)
    if flat(spectrum(small[None]))[0]:
        notes.append("nearly of one colour")
    grey = channels == 1 or bool((samples[..., 1:] == samples[..., :1]).all())
    return Seen(path, digest(samples), small, picture.depth, grey, tuple(notes))


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
    colour = sum(not image.grey for image in images) * 2 > len(images)
    shallow = sum(image.depth == 8 for image in images) * 2 > len(images)
    found = {}
    for image in images:
        notes = list(image.notes)
        notes += ["grey among colour"] if image.grey and colour else []
        notes += ["16 bits among 8"] if image.depth == 16 and shallow else []
        if notes:
            found[str(image.path)] = "; ".join(notes)
    return found


def _spectra(images: Sequence[Seen]) -> np.ndarray:
    small = [image.thumbnail for image in images]
    return spectrum(np.stack(small)) if small else np.zeros((0, 1, 1), np.float32)


def _duplicates(images: Sequence[Seen], spectra: np.ndarray) -> list[Copy]:
    """Return every file that shows the same picture as an earlier one, with the first of them."""
    copies: dict[int, Copy] = {}
    first_of: dict[str, int] = {}
    for place, image in enumerate(images):
        first = first_of.setdefault(image.digest, place)
        if first != place:
            copies[place] = _same(image, images[first])
    found = matches(spectra)
    best: dict[int, int] = {}
    for i in np.argsort(found.likeness, kind="stable"):  # the likest last; an earlier file before a later one
        best.setdefault(int(found.ours[i]), int(i))
        best[int(found.theirs[i])] = int(i)
    for group in groups(len(images), found.ours, found.theirs):
        for place in (place for place in group[1:] if place not in copies):
            i = best[place]
            other = int(found.ours[i] if found.theirs[i] == place else found.theirs[i])
            copies[place] = _alike(images[place], images[other], found.version[i], found.likeness[i])
    return [copies[place] for place in sorted(copies)]


def _leaks(
    ours: Sequence[Seen], spectra: np.ndarray, theirs: Sequence[Seen], others: np.ndarray
) -> list[Copy]:
    """Return the pairs of the same picture; a file of ``theirs`` that is one of ours too is not its own copy."""
    exact = {image.digest: image for image in reversed(theirs)}
    same = [(image, exact[image.digest]) for image in ours if image.digest in exact]
    copies = {(image.path, other.path): _same(image, other) for image, other in same}
    found = matches(spectra, others)
    for i, (first, second) in enumerate(zip(found.ours, found.theirs, strict=True)):
        pair = ours[first].path, theirs[second].path
        if pair not in copies:
            copies[pair] = _alike(ours[first], theirs[second], found.version[i], found.likeness[i])
    return [copies[pair] for pair in sorted(copies) if not pair[0].samefile(pair[1])]


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
