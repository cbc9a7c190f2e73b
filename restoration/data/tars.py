"""What lies where in a tar file of the webdataset layout: by an index, or by walking the members' headers."""

import json
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
# one sample: where its clean image and its degraded partner (0 bytes long where there is none) begin, how long they
# are, and the size of the clean one in pixels (0 where it is not known)
ROW = np.dtype(
    [("clean", "i8"), ("clean_bytes", "i8"), ("degraded", "i8"), ("degraded_bytes", "i8"), ("size", "i4", 2)]
)
NAME = re.compile(r"((?:.*/|)[^./][^./]*)\.([^/]*)")  # key and parts, as webdataset takes them apart
Extent = tuple[int, int]  # offset, bytes


@dataclass(frozen=True)
class Members:
    """The samples of one shard in order; ``bytes`` is how long the file should be, ``problem`` where a walk ended."""

    rows: np.ndarray  # of ROW
    keys: np.ndarray  # of bytes
    bytes: int = 0
    problem: str = ""

    @property
    def ends(self) -> np.ndarray:
        """Return the offset at which each sample ends."""
        rows = self.rows
        return np.maximum(rows["clean"] + rows["clean_bytes"], rows["degraded"] + rows["degraded_bytes"])


def read_index(text: bytes, where: str) -> dict[str, Members]:
    """Return the samples of each shard that an ``index.json`` names, by file."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{where}: not valid JSON ({error})") from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise ConfigError(f"{where}: schema {schema}; expected {SCHEMA}, an index of shards")
    try:
        return {shard["file"]: _indexed(shard, where) for shard in document["shards"]}
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{where}: not an index of shards ({type(error).__name__}: {error})") from None


def walk(stream: IO[bytes], where: str) -> Members:
    """Return the samples of a tar file by its members' headers; their contents are passed over."""
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
        if not found:
            kind = "compressed, or no tar archive" if "truncated" not in str(error) else str(error)
            raise ConfigError(f"{where}: {kind}; expected an uncompressed tar of images") from None
        problem = str(error)
    return _members(found, sizes, where, problem=problem)


def _indexed(shard: Mapping[str, Any], where: str) -> Members:
    samples = shard["samples"]
    parts = {s["key"]: {p: (int(a), int(n)) for p, (a, n) in s["parts"].items()} for s in samples}
    sizes = {s["key"]: dict.fromkeys(s["parts"], tuple(s["size"])) for s in samples}
    return _members(parts, sizes, f"{where}: {shard['file']}", int(shard["bytes"]))


def _members(
    found: Mapping[str, Mapping[str, Extent]],
    sizes: Mapping[str, Mapping[str, tuple[int, int] | None]],
    where: str,
    length: int = 0,
    problem: str = "",
) -> Members:
    rows = np.zeros(len(found), ROW)
    for row, (key, parts) in zip(rows, found.items(), strict=True):
        clean, degraded = _roles(parts, f"{where}/{key}")
        row["clean"], row["clean_bytes"] = parts[clean]
        row["size"] = sizes[key][clean] or (0, 0)
        if degraded:
            row["degraded"], row["degraded_bytes"] = parts[degraded]
    return Members(rows, np.array([key.encode() for key in found], "S"), length, problem)


def _roles(parts: Mapping[str, object], where: str) -> tuple[str, str | None]:
    """Return which part of a sample is the clean image, and which the degraded one."""
    roles = {part.split(".")[0]: part for part in parts}
    if "clean" in roles:
        return roles["clean"], roles.get("degraded")
    if len(parts) == 1 and "degraded" not in roles:
        return next(iter(parts)), None
    names = ", ".join(sorted(parts))
    raise ConfigError(f"{where}: holds {names}; expected one image, or clean.… and degraded.…")
