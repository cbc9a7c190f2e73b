"""All restorers of a result against each other, paired by image and by seed: who wins, and how many images it takes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from restoration.benchmarks.dialled import split_name, with_settings
from restoration.benchmarks.intervals import (
    ENOUGH,
    LEVEL,
    RESAMPLES,
    holm,
    images_needed,
    mean_interval,
    p_value,
    verdict,
)
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.result import Result, Row
from restoration.benchmarks.table import ends, signed

MANY = 100_000  # images that nobody will gather
FINE = 40  # resamples per comparison, so that Holm's correction can reach 5 %
HOLM = (
    "P values of the paired bootstrap over images, corrected by Holm's method for the {count} comparison{s} of this "
    "table: all of its wins and losses together are right in 95 of 100 such studies"
)


@dataclass(frozen=True)
class Pairing:
    """Two restorers by one metric: the mean of ``restorer − other``, of the distances to 1 where 1 is best."""

    restorer: str
    other: str
    difference: float
    low: float | None
    high: float | None
    n: int
    seeds: int
    p: float | None  # None where there are too few images
    corrected: float | None
    verdict: str  # "better", "worse", "not significant", "too few images"; of ``restorer``
    needed: int | None  # images that would tell them apart, if the difference is what it is here

    @property
    def turned(self) -> "Pairing":
        """Return the same pair from the other's side."""
        other = {"better": "worse", "worse": "better"}.get(self.verdict, self.verdict)
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return replace(
            self, restorer=self.other, other=self.restorer, difference=-self.difference, low=low, high=high,
            verdict=other,
        )  # fmt: skip


@dataclass(frozen=True)
class Matrix:
    """Every pair of restorers by one metric and convention on one protocol."""

    protocol: str
    metric: str
    convention: str
    restorers: tuple[str, ...]
    pairings: tuple[Pairing, ...]  # each pair once, the first of the result as ``restorer``

    def pairing(self, restorer: str, other: str) -> Pairing | None:
        """Return the pair as seen by ``restorer``; None where they share no image."""
        for found in self.pairings:
            if (found.restorer, found.other) == (restorer, other):
                return found
            if (found.restorer, found.other) == (other, restorer):
                return found.turned
        return None

    def tally(self, restorer: str) -> dict[str, int]:
        """Return how often a restorer is better, worse, and neither."""
        said = [p.verdict for other in self.restorers if (p := self.pairing(restorer, other)) is not None]
        undecided = len(said) - said.count("better") - said.count("worse")
        return {"wins": said.count("better"), "losses": said.count("worse"), "not significant": undecided}

    @property
    def correction(self) -> str:
        """Return in words by which law wins are called."""
        count = len(self.pairings)
        return HOLM.format(count=count, s="" if count == 1 else "s")


def matrices(result: Result) -> list[Matrix]:
    """Return a matrix for each protocol, metric and convention with two restorers that share images.

    Restorers that differ in ``[seed=…]`` alone are one, measured several times.
    """
    grouped: dict[tuple[str, str, str], list[Row]] = {}
    for row in result.rows:
        if row.per_image:
            grouped.setdefault((row.protocol, row.metric, row.convention), []).append(row)
    found = [_matrix(*key, _replicates(rows)) for key, rows in grouped.items()]
    return [matrix for matrix in found if matrix.pairings]


def matrix_table(matrix: Matrix) -> str:
    """Return a matrix as Markdown: wins, losses, and each difference with its verdict."""
    head = [
        "restorer",
        "wins",
        "losses",
        "not significant",
        *(f"against {name}" for name in matrix.restorers),
    ]
    lines = [f"### {matrix.protocol}: {matrix.metric}, all against all", "", line(head)]
    lines.append(line(["---", *["---:"] * (len(head) - 1)]))
    for name in matrix.restorers:
        cells = [_cell(matrix.pairing(name, other), matrix.metric) for other in matrix.restorers]
        lines.append(line([name, *map(str, matrix.tally(name).values()), *cells]))
    return "\n".join([*lines, "", f"- {matrix.correction}", *(f"- {said}" for said in advice(matrix)), ""])


def advice(matrix: Matrix) -> list[str]:
    """Return a sentence for each pair that these images do not tell apart: how many images would."""
    return [sentence for p in matrix.pairings if (sentence := advised(p, matrix.metric))]


def advised(pairing: Pairing, metric: str) -> str:
    """Return how many images would tell two restorers apart; nothing where these do, or where they are equal."""
    if pairing.verdict in ("better", "worse"):
        return ""
    pair = f"{pairing.restorer} and {pairing.other}, {metric}"
    if pairing.needed is None:
        return f"{pair}: no difference over {_images(pairing.n)}" if pairing.n > 1 else ""
    count = (
        f"more than {MANY:,}" if pairing.needed > MANY else f"about {max(pairing.needed, pairing.n + 1):,}"
    )
    return (
        f"{pair}: {signed(pairing.difference, metric)} over {_images(pairing.n)}, {pairing.verdict}; to tell these "
        f"two apart you need {count} images (in 80 of 100 studies, if the difference is what it is here)"
    )


def over_seeds(rows: Sequence[Row]) -> list[Row]:
    """Return rows in which restorers that differ in ``[seed=…]`` alone are one: means over images and seeds.

    Intervals are those of images and seeds; only images that all of a restorer's seeds have count.
    """
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.protocol, _seedless(row.restorer), row.metric, row.convention), []).append(row)
    return [group[0] if len(group) == 1 else _pooled(key[1], group) for key, group in groups.items()]


def _pooled(name: str, rows: Sequence[Row]) -> Row:
    first = rows[0]
    names = _shared([row.per_image for row in rows])
    values = np.array([[row.per_image[image] for image in names] for row in rows])
    if not names:  # set-level: one value per seed, and no images to pair
        means = [row.mean for row in rows if row.mean is not None]
        interval, mean = mean_interval(means), float(np.mean(means)) if means else None
    else:
        interval, mean = mean_interval(values, METRICS[first.metric].ceiling), float(values.mean())
    per_image = dict(zip(names, values.mean(0).tolist(), strict=True)) if names else {}
    return replace(
        first, restorer=name, mean=mean, low=interval.low, high=interval.high, n=len(names) or first.n,
        per_image=per_image, seconds=sum(row.seconds for row in rows), peak_mib=max(r.peak_mib for r in rows),
        missing={image: why for row in rows for image, why in row.missing.items()},
    )  # fmt: skip


def _replicates(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    """Return restorer → seed → row; the seed of a restorer without one is empty."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        seed = split_name(row.restorer)[1].get("seed", "")
        found.setdefault(_seedless(row.restorer), {})[seed] = row
    return {
        next(iter(by_seed.values())).restorer if len(by_seed) == 1 else name: by_seed
        for name, by_seed in found.items()
    }


def _matrix(
    protocol: str, metric: str, convention: str, restorers: Mapping[str, Mapping[str, Row]]
) -> Matrix:
    pairs = list(combinations(restorers, 2))
    resamples = max(RESAMPLES, FINE * len(pairs))
    found = [
        _pairing(a, b, _differences(restorers[a], restorers[b], metric), metric, resamples) for a, b in pairs
    ]
    pairings = [pairing for pairing in found if pairing is not None]
    tested = [p for p in pairings if p.p is not None]
    corrected = dict(zip(map(_key, tested), holm([p.p for p in tested if p.p is not None]), strict=True))
    return Matrix(
        protocol, metric, convention, tuple(restorers),
        tuple(_judged(p, corrected.get(_key(p)), metric) for p in pairings),
    )  # fmt: skip


def _pairing(
    restorer: str, other: str, differences: NDArray[np.float64], metric: str, resamples: int
) -> Pairing | None:
    seeds, n = differences.shape
    if not n:
        return None
    interval = mean_interval(differences)
    return Pairing(
        restorer, other, float(differences.mean()), interval.low, interval.high, n, seeds,
        p_value(differences, resamples), None, verdict(interval, n), images_needed(differences.mean(0)),
    )  # fmt: skip


def _judged(pairing: Pairing, corrected: float | None, metric: str) -> Pairing:
    if corrected is None or pairing.n < ENOUGH:
        return replace(pairing, verdict="too few images")
    if corrected > 1 - LEVEL:
        return replace(pairing, corrected=corrected, verdict="not significant")
    higher = METRICS[metric].better == "higher"
    better = (pairing.difference > 0) == higher
    return replace(pairing, corrected=corrected, verdict="better" if better else "worse")


def _differences(ours: Mapping[str, Row], theirs: Mapping[str, Row], metric: str) -> NDArray[np.float64]:
    """Return the differences by (seed, image); where one restorer has no seeds, all of the other's against it.

    Seeds of the same name are paired, since they may mean the same draw; others, independent ones, in their order.
    """
    seeds = [seed for seed in ours if seed in theirs]
    if len(ours) == 1 or len(theirs) == 1:
        pairs = [(a, b) for a in ours.values() for b in theirs.values()]
    elif len(seeds) > 1:
        pairs = [(ours[seed], theirs[seed]) for seed in seeds]
    else:
        pairs = list(zip(ours.values(), theirs.values(), strict=False))
    names = _shared([row.per_image for pair in pairs for row in pair])
    return np.array(
        [[_error(a, name, metric) - _error(b, name, metric) for name in names] for a, b in pairs]
    ).reshape(len(pairs), len(names))


def _error(row: Row, image: str, metric: str) -> float:
    value = row.per_image[image]
    return abs(value - 1) if METRICS[metric].better == "one" else value


def _shared(images: Sequence[Mapping[str, float]]) -> list[str]:
    return [name for name in images[0] if all(name in others for others in images)]


def _seedless(restorer: str) -> str:
    base, settings = split_name(restorer)
    return with_settings(base, {key: value for key, value in settings.items() if key != "seed"})


def _key(pairing: Pairing) -> tuple[str, str]:
    return pairing.restorer, pairing.other


def _cell(pairing: Pairing | None, metric: str) -> str:
    if pairing is None:
        return "–"
    interval = ends(pairing.low, pairing.high, metric, "+")
    return f"{signed(pairing.difference, metric)}{f' ({interval})' if interval else ''}, {pairing.verdict}"


def _images(n: int) -> str:
    return f"{n:,} image{'s' if n != 1 else ''}"


def line(cells: Iterable[str]) -> str:
    """Return one line of a Markdown table."""
    return f"| {' | '.join(cells)} |"
