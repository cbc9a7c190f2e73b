"""Which files a request means, and which file each becomes; every refusal comes before anything is written."""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from restoration.config import nearest
from restoration.errors import RequestError
from restoration.files import at_home, real
from restoration.formats.declared import shown
from restoration.image import IMAGE_SUFFIXES, LOSSY_SUFFIXES, WRITERS, find_images

# what is meant as a file, and no picture becomes
NOT_WRITTEN = (
    ".avi", ".dng", ".exr", ".hdr", ".heic", ".heif", ".ico", ".jp2", ".jxl", ".m4v", ".mkv", ".mov", ".mp4", ".pdf",
    ".psd", ".svg", ".tga", ".webm",
)  # fmt: skip
FORMATS = {"keep": "", **{suffix[1:]: suffix for suffix in WRITERS}}


@dataclass(frozen=True)
class Job:
    """A file to restore and the file to write."""

    source: Path
    target: Path


def plan(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    suffix: str = "",
    format: str = "keep",
    quality: int | None = None,
    shard: tuple[int, int] = (0, 1),
    renames: bool = True,
) -> list[Job]:
    """Return this shard's jobs; folders keep their structure below ``out``. ``renames``: there is a --suffix to offer.

    ``quality``, 1 to 100, is refused where no target is of a lossy format.
    A source that is itself a target, such as an earlier result beside its original, is not read again.
    """
    out = at_home(out)
    if format not in FORMATS:
        raise RequestError(f"--format {format}: expected {', '.join(FORMATS)}{nearest(format, FORMATS)}")
    if not 0 <= shard[0] < shard[1]:
        raise RequestError(f"--shard {shard[0]}/{shard[1]}: expected i/n with i from 0 to n-1")
    if Path(f"x{suffix}").name != f"x{suffix}":
        raise RequestError(f"--suffix {shown(suffix)}: expected the end of a file name, without folders")
    if quality is not None and not 1 <= quality <= 100:
        raise RequestError(f"--quality {quality}: expected a number from 1 to 100")
    sources = _expanded(inputs, out)
    if _is_file_name(out, inputs):
        jobs = _single(sources, out, suffix, format)
    else:
        jobs = _below(sources, inputs, out, suffix, format)
        _check_targets(jobs, renames)
    if quality is not None and not any(job.target.suffix.lower() in LOSSY_SUFFIXES for job in jobs):
        expected = " ".join(LOSSY_SUFFIXES)
        raise RequestError(f"--quality {quality}: no output is of a lossy format; expected one of {expected}")
    return jobs[shard[0] :: shard[1]]


def _below(
    sources: list[tuple[Path, Path]], inputs: Sequence[str | Path], out: Path, suffix: str, format: str
) -> list[Job]:
    """Return the jobs of an output folder."""
    above = _first_that_exists(out)
    if above and not os.path.isdir(above):
        what = "a file" if above == out else f"{shown(above)} is a file"
        raise RequestError(f"--out {shown(out)}: {what}; expected a folder for {len(sources)} inputs")
    jobs = [Job(source, out / _target(relative, suffix, format)) for source, relative in sources]
    jobs = list({(real(job.source), job.target): job for job in jobs}.values())
    explicit = {real(at_home(i)) for i in inputs}
    results = {real(job.target) for job in jobs if real(job.target) != real(job.source)}
    return [job for job in jobs if real(job.source) not in results or real(job.source) in explicit]


def _single(sources: list[tuple[Path, Path]], out: Path, suffix: str, format: str) -> list[Job]:
    if suffix:
        raise RequestError(f"--suffix {shown(suffix)}: --out {shown(out)} already names the file")
    if format != "keep" and _kind(out) != _kind(Path(FORMATS[format])):
        raise RequestError(f"--format {format}: --out {shown(out)} names another format")
    above = _first_that_exists(out.parent)
    if above and not os.path.isdir(above):
        raise RequestError(f"--out {shown(out)}: {shown(above)} is a file; expected a folder")
    job = Job(sources[0][0], out)
    _check_targets([job])
    return [job]


def _first_that_exists(place: Path) -> Path | None:
    return next((p for p in (place, *place.parents) if os.path.exists(p)), None)


def _expanded(inputs: Sequence[str | Path], out: Path) -> list[tuple[Path, Path]]:
    """Return each source with its place below the output folder."""
    return [pair for text in inputs for pair in _of_input(str(text), out)]


def _of_input(text: str, out: Path) -> list[tuple[Path, Path]]:
    if not text:
        raise RequestError("an input without a name; expected files, folders or globs")
    path = at_home(text)
    is_named_image = path.name.lower().endswith(IMAGE_SUFFIXES)
    if os.path.isdir(path):
        found = _of_folder(path, out)
        if not found and not is_named_image:
            raise RequestError(f"{shown(path)}: no images in this folder")
        return found or [(path, Path(path.name))]
    if os.path.lexists(path):  # a link that leads nowhere is a file that cannot be read
        return [(path, Path(path.name))]
    if text == "-" or "://" in text:
        what = "standard input is" if text == "-" else "addresses are"
        raise RequestError(f"{shown(text)}: {what} not read; expected files, folders or globs")
    if not glob.has_magic(text):
        raise RequestError(f"{shown(text)}: no such file or folder{_similar(path)}")
    matches = [Path(m) for m in sorted(glob.glob(str(path), recursive=True))]
    folders = [pair for m in matches if m.is_dir() and "**" not in text for pair in _of_folder(m, out)]
    fixed = _fixed(path)
    images = [m for m in matches if not m.is_dir() and m.name.lower().endswith(IMAGE_SUFFIXES)]
    files = [(m, m.relative_to(fixed)) for m in images]
    if not files and not folders:
        raise RequestError(f"{shown(text)}: matches no image")
    return files + folders


def _fixed(path: Path) -> Path:
    """Return the folder below which a glob looks: its parts before the first that matches several names."""
    return next(above for above in path.parents if not glob.has_magic(str(above)))


def _similar(path: Path) -> str:
    """Return the name in the same folder that may have been meant, as a question, or nothing."""
    try:
        return nearest(path.name, [shown(name) for name in os.listdir(path.parent)])
    except OSError:
        return ""


def _of_folder(folder: Path, out: Path) -> list[tuple[Path, Path]]:
    written = real(out)
    inside = written != real(folder) and written.is_relative_to(real(folder))
    found = [p for p in find_images(folder) if not (inside and real(p).is_relative_to(written))]
    return [(path, path.relative_to(folder)) for path in found]


def _is_file_name(out: Path, inputs: Sequence[str | Path]) -> bool:
    if out.suffix.lower() in NOT_WRITTEN and not os.path.isdir(out):
        expected = " ".join(WRITERS)
        raise RequestError(
            f"--out {shown(out)}: no picture is written as {out.suffix}; expected one of {expected}"
        )
    if out.suffix.lower() not in WRITERS or os.path.isdir(out):
        return False
    source = at_home(inputs[0])
    if len(inputs) == 1 and os.path.lexists(source) and not os.path.isdir(source):
        return True
    raise RequestError(f"--out {shown(out)}: names a file; expected a folder, as the input is not one file")


def _target(relative: Path, suffix: str, format: str) -> Path:
    kept = relative.suffix if relative.suffix.lower() in WRITERS else ".png"
    stem = relative.stem if relative.suffix.lower() in IMAGE_SUFFIXES else relative.name
    return relative.with_name(f"{stem}{suffix}{FORMATS[format] or kept}")


def _check_targets(jobs: Iterable[Job], renames: bool = True) -> None:
    sources: dict[Path, Path] = {}
    jobs = list(jobs)
    originals = {real(job.source) for job in jobs}
    for job in jobs:
        if real(job.target) in originals:
            remedy = "another --out, or --suffix" if renames else "another --out"
            raise RequestError(f"{shown(job.target)}: would replace an input; expected {remedy}")
        other = sources.setdefault(job.target, job.source)
        if other != job.source:
            both = f"both {shown(other)} and {shown(job.source)}"
            raise RequestError(f"{shown(job.target)}: would be written from {both}")


def _kind(path: Path) -> str:
    suffix = path.suffix.lower() or path.name
    return {".jpeg": ".jpg", ".tiff": ".tif"}.get(suffix, suffix)
