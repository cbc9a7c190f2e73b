"""Whether a result still holds: its rows measured again, and for each of them "equal" or what differs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from restoration.benchmarks.again import SHOWN, measured_again, recorded_protocol
from restoration.benchmarks.datasets import identity
from restoration.benchmarks.findings import (
    Finding,
    compared,
    contradiction,
    ends_differ,
    is_number,
    misshapen,
    other_records,
    short,
)
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.protocol import TOY
from restoration.benchmarks.published import edited_values
from restoration.benchmarks.result import Comparison, Result, Row, compare, read_result
from restoration.benchmarks.scores import in_a_line
from restoration.benchmarks.table import ends, signed
from restoration.config import nearest
from restoration.data import data_root
from restoration.errors import RequestError, RestorationError

Key = tuple[str, str, str, str]  # of a comparison
EDITED = (AttributeError, LookupError, TypeError, ValueError)  # what records raise that somebody edited


@dataclass(frozen=True)
class Verification:
    """What a file's rows have shown, and what is different about the circumstances."""

    path: Path
    findings: Sequence[Finding]
    problems: Sequence[str] = ()  # of the file as a whole
    notes: Sequence[str] = ()

    @property
    def equal(self) -> bool:
        """Return whether every row that has something to compare is, and nothing in the file was edited."""
        return not self.problems and bool(self.count("equal")) and not self.count("differs")

    def count(self, word: str) -> int:
        """Return how many rows are "equal", "differs" or "not comparable"."""
        return sum(finding.word == word for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        head = {"file": str(self.path), "equal": self.equal, "problems": list(self.problems)}
        return head | {"notes": list(self.notes), "rows": [finding.to_dict() for finding in self.findings]}


def committed() -> list[Path]:
    """Return the committed results; other files beside them, such as timings, are none."""
    folder = Path(str(files("restoration.benchmarks"))) / "results"
    return [path for path in sorted(folder.rglob("*.json")) if read_result(path) is not None]


def load_rows(path: Path) -> Result:
    """Return the result in a file, or say in one line why it cannot be verified."""
    if not path.is_file():
        raise RequestError(f"{path}: no such file; expected the result.json of a benchmark")
    try:
        result = read_result(path)
    except RequestError:
        raise
    except EDITED as error:
        raise RequestError(f"{path}: not a whole result: {in_a_line(error)}") from None
    if result is not None and (complaint := misshapen(result)):
        raise RequestError(f"{path}: not a whole result: {complaint}")
    if result is not None:
        if not result.rows:
            raise RequestError(f"{path}: a result without rows; expected at least one to measure again")
        return result
    document = json.loads(path.read_text(encoding="utf-8"))
    command = document.get("command") if isinstance(document, dict) else None
    made = f"; it holds what `{command}` measured on its machine" if command else ""
    raise RequestError(f"{path}: no result of `restoration benchmark`: it has no rows to run again{made}")


def wanted_rows(results: Mapping[Path, Result], patterns: Sequence[str]) -> dict[Path, list[Row]]:
    """Return the rows of each file that fit a pattern; ``*`` is any text in it.

    Patterns are PROTOCOL[/RESTORER[/METRIC[/CONVENTION]]].
    """
    if not patterns:
        return {path: list(result.rows) for path, result in results.items()}
    found: dict[Path, list[Row]] = {path: [] for path in results}
    for pattern in patterns:
        fitting = [(p, row) for p, r in results.items() for row in r.rows if _fits(row, pattern)]
        if not fitting:
            names = [_name(row) for result in results.values() for row in result.rows]
            example = f", such as {names[0]}" if names else ""
            hint = nearest(pattern, names)
            raise RequestError(
                f"--row {pattern}: no such row{hint}; expected PROTOCOL/RESTORER/METRIC{example}"
            )
        for path, row in fitting:
            if row not in found[path]:
                found[path].append(row)
    return {path: rows for path, rows in found.items() if rows}


def verify(
    path: Path,
    result: Result,
    rows: Sequence[Row],
    folders: Sequence[Path] = (),
    on: torch.device | None = None,
) -> Verification:
    """Return what differs when these rows of a result are measured again; nothing is taken from a cache.

    What a file says beside its rows is held against them: comparisons, and what it calls images and restorers.
    """
    findings, notes = [], list[str]()
    for group in _groups(rows):
        edited = {row.key: contradiction(row) for row in group}
        whole = [row for row in group if not edited[row.key]]
        findings += [Finding(row, (edited[row.key],)) for row in group if edited[row.key]]
        if not whole:
            continue
        try:
            now = measured_again(result, whole, folders, on)
        except (RestorationError, *EDITED) as error:
            where = "" if isinstance(error, RestorationError) else "records: "
            reason = where + in_a_line(error)
            findings += [Finding(row, (reason,)) for row in whole]
            continue
        others = list(_other_images(result, now, whole[0].protocol, whole[0].restorer))
        others += _other_restorer(result, now, whole[0].restorer)
        findings += [compared(row, result, now, others) for row in whole]
        notes += _circumstances(result, now)
    chosen = {row.protocol for row in rows}
    untrue, unseen = edited_values(result, data_root())
    problems = [*_edited_comparisons(result), *_edited_identities(result, chosen), *untrue]
    return Verification(path, findings, problems, list(dict.fromkeys([*notes, *unseen])))


def _edited_comparisons(result: Result) -> Iterator[str]:
    """Yield which comparisons are not those of the rows, in any of what they say."""
    for baseline in dict.fromkeys(c.baseline for c in result.comparisons):
        whole = [row for row in result.rows if not contradiction(row)]
        right = {_key(c): c for c in compare(whole, baseline)}
        own = [c for c in result.comparisons if c.baseline == baseline]
        for c in own:
            if differing := _differing(c, right.get(_key(c))):
                yield f"edited: {c.restorer} against {baseline}, {c.metric} [{c.convention}]: {differing}"
        told = {_key(c) for c in own}
        for key in (key for key in right if key not in told):
            yield f"edited: {key[1]} against {baseline}, {key[2]} [{key[3]}]: the rows have a comparison that it lacks"


def _differing(c: Comparison, right: Comparison | None) -> str:
    """Return how a comparison is not what the rows say, or nothing."""
    if right is None:
        return "the rows have no such comparison"
    if not all(is_number(x) for x in (c.difference, *(end for end in (c.low, c.high) if end is not None))):
        return "its difference or its interval is no number"
    allowed = 10.0 ** -METRICS[c.metric].places
    if not abs(c.difference - right.difference) <= 1e-6:
        return (
            f"{signed(c.difference, c.metric)}, but the rows differ by {signed(right.difference, c.metric)}"
        )
    if ends_differ((c.low, c.high), (right.low, right.high), allowed):
        spans = (ends(x.low, x.high, x.metric, "+") or "none" for x in (c, right))
        return "interval {}, but {} of the rows".format(*spans)
    for what in ("verdict", "n", "seeds", *(["needed"] if c.needed is not None else [])):
        then, now = getattr(c, what), getattr(right, what)
        if then != now:
            return f"{what} {then}, but {now} of the rows"
    return ""


def _edited_identities(result: Result, protocols: Iterable[str]) -> Iterator[str]:
    """Yield what a file says wrongly of its images, by the hashes that it records and the manifests of today."""
    records, images = result.provenance.get("protocols", {}), result.provenance.get("images", {})
    for name in protocols:
        record = records.get(name)
        if not isinstance(record, Mapping) or "images" not in record or name.startswith(f"{TOY}-"):
            continue
        try:
            pixels = {image: hashes["pixels_sha256"] for image, hashes in images[name].items()}
            found = identity(recorded_protocol(result, name), pixels)
        except (RestorationError, AttributeError, KeyError, TypeError):
            yield f"edited: {name}: its images have no hashes, or its settings are not whole"
            continue
        if found != record["images"]:
            yield f"edited: {name}: it says '{record['images']}' of its images, but by their hashes: {found}"


def _other_restorer(then: Result, now: Result, name: str) -> Iterator[str]:
    """Yield what a file says of a restorer that is not so: its licence, scale, task, cost."""
    records = [r.provenance.get("restorers", {}).get(name) for r in (then, now)]
    if isinstance(records[0], Mapping) and isinstance(records[1], Mapping):
        yield from other_records(records[0], records[1], name)


def _other_images(then: Result, now: Result, protocol: str, restorer: str) -> Iterator[str]:
    """Yield which images are others than then: the pixels of clean ones count, and the files of other ones."""
    before, after = (r.provenance.get("images", {}).get(protocol, {}) for r in (then, now))
    kinds = {"degraded_sha256": "degraded file", "restored_sha256": "restored file"}
    folders = then.provenance.get("folders")
    if folders is None or "clean" in folders:
        kinds = {"pixels_sha256": "clean image"} | kinds
    for key, what in kinds.items():
        pairs = {
            n: [_hash(images[n], key, restorer) for images in (before, after)] for n in before if n in after
        }
        changed = [name for name, (old, new) in pairs.items() if old not in (None, new)]
        if changed:
            hashes = (f"{(value or 'none')[:SHOWN]}…" for value in pairs[changed[0]])
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            yield f"another {what} of {changed[0]}{more} ({' then, '.join(hashes)} now)"


def _hash(hashes: Mapping[str, Any], key: str, restorer: str) -> str | None:
    """Return one hash of an image; those of restored files stand by the restorer."""
    found = hashes.get(key)
    return found.get(restorer) if isinstance(found, Mapping) else found


def _circumstances(then: Result, now: Result) -> Iterator[str]:
    """Yield in a line each which versions, which weights of metrics and which hardware are others."""
    for what in ("versions", "metric_weights", "hardware"):
        before, after = (r.provenance.get(what, {}) for r in (then, now))
        if what == "metric_weights":  # those that no row here needs are not opened
            before = {name: value for name, value in before.items() if name in after}
        changed = [
            f"{key} {short(value)} then, {short(after.get(key))} now"
            for key, value in before.items() if value != after.get(key)
        ]  # fmt: skip
        if changed:
            yield f"{what.replace('metric_weights', 'weights of metrics')}: {'; '.join(changed)}"


def _groups(rows: Iterable[Row]) -> list[list[Row]]:
    """Return the rows of each protocol and restorer."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.protocol, row.restorer), []).append(row)
    return list(groups.values())


def _key(c: Comparison) -> Key:
    return c.protocol, c.restorer, c.metric, c.convention


def _name(row: Row) -> str:
    return f"{row.protocol}/{row.restorer}/{row.metric}"


def _fits(row: Row, pattern: str) -> bool:
    """Return whether a row is named by a pattern: by its beginning, or with ``*`` for any text."""
    name = f"{_name(row)}/{row.convention}"
    plainly = name.startswith(f"{pattern}/") or name == pattern  # names may hold brackets
    return plainly or fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}/*")
