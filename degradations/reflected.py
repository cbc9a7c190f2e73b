"""Scenes that glass reflects: parts of other photographs, or of the image itself."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.degraded import over
from restoration.degradations.draws import Key, generator
from restoration.degradations.pictures import pictures_in, read_crop
from restoration.degradations.smooth import Rows

TRIES = 10  # scenes drawn before the brightest of them has to do
DARKEST = 0.15  # a scene without anything brighter is drawn again (Li et al., IBCLN, 2020)


@dataclass(frozen=True)
class Scene:
    """A scene of the size of an image, as rows in [0, 1], with what tells whether it can be seen in glass."""

    rows: Rows
    file: str | None
    mean: float
    brightest: float


def draw_scene(clean: Tensor, key: Key, folder: Path | None) -> tuple[Scene, int]:
    """Return a scene for the image ``clean`` (C, H, W), of a folder or of itself, and how many were rejected before.

    Scenes darker than half of the image would not be seen (Zhang et al., 2018: mean(t)/2 > mean(r)), nor would those
    without a bright place; of ten such the brightest is taken.
    """
    rng = generator(key, "reflection.scene")
    mean = float(clean.mean(dtype=torch.float64))
    scenes = []
    for tries in range(TRIES):
        scene = _of_itself(clean, rng) if folder is None else _of_folder(clean, rng, folder)
        if scene.mean >= mean / 2 and scene.brightest >= DARKEST:
            return scene, tries
        scenes.append(scene)
    return max(scenes, key=lambda scene: scene.mean), TRIES


def _of_folder(clean: Tensor, rng: np.random.Generator, folder: Path) -> Scene:
    files = pictures_in(str(folder))
    file = files[rng.integers(len(files))]
    mode = "L" if len(clean) == 1 else "RGB"
    samples = read_crop(folder.expanduser() / file, mode, tuple(clean.shape[1:]), rng)
    stored = torch.from_numpy(samples.copy()).to(clean.device)

    def rows(index: Tensor) -> Tensor:
        return over(stored.index_select(0, index).permute(2, 0, 1).to(clean.dtype), 255)

    return Scene(rows, file, float(samples.mean(dtype=np.float64)) / 255, float(samples.max()) / 255)


def _of_itself(clean: Tensor, rng: np.random.Generator) -> Scene:
    """Return a part of the image, half to all of its sides, enlarged and mirrored along one axis or both."""
    share, size = rng.uniform(0.5, 1), clean.shape[1:]
    mirrors = [(True, False), (False, True), (True, True)][rng.integers(3)]
    places = []
    for length, mirror in zip(size, mirrors, strict=True):
        place = rng.uniform(0, length * (1 - share)) + (np.arange(length) + 0.5) * share - 0.5
        places.append(place[::-1].clip(0, length - 1) if mirror else place.clip(0, length - 1))
    top, bottom, left, right = (int(end) for place in places for end in (place.min(), place.max() + 1))
    part = clean[:, top:bottom, left:right]
    y, x = (torch.from_numpy(place.copy()).to(clean.device) for place in places)

    def rows(index: Tensor) -> Tensor:
        return _between(_between(clean, y[index], 1), x, 2)

    return Scene(rows, None, float(part.mean(dtype=torch.float64)), float(part.max()))


def _between(image: Tensor, place: Tensor, axis: int) -> Tensor:
    """Return the samples at fractional places along an axis, linear between pixels."""
    first = place.long()
    following = (first + 1).clamp(max=image.shape[axis] - 1)
    part = (place - first).to(image.dtype).reshape([-1 if i == axis else 1 for i in range(3)])
    return torch.lerp(image.index_select(axis, first), image.index_select(axis, following), part)
