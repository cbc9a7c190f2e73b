"""Videos among the inputs of a request: which there are, which file each becomes, and what became of them."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from restoration.applying.manifest import Manifest, noted
from restoration.applying.running import Inference
from restoration.applying.working import FAILURES, OnFile, keep
from restoration.dials.masks import Masks
from restoration.errors import RequestError, RestorationError
from restoration.files import at_home, real
from restoration.finding import find_videos, is_video
from restoration.image import IMAGE_SUFFIXES, find_images
from restoration.outcome import Report
from restoration.restorers.network import Restorer
from restoration.targets import Job
from restoration.video.restoring import OnFrame, restore_video
from restoration.video.settings import HOLDS, Settings

FALLBACK = ".mkv"  # what files become whose kind cannot be written


@dataclass(frozen=True)
class Films:
    """Videos among the inputs of a request, and what is asked of them.

    ``on_frame`` is called with the source, the number of frames that are done, and of how many.
    """

    settings: Settings = field(default_factory=Settings)
    on_frame: OnFrame = lambda source, done, total: None

    def plan(
        self, inputs: Sequence[str | Path], out: str | Path, suffix: str = "", shard: tuple[int, int] = (0, 1)
    ) -> tuple[list[str | Path], list[Job]]:
        """Return the inputs that may hold pictures, and this shard's jobs of videos; folders may hold both.

        A video keeps the kind of its file where that can be written (.mp4, .mov, .m4v, .mkv, .webm), else it
        becomes a .mkv. A video among the inputs is never replaced, and no two become one file.
        """
        out = at_home(out)
        if Path(f"x{suffix}").name != f"x{suffix}":
            raise RequestError(f"--suffix {suffix}: expected the end of a file name, without folders")
        pictures: list[str | Path] = []
        found: dict[Path, Path] = {}
        for text in inputs:
            videos, beside = _of_input(str(text), out)
            found |= dict(videos)
            if beside or not videos:
                pictures.append(text)
        if not found and self.settings != Settings():
            asked = self.settings.asked()
            raise RequestError(f"{asked}: no video among the inputs")
        jobs = [Job(source, _target(relative, out, suffix)) for source, relative in found.items()]
        one = len(inputs) == 1 and len(found) == 1 and at_home(inputs[0]).is_file()
        if one and out.suffix and not out.is_dir():
            jobs = [_single(jobs[0].source, out, suffix)]
        elif jobs and not out.is_dir() and (os.path.exists(out) or out.suffix.lower() in HOLDS):
            raise RequestError(f"--out {out}: names a file; expected a folder, as the input is not one file")
        _check(jobs)
        return pictures, jobs[shard[0] :: shard[1]]

    def restore(
        self,
        restorer: Restorer,
        jobs: Sequence[Job],
        report: Report,
        inference: Inference,
        manifest: Manifest,
        *,
        masks: Masks | None = None,
        overwrite: bool = False,
        only: bool = False,
        on_file: OnFile = lambda path, status: None,
    ) -> None:
        """Restore each job's video and add what became of it to the report; a failed one stops no other.

        A request that is wrong for a video that is all there is, ``only``, is raised. A result that exists is kept
        unless ``overwrite``.
        """
        for job in jobs:
            if job.target.exists() and not overwrite:
                keep(job, manifest, report)
                on_file(job.target, "kept")
                continue
            try:
                job.target.parent.mkdir(parents=True, exist_ok=True)
                notes = restore_video(
                    restorer, job.source, job.target,
                    settings=self.settings, inference=inference, masks=masks, on_frame=self.on_frame,
                )  # fmt: skip
            except FAILURES as error:
                if isinstance(error, RequestError) and only:
                    raise
                report.failed[job.source] = f"{_one_line(job.source, error)}; skipped"
                on_file(job.source, "failed")
            else:
                noted(manifest, report, job)
                report.written.append(job.target)
                report.notes += [f"{job.target}: {note}" for note in notes]
                on_file(job.target, "written")


def _one_line(source: Path, error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, RestorationError) else f"{source}: could not be restored ({text})"


def _of_input(text: str, out: Path) -> tuple[list[tuple[Path, Path]], bool]:
    """Return an input's videos, each with its place below the output folder, and whether it holds pictures too."""
    path = at_home(text)
    if os.path.isdir(path):
        return _of_folder(path, out)
    if os.path.exists(path):
        return ([(path, Path(path.name))], False) if is_video(path) else ([], True)
    if not glob.has_magic(text):
        return [], True
    videos: list[tuple[Path, Path]] = []
    beside = False
    for match in sorted(glob.glob(str(path), recursive=True)):
        if Path(match).is_file() or "**" not in text:
            inside, others = _of_input(match, out)
            videos += inside
            beside |= others and _is_picture(match)
    return videos, beside


def _of_folder(folder: Path, out: Path) -> tuple[list[tuple[Path, Path]], bool]:
    inside = real(out) != real(folder) and real(out).is_relative_to(real(folder))
    videos = [p for p in find_videos(folder) if not (inside and real(p).is_relative_to(real(out)))]
    return [(path, path.relative_to(folder)) for path in videos], bool(find_images(folder))


def _is_picture(path: str) -> bool:
    return Path(path).is_dir() or path.lower().endswith(IMAGE_SUFFIXES)


def _target(relative: Path, out: Path, suffix: str) -> Path:
    kept = relative.suffix if relative.suffix.lower() in HOLDS else FALLBACK
    return out / relative.with_name(f"{relative.stem}{suffix}{kept}")


def _single(source: Path, out: Path, suffix: str) -> Job:
    if suffix:
        raise RequestError(f"--suffix {suffix}: --out {out} already names the file")
    if out.suffix.lower() not in HOLDS:
        raise RequestError(
            f"--out {out}: cannot write '{out.suffix}' videos; expected {' '.join(HOLDS)}, or a folder that is there"
        )
    return Job(source, out)


def _check(jobs: list[Job]) -> None:
    originals = {real(job.source) for job in jobs}
    sources: dict[Path, Path] = {}
    for job in jobs:
        if real(job.target) in originals:
            raise RequestError(f"{job.target}: would replace an input; expected another --out, or --suffix")
        other = sources.setdefault(job.target, job.source)
        if other != job.source:
            raise RequestError(f"{job.target}: would be written from both {other} and {job.source}")
