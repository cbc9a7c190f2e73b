"""Encoded packets on disk, a segment a file, so that an interrupted run goes on where it was."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from restoration.errors import RestorationError
from restoration.files import atomic

TAIL = 8  # bytes at a file's end: the length of the index before them


@dataclass(frozen=True)
class Packet:
    """Encoded bytes, the number of the frame that they show, and whether decoding can start there."""

    frame: int
    key: bool
    data: bytes


@dataclass(frozen=True)
class Index:
    """What a segment's file holds: for each packet, in order of decoding, its frame, whether it is a key, its size."""

    packets: tuple[tuple[int, bool, int], ...]
    extradata: bytes


class Writer:
    """Appends packets to a segment's file."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.packets: list[tuple[int, bool, int]] = []
        self.sum = hashlib.sha256()

    def add(self, packet: Packet) -> None:
        """Write a packet."""
        self.stream.write(packet.data)
        self.sum.update(packet.data)
        self.packets.append((packet.frame, packet.key, len(packet.data)))

    def close(self, extradata: bytes) -> None:
        """Write the index, after the last packet."""
        index = {"packets": self.packets, "extradata": extradata.hex(), "sha256": self.sum.hexdigest()}
        text = json.dumps(index).encode()
        self.stream.write(text + len(text).to_bytes(TAIL, "big"))


class Parts:
    """The folder beside a video that is being made: ``.NAME.parts``, with a plan and one file a finished segment."""

    def __init__(self, target: Path, plan: Mapping[str, object], segment: int, first: int, last: int) -> None:
        self.folder = target.with_name(f".{target.name}.parts")
        self.plan = json.loads(json.dumps(plan))
        self.spans = [(at, min(at + segment, last)) for at in range(first, last, segment)]
        self.anew = False  # parts of another plan were there
        self._whole: dict[tuple[int, int], Index] = {}

    def ready(self) -> None:
        """Make the folder; parts that another plan made are removed."""
        plan = self.folder / "plan.json"
        if plan.exists():
            found = None
            with suppress(ValueError):
                found = json.loads(plan.read_text())
            if found != self.plan:
                self.anew = True
                self.remove()
        self.folder.mkdir(parents=True, exist_ok=True)
        for half in self.folder.glob(".*.part"):
            half.unlink()
        if not plan.exists():
            with atomic(plan) as stream:
                stream.write(json.dumps(self.plan, indent=1).encode())

    def missing(self) -> list[tuple[int, int]]:
        """Return the spans of frames, (first, last) with last outside, whose segments are not finished."""
        return [span for span in self.spans if self.index(span) is None]

    @contextmanager
    def writer(self, span: tuple[int, int]) -> Iterator[Writer]:
        """Yield what writes a span's segment; its file appears when the block ends well."""
        with atomic(self._file(span)) as stream:
            yield Writer(stream)

    def index(self, span: tuple[int, int]) -> Index | None:
        """Return what a span's file holds; None where it is not there, or not whole."""
        if span not in self._whole and (found := self._read(span)):
            self._whole[span] = found
        return self._whole.get(span)

    def packets(self) -> Iterator[Packet]:
        """Yield the packets of all segments, in order of decoding."""
        for span, index in zip(self.spans, self.indices(), strict=True):
            with self._file(span).open("rb") as stream:
                for frame, key, size in index.packets:
                    yield Packet(frame, key, stream.read(size))

    def indices(self) -> list[Index]:
        """Return what each segment's file holds; all must be finished."""
        found = [self.index(span) for span in self.spans]
        for span, index in zip(self.spans, found, strict=True):
            if index is None:
                raise RestorationError(f"{self._file(span)}: damaged; the same command makes it again")
        return [index for index in found if index is not None]

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)

    def _read(self, span: tuple[int, int]) -> Index | None:
        try:
            with self._file(span).open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                stream.seek(size - TAIL)
                length = int.from_bytes(stream.read(TAIL), "big")
                stream.seek(size - TAIL - length)
                index = json.loads(stream.read(length))
                stream.seek(0)
                total = hashlib.sha256()
                for _, _, count in index["packets"]:
                    total.update(stream.read(count))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        shown = sorted(frame for frame, _, _ in index["packets"])
        if total.hexdigest() != index["sha256"] or shown != [*range(*span)]:
            return None
        packets = tuple((frame, key, count) for frame, key, count in index["packets"])
        return Index(packets, bytes.fromhex(index["extradata"]))

    def _file(self, span: tuple[int, int]) -> Path:
        return self.folder / f"{span[0]:08d}-{span[1]:08d}.packets"
