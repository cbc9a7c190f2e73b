"""Images to tar shards of tiles (webdataset layout) with an index; the same bytes whatever the number of workers."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from restoration.curation.claiming import LOCK, claimed
from restoration.curation.cutting import Cut, Item, tiles, usual_scale
from restoration.curation.sharding import PART, Limit, Shard
from restoration.data.files import upright_size
from restoration.data.shards import INDEX
from restoration.data.tars import SCHEMA
from restoration.errors import ImageError, RequestError
from restoration.files import atomic
from restoration.pool import in_order

JOURNAL = "packing.jsonl"
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
    full shard. A finished pack of the same images and settings is left as it is, one of others is refused, and so is a
    folder in which another process packs. Where nothing could be packed nothing is left.
    """
    started, limit = time.monotonic(), limit or Limit()
    if any(item.degraded for item in items):
        cut = replace(cut, scale=_common_scale(items))
    plan = {"source": source, **asdict(cut), "limit": asdict(limit), **_identity(items)}
    if finished := _finished(out, plan):
        return finished
    with claimed(out):
        if finished := _finished(out, plan):  # meanwhile, by another process
            return finished
        journal = _Journal(out, plan, items, note)
        packed = _packed(items, cut, limit, journal, workers, on_image)
        packed.seconds = time.monotonic() - started
        if packed.shards:
            _publish(packed, plan)
        (out / JOURNAL).unlink(missing_ok=True)
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
        "failed": dict(sorted(packed.failed.items())), "shards": packed.shards,
    }  # fmt: skip
    with atomic(packed.out / INDEX) as stream:
        stream.write(json.dumps(index, separators=(",", ":")).encode())


def _finished(out: Path, plan: dict[str, object]) -> Packed | None:
    """Return the pack that ``out`` holds already; a folder that holds anything else is refused."""
    held = [path.name for path in out.iterdir()] if out.is_dir() else []
    if not {*held} - {LOCK} or JOURNAL in held:
        return None
    if INDEX not in held:
        raise RequestError(
            f"{out}: is not empty and holds no {INDEX}; expected a new folder, or a pack begun here"
        )
    index = _index(out)
    settings = json.loads(json.dumps(plan))
    other = [name for name, value in settings.items() if name != "source" and index.get(name) != value]
    if other:
        changes = ", ".join(
            f"{name} = {_short(index.get(name))} (now {_short(settings[name])})" for name in other
        )
        raise RequestError(
            f"{out}: holds a finished pack with {changes}; choose another folder, or delete it"
        )
    failed = index["failed"]
    images = len(settings["images"]) - len(failed)
    return Packed(
        out, images, index["count"], index["dropped"], index["shards"], failed, index["scale"], already=True
    )


def _index(out: Path) -> dict[str, Any]:
    """Return the index of a finished pack, or refuse what is none of ours."""
    try:
        index = json.loads((out / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        index = None
    kinds = {"count": int, "dropped": int, "shards": list, "failed": dict | list}
    known = isinstance(index, dict) and index.get("schema") == SCHEMA and "scale" in index
    if not known or not all(isinstance(index.get(key), kind) for key, kind in kinds.items()):
        raise RequestError(f"{out}: its {INDEX} is not that of a pack made here; choose another folder")
    if isinstance(index["failed"], list):  # as packs were made at first, without the reasons
        index["failed"] = {str(name): f"{name}: could not be packed" for name in index["failed"]}
    return index


def _common_scale(items: Sequence[Item]) -> int:
    """Return the scale of most pairs, by the files' headers; those of another are named when they are cut."""
    sizes = []
    for item in items:
        with suppress(ImageError):
            if item.degraded:
                sizes.append((upright_size(item.clean), upright_size(item.degraded)))
    scale = usual_scale(sizes)
    if scale is None:
        raise RequestError(
            f"{items[0].degraded}: no pair has sizes of a whole scale; expected degraded · scale = clean"
        )
    return scale


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
