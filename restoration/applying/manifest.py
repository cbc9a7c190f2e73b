"""What was made of which file, by which restorer and how: one line for each finished file, beside the outputs.

So a run that was killed goes on where it was, a run that is finished does nothing, and an output that was made
otherwise is not taken for what was asked for.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restoration.catalogue import digest
from restoration.outcome import Report
from restoration.targets import Job

NAME = ".restoration-manifest.jsonl"
UNKNOWN = "what made it is not known"
DIFFERENCES = 6  # that a line names


@dataclass
class Manifest:
    """The lines of one folder of outputs; the last of a target counts. Without a folder nothing is noted or known.

    ``maker`` says what makes outputs now: the restorer and its settings, as plain data.
    """

    folder: Path | None
    maker: Mapping[str, Any]
    lines: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.maker = json.loads(json.dumps(self.maker, default=str))
        if self.folder is None:
            return
        with suppress(OSError):
            for text in (self.folder / NAME).read_text(errors="replace").splitlines():
                with suppress(ValueError, KeyError, TypeError):  # a line cut short by a crash
                    line = json.loads(text)
                    if isinstance(line["maker"], dict) and isinstance(line["source"], dict):
                        self.lines[line["target"]] = line

    def differs(self, job: Job) -> str | None:
        """Return how what made an existing target differs from what would be made now; None where nothing does."""
        if self.folder is None:
            return UNKNOWN
        line = self.lines.get(self._name(job.target))
        if line is None:
            return UNKNOWN
        before, now = line["maker"], self.maker
        try:
            if not _is_same(job.source, line["source"]):
                return "was made of another source"
        except OSError as error:
            return f"its source cannot be read ({error.strerror})"
        if before == now:
            return None
        before, now = _flat(before), _flat(now)
        keys = sorted(k for k in {**before, **now} if before.get(k) != now.get(k))
        if "network.name" in keys:  # another network: no other key of it compares
            keys = [key for key in keys if key == "network.name" or not key.startswith("network.")]
        said = [f"{key} {_said(before.get(key))}" for key in keys]
        rest = [f"{len(said) - DIFFERENCES} more"] if len(said) > DIFFERENCES else []
        return "was made with " + ", ".join([*said[:DIFFERENCES], *rest])

    def identity(self, source: Path) -> Mapping[str, Any]:
        """Return what tells a source from others, for `add`: asked for before the target is there, to lose no time."""
        return {} if self.folder is None else _identity(source)

    def add(
        self, job: Job, facts: Mapping[str, Any] | None = None, source: Mapping[str, Any] | None = None
    ) -> None:
        """Note that a target is finished; ``facts`` are what was measured meanwhile."""
        if self.folder is None:
            return
        line = {
            "target": self._name(job.target),
            "source": dict(source or _identity(job.source)),
            "maker": dict(self.maker),
            **({"facts": dict(facts)} if facts else {}),
        }
        self.lines[self._name(job.target)] = line
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode(errors="surrogateescape")
        # one call: lines of processes that write at the same time do not mix
        place = os.open(self.folder / NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            end = os.fstat(place).st_size
            if end and os.pread(place, 1, end - 1) != b"\n":  # a line cut short, by a crash or a full disk
                data = b"\n" + data
            os.write(place, data)
        finally:
            os.close(place)

    def _name(self, target: Path) -> str:
        assert self.folder is not None
        return os.path.relpath(target, self.folder)


def noted(
    manifest: Manifest,
    report: Report,
    job: Job,
    facts: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
) -> None:
    """Note that a target is finished; where that cannot be written, the result stays and a line says so."""
    try:
        manifest.add(job, facts, source)
    except OSError as error:
        line = f"{NAME}: cannot be written ({error.strerror}); what made these files will not be known"
        report.notes += [line] if line not in report.notes else []


def _identity(source: Path) -> dict[str, Any]:
    found = source.stat()
    sha256 = digest(source)
    return {"name": source.name, "sha256": sha256, "size": found.st_size, "mtime": found.st_mtime_ns}


def _is_same(source: Path, identity: Mapping[str, Any]) -> bool:
    """Return whether a file is the one that was noted: by size and time, where they differ by its content."""
    found = source.stat()
    if found.st_size != identity.get("size"):
        return False
    return found.st_mtime_ns == identity.get("mtime") or digest(source) == identity.get("sha256")


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return a table whose tables within are laid open: ``network.steps``, say."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{above}{key}.") if inner else {f"{above}{key}": value}
    return flat


def _said(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"


def weights_of(restorer: Any) -> str:  # noqa: ANN401
    """Return what tells a restorer's weights from others': its file's sha256, else that of its tensors."""
    if getattr(restorer, "digest", None):
        return restorer.digest
    total = hashlib.sha256(repr(getattr(getattr(restorer, "card", None), "network", None)).encode())
    for name, value in restorer.state_dict().items():
        total.update(name.encode())
        total.update(value.detach().cpu().contiguous().float().numpy().tobytes())
    return total.hexdigest()
