"""The photographs of the study at half size: those that are learnt from, and those that are measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from restoration.benchmarks.samples import file_sha256
from restoration.benchmarks.studies.perception_distortion.arms import CROP, Task, digest
from restoration.config import build
from restoration.data import data_root
from restoration.degradations import DEGRADATIONS
from restoration.degradations.resize import resize
from restoration.errors import RequestError
from restoration.image import find_images, read_samples, rgb, to_float, write_image

TRAINING = "bsds500/train"  # photographs of BSDS500's train and test
HELD_OUT = (
    "bsd100/HR",
    "bsds500/dev30",
)  # BSDS500's val; where it is not here, test photographs kept from training
MULTIPLE = 16  # pixels: of the sides that are measured
NOISE = 7  # the seed of what degrades held-out photographs


@dataclass(frozen=True)
class Photographs:
    """Where both sets lie at half size; ``source`` is what the measured ones are called."""

    training: Path
    held_out: Path
    source: str

    @cached_property
    def names(self) -> list[str]:
        """Return the names of the measured photographs in order."""
        return [path.stem for path in find_images(self.held_out)]

    @cached_property
    def clean(self) -> list[Tensor]:
        """Return the measured photographs: (1, 3, H, W) each, sides multiples of 16."""
        images = [rgb(to_float(read_samples(path))) for path in find_images(self.held_out)]
        return [image[..., : _whole(image.shape[-2]), : _whole(image.shape[-1])] for image in images]

    @cached_property
    def identity(self) -> dict[str, str]:
        """Return a hash of each set's files."""
        return {
            name: digest([file_sha256(path) for path in find_images(folder)])
            for name, folder in (("training", self.training), ("held_out", self.held_out))
        }

    def degraded(self, task: Task) -> list[Tensor]:
        """Return the measured photographs as a task degrades them; each has a draw of its own."""
        return degraded(self.clean, task, NOISE)

    def samples(self, count: int, draw: int) -> tuple[list[Tensor], list[Tensor]]:
        """Return two sets of ``count`` training photographs each that share none; another draw has others."""
        paths = find_images(self.training)
        if len(paths) < 2 * count:
            raise RequestError(
                f"{self.training}: {len(paths)} photographs; expected {2 * count}, for two sets of them"
            )
        order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(1000 * count + draw))
        chosen = [rgb(to_float(read_samples(paths[i]))) for i in order[: 2 * count].tolist()]
        return chosen[:count], chosen[count:]


def degraded(clean: Sequence[Tensor], task: Task, seed: int) -> list[Tensor]:
    """Return each image degraded with a draw of its own."""
    make = build(DEGRADATIONS, dict(task.degradation), "degradation", "degradation")
    cut = [image[..., : _whole(image.shape[-2]), : _whole(image.shape[-1])] for image in clean]
    return [make(image, [(seed, i)]).image for i, image in enumerate(cut)]


def prepared(work: Path, training: str | None = None, held_out: str | None = None) -> Photographs:
    """Return the photographs at half size below ``work``, made where they are missing.

    What is measured must not have been learnt from: a name that both sets have is refused.
    """
    learnt = _found(training or TRAINING)
    source = held_out or next((name for name in HELD_OUT if (data_root() / name).is_dir()), HELD_OUT[-1])
    measured = _found(source)
    if both := {path.stem for path in learnt} & {path.stem for path in measured}:
        raise RequestError(
            f"--held-out {source}: {sorted(both)[0]} and {len(both) - 1} more are learnt from, too"
        )
    folders = [
        work / "photographs" / f"{kind}-{_named(paths)}"
        for kind, paths in (("learnt", learnt), ("measured", measured))
    ]
    for paths, folder in zip((learnt, measured), folders, strict=True):
        _halve(paths, folder)
    return Photographs(*folders, source=source if source in HELD_OUT else Path(source).name)


def _found(text: str) -> list[Path]:
    folder = Path(text).expanduser()
    folder = folder if folder.is_dir() else data_root() / text
    found = find_images(folder) if folder.is_dir() else []
    if not found:
        raise RequestError(f"{text}: no photographs in {folder}; expected a folder, or one of the data root")
    return found


def _halve(paths: Sequence[Path], folder: Path) -> None:
    """Write half-size photographs, whole files only; those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        target = folder / f"{path.stem}.png"
        if target.exists():
            continue
        image = rgb(to_float(read_samples(path)))
        height, width = (side - side % 2 for side in image.shape[-2:])
        if min(height, width) < 2 * CROP:
            raise RequestError(f"{path}: {width}x{height} pixels; expected at least {2 * CROP} a side")
        write_image(target, resize(image[..., :height, :width], scale=Fraction(1, 2), levels=255))


def _whole(side: int) -> int:
    return side - side % MULTIPLE


def _named(paths: Sequence[Path]) -> str:
    """Return a name of a set of photographs, so that other files have another folder."""
    return digest([[path.stem, file_sha256(path)] for path in paths])[:8]
