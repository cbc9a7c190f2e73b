"""The JSON beside a degraded file: what it was made of and how, and the same file again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from restoration import __version__
from restoration.config import build, typed
from restoration.degradations import DEGRADATIONS, Degradation, Degraded
from restoration.errors import ConfigError, ImageError, RequestError, RestorationError
from restoration.files import atomic
from restoration.image import Picture, read, read_samples, to_samples, write
from restoration.pool import one_thread

SIGNED = (
    ".residual",
    ".flow",
    ".frames",
)  # layers that are no pictures: they are kept as NumPy arrays of floats
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[^/\\\x00]+$")]
Number = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Output:
    """One file: its name beside the sidecar, and the sha256 of its samples, which no encoding changes."""

    file: Name
    pixels: Digest


@dataclass(frozen=True)
class Sidecar:
    """How one picture was degraded: the clean file, the degradation, the key, what was drawn, and what came out.

    ``sample`` is that of the first frame where the degradation makes a clip. ``outputs`` are by what follows the
    picture's name: "" is the degraded image, ".mask" its mask, ".reflection" a layer.
    """

    schema: Literal[1]
    input: str
    sha256: Digest
    degradation: dict[str, Any]
    seed: Number
    sample: Number
    depth: Literal[8, 16]
    draw: dict[str, Any]
    outputs: dict[str, dict[str, Any]]
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, Output]:
        """Return the outputs, checked."""
        return {suffix: typed(Output, table, f"outputs.{suffix!r}") for suffix, table in self.outputs.items()}


@dataclass(frozen=True)
class Made:
    """One file to write: the samples of a picture, or an array for what is no picture."""

    array: np.ndarray
    picture: bool

    @property
    def suffix(self) -> str:
        """Return how the file's name ends."""
        return ".png" if self.picture else ".npy"

    @property
    def digest(self) -> str:
        """Return the sha256 of shape, type and samples."""
        return digest_of(self.array)

    def write(self, path: Path) -> None:
        """Write the file: it appears whole or not at all."""
        if self.picture:
            write(path, Picture(self.array))
            return
        with atomic(path) as stream:
            np.save(stream, self.array)


def read_sidecar(path: Path) -> Sidecar:
    """Return what a sidecar says; anything else is refused in one line."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(record, dict):
        raise ConfigError(
            f"{path}: no sidecar of a degraded file; expected an object with {', '.join(_keys())}"
        )
    try:
        sidecar = typed(Sidecar, record, "")
        _ = sidecar.files
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return sidecar


def degraded_files(
    part: Degradation, picture: Picture, seed: int, sample: int
) -> tuple[dict[str, Made], dict[str, Any], dict[str, Made]]:
    """Return the files of a picture by what follows its name, what was drawn, and what restorers shall make of them.

    The picture is cropped at the bottom and right to a multiple of what the degradation takes. Of a clip all frames are
    made, ``.000`` and so on.
    """
    image = cropped(picture.pixels, part.multiple).expand(part.together, -1, -1, -1).contiguous()
    with one_thread():  # the same bytes on machines with other numbers of processors
        degraded = part(image, [(seed, sample + frame) for frame in range(part.together)])
    aim = image if degraded.clean is None else degraded.clean
    made, aims = {}, {}
    for frame in range(part.together):
        place = "" if part.together == 1 else f".{frame:03d}"
        made |= {place + suffix: file for suffix, file in _files(degraded, frame, picture.depth).items()}
        aims[place] = Made(to_samples(aim[frame : frame + 1], picture.depth), True)
    single = part.together == 1
    drawn = {name: values[0] if single else values for name, values in degraded.draw.items()}
    return made, json.loads(json.dumps(drawn)), aims


def replay(
    path: Path, source: Path | None = None, out: Path | None = None, overwrite: bool = False
) -> list[str]:
    """Make the files of a sidecar again and return their names, if they are the same samples; else refuse in one line.

    ``source`` is the clean picture, by default where it was. What lies beside the sidecar is compared too. Without
    ``out``, a folder, nothing is written.
    """
    record = read_sidecar(path)
    targets = {suffix: out / output.file for suffix, output in record.files.items()} if out else {}
    _check_out(out, targets, overwrite)
    clean = source or _input(record, path)
    if not clean.is_file():
        raise RequestError(f"{clean}: no such file")
    if (found := hashlib.sha256(clean.read_bytes()).hexdigest()) != record.sha256:
        raise RequestError(f"{clean}: sha256 {found[:12]}…; expected {record.sha256[:12]}…, that of {path}")
    part = build(DEGRADATIONS, record.degradation, f"{path}: degradation", "degradation")
    made, drawn, _ = degraded_files(part, opaque(clean), record.seed, record.sample)
    if drawn != record.draw:
        changed = sorted(k for k in {*drawn, *record.draw} if drawn.get(k) != record.draw.get(k))
        raise RestorationError(
            f"{path}: draws otherwise than recorded: {', '.join(changed)}{_versions(record)}"
        )
    for suffix, output in record.files.items():
        if suffix not in made or made[suffix].digest != output.pixels:
            raise RestorationError(
                f"{path}: {output.file} has other samples than recorded{_versions(record)}"
            )
        beside = path.parent / output.file
        if beside.exists() and _digest_of_file(beside) != output.pixels:
            raise RestorationError(
                f"{beside}: not the file that {path.name} describes; made again, its samples differ"
            )
    if out:
        out.mkdir(parents=True, exist_ok=True)
        for suffix, target in targets.items():
            made[suffix].write(target)
    return [output.file for output in record.files.values()]


def write_sidecar(path: Path, record: Sidecar) -> None:
    """Write a sidecar, whole or not at all."""
    with atomic(path) as stream:
        stream.write(json.dumps(asdict(record), indent=1).encode() + b"\n")


def versions() -> dict[str, str]:
    """Return the versions that samples may depend on: ours, torch's, NumPy's, Pillow's and its codecs'."""
    from PIL import features

    found = {
        "restoration": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pillow": version("pillow"),
    }
    codecs = {
        name: features.version(name) for name in ("libjpeg_turbo", "webp", "avif") if features.check(name)
    }
    return found | {name: str(value) for name, value in codecs.items() if value}


def opaque(path: Path) -> Picture:
    """Return the picture of a file, which may not be transparent."""
    picture = read(path)
    alpha = picture.alpha_samples
    if alpha is not None and (alpha < np.iinfo(alpha.dtype).max).any():
        raise ImageError(f"{path}: holds transparency; expected an opaque picture")
    return picture


def cropped(image: Tensor, multiple: int) -> Tensor:
    """Return the image without the rows and columns at the bottom and right beyond a multiple."""
    height, width = (side - side % multiple for side in image.shape[-2:])
    if not (height and width):
        raise ValueError(f"{image.shape[-1]}x{image.shape[-2]} pixels; expected at least {multiple} a side")
    return image[..., :height, :width].contiguous()


def digest_of(array: np.ndarray) -> str:
    """Return the sha256 of an array's shape, type and samples."""
    head = f"{array.shape}{array.dtype.str[1:]}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def _files(degraded: Degraded, frame: int, depth: int) -> dict[str, Made]:
    images = {"": degraded.image}
    if degraded.mask is not None:
        images[".mask"] = degraded.mask
    images |= {f".{name}": layer for name, layer in degraded.layers.items()}
    return {suffix: _made(suffix, image[frame : frame + 1], depth) for suffix, image in images.items()}


def _made(suffix: str, image: Tensor, depth: int) -> Made:
    if image.ndim == 4 and image.shape[1] in (1, 3) and suffix not in SIGNED:
        return Made(to_samples(image, depth), True)
    return Made(image[0].cpu().numpy(), False)


def _check_out(out: Path | None, targets: Mapping[str, Path], overwrite: bool) -> None:
    if out is not None and (
        (out.exists() and not out.is_dir()) or out.suffix.lower() in (".png", ".npy", ".json")
    ):
        raise RequestError(f"--out {out}: names a file; expected a folder")
    there = [target for target in targets.values() if target.exists()]
    if there and not overwrite:
        raise RequestError(f"{there[0]}: exists already; expected another --out, or --overwrite")


def _input(record: Sidecar, sidecar: Path) -> Path:
    path = Path(record.input)
    for place in (path, sidecar.parent / path):
        if place.is_file():
            return place
    raise RequestError(
        f"{sidecar}: its clean image {path} is not there; name it: degrade --replay {sidecar} FILE"
    )


def _digest_of_file(path: Path) -> str:
    try:
        return digest_of(np.load(path) if path.suffix == ".npy" else read_samples(path))
    except (ImageError, OSError, ValueError):
        return ""


def _versions(record: Sidecar) -> str:
    """Return in words with which other versions the sidecar was written."""
    here = versions()
    other = [
        f"{name} {value} (here {here[name]})"
        for name, value in record.versions.items()
        if here.get(name, value) != value
    ]
    return f"; it was made with {', '.join(other)}" if other else ""


def _keys() -> list[str]:
    return list(Sidecar.__dataclass_fields__)
