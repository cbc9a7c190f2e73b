"""Images to tar shards of tiles (webdataset layout) with an index; the same bytes whatever the number of workers."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from restoration.curation.cutting import Cut, Item, tiles, whole_scale
from restoration.curation.sharding import PART, Limit, Shard
from restoration.errors import ImageError, RequestError
from restoration.files import atomic
from restoration.image import stored_size
from restoration.pool import in_order

SCHEMA = 1
INDEX, JOURNAL = "index.json", "packing.jsonl"
Note = Callable[[str], None]
Done = Callable[[int], None]


@dataclass
class Packed:
    """What a pack is made of; ``failed`` has one line for each image that could not be read."""

    out: Path
    images: int = 0
    tiles: int = 0
    dropped: int = 0
    shards: list[dict[str, object]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    scale: int | None = None
    seconds: float = 0.0
    already: bool = False  # a finished pack of the same images and settings was there

    @property
    def bytes(self) -> int:
        """Return the length of all shards."""
        return sum(int(str(shard["bytes"])) for shard in self.shards)


def pack(
    items: Sequence[Item],
    out: Path,
    cut: Cut,
    *,
    limit: Limit | None = None,
    source: str = "",
    workers: int | None = None,
    on_image: Done = lambda done: None,
    note: Note = lambda line: None,
) -> Packed:
    """Write ``train-000000.tar``… and ``index.json`` into ``out``; an image that cannot be read stops nothing.

    Shards get their names when all are complete, the index last. Interrupted, the same call goes on after the last
    full shard. A finished pack of the same images and settings is left as it is, one of others is refused.
    """
    started, limit = time.monotonic(), limit or Limit()
    if any(item.degraded for item in items):
        cut = replace(cut, scale=_common_scale(items))
    plan = {"source": source, **asdict(cut), "limit": asdict(limit), **_identity(items)}
    finished = _finished(out, plan)
    if finished:
        return finished
    journal = _Journal(out, plan, items, note)
    packed = _packed(items, cut, limit, journal, workers, on_image)
    packed.seconds = time.monotonic() - started
    if packed.shards:
        _publish(packed, plan)
    with suppress(FileNotFoundError):
        (out / JOURNAL).unlink()
    return packed


def _packed(
    items: Sequence[Item], cut: Cut, limit: Limit, journal: "_Journal", workers: int | None, on_image: Done
) -> Packed:
    """Write all shards, still under temporary names."""
    packed, (first, skipped) = journal.packed, journal.next
    packed.scale = cut.scale
    shard: Shard | None = None
    todo = range(first, len(items))
    results = in_order(lambda number: tiles(items[number], number, cut), todo, workers)
    for number, result in zip(todo, results, strict=True):
        try:
            made = result.result()
        except (ImageError, OSError, MemoryError) as error:
            packed.failed[items[number].name] = _line(items[number], error)
            made = None
        for place, sample in enumerate(made.samples[skipped:] if made else [], skipped):
            if shard and shard.full(sample, limit):
                journal.add(shard.close(), (number, place))
                shard = None
            shard = shard or Shard(packed.out, len(packed.shards))
            shard.add(sample)
            packed.tiles += 1
        packed.images += made is not None
        packed.dropped += made.dropped if made else 0
        skipped = 0
        on_image(number + 1)
    if shard:
        journal.add(shard.close(), (len(items), 0))
    return packed


class _Journal:
    """What is done so far, one line per full shard, so that an interrupted pack goes on after the last one."""

    def __init__(self, out: Path, plan: dict[str, object], items: Sequence[Item], note: Note) -> None:
        self.path, self.packed, self.next = out / JOURNAL, Packed(out), (0, 0)
        changes = [path.stat().st_mtime_ns for item in items for path in (item.clean, item.degraded) if path]
        head = plan | {"changed": max(changes, default=0)}
        lines = _lines(self.path)
        for named in out.glob("train-*.tar") if lines else ():  # interrupted while the shards got their names
            os.replace(named, named.with_name(named.name + PART))
        if lines and lines[0] == head:
            for line in lines[1:]:
                self._take(line)
        elif self.path.is_file():
            note(f"{out}: an unfinished pack of other images or settings is begun anew")
        if self.packed.shards:
            note(f"{out}: goes on after {len(self.packed.shards)} full shards, {self.packed.tiles} tiles")
        out.mkdir(parents=True, exist_ok=True)
        kept = {str(shard["file"]) + PART for shard in self.packed.shards}
        for stale in (path for path in out.glob(f"train-*.tar{PART}") if path.name not in kept):
            stale.unlink()
        with atomic(self.path) as stream:  # without what came after the last shard that is whole
            good = [head, *lines[1 : 1 + len(self.packed.shards)]]
            stream.write("".join(json.dumps(line) + "\n" for line in good).encode())

    def add(self, shard: dict[str, object], following: tuple[int, int]) -> None:
        """Note a full shard, and the (image, tile) that the next one begins with."""
        packed = self.packed
        packed.shards.append(shard)
        counts = {name: getattr(packed, name) for name in ("images", "tiles", "dropped", "failed")}
        with self.path.open("a") as stream:
            stream.write(json.dumps({"shard": shard, "next": following} | counts) + "\n")

    def _take(self, line: dict) -> None:
        """Believe a line if its shard is there and those before it were believed."""
        packed, shard = self.packed, line["shard"]
        path = packed.out / (shard["file"] + PART)
        if shard["file"] != f"train-{len(packed.shards):06d}.tar" or not path.is_file():
            return
        if path.stat().st_size == shard["bytes"]:
            packed.shards.append(shard)
            packed.images, packed.tiles, packed.dropped = line["images"], line["tiles"], line["dropped"]
            packed.failed, self.next = line["failed"], tuple(line["next"])


def _publish(packed: Packed, plan: dict[str, object]) -> None:
    """Give the shards their names, then write the index."""
    for shard in packed.shards:
        os.replace(packed.out / (str(shard["file"]) + PART), packed.out / str(shard["file"]))
    index = {
        "schema": SCHEMA, **plan, "count": packed.tiles, "dropped": packed.dropped,
        "failed": sorted(packed.failed), "shards": packed.shards,
    }  # fmt: skip
    with atomic(packed.out / INDEX) as stream:
        stream.write(json.dumps(index, separators=(",", ":")).encode())


def _finished(out: Path, plan: dict[str, object]) -> Packed | None:
    """Return the pack that ``out`` holds already; a folder that holds anything else is refused."""
    if not out.is_dir() or not any(out.iterdir()) or (out / JOURNAL).exists():
        return None
    if not (out / INDEX).is_file():
        raise RequestError(
            f"{out}: is not empty and holds no {INDEX}; expected a new folder, or a pack begun here"
        )
    index = json.loads((out / INDEX).read_text())
    settings = json.loads(json.dumps(plan))
    other = [name for name, value in settings.items() if name != "source" and index.get(name) != value]
    if other:
        changes = ", ".join(
            f"{name} = {_short(index.get(name))} (now {_short(settings[name])})" for name in other
        )
        raise RequestError(
            f"{out}: holds a finished pack with {changes}; choose another folder, or delete it"
        )
    images = len(settings["images"]) - len(index["failed"])
    return Packed(
        out, images, index["count"], index["dropped"], index["shards"], {}, index["scale"], already=True
    )


def _common_scale(items: Sequence[Item]) -> int:
    """Return the scale of most pairs, by the files' headers; those of another are named when they are cut."""
    votes: dict[int, int] = {}
    for item in items:
        with suppress(ImageError):
            scale = item.degraded and whole_scale(stored_size(item.clean), stored_size(item.degraded))
            if scale:
                votes[scale] = votes.get(scale, 0) + 1
    if not votes:
        raise RequestError(
            f"{items[0].degraded}: no pair has sizes of a whole scale; expected degraded · scale = clean"
        )
    return max(sorted(votes), key=lambda scale: votes[scale])


def _identity(items: Sequence[Item]) -> dict[str, object]:
    """Return the images' names and a hash of all names and file sizes."""
    sizes = [[i.name, *(p.stat().st_size for p in (i.clean, i.degraded) if p is not None)] for i in items]
    return {
        "files_sha256": hashlib.sha256(json.dumps(sizes).encode()).hexdigest(),
        "images": [i.name for i in items],
    }


def _lines(path: Path) -> list[dict]:
    """Return the journal's lines; one that was cut off by an interruption, and all after it, are not there."""
    lines: list[dict] = []
    for text in path.read_text().splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def _line(item: Item, error: BaseException) -> str:
    return str(error) if isinstance(error, ImageError) else f"{item.clean}: could not be packed ({error})"


def _short(value: object) -> str:
    return f"{len(value)} names" if isinstance(value, list) else str(value)[:40]
