"""All restorers of a result against each other, paired by image and by seed: who wins, and how many images it takes."""

from collections.abc import Mapping
from dataclasses import dataclass

from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.pairing import (
    IMAGE,
    UNITS,
    Pairing,
    Seeds,
    by_restorer,
    comparable,
    images_in_words,
    in_words,
    pairings,
    unit_of,
)
from restoration.benchmarks.result import Result, Row
from restoration.benchmarks.table import ends, line, signed

HOLM = (
    "P values of {law}, corrected by Holm's method for the {count} comparison{s} of this "
    "table: all of its wins and losses together are right in 95 of 100 such studies"
)
LAWS = {
    "images": "the paired bootstrap over {units}",
    "seeds": "the paired bootstrap over {units} and seeds",
    "set": "the jackknife over 8 groups of images, each left out of both restored sets and the clean one at once",
}


@dataclass(frozen=True)
class Matrix:
    """Every pair of restorers by one metric and convention on one protocol."""

    protocol: str
    metric: str
    convention: str
    restorers: tuple[str, ...]
    pairings: tuple[Pairing, ...]  # each pair once, the first of the result as ``restorer``
    unit: str = IMAGE  # what counts as one in ``n`` of a pairing: see `pairing.UNITS`

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
        seeded = any(pairing.seeds > 1 for pairing in self.pairings)
        law = LAWS["set" if METRICS[self.metric].kind == "set" else "seeds" if seeded else "images"]
        return HOLM.format(law=law.format(units=UNITS[self.unit]), count=count, s="" if count == 1 else "s")


def matrices(result: Result) -> list[Matrix]:
    """Return a matrix for each protocol, metric and convention with two restorers that share images.

    Restorers that differ in ``[seed=…]`` alone are one, measured several times. Numbers of sets are compared too.
    """
    grouped: dict[tuple[str, str, str], list[Row]] = {}
    for row in result.rows:
        if comparable(row):
            grouped.setdefault((row.protocol, row.metric, row.convention), []).append(row)
    found = [_matrix(*key, by_restorer(rows)) for key, rows in grouped.items()]
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
    return [sentence for p in matrix.pairings if (sentence := advised(p, matrix.metric, matrix.unit))]


def advised(pairing: Pairing, metric: str, unit: str = IMAGE) -> str:
    """Return how many images would tell two restorers apart; nothing where these do, or where they are equal."""
    if pairing.verdict in ("better", "worse"):
        return ""
    pair = f"{pairing.restorer} and {pairing.other}, {metric}"
    if pairing.needed is None:
        equal = pairing.n > 1 and not pairing.difference
        return f"{pair}: no difference over {in_words(pairing.n, unit)}" if equal else ""
    images = images_in_words(pairing.needed, pairing.n, unit)
    over = f"{signed(pairing.difference, metric)} over {in_words(pairing.n, unit)}, {pairing.verdict}"
    return (
        f"{pair}: {over}; to tell these two apart you need {images} "
        "(in 80 of 100 studies, if the difference is what it is here)"
    )


def _matrix(protocol: str, metric: str, convention: str, restorers: Mapping[str, Seeds]) -> Matrix:
    unit = unit_of(row for seeds in restorers.values() for row in seeds.values())
    return Matrix(protocol, metric, convention, tuple(restorers), tuple(pairings(restorers, metric)), unit)


def _cell(pairing: Pairing | None, metric: str) -> str:
    if pairing is None:
        return "–"
    interval = ends(pairing.low, pairing.high, metric, "+")
    return f"{signed(pairing.difference, metric)}{f' ({interval})' if interval else ''}, {pairing.verdict}"
