"""Degraded files from clean ones, each with a sidecar by which the same file can be made again."""

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from restoration.config import build, check, differences, override, read_toml
from restoration.degradations import DEGRADATIONS, Degradation
from restoration.errors import ImageError, RequestError, RestorationError
from restoration.outcome import Report
from restoration.pool import in_order
from restoration.sidecar import (
    Sidecar,
    degraded_files,
    opaque,
    read_sidecar,
    versions,
    write_sidecar,
)
from restoration.targets import Job, plan

PATHS = ("folder", "images", "path")  # keys of degradations that name files: sidecars hold them in full
OnFile = Callable[[Path, str], None]
# what a degradation may raise for one picture: it is named, the others are done
FAILURES = (RestorationError, OSError, ValueError, RuntimeError, MemoryError)


@dataclass(frozen=True)
class Plan:
    """What is to be made, of what, and where; ``clean`` is a folder for the images that restorers shall reach."""

    part: Degradation
    spec: Mapping[str, Any]
    jobs: Sequence[Job]
    out: Path
    seed: int
    clean: Path | None

    def place(self, job: Job) -> Path:
        """Return the name of a picture below the output folder, without its ending: what its draws are keyed by."""
        return (
            Path(job.source.stem)
            if job.target == self.out
            else job.target.relative_to(self.out).with_suffix("")
        )

    def sample(self, job: Job) -> int:
        """Return the number of a picture's (first) sample."""
        return zlib.crc32(self.place(job).as_posix().encode()) * self.part.together

    def aim(self, job: Job, suffix: str = "") -> Path | None:
        """Return where the clean version of a picture goes, if anywhere."""
        place = self.place(job)
        return self.clean and (self.clean / place).with_name(f"{place.name}{suffix}.png")


def described(name: str, settings: Sequence[str] = ()) -> dict[str, Any]:
    """Return the complete table of a degradation of the table, or of a TOML file's ``degradation``."""
    document = {"name": name}
    if name.endswith(".toml"):
        document = read_toml(Path(name).expanduser())
        document = document.get("data", document)
        document = document.get("degradation", document)
    return check(DEGRADATIONS, override(document, settings), "degradation", "degradation")


def degrade(
    spec: Mapping[str, Any],
    inputs: Sequence[str | Path],
    out: Path,
    *,
    seed: int = 0,
    clean: Path | None = None,
    overwrite: bool = False,
    workers: int = 1,
    on_file: OnFile = lambda path, status: None,
) -> Report:
    """Write a PNG and a sidecar for every input; ``clean`` is a folder for what restorers shall make of them.

    A file's draw is keyed by the seed and its name below ``out``: it does not depend on the other inputs. A file that
    is there by the same settings is kept; one of others is refused unless it may be replaced.
    """
    part = build(DEGRADATIONS, dict(spec), "degradation", "degradation")
    if part.varies:
        raise RequestError(
            f"degradation '{spec['name']}' leaves the size to chance; expected a chain that ends in a part that fits it"
        )
    whole = Plan(part, _resolved(spec), plan(inputs, out, format="png", renames=False), out, seed, clean)
    claimed = _claimed(whole)
    report, todo = Report(), []
    for job in whole.jobs:
        if not overwrite and _kept(whole, job):
            report.kept.append(job.target)
            on_file(job.target, "kept")
        else:
            todo.append(job)

    def work(job: Job) -> str:
        try:
            _one(whole, job, claimed)
        except FAILURES as error:
            return _line(job.source, error)
        return ""

    for job, future in zip(todo, in_order(work, todo, workers), strict=True):
        failure = future.result()
        if failure:
            report.failed[job.source] = failure
        else:
            report.written.append(job.target)
        on_file(job.target, "failed" if failure else "written")
    return report


def _claimed(whole: Plan) -> dict[Path, Job]:
    """Return every file that is known to be written, with its picture; inputs and what two would write are refused."""
    beside = whole.part.untouched(torch.zeros(1, 3, whole.part.multiple, whole.part.multiple))
    suffixes = ["", *([".mask"] if beside.mask is not None else []), *(f".{name}" for name in beside.layers)]
    inputs = {job.source.resolve() for job in whole.jobs}
    claimed: dict[Path, Job] = {}
    for job in whole.jobs:
        names = [f"{job.target.stem}{suffix}.png" for suffix in suffixes]
        files = [*(job.target.with_name(name) for name in names), _sidecar(job)]
        aim = whole.aim(job)
        for path in [*files, *([aim] if aim else [])]:
            if path.resolve() in inputs:
                option = "--clean" if path == aim else "--out"
                raise RequestError(f"{path}: would replace an input; expected another {option}")
            other = claimed.setdefault(path.resolve(), job)
            if other != job or (path == aim and path in files):
                raise RequestError(
                    f"{path}: would be written for both {other.source} and {job.source}; "
                    "expected other names, or another folder"
                )
    return claimed


def _sidecar(job: Job) -> Path:
    return job.target.with_name(f"{job.target.stem}.json")


def _kept(whole: Plan, job: Job) -> bool:
    """Return whether a picture's files are all there; those of other settings are refused."""
    path = _sidecar(job)
    if not path.exists():
        if job.target.exists():
            raise RequestError(
                f"{job.target}: is there without {path.name}; expected another --out, or --overwrite"
            )
        return False
    found = read_sidecar(path)
    asked = {"degradation": dict(whole.spec), "seed": whole.seed}
    changed = differences({"degradation": found.degradation, "seed": found.seed}, asked)
    if changed:
        raise RequestError(
            f"{job.target}: was made with other settings: {', '.join(changed)}; "
            "expected another --out, or --overwrite"
        )
    return all((path.parent / output.file).exists() for output in found.files.values())


def _one(whole: Plan, job: Job, claimed: Mapping[Path, Job]) -> None:
    """Write the files of one picture, its sidecar last: where that is, everything is."""
    picture, sample = opaque(job.source), whole.sample(job)
    made, drawn, aims = degraded_files(whole.part, picture, whole.seed, sample)
    stem = job.target.stem
    paths = {suffix: job.target.with_name(f"{stem}{suffix}{file.suffix}") for suffix, file in made.items()}
    for path in paths.values():
        if claimed.get(path.resolve(), job) != job:
            raise ValueError(f"{path.name} belongs to {claimed[path.resolve()].source}")
    job.target.parent.mkdir(parents=True, exist_ok=True)
    if whole.clean is not None:
        for suffix, file in aims.items():
            aim = whole.aim(job, suffix)
            aim.parent.mkdir(parents=True, exist_ok=True)
            file.write(aim)
    for suffix, file in made.items():
        file.write(paths[suffix])
    record = Sidecar(
        schema=1,
        input=str(job.source),
        sha256=hashlib.sha256(job.source.read_bytes()).hexdigest(),
        degradation=dict(whole.spec),
        seed=whole.seed,
        sample=sample,
        depth=picture.depth,
        draw=drawn,
        outputs={s: {"file": paths[s].name, "pixels": made[s].digest} for s in made},
        versions=versions(),
    )
    write_sidecar(_sidecar(job), record)


def _resolved(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table whose names of files and folders are whole, so that it means the same from elsewhere."""

    def whole(key: str, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return _resolved(value)
        if isinstance(value, (list, tuple)):
            return [whole("", entry) for entry in value]
        named = key in PATHS and isinstance(value, str) and Path(value).expanduser().exists()
        return str(Path(value).expanduser().resolve()) if named else value

    return {key: whole(key, value) for key, value in spec.items()}


def _line(path: Path, error: BaseException) -> str:
    if isinstance(error, ImageError):
        return f"{error}; skipped"
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"{path}: could not be degraded ({text}); skipped"
