"""Tar files in the webdataset layout, and their entries of an index; called by ``restoration.curation.packing``."""

import hashlib
import os
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from restoration.curation.cutting import Sample
from restoration.errors import RequestError

PART = ".part"  # ends the name of a shard until the whole pack is done
BLOCK = 512  # of a tar file, bytes
UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


@dataclass(frozen=True)
class Limit:
    """When a shard is full: at so many bytes, or at so many samples."""

    bytes: int | None = 512_000_000
    samples: int | None = None


def parse_limit(text: str) -> Limit:
    """Return the limit that ``512MB``, ``1GiB`` or ``2000`` (samples) stands for."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]i?B)?", text.strip())
    size = float(found[1]) * UNITS.get(found[2], 1) if found else 0.0
    if not found or size < 1 or (not found[2] and "." in found[1]):
        raise RequestError(f"--shard-size {text}: expected bytes such as 512MB, or a number of samples")
    return Limit(int(size), None) if found[2] else Limit(None, int(size))


class Shard:
    """One tar file that is being written, under a temporary name; all its bytes follow from the samples."""

    def __init__(self, out: Path, number: int) -> None:
        self.file = f"train-{number:06d}.tar"
        self.stream = (out / (self.file + PART)).open("wb")
        self.hash, self.offset = hashlib.sha256(), 0
        self.samples: list[dict[str, object]] = []

    def full(self, sample: Sample, limit: Limit) -> bool:
        """Whether the shard would exceed its limit with one sample more."""
        if limit.samples is not None:
            return len(self.samples) >= limit.samples
        more = sum(BLOCK + _padded(len(data)) for data in sample.parts.values())
        return limit.bytes is not None and self.offset + more + 2 * BLOCK > limit.bytes

    def add(self, sample: Sample) -> None:
        """Write a sample's parts, in order of their names."""
        places = {}
        for part, data in sorted(sample.parts.items()):
            self._write(_header(f"{sample.key}.{part}", len(data)))
            places[part] = [self.offset, len(data)]
            self._write(data)
            self._write(bytes(_padded(len(data)) - len(data)))
        self.samples.append({"key": sample.key, "parts": places, "size": list(sample.size)})

    def close(self) -> dict[str, object]:
        """End the file, see it onto the disk, and return its entry of the index."""
        self._write(bytes(2 * BLOCK))
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()
        return {
            "file": self.file, "bytes": self.offset, "sha256": self.hash.hexdigest(), "samples": self.samples,
        }  # fmt: skip

    def _write(self, data: bytes) -> None:
        self.stream.write(data)
        self.hash.update(data)
        self.offset += len(data)


def _header(name: str, size: int) -> bytes:
    """Return a member's header: owner, time and the rest of its fields are zero or empty."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.USTAR_FORMAT)


def _padded(length: int) -> int:
    return -(-length // BLOCK) * BLOCK
