"""Which files a request means, and which file each becomes; every refusal comes before anything is written."""

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from restoration.config import nearest
from restoration.errors import RequestError
from restoration.image import IMAGE_SUFFIXES, WRITERS, find_images

FORMATS = {"jpg": ".jpg", "keep": "", "png": ".png", "tif": ".tif", "webp": ".webp"}


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
    shard: tuple[int, int] = (0, 1),
    renames: bool = True,
) -> list[Job]:
    """Return this shard's jobs; folders keep their structure below ``out``. ``renames``: there is a --suffix to offer.

    A source that is itself a target, such as an earlier result beside its original, is not read again.
    """
    out = Path(out).expanduser()
    if format not in FORMATS:
        raise RequestError(f"--format {format}: expected {', '.join(FORMATS)}{nearest(format, FORMATS)}")
    if not 0 <= shard[0] < shard[1]:
        raise RequestError(f"--shard {shard[0]}/{shard[1]}: expected i/n with i from 0 to n-1")
    if Path(f"x{suffix}").name != f"x{suffix}":
        raise RequestError(f"--suffix {suffix}: expected the end of a file name, without folders")
    sources = _expanded(inputs, out)
    if _is_file_name(out, inputs):
        return _single(sources, out, suffix, format)[shard[0] :: shard[1]]
    above = next(
        place for place in (out, *out.parents) if place.exists() or place == Path(place.anchor or ".")
    )
    if above.exists() and not above.is_dir():
        what = "a file" if above == out else f"{above} is a file"
        raise RequestError(f"--out {out}: {what}; expected a folder for {len(sources)} inputs")
    jobs = [Job(source, out / _target(relative, suffix, format)) for source, relative in sources]
    jobs = list({(job.source.resolve(), job.target): job for job in jobs}.values())
    explicit = {Path(i).resolve() for i in inputs}
    results = {job.target.resolve() for job in jobs if job.target.resolve() != job.source.resolve()}
    jobs = [job for job in jobs if job.source.resolve() not in results or job.source.resolve() in explicit]
    _check_targets(jobs, renames)
    return jobs[shard[0] :: shard[1]]


def _single(sources: list[tuple[Path, Path]], out: Path, suffix: str, format: str) -> list[Job]:
    if suffix:
        raise RequestError(f"--suffix {suffix}: --out {out} already names the file")
    if format != "keep" and _kind(out) != _kind(Path(FORMATS[format])):
        raise RequestError(f"--format {format}: --out {out} names another format")
    job = Job(sources[0][0], out)
    _check_targets([job])
    return [job]


def _expanded(inputs: Sequence[str | Path], out: Path) -> list[tuple[Path, Path]]:
    """Return each source with its place below the output folder."""
    return [pair for text in inputs for pair in _of_input(str(text), out)]


def _of_input(text: str, out: Path) -> list[tuple[Path, Path]]:
    path = Path(text).expanduser()
    if path.is_dir():
        return _of_folder(path, out)
    if path.exists():
        return [(path, Path(path.name))]
    if not glob.has_magic(text):
        raise RequestError(f"{text}: no such file or folder")
    matches = [Path(m) for m in sorted(glob.glob(str(path), recursive=True))]
    folders = [pair for m in matches if m.is_dir() and "**" not in text for pair in _of_folder(m, out)]
    files = [(m, Path(m.name)) for m in matches if m.is_file() and m.name.lower().endswith(IMAGE_SUFFIXES)]
    if not files and not folders:
        raise RequestError(f"{text}: matches no image")
    return files + folders


def _of_folder(folder: Path, out: Path) -> list[tuple[Path, Path]]:
    inside = out.resolve() != folder.resolve() and out.resolve().is_relative_to(folder.resolve())
    found = [p for p in find_images(folder) if not (inside and p.resolve().is_relative_to(out.resolve()))]
    if not found:
        raise RequestError(f"{folder}: no images in this folder")
    return [(path, path.relative_to(folder)) for path in found]


def _is_file_name(out: Path, inputs: Sequence[str | Path]) -> bool:
    if out.suffix.lower() in IMAGE_SUFFIXES and out.suffix.lower() not in WRITERS and not out.is_dir():
        raise RequestError(
            f"--out {out}: {out.suffix} cannot be written; expected {', '.join(sorted(WRITERS))}"
        )
    if out.suffix.lower() not in WRITERS or out.is_dir():
        return False
    if len(inputs) == 1 and Path(inputs[0]).expanduser().is_file():
        return True
    raise RequestError(f"--out {out}: names a file; expected a folder, as the input is not one file")


def _target(relative: Path, suffix: str, format: str) -> Path:
    kept = relative.suffix if relative.suffix.lower() in WRITERS else ".png"
    stem = relative.stem if relative.suffix.lower() in IMAGE_SUFFIXES else relative.name
    return relative.with_name(f"{stem}{suffix}{FORMATS[format] or kept}")


def _check_targets(jobs: Iterable[Job], renames: bool = True) -> None:
    sources: dict[Path, Path] = {}
    jobs = list(jobs)
    originals = {job.source.resolve() for job in jobs}
    for job in jobs:
        if job.target.resolve() in originals:
            remedy = "another --out, or --suffix" if renames else "another --out"
            raise RequestError(f"{job.target}: would replace an input; expected {remedy}")
        other = sources.setdefault(job.target, job.source)
        if other != job.source:
            raise RequestError(f"{job.target}: would be written from both {other} and {job.source}")


def _kind(path: Path) -> str:
    suffix = path.suffix.lower() or path.name
    return {".jpeg": ".jpg", ".tiff": ".tif"}.get(suffix, suffix)
