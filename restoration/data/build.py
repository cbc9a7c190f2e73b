"""What ``[data]`` names, as one source; whatever is wrong with it is one line before the run."""

import os
from collections.abc import Mapping, Sequence
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
from restoration.data.hub import HuggingFace
from restoration.data.pairing import common_scale, matched
from restoration.data.shards import INDEX, Shards
from restoration.data.source import Joined, Source
from restoration.data.tables import Parquet
from restoration.data.video import Videos
from restoration.errors import ConfigError
from restoration.image import IMAGE_SUFFIXES, find_images

if TYPE_CHECKING:
    from restoration.experiment import Data

GIB = 2**30
HUB = "hf:"
SHARD, TABLE = ".tar", ".parquet"
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def build_source(data: "Data") -> Source:
    """Return the images of an experiment, checked as far as it can be done without reading all of them.

    The ranks of a machine share ``data.cache``.
    """
    texts = [data.images] if isinstance(data.images, str) else list(data.images)
    if not texts or not all(texts):
        raise ConfigError("data.images: names no folder or file")
    budget = int(data.cache * GIB) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    found = [_found(text, data, budget) for text in texts]
    if data.columns and not any(isinstance(part, (HuggingFace, Parquet)) for part in found):
        raise ConfigError(
            f'data.columns: "{texts[0]}" is no table; expected {TABLE} files or {HUB}NAME, or no columns'
        )
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
    if _stands_for_files(text):
        return _of_files(text, _of_pattern(text, data, "data.images"), data, budget)
    path = located(text)
    if path.is_file():
        if path.suffix.lower() == LIST:
            return image_files(text, data.damaged == "skip")
        return _of_files(text, [str(path)], data, budget)
    inside = [file for file in storage.children(str(path)) if not Path(file).name.startswith(".")]
    kinds = _kinds(inside)
    if not kinds["shards"] and not kinds["tables"] and (images := find_images(path)):
        return images
    if not any(kinds.values()):
        raise ConfigError(
            f'data.images = "{text}": no images in this folder, nor {SHARD}, {TABLE} or video files'
        )
    return _of_files(text, inside, data, budget)


def _stands_for_files(text: str) -> bool:
    return storage.is_pattern(text) and not Path(text).expanduser().exists()


def _of_pattern(text: str, data: "Data", key: str) -> list[str]:
    """Return the files that a local pattern stands for; those that braces name and that are missing are damage."""
    for root in ("", f"{data_root()}/"):
        named = storage.matched(root + text)
        missing = [file for file in named if not Path(file).exists()]
        if len(missing) < len(named):
            if missing and data.damaged == "stop":
                raise ConfigError(f'{key} = "{text}": {missing[0]}: no such file')
            return named
    raise ConfigError(f'{key} = "{text}": matches no file (nor below {data_root()})')


def _kinds(files: Sequence[str]) -> dict[str, list[str]]:
    """Return the files that hold images by what they are.

    An index without shards beside it may be anybody's; without an index, a few .tar files beside more images are
    archives of something.
    """
    suffixes = {"shards": (SHARD,), "tables": (TABLE,), "videos": video.SUFFIXES, "images": IMAGE_SUFFIXES}
    kinds = {kind: [f for f in files if f.lower().endswith(ends)] for kind, ends in suffixes.items()}
    index = [file for file in files if file.replace("\\", "/").endswith(f"/{INDEX}")]
    if not index and len(kinds["shards"]) < len(kinds["images"]):
        kinds["shards"] = []
    if kinds["shards"] or not any(kinds.values()):
        kinds["shards"] += index
    return kinds


def _of_files(text: str, files: Sequence[str], data: "Data", budget: int) -> Source | list[Path]:
    """Return the source of files, which are of one kind; of folders among them, the images in them."""
    if len(files) == 1 and files[0].lower().endswith(PACKED):
        raise ConfigError(
            f"{files[0]}: compressed; expected an uncompressed .tar, which can be read at any place"
        )
    kinds = _kinds(files)
    _check_one_kind(text, kinds)
    if kinds["shards"]:
        return _still(Shards(kinds["shards"], budget), text, data)
    if kinds["tables"]:
        return _still(Parquet(kinds["tables"], budget, data.columns), text, data)
    if storage.is_remote(text):
        raise ConfigError(
            f'data.images = "{text}": expected a URL of {SHARD} or {TABLE} files, or their folder'
        )
    if kinds["videos"]:
        return Videos(kinds["videos"], data.frames, budget)
    return _images_among(text, files)


def _images_among(text: str, files: Sequence[str]) -> list[Path]:
    """Return image files, and those in the folders among them."""
    images = [
        image for file in files for image in (find_images(file) if Path(file).is_dir() else [Path(file)])
    ]
    if not images:
        raise ConfigError(f'data.images = "{text}": no images in these folders')
    return images


def _check_one_kind(text: str, kinds: Mapping[str, Sequence[str]]) -> None:
    """Refuse shards or tables beside what they would hide; images of a store are nothing that can be meant."""
    there = {kind: len(files) for kind, files in kinds.items() if files}
    if storage.is_remote(text):
        there.pop("images", None)
        there.pop("videos", None)
    if len(there) > 1 and there.keys() & {"shards", "tables"}:
        counts = " and ".join(f"{count} {kind[:-1] if count == 1 else kind}" for kind, count in there.items())
        raise ConfigError(
            f'data.images = "{text}": holds {counts}; expected files of one kind, '
            "or a pattern such as *.tar, *.parquet or *.png"
        )


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
        small = [_image_files(text, data) for text in degraded]
    except ConfigError as error:
        raise ConfigError(str(error).replace("data.images", "data.degraded", 1)) from None
    if len(small) != len(clean):
        clean, small = [_together(clean)], [_together(small)]
    partners = [path for pair in zip(clean, small, strict=True) for path in matched(*pair)]
    return _photographs(_together(clean), data, budget, partners)


def _image_files(text: str, data: "Data") -> list[Path]:
    """Return the image files of a folder, a list, a file or a pattern of ``degraded``."""
    if _stands_for_files(text):
        return _images_among(text, _of_pattern(text, data, "data.images"))
    return image_files(text, data.damaged == "skip")


def _together(lists: Sequence[list[Path]]) -> list[Path]:
    return [path for paths in lists for path in paths]


class _Names:
    """The names of a source's images, made when asked for."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, index: int) -> str:
        return self.source.name(int(index))
