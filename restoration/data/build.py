"""What ``[data]`` names, as one source; whatever is wrong with it is one line before the run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from restoration.data import storage, video
from restoration.data.alignment import check_alignment
from restoration.data.files import (
    LIST,
    Photographs,
    check_crop,
    data_root,
    frames_of_folders,
    headers,
    image_files,
    located,
)
from restoration.data.pairing import common_scale, matched
from restoration.data.shards import INDEX, Shards
from restoration.data.source import Joined, Source
from restoration.data.tables import HuggingFace, Parquet
from restoration.data.video import Videos
from restoration.errors import ConfigError
from restoration.image import find_images

if TYPE_CHECKING:
    from restoration.experiment import Data

GIB = 2**30
HUB = "hf:"
SHARD, TABLE = ".tar", ".parquet"
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def build_source(data: "Data") -> Source:
    """Return the images of an experiment, checked as far as it can be done without reading all of them."""
    texts = [data.images] if isinstance(data.images, str) else list(data.images)
    if not texts or not all(texts):
        raise ConfigError("data.images: names no folder or file")
    budget = int(data.cache * GIB)
    found = [_found(text, data, budget) for text in texts]
    if data.degraded:
        parts: list[Source] = [_paired(texts, found, data, budget)]
    else:
        parts = _merged(found, data, budget)
    source = parts[0] if len(parts) == 1 else Joined(parts)
    if source.remarks and data.damaged == "stop":
        raise ConfigError(f"data.images: {source.remarks[0]}")
    if len(source.damage) == len(source):
        raise ConfigError(f"data.images: no image can be read: {source.remarks[0]}")
    if source.sizes is not None:
        check_crop(_Names(source), source.sizes, data.crop)
    if source.paired and data.shifted == "stop":
        check_alignment(source)
    return source


def _found(text: str, data: "Data", budget: int) -> Source | list[Path]:
    """Return the source that a text names; of image files, the paths."""
    if text.startswith(HUB):
        return _still(HuggingFace(text.removeprefix(HUB), data.columns), text, data)
    if storage.is_remote(text):
        files = storage.matched(text) if storage.is_pattern(text) else storage.children(text) or [text]
        return _of_files(text, files, data, budget)
    if storage.is_pattern(text) and not Path(text).expanduser().exists():
        return _of_pattern(text, data, budget)
    path = located(text)
    if path.is_file():
        return (
            _of_files(text, [str(path)], data, budget) if path.suffix.lower() != LIST else image_files(text)
        )
    inside = storage.children(str(path))
    shards = any(file.endswith(f"/{INDEX}") for file in inside) and any(
        file.endswith(SHARD) for file in inside
    )
    if not shards and (images := find_images(path)):
        return images
    if not any(file.lower().endswith((SHARD, f"/{INDEX}", TABLE, *video.SUFFIXES)) for file in inside):
        raise ConfigError(
            f'data.images = "{text}": no images in this folder, nor {SHARD}, {TABLE} or video files'
        )
    return _of_files(text, inside, data, budget)


def _of_pattern(text: str, data: "Data", budget: int) -> Source | list[Path]:
    for root in ("", f"{data_root()}/"):
        files = [file for file in storage.matched(root + text) if Path(file).exists()]
        if files:
            named = storage.matched(root + text)
            if missing := [file for file in named if not Path(file).exists() and data.damaged == "stop"]:
                raise ConfigError(f'data.images = "{text}": {missing[0]}: no such file')
            return _of_files(text, files, data, budget)
    raise ConfigError(f'data.images = "{text}": matches no file (nor below {data_root()})')


def _of_files(text: str, files: Sequence[str], data: "Data", budget: int) -> Source | list[Path]:
    """Return the source of files: those of the first kind that there are any of."""
    for file in files if len(files) == 1 else ():
        if file.lower().endswith(PACKED):
            raise ConfigError(
                f"{file}: compressed; expected an uncompressed .tar, which can be read at any place"
            )
    kinds = {
        kind: [file for file in files if file.lower().endswith(suffixes)]
        for kind, suffixes in (
            ("shards", (SHARD, f"/{INDEX}")),
            ("tables", (TABLE,)),
            ("videos", video.SUFFIXES),
        )
    }
    if kinds["shards"]:
        return _still(Shards(kinds["shards"], budget), text, data)
    if kinds["tables"]:
        return _still(Parquet(kinds["tables"], budget, data.columns), text, data)
    if storage.is_remote(text):
        raise ConfigError(
            f'data.images = "{text}": expected a URL of {SHARD} or {TABLE} files, or their folder'
        )
    return Videos(kinds["videos"], data.frames, budget) if kinds["videos"] else [Path(file) for file in files]


def _still(source: Source, text: str, data: "Data") -> Source:
    if data.frames > 1:
        raise ConfigError(
            f'data.frames = {data.frames}: "{text}" holds no clips; expected video files or folders of frames'
        )
    return source


def _merged(found: Sequence[Source | list[Path]], data: "Data", budget: int) -> list[Source]:
    """Return the sources in order; image files that follow each other are one."""
    parts: list[Source] = []
    paths: list[Path] = []
    for part in [*found, None]:
        if isinstance(part, list):
            paths += part
            continue
        if paths:
            parts.append(_photographs(paths, data, budget))
            paths = []
        if part is not None:
            parts.append(part)
    return parts


def _photographs(
    paths: Sequence[Path], data: "Data", budget: int, partners: Sequence[Path] = ()
) -> Photographs:
    """Return image files as a source, with every header read."""
    if data.frames > 1:
        clips = frames_of_folders(paths, data.frames)
        of = dict(zip(paths, partners, strict=True)) if partners else {}
        paths, partners = clips, [of[path] for path in clips] if partners else ()
    sizes, damage = headers(paths)
    scale = 1
    if partners:
        small, lost = headers(partners)
        damage |= lost
        scale = common_scale(sizes, small, paths)
    if data.frames > 1:
        damage = _whole_clips(paths, sizes, damage, data.frames)
    return Photographs(paths, budget, partners, scale, data.frames, sizes, damage)


def _whole_clips(
    paths: Sequence[Path], sizes: np.ndarray, damage: dict[int, str], frames: int
) -> dict[int, str]:
    """Refuse frames of one clip in different sizes; a clip with a damaged frame is damaged as a whole."""
    for first in range(0, len(paths), frames):
        clip = sizes[first : first + frames]
        other = np.flatnonzero((clip != clip[0]).any(1) & clip.all(1) & clip[0].all())
        if len(other):
            raise ConfigError(
                f"{paths[first + int(other[0])]}: its size is not that of {paths[first]}; expected one size in a clip"
            )
    lost = {i // frames: reason for i, reason in damage.items()}
    return {i: lost[i // frames] for i in range(len(paths)) if i // frames in lost}


def _paired(
    texts: Sequence[str], found: Sequence[Source | list[Path]], data: "Data", budget: int
) -> Photographs:
    """Return image files with their partners; entry i of ``degraded`` belongs to entry i of ``images``."""
    degraded = [data.degraded] if isinstance(data.degraded, str) else list(data.degraded)
    clean = []
    for text, part in zip(texts, found, strict=True):
        if not isinstance(part, list):
            raise ConfigError(
                f'data.degraded: pairs are image files; "{text}" is not (shards hold their own pairs)'
            )
        clean.append(part)
    try:
        small = [image_files(text) for text in degraded]
    except ConfigError as error:
        raise ConfigError(str(error).replace("data.images", "data.degraded", 1)) from None
    if len(small) != len(clean):
        clean, small = [_together(clean)], [_together(small)]
    partners = [path for pair in zip(clean, small, strict=True) for path in matched(*pair)]
    return _photographs(_together(clean), data, budget, partners)


def _together(lists: Sequence[list[Path]]) -> list[Path]:
    return [path for paths in lists for path in paths]


class _Names:
    """The names of a source's images, made when asked for."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, index: int) -> str:
        return self.source.name(int(index))
