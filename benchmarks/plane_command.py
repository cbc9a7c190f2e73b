"""What ``restoration benchmark`` says beside its table: planes, all against all; and ``gaussian-toy``."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from restoration import distributed
from restoration.benchmarks.matrix import Matrix, advice, matrices, matrix_table
from restoration.benchmarks.plane import asked, axes, plane_table, planes
from restoration.benchmarks.plane_picture import write_planes
from restoration.benchmarks.protocol import TOY, Protocol
from restoration.benchmarks.report import write_result
from restoration.benchmarks.result import Result
from restoration.benchmarks.toys import Toy, load_toy
from restoration.benchmarks.toys_checks import self_test, summary
from restoration.errors import RequestError
from restoration.files import atomic

Axes = Sequence[tuple[str, str]]


def chosen_axes(options: Sequence[str]) -> Axes:
    """Return the pairs of metrics that ``--plane`` options name, each once."""
    return list(dict.fromkeys(map(axes, options)))


def with_axes(protocols: Sequence[Protocol], pairs: Axes) -> list[Protocol]:
    """Return the protocols with the metrics of planes beside their own."""
    wanted = [name for pair in pairs for name in pair]
    found = [replace(p, metrics=tuple(dict.fromkeys([*p.metrics, *wanted]))) for p in protocols]
    for protocol in found:
        for name in wanted:
            protocol.metric(name)
    return found


def planned(result: Result, pairs: Axes) -> Result:
    """Return the result with the planes that were asked for on record, so that its page shows these."""
    return (
        replace(result, provenance={**result.provenance, "planes": [list(p) for p in pairs]})
        if pairs
        else result
    )


def appendix(result: Result) -> str:
    """Return all restorers against each other by every metric, and the planes that were asked for, as Markdown."""
    pairs = asked(result) if "planes" in result.provenance else []
    shown = [plane_table(plane) for pair in pairs for plane in planes(result, *pair)]
    return "\n".join([*shown, *(matrix_table(matrix) for matrix in matrices(result))])


def brief(result: Result) -> str:
    """Return of the appendix what a screen has room for: planes, and the matrix of each protocol's first metric.

    Two restorers need no matrix, since the table compares them; what is left is how many images would tell them apart.
    """
    pairs = asked(result) if "planes" in result.provenance else []
    shown = [plane_table(plane) for pair in pairs for plane in planes(result, *pair)]
    first: dict[str, Matrix] = {}
    for matrix in matrices(result):
        first.setdefault(matrix.protocol, matrix)
    for matrix in first.values():
        whole = len(matrix.restorers) > 2
        said = [matrix_table(matrix)] if whole else [f"- {sentence}" for sentence in advice(matrix)]
        shown += said
    return "\n".join(shown)


def write_appendix(folder: Path, result: Result) -> list[Path]:
    """Write ``comparisons.md``, and each plane as SVG, PNG, JSON and Markdown; nothing where there is neither."""
    text = appendix(result)
    pairs = asked(result) if "planes" in result.provenance else []
    if not text:
        return []
    with atomic(folder / "comparisons.md") as stream:
        stream.write(text.encode())
    return [folder / "comparisons.md", *write_planes(folder, result, pairs)]


def asked_toy(words: Sequence[str], settings: Sequence[str], others: Sequence[str]) -> Toy:
    """Return the toy that a command asks for; ``others`` are given options that have no meaning beside it."""
    if list(words) != [TOY] or others:
        got = " ".join([*words[1:], *others]) or words[0]
        raise RequestError(
            f"{TOY}: a test of the instrument by its own estimators; expected nothing beside it, got {got}"
        )
    return load_toy(settings)


def self_tested(toy: Toy, out: Path | None, quiet: bool, json: bool) -> int:
    """Run ``gaussian-toy``; return 1, and name what failed, where what is measured is not what is known."""
    if distributed.rank() > 0:
        return 0
    result, checks = self_test(toy)
    failed = [check for check in checks if not check.holds]
    if json:
        print(result.to_json(), end="")
    elif not quiet:
        print(summary(toy, result, checks))
        print(f"\n{len(checks) - len(failed)} of {len(checks)} checks hold; all do in 99 of 100 sound runs")
    if out is not None:
        paths = [*write_result(out, result), *write_planes(out, result, asked(result))]
        if not quiet and not json:
            print(f"wrote {len(paths)} files into {out}")
    for check in failed:
        print(f"restoration: {check.sentence}", file=sys.stderr)
    return 1 if failed else 0
