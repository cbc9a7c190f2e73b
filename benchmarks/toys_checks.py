"""Whether what was measured of the toys is what is known of them: claims, the planes, and the verdict."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from restoration.benchmarks.intervals import mean_interval
from restoration.benchmarks.plane import BOUNDED, Plane, planes
from restoration.benchmarks.provenance import circumstances, command_line
from restoration.benchmarks.result import Result, Row, compare, make_row
from restoration.benchmarks.table import line
from restoration.benchmarks.toys import NAME, Estimator, Measured, Toy, measured

JOINT = 0.99  # of the runs in which all of a sound instrument's intervals hold the truth at once
RESAMPLES = 20_000
ROUNDING = 1e-12


@dataclass(frozen=True)
class Check:
    """One claim of one system: whether it holds, and what was found against what was expected."""

    system: str
    what: str
    holds: bool
    found: str

    @property
    def sentence(self) -> str:
        """Return the check in one line."""
        return f"{NAME}: {self.system}: {self.what}: {self.found}"


def self_test(toy: Toy) -> tuple[Result, list[Check]]:
    """Return the toys as a result of restorers, and every check of it.

    Intervals are so wide that all of them hold at once in 99 of 100 runs, whatever the seed (Bonferroni).
    """
    systems = list(measured(toy))
    rows = [row for system in systems for row in _rows(system)]
    digest = hashlib.sha256(json.dumps(asdict(toy), sort_keys=True).encode()).hexdigest()
    record = {"sha256": digest, "settings": asdict(toy), "images": "vectors, drawn from the seed"}
    names = list(dict.fromkeys(row.protocol for row in rows))
    provenance: dict[str, Any] = circumstances(torch.device("cpu"))
    provenance |= {"protocols": {name: record for name in names}, "images": {name: {} for name in names}}
    provenance["planes"] = [list(BOUNDED)]
    result = Result(command_line(), provenance, rows, compare(rows))
    claims = [(system.system.name, *claim) for system in systems for claim in _claims(system)]
    level = 1 - (1 - JOINT) / len(claims)
    checks = [_checked(*claim, level) for claim in claims]
    shown = {plane.protocol: plane for plane in planes(result, *BOUNDED)}
    for system in systems:
        checks += _plane_checks(system, shown[_protocol(system)])
    provenance["checks"] = [asdict(check) for check in checks]
    return result, checks


def summary(toy: Toy, result: Result, checks: Sequence[Check]) -> str:
    """Return one Markdown line per system: what is known beside what was measured."""
    head = ["system", "checks", "D*", "posterior mean", "2·D*", "posterior sampling", "D* + W₂²", "optimal"]
    lines = [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    for system in toy.systems():
        own = [check for check in checks if check.system == system.name]
        cells = [system.name, f"{sum(check.holds for check in own)} of {len(own)} hold"]
        known = (system.least, 2 * system.least, system.bound(0.0))
        for value, name in zip(known, ("posterior-mean", "posterior-sampling", "optimal"), strict=True):
            row = next(
                r for r in result.rows
                if (r.protocol, r.restorer, r.metric) == (f"{NAME}-{system.name}", name, BOUNDED[0])
            )  # fmt: skip
            cells += [f"{value:.4f}", f"{row.mean:.4f} ({row.low:.4f} to {row.high:.4f})"]
        lines.append(line(cells))
    return "\n".join([*lines, "", *_of_flows(toy, result)])


def _of_flows(toy: Toy, result: Result) -> list[str]:
    """Return a table of what flows in few steps are known to have, and had."""
    found = {(row.protocol, row.restorer): row.mean for row in result.rows if row.metric == BOUNDED[0]}
    lines = [line(["MSE known (measured)", *(f"K = {k}" for k in toy.steps)])]
    lines.append(line(["---", *["---:"] * len(toy.steps)]))
    for system in toy.systems():
        known = {estimator.name: estimator.mse for estimator in system.estimators(toy)}
        for flow in ("flow", "naive"):
            names = [f"{flow}[steps={k}]" for k in toy.steps]
            cells = [
                f"{known[name]:.4f} ({found[f'{NAME}-{system.name}', name]:.4f})" if name in known else ""
                for name in names
            ]
            if any(cells):
                lines.append(line([f"{system.name}: {flow}", *cells]))
    return lines


def _claims(m: Measured) -> Iterator[tuple[str, float, np.ndarray]]:
    """Yield what each mean over batches must be: (in words, the number, the values of which it is the mean)."""
    mean = m.mse["posterior-mean"]
    for estimator in m.estimators:
        ours = m.mse[estimator.name]
        if "[" in estimator.name:
            yield (
                f"{estimator.name}: MSE − D*{_formula(estimator)}",
                estimator.mse - m.system.least,
                ours - mean,
            )
        else:
            yield f"{estimator.name}: MSE{_formula(estimator)}", estimator.mse, ours
        if estimator.w2 is not None:
            left = "" if estimator.w2 else " = 0"
            yield f"{estimator.name}: W₂²{left}", estimator.w2**2, m.squared[estimator.name]
    if not m.system.tight:
        return
    excess = m.mse["optimal"] - mean - m.squared["posterior-mean"]
    yield "optimal: on the bound as it was measured: MSE − D* − W₂(p*, p)² = 0", 0.0, excess


def _formula(estimator: Estimator) -> str:
    known = {"posterior-mean": " = D*", "posterior-sampling": " = 2·D*", "optimal": " = D* + W₂(p*, p)²"}
    along = " = (1 − α)²·W₂(p*, p)²" if estimator.name.startswith("transport") else ""
    return known.get(estimator.name, along)


def _checked(system: str, what: str, expected: float, values: np.ndarray, level: float) -> Check:
    low, high = mean_interval(values, level=level, resamples=RESAMPLES)
    assert low is not None and high is not None, "a toy has batches enough"
    holds = low - ROUNDING <= expected <= high + ROUNDING
    found = f"expected {expected:.6f}, found {math.fsum(values) / len(values):.6f} ({low:.6f} to {high:.6f})"
    return Check(system, what, bool(holds), found)


def _plane_checks(m: Measured, plane: Plane) -> Iterator[Check]:
    """Yield what must be seen on the plane: whose bound it is, that none lies below, and who is on the front."""
    name, bound = m.system.name, plane.bound
    assert bound is not None, "both metrics are of one space"
    yield Check(
        name, "plane: the bound is that of the posterior mean", bound.restorer == "posterior-mean",
        f"expected posterior-mean, found {bound.restorer}",
    )  # fmt: skip
    below = [
        p.restorer for p in plane.points
        if (p.distortion.high or p.distortion.mean) < bound.distortion(p.perception.mean)
    ]  # fmt: skip
    yield Check(
        name, "plane: no estimator lies below the bound", not below,
        f"expected none, found {', '.join(below) or 'none'}",
    )  # fmt: skip
    between = [
        e.name for e in m.estimators if e.name.startswith("transport") and 0 < (e.w2 or 0) < m.system.gap
    ]
    off = [name for name in between if name not in plane.front]
    yield Check(
        name, "plane: transport between its ends is on the Pareto front", not off,
        f"expected all, found {', '.join(off) or 'none'} off it",
    )  # fmt: skip


def _rows(m: Measured) -> Iterator[Row]:
    convention = f"vectors,d={len(m.system.prior)}"
    for estimator in m.estimators:
        for metric, found in zip(BOUNDED, (m.mse, m.w2), strict=True):
            values = found[estimator.name].tolist()
            named = {f"batch-{i:03d}": value for i, value in enumerate(values)}
            yield make_row(_protocol(m), estimator.name, metric, convention, named)


def _protocol(m: Measured) -> str:
    return f"{NAME}-{m.system.name}"
