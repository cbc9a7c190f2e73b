"""What lies where in a tar file of the webdataset layout: by an index, or by walking the members' headers."""

import json
import posixpath
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from restoration.data.images import HEAD, size_of_head
from restoration.errors import ConfigError
from restoration.image import IMAGE_SUFFIXES

SCHEMA = 1
BLOCK = 512  # of a tar file, bytes
LONGEST = 1 << 62  # bytes of a shard, at most: offsets are kept as 64-bit integers
# one sample: where its clean image and its degraded partner (0 bytes long where there is none) begin, how long they
# are, and the size of the clean one in pixels (0 where it is not known)
ROW = np.dtype(
    [("clean", "i8"), ("clean_bytes", "i8"), ("degraded", "i8"), ("degraded_bytes", "i8"), ("size", "i4", 2)]
)
NAME = re.compile(r"((?:.*/|)[^./][^./]*)\.([^/]*)")  # key and parts, as webdataset takes them apart
Extent = tuple[int, int]  # offset, bytes


@dataclass(frozen=True)
class Members:
    """The samples of one shard in order; ``bytes`` is how long the file should be, ``problem`` where a walk ended.

    The last sample of a walk that ended early may lack its clean image: ``incomplete``.
    """

    rows: np.ndarray  # of ROW
    keys: np.ndarray  # of bytes
    bytes: int = 0
    problem: str = ""
    incomplete: bool = False

    @property
    def ends(self) -> np.ndarray:
        """Return the offset at which each sample ends."""
        rows = self.rows
        return np.maximum(rows["clean"] + rows["clean_bytes"], rows["degraded"] + rows["degraded_bytes"])


def unreadable(problem: str) -> Members:
    """Return the members of a shard of which nothing can be read, for this reason."""
    return Members(np.zeros(0, ROW), np.zeros(0, "S1"), problem=problem)


def read_index(text: bytes, where: str) -> dict[str, Members]:
    """Return the samples of each shard that an ``index.json`` names, by file; nothing in it is taken on trust."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not valid JSON ({error})") from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise ConfigError(f"{where}: schema {schema}; expected {SCHEMA}, an index of shards")
    try:
        return {_bare(shard["file"], where): _indexed(shard, where) for shard in document["shards"]}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{where}: not an index of shards ({type(error).__name__}: {error})") from None


def walk(stream: IO[bytes], where: str) -> Members:
    """Return the samples of a tar file by its members' headers; their contents are passed over.

    A file that is none, or that ends early, gives what was found before, and the ``problem``.
    """
    found: dict[str, dict[str, Extent]] = {}
    sizes: dict[str, dict[str, tuple[int, int] | None]] = {}
    problem = ""
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                tar.members = []  # else it keeps every member
                named = NAME.fullmatch(member.name)
                if not member.isreg() or not named or not f".{named[2]}".lower().endswith(IMAGE_SUFFIXES):
                    continue
                stream.seek(member.offset_data)
                part = named[2].lower()
                found.setdefault(named[1], {})[part] = (member.offset_data, member.size)
                sizes.setdefault(named[1], {})[part] = size_of_head(stream.read(HEAD))
            stream.seek(tar.offset)
            end = stream.read(BLOCK)
            problem = "" if len(end) == BLOCK and not any(end) else "no end-of-archive mark"
    except tarfile.ReadError as error:
        problem = str(error)
        if not found:
            stream.seek(0)
            kind = "truncated" if "truncated" in problem else "compressed, or no tar archive"
            return unreadable(
                f"{kind}; expected an uncompressed tar of images" if stream.read(1) else "empty"
            )
    return _members(found, sizes, where, problem=problem)


def _bare(file: object, where: str) -> str:
    """Return the name of a shard, which lies beside its index and nowhere else."""
    if (
        not isinstance(file, str)
        or file in ("", ".", "..")
        or posixpath.basename(file) != file
        or "\\" in file
    ):
        raise ConfigError(f"{where}: shard {file!r}; expected the bare name of a file beside the index")
    return file


def _indexed(shard: Mapping[str, Any], where: str) -> Members:
    length, where = shard["bytes"], f"{where}: {shard['file']}"
    if not _is_count(length) or length > LONGEST:
        raise ConfigError(f"{where}: bytes {length!r}; expected how long the shard is")
    parts: dict[str, dict[str, Extent]] = {}
    sizes: dict[str, dict[str, tuple[int, int] | None]] = {}
    for sample in shard["samples"]:
        key, size = sample["key"], sample["size"]
        if not isinstance(key, str) or not key:
            raise ConfigError(f"{where}: key {key!r}; expected the name of a sample")
        if not (
            isinstance(size, list) and len(size) == 2 and all(_is_count(n) and n < 1 << 31 for n in size)
        ):
            raise ConfigError(f"{where}/{key}: size {size!r}; expected [height, width] in pixels")
        for part, extent in sample["parts"].items():
            if not (isinstance(extent, list) and len(extent) == 2 and all(map(_is_count, extent))):
                raise ConfigError(f"{where}/{key}.{part}: {extent!r}; expected [offset, bytes]")
            if sum(extent) > length:
                raise ConfigError(
                    f"{where}/{key}.{part}: bytes {extent[0]} to {sum(extent)}; the shard has {length}"
                )
        parts[key] = {part: tuple(extent) for part, extent in sample["parts"].items()}
        sizes[key] = dict.fromkeys(sample["parts"], tuple(size))
    return _members(parts, sizes, where, length)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _members(
    found: Mapping[str, Mapping[str, Extent]],
    sizes: Mapping[str, Mapping[str, tuple[int, int] | None]],
    where: str,
    length: int = 0,
    problem: str = "",
) -> Members:
    rows, incomplete = np.zeros(len(found), ROW), False
    for number, (row, (key, parts)) in enumerate(zip(rows, found.items(), strict=True), 1):
        try:
            clean, degraded = _roles(parts, f"{where}/{key}")
        except ConfigError:
            if not problem or number < len(rows):
                raise
            incomplete = True  # the rest of it would follow where the file ends
            (row["clean"], _) = next(iter(parts.values()))
            continue
        row["clean"], row["clean_bytes"] = parts[clean]
        row["size"] = sizes[key][clean] or (0, 0)
        if degraded:
            row["degraded"], row["degraded_bytes"] = parts[degraded]
    return Members(rows, np.array([key.encode() for key in found], "S"), length, problem, incomplete)


def _roles(parts: Mapping[str, object], where: str) -> tuple[str, str | None]:
    """Return which part of a sample is the clean image, and which the degraded one."""
    roles = {part.split(".")[0]: part for part in parts}
    if "clean" in roles:
        return roles["clean"], roles.get("degraded")
    if len(parts) == 1 and "degraded" not in roles:
        return next(iter(parts)), None
    names = ", ".join(sorted(parts)) or "nothing"
    raise ConfigError(f"{where}: holds {names}; expected one image, or clean.… and degraded.…")
