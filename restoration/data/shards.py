"""Tar shards, read at any place: an index says where each image lies, and nothing else is read."""

import posixpath
from collections.abc import Mapping, Sequence

import numpy as np

from restoration.data import storage
from restoration.data.images import decoded
from restoration.data.pairing import scale_of
from restoration.data.source import Source
from restoration.data.tars import Members, read_index, walk
from restoration.errors import ConfigError, ImageError

INDEX = "index.json"
STRIPE = 4 << 20  # bytes of a shard that are read together where it is remote


class Shards(Source):
    """Images, or pairs ``key.clean.ppm`` and ``key.degraded.ppm``, in tar files of the webdataset layout.

    Images whose parts begin in the same 4 MiB of a shard are a block, and 32 blocks are mixed: 128 MiB from 32 places.
    A local file is read image by image, a remote one by the block; ``budget`` bytes of blocks are kept.
    """

    joined = 32
    packed = True

    def __init__(self, files: Sequence[str], budget: int) -> None:
        files, members = _members_of(files)
        lengths = storage.sizes(files)
        self.files = tuple(files)
        self.rows = np.concatenate([m.rows for m in members])
        self.sizes = self.rows["size"]
        self.keys = np.concatenate([m.keys for m in members])
        self.file = np.repeat(np.arange(len(files), dtype=np.int32), [len(m.rows) for m in members])
        self.damage, self.remarks = _truncated(files, members, lengths)
        if not len(self.rows):
            raise ConfigError(
                f"{files[0]}: holds no images; expected members such as 000.png or 000.clean.png"
            )
        paired = self.rows["degraded_bytes"] > 0
        if paired.any() and not paired.all():
            alone = int(np.argmin(paired))
            raise ConfigError(
                f"{self.name(alone)}: has no degraded part, but {self.name(int(np.argmax(paired)))} has"
            )
        self.paired = bool(paired.any())
        first = self._starts() // STRIPE + (self.file.astype(np.int64) << 40)
        edges = np.flatnonzero(np.r_[True, np.diff(first) != 0, True])
        self.blocks, self._edges = np.diff(edges), edges
        self._reader = storage.Reader(budget)
        self.scale = self._scale() if self.paired else 1

    def __len__(self) -> int:
        return len(self.rows)

    def samples(self, index: int) -> np.ndarray:
        """Return a clean image as stored."""
        return self._part(index, "clean")

    def partner(self, index: int) -> np.ndarray | None:
        """Return the degraded image of a pair."""
        return self._part(index, "degraded") if self.paired else None

    def name(self, index: int) -> str:
        """Return the shard and the key."""
        return f"{self.files[self.file[index]]}/{self.keys[index].decode()}"

    def size(self, index: int) -> tuple[int, int]:
        """Return (height, width) of a clean image: by the index, else by the image."""
        height, width = map(int, self.sizes[index])
        return (height, width) if height else self.samples(index).shape[:2]

    def share_memory(self, processes: int) -> None:
        """Keep only this process's share of remote blocks."""
        self._reader.blocks.budget //= processes

    def _part(self, index: int, part: str) -> np.ndarray:
        if index in self.damage:
            raise ImageError(self.damage[index])
        row = self.rows[index]
        file, start, length = self.files[self.file[index]], int(row[part]), int(row[f"{part}_bytes"])
        data = self._reader.read(
            file, start, length, self._block(index) if storage.is_remote(file) else (0, 0)
        )
        name = f"{self.name(index)}.{part}"
        if len(data) < length:
            raise ImageError(f"{name}: truncated after {len(data)} of {length} bytes")
        return decoded(data, name)

    def _block(self, index: int) -> tuple[int, int]:
        """Return where the block of an image begins and ends in its shard."""
        place = int(np.searchsorted(self._edges, index, side="right")) - 1
        rows = slice(self._edges[place], self._edges[place + 1])
        return int(self._starts(rows).min()), int(Members(self.rows[rows], self.keys[rows]).ends.max())

    def _starts(self, rows: slice = slice(None)) -> np.ndarray:
        part = self.rows[rows]
        second = np.where(part["degraded_bytes"] > 0, part["degraded"], part["clean"])
        return np.minimum(part["clean"], second)

    def _scale(self) -> int:
        """Return the scale of the first readable pair; the others are held against it when they are read."""
        index = next((i for i in range(len(self)) if i not in self.damage), None)
        if index is None:
            return 1
        sizes = [self._part(index, part).shape[:2] for part in ("clean", "degraded")]
        return scale_of(*sizes, self.name(index))


def _members_of(files: Sequence[str]) -> tuple[list[str], list[Members]]:
    """Return the shards and the samples of each: by the index beside it where that names the file, else by its headers.

    An index among the files stands for all shards that it names, those that are missing too.
    """
    indexes: dict[str, Mapping[str, Members]] = {}
    found: dict[str, Members] = {}
    for file in files:
        folder, name = posixpath.split(file.replace("\\", "/"))
        place = posixpath.join(folder, INDEX)
        if folder not in indexes:
            indexes[folder] = read_index(storage.whole(place), place) if storage.exists(place) else {}
        known = indexes[folder]
        if name == INDEX:
            found |= {posixpath.join(folder, shard): members for shard, members in known.items()}
        elif file not in found:
            found[file] = known[name] if name in known else _walked(file)
    return list(found), list(found.values())


def _walked(file: str) -> Members:
    try:
        with storage.opened(file) as stream:
            return walk(stream, file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror or error})") from None


def _truncated(
    files: Sequence[str], members: Sequence[Members], lengths: Sequence[int | None]
) -> tuple[dict[int, str], tuple[str, ...]]:
    """Return which samples lie beyond the end of their shard, and a line for each shard that is cut short."""
    damage: dict[int, str] = {}
    lines, first = [], 0
    for file, part, length in zip(files, members, lengths, strict=True):
        lost = np.flatnonzero(part.ends > (length or 0))
        damage |= {first + int(i): f"{file}/{part.keys[i].decode()}: its shard is truncated" for i in lost}
        if length is None:
            lines.append(f"{file}: missing, though the index names it")
        elif length < part.bytes or len(lost) or part.problem:
            readable, all_ = len(part.rows) - len(lost), len(part.rows)
            lines.append(f"{file}: truncated: {readable} of {all_} samples readable")
        first += len(part.rows)
    return damage, tuple(lines)
