"""Degraded files from clean ones, each with a sidecar by which the same file can be made again."""

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from restoration import __version__
from restoration.config import build, check, override
from restoration.degradations import DEGRADATIONS, Degradation, Degraded
from restoration.errors import ConfigError, ImageError, RequestError, RestorationError
from restoration.files import atomic
from restoration.image import Picture, read, to_samples, write
from restoration.pool import alone, in_order, one_thread
from restoration.targets import Job, plan

SCHEMA = 1
SIGNED = (".residual", ".flow")  # layers that are no pictures: they are kept as NumPy arrays of floats
KEYS = ("schema", "input", "sha256", "degradation", "seed", "sample", "depth", "draw", "outputs")
OnFile = Callable[[Path, str], None]
# what a degradation may raise for one picture: it is named, the others are done
FAILURES = (RestorationError, OSError, ValueError, RuntimeError)


@dataclass
class Report:
    """What became of the files: ``failed`` has one line for each."""

    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Return 0 if no file failed, else 1."""
        return 1 if self.failed else 0


def described(name: str, settings: Sequence[str] = ()) -> dict[str, Any]:
    """Return the complete table of a degradation of the table, or of a TOML file's ``degradation``."""
    document = {"name": name}
    if name.endswith(".toml"):
        from restoration.config import read_toml

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
    """Write a PNG and a sidecar for every input; ``clean`` is a folder for the images as the degradation saw them.

    A file's draw is keyed by the seed and its name below ``out``: it does not depend on the other inputs.
    """
    part = build(DEGRADATIONS, dict(spec), "degradation", "degradation")
    if part.varies:
        raise RequestError(
            f"degradation '{spec['name']}' leaves the size to chance; expected a chain that ends in a part that fits it"
        )
    jobs = plan(inputs, out, format="png")
    report = Report()
    todo = [job for job in jobs if overwrite or not job.target.exists()]
    for job in jobs:
        if job not in todo:
            report.kept.append(job.target)
            on_file(job.target, "kept")

    def work(job: Job) -> str:
        alone()  # the same bytes on machines with other numbers of processors
        try:
            _one(part, spec, job, out, seed, clean)
        except FAILURES as error:
            return _line(job.source, error)
        return ""

    with one_thread():
        for job, future in zip(todo, in_order(work, todo, workers), strict=True):
            failure = future.result()
            if failure:
                report.failed[job.source] = failure
            else:
                report.written.append(job.target)
            on_file(job.target, "failed" if failure else "written")
    return report


def replay(sidecar: Path, source: Path | None = None, out: Path | None = None) -> str:
    """Make the files of a sidecar again and return, in words, that they are the same bytes; anything else is refused.

    ``source`` is the clean image, by default where it was; without ``out`` nothing is written.
    """
    record = _record(sidecar)
    path = source or _input(record, sidecar)
    if (found := _sha256(path.read_bytes())) != record["sha256"]:
        raise RequestError(
            f"{path}: sha256 {found[:12]}…; expected {record['sha256'][:12]}…, that of {sidecar}"
        )
    part = build(DEGRADATIONS, record["degradation"], f"{sidecar}: degradation", "degradation")
    image = _cropped(_picture(path).pixels, part.multiple)
    with one_thread():
        degraded = part(image, [(record["seed"], record["sample"])])
    if (drawn := _drawn(degraded)) != record["draw"]:
        changed = sorted(k for k in {*drawn, *record["draw"]} if drawn.get(k) != record["draw"].get(k))
        raise RestorationError(f"{sidecar}: draws otherwise than recorded: {', '.join(changed)}")
    made = _encoded(degraded, record["depth"])
    folder = out or None
    names = {suffix: entry["file"] for suffix, entry in record["outputs"].items()}
    for suffix, data in made.items():
        entry = record["outputs"].get(suffix)
        if entry is None or _sha256(data.samples_bytes) != entry["pixels"]:
            raise RestorationError(f"{sidecar}: {names.get(suffix, suffix)} has other samples than recorded")
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        _written(made, {suffix: folder / name for suffix, name in names.items()})
    return f"{', '.join(names.values())}: equal, sample for sample" + (
        f"; written to {folder}" if folder else ""
    )


@dataclass(frozen=True)
class _Made:
    """One file to write: samples of a picture, or an array for what is no picture."""

    array: np.ndarray
    picture: bool

    @property
    def suffix(self) -> str:
        return ".png" if self.picture else ".npy"

    @property
    def samples_bytes(self) -> bytes:
        return (
            f"{self.array.shape}{self.array.dtype.str[1:]}".encode()
            + np.ascontiguousarray(self.array).tobytes()
        )


def _one(
    part: Degradation, spec: Mapping[str, Any], job: Job, out: Path, seed: int, clean: Path | None
) -> None:
    picture = _picture(job.source)
    single = job.target == out
    place = Path(job.source.name) if single else job.target.relative_to(out)
    sample = zlib.crc32(place.with_suffix("").as_posix().encode())
    image = _cropped(picture.pixels, part.multiple)
    degraded = part(image, [(seed, sample)])
    made = _encoded(degraded, picture.depth)
    stem = job.target.with_suffix("")
    paths = {suffix: stem.with_name(f"{stem.name}{suffix}{data.suffix}") for suffix, data in made.items()}
    record = {
        "schema": SCHEMA,
        "input": str(job.source),
        "sha256": _sha256(job.source.read_bytes()),
        "degradation": dict(spec),
        "seed": seed,
        "sample": sample,
        "depth": picture.depth,
        "draw": _drawn(degraded),
        "outputs": {s: {"file": paths[s].name, "pixels": _sha256(made[s].samples_bytes)} for s in made},
        "versions": {"restoration": __version__, "torch": torch.__version__, "numpy": np.__version__},
    }
    job.target.parent.mkdir(parents=True, exist_ok=True)
    if clean is not None:
        target = degraded.clean if degraded.clean is not None else image
        (clean / place).parent.mkdir(parents=True, exist_ok=True)
        write((clean / place).with_suffix(".png"), Picture(to_samples(target, picture.depth)))
    with atomic(job.target.with_suffix(".json")) as stream:
        stream.write(json.dumps(record, indent=1).encode() + b"\n")
    _written(made, paths)


def _encoded(degraded: Degraded, depth: int) -> dict[str, _Made]:
    """Return the files of one degraded image: "" is the image itself, then its mask and layers."""
    images = {"": degraded.image}
    if degraded.mask is not None:
        images[".mask"] = degraded.mask
    images |= {f".{name}": layer for name, layer in degraded.layers.items()}
    return {suffix: _made(suffix, image, depth) for suffix, image in images.items()}


def _made(name: str, image: Tensor, depth: int) -> _Made:
    if image.ndim == 4 and image.shape[1] in (1, 3) and name not in SIGNED:
        return _Made(to_samples(image, depth), True)
    return _Made(image[0].cpu().numpy(), False)


def _written(made: Mapping[str, _Made], paths: Mapping[str, Path]) -> None:
    for suffix in [s for s in made if s] + [""]:  # the image last: where it is, everything is
        if made[suffix].picture:
            write(paths[suffix], Picture(made[suffix].array))
        else:
            with atomic(paths[suffix]) as stream:
                np.save(stream, made[suffix].array)


def _drawn(degraded: Degraded) -> dict[str, Any]:
    return json.loads(json.dumps({name: values[0] for name, values in degraded.draw.items()}))


def _picture(path: Path) -> Picture:
    picture = read(path)
    alpha = picture.alpha_samples
    if alpha is not None and (alpha < np.iinfo(alpha.dtype).max).any():
        raise ImageError(f"{path}: holds transparency; expected an opaque picture")
    return replace(picture, alpha_samples=None)


def _cropped(image: Tensor, multiple: int) -> Tensor:
    """Return the image without the rows and columns at the bottom and right beyond a multiple."""
    height, width = (side - side % multiple for side in image.shape[-2:])
    if not (height and width):
        raise ValueError(f"{image.shape[-1]}x{image.shape[-2]} pixels; expected at least {multiple} a side")
    return image[..., :height, :width].contiguous()


def _record(sidecar: Path) -> dict[str, Any]:
    try:
        record = json.loads(sidecar.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{sidecar}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ConfigError(f"{sidecar}: not valid JSON ({error})") from None
    missing = [key for key in KEYS if not isinstance(record, dict) or key not in record]
    if missing:
        raise ConfigError(f"{sidecar}: no sidecar of a degraded file: {', '.join(missing)} missing")
    if record["schema"] != SCHEMA:
        raise ConfigError(f"{sidecar}: schema {record['schema']}; expected {SCHEMA}")
    return record


def _input(record: Mapping[str, Any], sidecar: Path) -> Path:
    path = Path(record["input"])
    for place in (path, sidecar.parent / path):
        if place.is_file():
            return place
    raise RequestError(
        f"{sidecar}: its clean image {path} is not there; name it: degrade --replay {sidecar} FILE"
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _line(path: Path, error: BaseException) -> str:
    if isinstance(error, ImageError):
        return f"{error}; skipped"
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"{path}: could not be degraded ({text}); skipped"
