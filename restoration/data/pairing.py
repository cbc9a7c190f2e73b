"""Clean images and their degraded partners: matched by name, held against each other by size."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from restoration.curation.cutting import fits, usual_scale, whole_scale
from restoration.errors import ConfigError, ImageError

if TYPE_CHECKING:
    from restoration.data.source import Source

TRIED = 100  # pairs that are read for a readable one: the first, and as many that lie spread over all
Name = Callable[[Path], str]
# what names of one pair differ in: butterfly.png and butterflyx4.png, 001_HR.png and 001_LR4.png
MARK = re.compile(r"([_-]?(x\d+(\.\d+)?|[hl]r\d*|gt|lq|clean|degraded))+$", re.IGNORECASE)


def matched(clean: Sequence[Path], degraded: Sequence[Path], where: str = "data.degraded") -> list[Path]:
    """Return the degraded file of each clean one; ``where`` is what errors begin with.

    They have the same name below what both kinds of files lie in, else the same file name, else the same one but for
    what says which of the two it is, such as ``x4`` and ``_LR``; suffixes may differ. One without a partner, or with
    several, is refused; a pair that is listed twice is there twice.
    """
    if not clean or not degraded:
        raise ConfigError(
            f"{where}: {len(degraded)} files for {len(clean)} clean ones; expected one for each"
        )
    below = _below(degraded)
    tables = [(_below(clean), _table(degraded, below))]
    tables += [(name, _table(degraded, name)) for name in (_stem, _unmarked)]
    found, alone = [], []
    for path in clean:
        candidates = next((c for name, table in tables if (c := table.get(name(path)))), [])
        if len(candidates) > 1:
            names = ", ".join(p.name for p in candidates[:3])
            raise ConfigError(f"{where}: {path.name} has several partners: {names}")
        if not candidates:
            alone.append(path.name)
        found += candidates
    if alone:
        more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
        raise ConfigError(
            f"{where}: no partner for {alone[0]}{more}; expected a file of the same name, or one that ends in "
            f"x4, _LR or _lq, among {len(degraded)} files such as {degraded[0].name}"
        )
    return found


def common_scale(clean: np.ndarray, degraded: np.ndarray, names: Sequence[object]) -> int:
    """Return the scale of clean over degraded sizes, (N, 2) each; a pair of another scale is refused by name.

    Sizes of 0 are not known, and pass.
    """
    sizes = [(tuple(map(int, a)), tuple(map(int, b))) for a, b in zip(clean, degraded, strict=True)]
    known = [(a, b) for a, b in sizes if all(a) and all(b)]
    usual = usual_scale(known)  # small images fit several scales
    for (a, b), name in zip(sizes, names, strict=True):
        if all(a) and all(b) and not (usual and fits(a, b, usual)):
            expected = f"a scale of {usual}, as most have" if usual else "clean to be a whole multiple"
            raise ConfigError(f"{name}: {a[1]}x{a[0]} pixels, degraded {b[1]}x{b[0]}; expected {expected}")
    return usual or 1


def scale_of(clean: tuple[int, ...], degraded: tuple[int, ...], name: str) -> int:
    """Return the scale of one pair's sizes, (height, width) each."""
    scale = whole_scale(clean, degraded)
    if scale is None:
        found = " against ".join(f"{width}x{height}" for height, width in (clean, degraded))
        raise ConfigError(f"{name}: {found} pixels degraded; expected clean to be a whole multiple")
    return scale


def scale_of_first(source: "Source") -> tuple[int, dict[int, str]]:
    """Return the scale of the first pair that can be read, and by number why those before it cannot.

    The other pairs are held against it when they are read.
    """
    lost: dict[int, str] = {}
    spread = (round(i) for i in np.linspace(0, len(source) - 1, TRIED))
    tried = dict.fromkeys([*range(min(TRIED, len(source))), *spread])
    for index in tried:
        if index in source.damage:
            continue
        try:
            clean, degraded = source.samples(index), source.partner(index)
            return scale_of(clean.shape[:2], degraded.shape[:2], source.name(index)), lost
        except (ImageError, ConfigError) as error:
            lost[index] = str(error)
    reason = next(iter([*lost.values(), *source.damage.values()]))
    raise ConfigError(f"data.images: none of {len(tried)} pairs can be read: {reason}")


def _table(paths: Sequence[Path], name: Name) -> dict[str, list[Path]]:
    table: dict[str, list[Path]] = {}
    for path in dict.fromkeys(paths):
        table.setdefault(name(path), []).append(path)
    return table


def _below(paths: Sequence[Path]) -> Name:
    """Return what names a file by its path below the deepest folder that holds all of them."""
    root = os.path.commonpath([os.path.abspath(path.parent) for path in paths])
    return lambda path: Path(os.path.relpath(path, root)).with_suffix("").as_posix()


def _stem(path: Path) -> str:
    return path.stem


def _unmarked(path: Path) -> str:
    return MARK.sub("", path.stem).lower()
