"""Means over clips rather than over frames, where a convention says so."""

import math
from collections.abc import Iterable, Mapping
from pathlib import PurePath

CLIPS = "mean=clips"  # in a convention: the mean is over clips, of the mean of each


def clip_of(frame: str) -> str:
    """Return the clip of a frame: the folder in its name."""
    return PurePath(frame).parent.as_posix()


def units(names: Iterable[str], convention: str) -> list[list[str]]:
    """Return what counts once in a mean: every image, or the frames of every clip where the convention says so."""
    if CLIPS not in convention.split(","):
        return [[name] for name in names]
    clips: dict[str, list[str]] = {}
    for name in names:
        clips.setdefault(clip_of(name), []).append(name)
    return [*clips.values()]


def unit_means(values: Mapping[str, float], convention: str) -> list[float]:
    """Return the values whose mean is that of a row: of images, or the mean of each clip's frames."""
    return [math.fsum(values[name] for name in unit) / len(unit) for unit in units(values, convention)]
