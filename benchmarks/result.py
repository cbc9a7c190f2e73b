"""What was found: rows with values per image, comparisons, provenance; as JSON and as Markdown."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, zip_longest
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from restoration.benchmarks.clips import unit_means
from restoration.benchmarks.datasets import identity
from restoration.benchmarks.intervals import mean_interval
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.pairing import better, by_restorer, comparable, independent, pairings, seedless
from restoration.benchmarks.protocol import Protocol
from restoration.errors import RequestError

if TYPE_CHECKING:
    from restoration.benchmarks.sets import Sets

SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """One metric of one restorer on one protocol. ``missing`` maps images without a value to the reason.

    A metric of whole sets has no values of images but ``left_out``: of every group of images how many it has, and the
    value without them; nothing below 8 images, and where the set lacks images. ``clusters`` maps images to what they
    share with others, a clip or a clean image, so that they are no witnesses of their own.
    """

    protocol: str
    restorer: str
    metric: str
    convention: str
    mean: float | None
    low: float | None
    high: float | None
    n: int
    per_image: Mapping[str, float]
    seconds: float
    peak_mib: float
    missing: Mapping[str, str] = field(default_factory=dict)
    left_out: Sequence[tuple[int, float]] = ()
    clusters: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Return what makes a row unique."""
        return self.protocol, self.restorer, self.metric, self.convention


@dataclass(frozen=True)
class Comparison:
    """The difference ``restorer − baseline`` over the images that both have, paired by image, and over their seeds.

    Of a metric that is best at 1 it is that of the distances to 1. The interval is that of this pair alone; the verdict
    holds for all pairs of restorers at once (Holm). ``n`` counts images that share a clip or a clean image as
    one. ``needed`` is how many would tell both apart, were the difference what it is here.
    """

    protocol: str
    restorer: str
    baseline: str
    metric: str
    convention: str
    difference: float
    low: float | None
    high: float | None
    n: int
    verdict: str
    seeds: int = 1
    needed: int | None = None

    @property
    def better(self) -> bool:
        """Return whether the restorer is better than the baseline, significantly or not."""
        return better(self.difference, self.metric)


@dataclass(frozen=True)
class Result:
    """Rows and comparisons, the command that made them, and everything needed to make them again.

    ``order``, ``sets`` and ``places`` are what `merge` needs of a rank's part: by protocol the names of all images, and
    the features of sets; of each problem the place of its image, -1 where it has none. No file holds them.
    """

    command: str
    provenance: Mapping[str, Any]
    rows: Sequence[Row]
    comparisons: Sequence[Comparison] = ()
    problems: Sequence[str] = ()  # one line per image that could not be scored at all
    order: Mapping[str, Sequence[str]] = field(default_factory=dict, compare=False, repr=False)
    sets: Mapping[str, "Sets"] = field(default_factory=dict, compare=False, repr=False)
    places: Sequence[int] = field(default=(), compare=False, repr=False)

    def mean(self, metric: str, protocol: str | None = None, restorer: str | None = None) -> float:
        """Return the mean of the one row that fits."""
        rows = [
            r for r in self.rows
            if r.metric == metric and protocol in (None, r.protocol) and restorer in (None, r.restorer)
        ]  # fmt: skip
        if len(rows) != 1:
            raise ValueError(
                f"{len(rows)} rows have metric '{metric}', protocol {protocol}, restorer {restorer}"
            )
        return math.nan if rows[0].mean is None else rows[0].mean

    def to_json(self) -> str:
        """Return the document that ``result.json`` holds."""
        document: dict[str, Any] = {"schema": SCHEMA, "command": self.command, "provenance": self.provenance}
        document["rows"] = [
            _without_empty(asdict(row), "missing", "left_out", "clusters") for row in self.rows
        ]
        document["comparisons"] = [asdict(comparison) for comparison in self.comparisons]
        document["problems"] = list(self.problems)
        return (
            json.dumps(_without_empty(document, "comparisons", "problems"), indent=1, ensure_ascii=False)
            + "\n"
        )


def make_row(
    protocol: str, restorer: str, metric: str, convention: str, values: Mapping[str, float | str],
    seconds: float = 0.0, peak_mib: float = 0.0, clusters: Mapping[str, str] | None = None,
) -> Row:  # fmt: skip
    """Return a row with mean and interval; ``values`` holds numbers, or reasons in words.

    ``clusters`` are those of `Row`; the interval is over them.
    """
    numbers = {name: value for name, value in values.items() if not isinstance(value, str)}
    missing = {name: value for name, value in values.items() if isinstance(value, str)}
    counted = unit_means(numbers, convention)
    mean = math.fsum(counted) / len(counted) if counted else None
    shared = {
        name: cluster for name, cluster in (clusters or {}).items() if name in values and cluster != name
    }
    row = Row(
        protocol, restorer, metric, convention, mean, None, None, len(numbers), numbers, round(seconds, 3),
        round(peak_mib, 1), missing, clusters=shared,
    )  # fmt: skip
    kind = METRICS[metric]
    spread = independent(np.array(counted), list(numbers), row) if counted else np.array([])
    low, high = mean_interval(spread, kind.ceiling, floor=kind.floor)
    return replace(row, low=low, high=high)


def compare(rows: Sequence[Row], baseline: str | None = None) -> list[Comparison]:
    """Return every restorer against the baseline (by default the first), per protocol, metric and convention.

    Restorers that differ in ``[seed=…]`` alone are one, which is compared over images and seeds.
    """
    columns: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if comparable(row):
            columns.setdefault((row.protocol, row.metric, row.convention), []).append(row)
    against = baseline or (rows[0].restorer if rows else "")
    found = [c for key, column in columns.items() for c in _comparisons(*key, column, against)]
    places = {row.key: i for i, row in enumerate(rows)}
    # in the order of the rows; a restorer of several seeds stands where the first of them does
    return [comparison for comparison, first in sorted(found, key=lambda entry: places[entry[1].key])]


def merge(parts: Sequence[Result], baseline: str | None = None) -> Result:
    """Return the result of all ranks' parts, as one process would have found it; times add, memory is the largest."""
    grouped: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in chain.from_iterable(part.rows for part in parts):
        grouped.setdefault(row.key, []).append(row)
    images: dict[str, dict[str, Any]] = {}
    for protocol in parts[0].provenance["images"]:
        found = _interleaved([part.provenance["images"][protocol] for part in parts])
        names = parts[0].order.get(protocol, found)
        images[protocol] = {name: found[name] for name in names if name in found}
    sets = {name: own.join([part.sets[name] for part in parts[1:]]) for name, own in parts[0].sets.items()}
    orders = images | parts[0].order
    rows = [_joined(group, list(orders[group[0].protocol]), sets) for group in grouped.values()]
    told = chain.from_iterable(
        zip(part.places or [-1] * len(part.problems), part.problems, strict=True) for part in parts
    )
    problems = [problem for _, problem in sorted(told, key=itemgetter(0))]  # in the order of the images
    records = {
        name: record | {"images": _identity(record, images[name])}
        for name, record in parts[0].provenance.get("protocols", {}).items()
    }
    provenance = {**parts[0].provenance, "images": images, **({"protocols": records} if records else {})}
    return Result(
        parts[0].command, provenance, rows, compare(rows, baseline), problems, parts[0].order, sets
    )  # fmt: skip


def read_result(path: Path) -> Result | None:
    """Return the result in a JSON file, or None where the file holds something else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA or "rows" not in document:
        return None
    rows = [
        Row(**row | {"left_out": tuple((size, value) for size, value in row.get("left_out", ()))})
        for row in document["rows"]
    ]
    comparisons = [Comparison(**c) for c in document.get("comparisons", [])]
    return Result(
        document["command"], document["provenance"], rows, comparisons, document.get("problems", [])
    )


def _comparisons(
    protocol: str, metric: str, convention: str, rows: Sequence[Row], baseline: str
) -> list[tuple[Comparison, Row]]:
    """Return the comparisons of one column with their first rows; its verdicts are those of all against all."""
    restorers, found = by_restorer(rows), []
    against = next(
        (n for n, s in restorers.items() if baseline in (n, seedless(n), *(row.restorer for row in s.values()))),
        None,
    )  # fmt: skip
    for pair in pairings(restorers, metric) if against else []:
        if against not in (pair.restorer, pair.other):
            continue
        p = pair if pair.other == against else pair.turned
        said = "significant" if p.verdict in ("better", "worse") else p.verdict
        comparison = Comparison(
            protocol, p.restorer, p.other, metric, convention, p.difference, p.low, p.high, p.n, said, p.seeds,
            p.needed,
        )  # fmt: skip
        found.append((comparison, next(iter(restorers[p.restorer].values()))))
    return found


def _joined(parts: Sequence[Row], order: Sequence[str], sets: Mapping[str, "Sets"]) -> Row:
    """Return one row of several ranks' parts, images in the order of the protocol."""
    seconds, peak_mib = sum(part.seconds for part in parts), max(part.peak_mib for part in parts)
    protocol, restorer, metric, _ = parts[0].key
    if METRICS[metric].kind == "set":
        return sets[protocol].row(restorer, metric, seconds, peak_mib)
    values: dict[str, float | str] = {}
    for part in parts:
        values |= {**part.per_image, **part.missing}
    clusters = {name: cluster for part in parts for name, cluster in part.clusters.items()}
    found = {name: values[name] for name in order if name in values}
    return make_row(*parts[0].key, found, seconds, peak_mib, clusters)


def _identity(record: Mapping[str, Any], images: Mapping[str, Mapping[str, str]]) -> str:
    pixels = {name: hashes["pixels_sha256"] for name, hashes in images.items()}
    return identity(Protocol(**record["settings"]), pixels)


def _interleaved(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return images in the order of the protocol: rank r holds number r, r + world, r + 2·world …"""
    turns = chain.from_iterable(zip_longest(*(part.items() for part in parts)))
    return dict(item for item in turns if item is not None)


def _without_empty(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value or key not in keys}
