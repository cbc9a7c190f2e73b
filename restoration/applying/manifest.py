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
from restoration.targets import Job

NAME = ".restoration-manifest.jsonl"
UNKNOWN = "what made it is not known"


@dataclass
class Manifest:
    """The lines of one folder of outputs; the last of a target counts. Without a folder nothing is kept.

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
                    self.lines[line["target"]] = line

    def differs(self, job: Job) -> str | None:
        """Return how what made an existing target differs from what would be made now; None where nothing does."""
        if self.folder is None:
            return None
        line = self.lines.get(self._name(job.target))
        if line is None:
            return UNKNOWN
        if not _is_same(job.source, line.get("source", {})):
            return "was made of another source"
        before, now = line.get("maker", {}), self.maker
        keys = [k for k in {**before, **now} if before.get(k) != now.get(k)]
        if not keys:
            return None
        return "was made with " + ", ".join(f"{key} {_said(before.get(key))}" for key in sorted(keys))

    def add(self, job: Job, facts: Mapping[str, Any] | None = None) -> None:
        """Note that a target is finished; ``facts`` are what was measured meanwhile."""
        if self.folder is None:
            return
        line = {
            "target": self._name(job.target),
            "source": _identity(job.source),
            "maker": dict(self.maker),
            **({"facts": dict(facts)} if facts else {}),
        }
        self.lines[self._name(job.target)] = line
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode(errors="surrogateescape")
        # one call: lines of processes that write at the same time do not mix
        place = os.open(self.folder / NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(place, data)
        finally:
            os.close(place)

    def _name(self, target: Path) -> str:
        assert self.folder is not None
        return os.path.relpath(target, self.folder)


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
