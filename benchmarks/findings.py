"""A row of a result beside the same row measured again: equal, or what differs, or why neither can be said."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restoration.benchmarks.again import SHOWN
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.result import Result, Row
from restoration.benchmarks.sets import WHOLE
from restoration.benchmarks.table import number
from restoration.config import nearest

NAMED = 3  # images that are named where values differ
EXACT = 1e-9  # of what is computed from a row's own values
# versions that shape restored images and their fidelity; all others shape other metrics
RESTORING = (
    "torch", "torchvision", "numpy", "scipy", "pillow", "spandrel", "diffusers", "opencv", "scikit-image",
)  # fmt: skip
APART = ("python", "restoration")  # whose versions say nothing about numbers: code that changed them differs
# how far values may lie apart, in units of the last digit that a metric is written with
TOLERANCES = {
    "the same machine and versions": 1.0,
    "another processor or other versions": 10.0,
    "another kind of device": 50.0,
    "bfloat16": 500.0,
}
STEAD = 10.0  # the same of a library's value that our own code computes in its stead, or the other way round
COMPUTED = re.compile(r",float\d\d; (by (?P<library>\S+)|ours)$")
TABLES = (
    "versions", "hardware", "inference", "protocols", "images", "restorers", "metric_weights", "folders", "conventions",
    "published",
)  # fmt: skip
NAMES = ("protocol", "restorer", "metric", "convention")
FOLDER = re.compile(r"[^\s'\"(]*/")  # of a path in a reason, which another machine has elsewhere


@dataclass(frozen=True)
class Finding:
    """What measuring one row again has shown: it differs, or is equal, or has nothing that could be compared.

    Its seconds and its memory are those of another run, and are not looked at.
    """

    row: Row
    differences: tuple[str, ...] = ()
    silent: str = ""  # why there is nothing to compare
    largest: float = math.nan  # difference of any value; nan where none could be compared
    tolerance: float = math.nan
    because: str = ""

    @property
    def word(self) -> str:
        """Return "equal", "differs" or "not comparable"."""
        return "differs" if self.differences else "not comparable" if self.silent else "equal"

    @property
    def line(self) -> str:
        """Return it in one line."""
        row = self.row
        head = f"{self.word:<8} {row.protocol}  {row.restorer}  {row.metric} [{row.convention}]"
        if self.differences or self.silent:
            return f"{head}: {'; '.join(self.differences) or self.silent}"
        span = f"largest difference {self.largest:.2g}, tolerance {self.tolerance:g}: {self.because}"
        return f"{head}: {number(row.mean, row.metric)} ({span})"

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        row = self.row
        head = {"protocol": row.protocol, "restorer": row.restorer, "metric": row.metric}
        head |= {"convention": row.convention, "found": self.word}
        numbers = {"largest": self.largest, "tolerance": self.tolerance}
        told = {"differences": list(self.differences), "silent": self.silent, "because": self.because}
        return head | told | {key: None if math.isnan(value) else value for key, value in numbers.items()}


def tolerance(row: Row, then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[float, str]:
    """Return how far a row's values may lie apart, and why: by device, precision, processor and versions.

    How many threads there were is no other machine; of versions those count that shape this row.
    """
    devices = [str(p.get("hardware", {}).get("device", "cpu")).partition(":")[0] for p in (then, now)]
    library = COMPUTED.search(row.convention)
    fidelity = METRICS[row.metric].__module__.endswith(".fidelity")
    names = {name for p in (then, now) for name in p.get("versions", {})} - {*APART}
    counted = names & {*RESTORING, library and library["library"]} if fidelity else names
    weights = then.get("metric_weights", {})
    machines = [
        (
            {k: v for k, v in p.get("hardware", {}).items() if k not in ("device", "threads")},
            {name: p.get("versions", {}).get(name) for name in counted},
            {} if fidelity else {name: p.get("metric_weights", {}).get(name) for name in weights},
        )
        for p in (then, now)
    ]
    same, other, device, half = TOLERANCES
    reason = same if machines[0] == machines[1] else other
    reason = device if devices[0] != devices[1] else reason
    reason = half if then.get("inference", {}).get("precision") == "bf16" else reason
    return TOLERANCES[reason] * 10.0 ** -METRICS[row.metric].places, reason


def compared(row: Row, then: Result, now: Result, others: Sequence[str] = ()) -> Finding:
    """Return what differs between a row and the same row now; ``others`` differ for all rows of its restorer."""
    again = next((r for r in now.rows if r.key == row.key), None)
    allowed, because = tolerance(row, then.provenance, now.provenance)
    if again is None:
        again = next((r for r in now.rows if _is_stead(r, row)), None)
        if again is None:
            return Finding(row, (*others, _other_convention(row, now)))
        allowed = max(allowed, STEAD * 10.0 ** -METRICS[row.metric].places)
        because = f"computed {_computer(row)} then, {_computer(again)} now"
    differences = [*others, *_other_gaps(row, again)]
    moved = {n: abs(again.per_image[n] - v) for n, v in row.per_image.items() if n in again.per_image}
    if not row.per_image and row.mean is not None and again.mean is not None:  # of a set as a whole
        moved[WHOLE] = abs(again.mean - row.mean)
        moved |= {f"{WHOLE} without group {i}": by for i, by in _groups_apart(row, again)}
    far = sorted((n for n, by in moved.items() if not by <= allowed), key=lambda n: -moved[n])
    for name in [name for name in far if name in row.per_image or name == WHOLE][:NAMED]:
        before, after = (r.per_image.get(name, r.mean) for r in (row, again))
        differences.append(f"{name} {number(before, row.metric)} then, {number(after, row.metric)} now")
    if far:
        rest = f"{len(far)} of {len(moved)} values differ by more than {allowed:g} ({because})"
        differences.append(rest)
    elif moved and not differences:
        differences += [*_other_count(row, again), *_other_interval(row, again, allowed)]
    if not moved and not differences:
        why = "; ".join(dict.fromkeys(again.missing.values())) or "no image has a value"
        return Finding(row, (), f"no value then, none now: {why}")
    return Finding(row, tuple(differences), "", max(moved.values(), default=math.nan), allowed, because)


def _is_stead(again: Row, row: Row) -> bool:
    """Return whether a row is the same but for who computed it, a library or our own code."""
    if (again.protocol, again.restorer, again.metric) != (row.protocol, row.restorer, row.metric):
        return False
    parts = [COMPUTED.sub("", r.convention) for r in (again, row)]
    own = [r.convention.endswith("; ours") for r in (again, row)]
    return parts[0] == parts[1] and own[0] != own[1]


def _computer(row: Row) -> str:
    found = COMPUTED.search(row.convention)
    return f"by {found['library']}" if found and found["library"] else "by our own code"


def contradiction(row: Row) -> str:
    """Return how a row contradicts itself, or nothing; so it was edited, or made by something else."""
    values = row.per_image.values() if isinstance(row.per_image, Mapping) else (None,)
    if not all(is_number(value) for value in values):
        return "edited: a value of an image is no number"
    if any(end is not None and not is_number(end) for end in (row.mean, row.low, row.high)):
        return "edited: its mean or its interval is no number"
    if row.metric not in METRICS:
        return f"unknown metric '{row.metric}'{nearest(row.metric, METRICS)}"
    if row.mean is None and (row.low, row.high) != (None, None):
        return "edited: an interval of no mean"
    if METRICS[row.metric].kind == "set":
        return "edited: a number of a set has no values of images" if row.per_image else ""
    if not row.per_image:
        if row.mean is not None or row.n:
            return f"edited: a mean, {number(row.mean, row.metric)}, of n = {row.n}, but no images"
        return ""
    mean = math.fsum(row.per_image.values()) / len(row.per_image)
    if row.mean is None or abs(row.mean - mean) > EXACT * max(1.0, abs(mean)):
        return f"edited: its mean says {number(row.mean, row.metric)}, its images {number(mean, row.metric)}"
    both = [name for name in row.missing if name in row.per_image]
    if both:
        return f"edited: {both[0]} has a value, and a reason for none"
    return "" if row.n == len(row.per_image) else f"edited: n = {row.n}, but {len(row.per_image)} images"


def other_records(
    then: Mapping[str, Any], now: Mapping[str, Any], what: str, exact: float = 1e-9
) -> Iterator[str]:
    """Yield which entries of a record are others now; those that it lacks were not recorded then."""
    for key, before in then.items():
        after = now.get(key)
        numbers = is_number(before) and is_number(after)
        same = math.isclose(before, after, rel_tol=exact) if numbers else before == after
        if not same:
            yield f"{key} of {what}: {short(before)} then, {short(after)} now"


def _other_gaps(row: Row, again: Row) -> Iterator[str]:
    """Yield which values there were and are not, and the other way round, and which reasons are others."""
    if row.mean is not None and again.mean is None:
        why = "; ".join(dict.fromkeys(again.missing.values())) or "no reason given"
        yield f"{number(row.mean, row.metric)} then, no value now: {why}"
        return
    if row.mean is None and again.mean is not None:
        why = "; ".join(dict.fromkeys(row.missing.values())) or "no reason given"
        yield f"no value then ({why}), {number(again.mean, row.metric)} now"
        return
    lost = [name for name in row.per_image if name not in again.per_image]
    for name in lost[:NAMED]:
        yield f"{name}: no value now ({again.missing.get(name, 'no such image')})"
    for name in [name for name in again.per_image if name not in row.per_image][:NAMED]:
        yield f"{name}: a value now, none then"
    for name in [name for name in row.missing if name not in {**again.missing, **again.per_image}][:NAMED]:
        yield f"{name}: missing then, no such image now"
    for name in [name for name in again.missing if name not in {**row.missing, **row.per_image}][:NAMED]:
        yield f"{name}: missing now ({again.missing[name]}), no such image then"
    told = [n for n in row.missing if n in again.missing and _bare(row.missing[n]) != _bare(again.missing[n])]
    for name in told[:NAMED]:
        yield f"{name}: no value then because '{row.missing[name]}', now because '{again.missing[name]}'"


def _groups_apart(row: Row, again: Row) -> Iterator[tuple[int, float]]:
    """Yield how far a set's numbers without each group of images are apart; a group that is none now is infinitely."""
    for i, (images, value) in enumerate(row.left_out):
        same = i < len(again.left_out) and again.left_out[i][0] == images
        yield i, abs(again.left_out[i][1] - value) if same else math.inf


def _other_count(row: Row, again: Row) -> Iterator[str]:
    if row.n != again.n:
        yield f"n = {row.n} then, {again.n} now"
    if row.clusters != again.clusters:
        yield "images share other clips or masks now than then"
    if 0 < len(row.left_out) < len(again.left_out):
        yield f"{len(row.left_out)} groups of images then, {len(again.left_out)} now"


def _other_interval(row: Row, again: Row, allowed: float) -> Iterator[str]:
    """Yield how the interval differs where the values are the same."""
    if ends_differ((row.low, row.high), (again.low, again.high), allowed):
        then, now = (" to ".join(number(end, row.metric) for end in (r.low, r.high)) for r in (row, again))
        yield f"interval {then} then, {now} now, of the same values"


def ends_differ(
    then: Sequence[float | None], now: Sequence[float | None], allowed: float
) -> bool:  # fmt: skip
    """Return whether two intervals are others, of values that may be ``allowed`` apart."""
    pairs = list(zip(then, now, strict=True))
    return any(
        (a is None) != (b is None) or (a is not None and abs(a - (b or 0.0)) > 10 * allowed) for a, b in pairs
    )


def _other_convention(row: Row, now: Result) -> str:
    same = [r.convention for r in now.rows if (r.metric, r.restorer) == (row.metric, row.restorer)]
    start = row.convention.partition(": ")[0]
    close = [convention for convention in same if convention.startswith(start)] or same
    return f"measured as '{row.convention}' then, " + (f"'{close[0]}' now" if close else "not at all now")


def _bare(reason: str) -> str:
    """Return a reason without the folders of its paths, which differ from machine to machine."""
    return FOLDER.sub("", reason)


def short(value: object) -> str:
    """Return a recorded value as a line shows it: hashes by their first digits."""
    text = "none" if value is None else str(value)
    return f"{text[:SHOWN]}…" if re.fullmatch(r"[0-9a-f]{64}", text) else text


def is_number(value: object) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def misshapen(result: Result) -> str:
    """Return which part of a result is of another kind than `to_json` writes, numbers apart; or nothing."""
    records = result.provenance
    if not isinstance(records, dict):
        return _expected("provenance", records, "a table")
    if not isinstance(result.command, str):
        return _expected("command", result.command, "text")
    tables = [(f"provenance.{key}", records[key]) for key in TABLES if key in records]
    tables += [
        (f"provenance.{key}.{name}", value)
        for key in ("protocols", "images", "restorers", "conventions")
        if isinstance(records.get(key), dict) for name, value in records[key].items()
    ]  # fmt: skip
    images = records.get("images")
    for name, own in images.items() if isinstance(images, dict) else ():
        found = own.items() if isinstance(own, dict) else ()
        tables += [(f"provenance.images.{name}.{image}", value) for image, value in found]
    texts: list[tuple[str, object]] = []
    for kind, own in (("rows", result.rows), ("comparisons", result.comparisons)):
        names = NAMES if kind == "rows" else (*NAMES, "baseline", "verdict")
        texts += [(f"{kind}.{i}.{name}", getattr(one, name)) for i, one in enumerate(own) for name in names]
    for i, row in enumerate(result.rows):
        tables += [(f"rows.{i}.per_image", row.per_image), (f"rows.{i}.missing", row.missing)]
        if isinstance(row.missing, dict):
            texts += [(f"rows.{i}.missing.{image}", why) for image, why in row.missing.items()]
    wrong = [_expected(where, value, "a table") for where, value in tables if not isinstance(value, dict)]
    wrong += [_expected(where, value, "text") for where, value in texts if not isinstance(value, str)]
    return wrong[0] if wrong else ""


def _expected(where: str, value: object, what: str) -> str:
    return f"{where} = {json.dumps(value)[:40]}: expected {what}"
