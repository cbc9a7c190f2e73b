"""Whether a result still holds: its rows measured again, and for each of them "equal" or what differs."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from restoration.benchmarks.again import SHOWN, measured_again
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.result import Comparison, Result, Row, compare, read_result
from restoration.benchmarks.table import number
from restoration.config import nearest
from restoration.errors import RequestError, RestorationError

NAMED = 3  # images that are named where values differ
EXACT = 1e-9  # of what is computed from a row's own values
SAME = ("torch", "numpy", "pillow")  # versions that shape numbers
# how far values may lie apart, in units of the last digit that a metric is written with
TOLERANCES = {
    "the same machine and versions": 1.0,
    "another processor or other versions": 10.0,
    "another kind of device": 50.0,
    "bfloat16": 500.0,
}


@dataclass(frozen=True)
class Finding:
    """What measuring one row again has shown: equal where ``differences`` is empty."""

    row: Row
    differences: tuple[str, ...]
    largest: float = math.nan  # difference of any value; nan where none could be compared
    tolerance: float = math.nan
    because: str = ""

    @property
    def line(self) -> str:
        """Return it in one line."""
        name = f"{self.row.protocol}  {self.row.restorer}  {self.row.metric}"
        if self.differences:
            return f"differs  {name}: {'; '.join(self.differences)}"
        value = number(self.row.mean, self.row.metric)
        span = f"largest difference {self.largest:.2g}, tolerance {self.tolerance:g}: {self.because}"
        return f"equal    {name}: {value} ({span})"


@dataclass(frozen=True)
class Verification:
    """What a file's rows have shown, and what is different about the circumstances."""

    path: Path
    findings: Sequence[Finding]
    problems: Sequence[str] = ()  # of the file as a whole
    notes: Sequence[str] = ()

    @property
    def equal(self) -> bool:
        """Return whether every row is, and nothing in the file was edited."""
        return not self.problems and all(not finding.differences for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        rows = [
            {"protocol": f.row.protocol, "restorer": f.row.restorer, "metric": f.row.metric}
            | {"convention": f.row.convention, "equal": not f.differences, "differences": f.differences}
            | {"largest": None if math.isnan(f.largest) else f.largest, "because": f.because}
            | {"tolerance": None if math.isnan(f.tolerance) else f.tolerance}
            for f in self.findings
        ]
        head = {"file": str(self.path), "equal": self.equal, "problems": list(self.problems)}
        return head | {"notes": list(self.notes), "rows": rows}


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
    except (AttributeError, KeyError, TypeError) as error:
        raise RequestError(f"{path}: not a whole result: {error}") from None
    if result is not None:
        return result
    document = json.loads(path.read_text(encoding="utf-8"))
    command = document.get("command") if isinstance(document, dict) else None
    made = f"; it holds what `{command}` measured on its machine" if command else ""
    raise RequestError(f"{path}: no result of `restoration benchmark`: it has no rows to run again{made}")


def wanted_rows(results: Mapping[Path, Result], patterns: Sequence[str]) -> dict[Path, list[Row]]:
    """Return the rows of each file that fit a pattern PROTOCOL[/RESTORER[/METRIC]], in which ``*`` is any text."""
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
    """Return what differs when these rows of a result are measured again; nothing is taken from a cache."""
    findings, notes = [], list[str]()
    for group in _groups(rows):
        edited = {row.key: _edited(row) for row in group}
        whole = [row for row in group if not edited[row.key]]
        findings += [Finding(row, (edited[row.key],)) for row in group if edited[row.key]]
        if not whole:
            continue
        try:
            now = measured_again(result, whole, folders, on)
        except (RestorationError, KeyError, TypeError) as error:  # the latter two: records were edited
            reason = (
                str(error).splitlines()[0] if isinstance(error, RestorationError) else f"records: {error}"
            )
            findings += [Finding(row, (reason,)) for row in whole]
            continue
        others = list(_other_images(result, now, whole[0].protocol))
        findings += [_compared(row, result, now, others) for row in whole]
        notes += _circumstances(result, now)
    return Verification(path, findings, list(_edited_comparisons(result)), list(dict.fromkeys(notes)))


def tolerance(row: Row, then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[float, str]:
    """Return how far a row's values may lie apart, and why: by device, precision, processor and versions."""
    devices = [str(p.get("hardware", {}).get("device", "cpu")).partition(":")[0] for p in (then, now)]
    machines = [
        (
            {k: v for k, v in p.get("hardware", {}).items() if k != "device"},
            [p["versions"].get(n) for n in SAME],
        )
        for p in (then, now)
    ]
    same, other, device, half = TOLERANCES
    reason = same if machines[0] == machines[1] else other
    reason = device if devices[0] != devices[1] else reason
    reason = half if then.get("inference", {}).get("precision") == "bf16" else reason
    return TOLERANCES[reason] * 10.0 ** -METRICS[row.metric].places, reason


def _compared(row: Row, then: Result, now: Result, others: Sequence[str]) -> Finding:
    """Return what differs between a row and the same row now."""
    again = next((r for r in now.rows if r.key == row.key), None)
    if again is None:
        return Finding(row, (*others, _other_convention(row, now)))
    allowed, because = tolerance(row, then.provenance, now.provenance)
    differences = list(others)
    lost = [name for name in row.per_image if name not in again.per_image]
    differences += [
        f"{name}: no value now ({again.missing.get(name, 'no such image')})" for name in lost[:NAMED]
    ]
    gained = [name for name in again.per_image if name not in row.per_image]
    differences += [f"{name}: a value now, none then" for name in gained[:NAMED]]
    moved = {n: abs(again.per_image[n] - v) for n, v in row.per_image.items() if n in again.per_image}
    if not row.per_image and row.mean is not None and again.mean is not None:  # of a set as a whole
        moved["mean"] = abs(again.mean - row.mean)
    far = sorted((n for n, by in moved.items() if not by <= allowed), key=lambda n: -moved[n])
    for name in far[:NAMED]:
        before, after = (r.mean if name == "mean" else r.per_image[name] for r in (row, again))
        differences.append(f"{name} {number(before, row.metric)} then, {number(after, row.metric)} now")
    if far:
        rest = f"{len(far)} of {len(moved)} values differ by more than {allowed:g} ({because})"
        differences.append(rest)
    elif moved and not differences:
        differences += _other_interval(row, again, allowed)
    return Finding(row, tuple(differences), max(moved.values(), default=math.nan), allowed, because)


def _other_interval(row: Row, again: Row, allowed: float) -> Iterator[str]:
    """Yield how the interval differs where the values are the same."""
    ends = [(row.low, again.low), (row.high, again.high)]
    if any((a is None) != (b is None) or (a is not None and abs(a - b) > 10 * allowed) for a, b in ends):
        then, now = (" to ".join(number(end, row.metric) for end in (r.low, r.high)) for r in (row, again))
        yield f"interval {then} then, {now} now, of the same values"


def _other_convention(row: Row, now: Result) -> str:
    same = [r.convention for r in now.rows if (r.metric, r.restorer) == (row.metric, row.restorer)]
    start = row.convention.partition(": ")[0]
    close = [convention for convention in same if convention.startswith(start)] or same
    return f"measured as '{row.convention}' then, " + (f"'{close[0]}' now" if close else "not at all now")


def _edited(row: Row) -> str:
    """Return how a row contradicts itself, or nothing."""
    values = row.per_image.values() if isinstance(row.per_image, Mapping) else (None,)
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return "edited: a value of an image is no number"
    if row.metric not in METRICS:
        return f"unknown metric '{row.metric}'{nearest(row.metric, METRICS)}"
    if not row.per_image:
        return ""
    mean = math.fsum(row.per_image.values()) / len(row.per_image)
    if row.mean is None or abs(row.mean - mean) > EXACT * max(1.0, abs(mean)):
        return f"edited: its mean says {number(row.mean, row.metric)}, its images {number(mean, row.metric)}"
    return "" if row.n == len(row.per_image) else f"edited: n = {row.n}, but {len(row.per_image)} images"


def _edited_comparisons(result: Result) -> Iterator[str]:
    """Yield which comparisons are not those of the rows."""
    for baseline in dict.fromkeys(c.baseline for c in result.comparisons):
        whole = [row for row in result.rows if not _edited(row)]
        right = {_identity(c): c.difference for c in compare(whole, baseline)}
        for c in result.comparisons:
            if c.baseline == baseline and not abs(right.get(_identity(c), math.inf) - c.difference) <= 1e-6:
                yield f"edited: {c.restorer} against {baseline}, {c.metric}: not the difference of the rows"


def _identity(c: Comparison) -> tuple[str, str, str, str]:
    return c.protocol, c.restorer, c.metric, c.convention


def _other_images(then: Result, now: Result, protocol: str) -> Iterator[str]:
    """Yield which images are others than then: the pixels of clean ones count, and the files of degraded ones."""
    before, after = (r.provenance.get("images", {}).get(protocol, {}) for r in (then, now))
    kinds = {
        "pixels_sha256": "clean image",
        "degraded_sha256": "degraded file",
        "restored_sha256": "restored file",
    }
    for key, what in kinds.items():
        changed = [n for n in before if n in after and before[n].get(key) not in (None, after[n].get(key))]
        if changed:
            first = changed[0]
            hashes = (f"{(images[first].get(key) or 'none')[:SHOWN]}…" for images in (before, after))
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            yield f"another {what} of {first}{more} ({' then, '.join(hashes)} now)"


def _circumstances(then: Result, now: Result) -> Iterator[str]:
    """Yield in a line each which versions and which hardware are others."""
    for what in ("versions", "hardware"):
        before, after = (r.provenance.get(what, {}) for r in (then, now))
        changed = [
            f"{key} {before[key]} then, {after.get(key, 'none')} now"
            for key in before if before[key] != after.get(key)
        ]  # fmt: skip
        if changed:
            yield f"{what}: {'; '.join(changed)}"


def _groups(rows: Iterable[Row]) -> list[list[Row]]:
    """Return the rows of each protocol and restorer."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.protocol, row.restorer), []).append(row)
    return list(groups.values())


def _name(row: Row) -> str:
    return f"{row.protocol}/{row.restorer}/{row.metric}"


def _fits(row: Row, pattern: str) -> bool:
    name = _name(row)
    plainly = name == pattern or name.startswith(f"{pattern}/")  # names may hold brackets
    return plainly or fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}/*")
