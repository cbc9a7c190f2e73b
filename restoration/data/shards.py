"""Tar shards, read at any place: an index says where each image lies, and nothing else is read."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from restoration.data import storage
from restoration.data.images import decoded
from restoration.data.pairing import scale_of_first
from restoration.data.source import Source
from restoration.data.tars import Members, read_index, unreadable, walk
from restoration.errors import ConfigError, ImageError

INDEX = "index.json"
STRIPE = 4 << 20  # bytes of a shard that are read together where it is remote


class Shards(Source):
    """Images, or pairs ``key.clean.ppm`` and ``key.degraded.ppm``, in tar files of the webdataset layout.

    Images whose parts begin in the same 4 MiB of a shard are a block, and 32 blocks are mixed: 128 MiB from 32 places.
    A local file is read image by image, a remote one by the block; ``budget`` bytes of blocks are kept, and whatever
    the budget the blocks of two groups of the order, or each of them would be read anew for every image.
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
        paired = self.rows["degraded_bytes"] > 0
        self.paired = bool(paired.any())
        damage, remarks = _truncated(files, members, lengths, self.paired)
        if not len(self.rows):
            nothing = f"{files[0]}: holds no images; expected members such as 000.png or 000.clean.png"
            raise ConfigError(remarks[0] if remarks else nothing)
        whole = np.ones(len(self.rows), bool)
        whole[[*damage]] = False
        if self.paired and not paired[whole].all():
            alone, pair = (self.name(int(np.argmax(found))) for found in (whole & ~paired, paired))
            raise ConfigError(f"{alone}: has no degraded part, but {pair} has")
        first = self._starts() // STRIPE + (self.file.astype(np.int64) << 40)
        edges = np.flatnonzero(np.r_[True, np.diff(first) != 0, True])
        self.blocks, self._edges = np.diff(edges), edges
        self._reader = storage.Reader(budget, least=2 * self.joined)
        self.damage, lost = damage, {}
        if self.paired:
            self.scale, lost = scale_of_first(self)
        self.damage, self.remarks = damage | lost, (*remarks, *lost.values())

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

    def contents(self) -> Iterator[bytes]:
        """Yield the shards' own names, how many samples each has, and the keys."""
        yield from (posixpath.basename(file.replace("\\", "/")).encode() for file in self.files)
        yield np.bincount(self.file, minlength=len(self.files)).tobytes()
        yield self.keys.tobytes()

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
        return unreadable(f"cannot be read ({storage.reason(error)})")


def _truncated(
    files: Sequence[str], members: Sequence[Members], lengths: Sequence[int | None], paired: bool
) -> tuple[dict[int, str], tuple[str, ...]]:
    """Return which samples lie beyond the end of their shard, and a line for each shard that is cut short.

    Of pairs, the last one of a walk that ended early may lack its degraded part.
    """
    damage: dict[int, str] = {}
    lines, first = [], 0
    for file, part, length in zip(files, members, lengths, strict=True):
        lost = part.ends > (length or 0)
        lost[-1:] |= part.incomplete or (
            paired and bool(part.problem) and part.rows["degraded_bytes"][-1:] == 0
        )
        numbers = np.flatnonzero(lost)
        damage |= {first + int(i): f"{file}/{part.keys[i].decode()}: its shard is truncated" for i in numbers}
        readable, all_ = len(part.rows) - len(numbers), len(part.rows)
        if length is None and all_:
            lines.append(f"{file}: missing, though the index names it")
        elif part.problem and not all_:
            lines.append(f"{file}: {part.problem}")
        elif length == 0:
            lines.append(f"{file}: empty")
        elif (length or 0) < part.bytes or len(numbers) or part.problem:
            lines.append(f"{file}: truncated: {readable} of {all_} samples readable")
        first += all_
    return damage, tuple(lines)
