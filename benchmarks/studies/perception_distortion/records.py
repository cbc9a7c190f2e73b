"""The records of a study, read back: measures by task, arm and setting, all seeds together."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restoration.benchmarks.studies.perception_distortion.arms import MEAN, TASKS
from restoration.benchmarks.studies.perception_distortion.measures import of_groups, of_resamples, of_seeds
from restoration.errors import RequestError

Array = NDArray[np.float64]
NONE = {"restorer": "none"}  # the degraded photographs as they are


@dataclass(frozen=True)
class Distance:
    """A number of a whole set of photographs: of every seed, (seeds,), and of every other choice of photographs.

    ``others`` is (seeds, choices): resamples of ``photographs``, or without one group each where these are ``groups``.
    """

    seeds: Array
    others: Array
    photographs: int
    groups: bool = False

    @property
    def value(self) -> float:
        """Return the mean over seeds."""
        return float(self.seeds.mean())

    @property
    def ends(self) -> tuple[float, float]:
        """Return the interval's: the parts of photographs and of seeds are added in squares."""
        others = self.others.mean(0)
        half = of_groups(others) if self.groups else of_resamples(others, self.photographs)
        half = math.hypot(half, of_seeds(self.seeds))
        return self.value - half, self.value + half

    def __sub__(self, other: "Distance") -> "Distance":
        """Return the difference, paired by photographs, of as many seeds as both have."""
        s = min(len(self.seeds), len(other.seeds))
        seeds, others = self.seeds[:s] - other.seeds[:s], self.others[:s] - other.others[:s]
        return Distance(seeds, others, self.photographs, self.groups)


@dataclass(frozen=True)
class Study:
    """Records by task and arm, in the order of their seeds."""

    records: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]

    @property
    def tasks(self) -> list[str]:
        """Return the tasks of which there are records, in order."""
        return [task for task in TASKS if any(task == of for of, _ in self.records)]

    def has(self, task: str, *arms: str) -> bool:
        """Return whether all of these arms are there."""
        return all((task, arm) in self.records for arm in arms)

    def variants(self, task: str, arm: str, **settings: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401
        """Return the variants of an arm's first seed whose settings these are, among others."""
        (first, *_), wanted = self.records[task, arm], settings.items()
        return [v for v in first["variants"] if wanted <= v["settings"].items()]

    def each(self, task: str, arm: str, **settings: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401
        """Return the one variant with exactly these settings of every seed."""
        found = [v for r in self.records[task, arm] for v in r["variants"] if v["settings"] == settings]
        if len(found) != len(self.records[task, arm]):
            raise RequestError(f"{task}/{arm}: no record of {settings or 'it'}; run the arm again")
        return found

    def values(self, task: str, arm: str, what: str, **settings: Any) -> Array:  # noqa: ANN401
        """Return a measure of every seed and photograph: (seeds, n)."""
        return np.array([variant[what] for variant in self.each(task, arm, **settings)])

    def sliced(self, task: str, arm: str, **settings: Any) -> Distance:  # noqa: ANN401
        """Return the sliced Wasserstein distance."""
        return sliced_of(self.each(task, arm, **settings))

    def frechet(self, task: str, arm: str, **settings: Any) -> Distance | None:  # noqa: ANN401
        """Return the Fréchet distance, where it was measured."""
        variants = self.each(task, arm, **settings)
        found = [v.get("frechet", {}) for v in variants]
        if not all("value" in f for f in found):
            return None
        values, others = ([f[key] for f in found] for key in ("value", "without"))
        return Distance(np.array(values), np.array(others), len(variants[0]["mse"]), groups=True)

    def least(self, task: str) -> Array:
        """Return the squared error of the posterior mean by photograph: (n,)."""
        return self.values(task, MEAN, "mse")[0]


def sliced_of(variants: Sequence[Mapping[str, Any]]) -> Distance:
    """Return the sliced Wasserstein distance of variants that stand beside each other as seeds do."""
    values, others = ([v["sliced_wasserstein"][key] for v in variants] for key in ("value", "resamples"))
    return Distance(np.array(values), np.array(others), len(variants[0]["mse"]))


def read_records(folder: Path, wanted: Callable[[Mapping[str, Any]], bool] | None = None) -> Study:
    """Return all records below a folder, which must be of the same photographs, and of the same training but for seeds.

    With ``wanted``, those of which it is true.

    Raises:
        RequestError: a record does not belong to those before it.
    """
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    photographs = None
    for path in sorted(folder.glob("*/*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if wanted and not wanted(record):
            continue
        own, photographs = record["photographs"]["sha256"], photographs or record["photographs"]["sha256"]
        seeds = found.setdefault((record["task"], record["arm"]), [])
        if own != photographs or (seeds and _learnt(record) != _learnt(seeds[0])):
            what = "photographs" if own != photographs else "trainings"
            raise RequestError(
                f"{path}: of other {what} than the records before it; expected records of one study"
            )
        seeds.append(record)
    return Study({key: sorted(records, key=lambda r: r["seed"]) for key, records in found.items()})


def _learnt(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the experiment of a record but for its seed."""
    experiment = (record["training"] or {}).get("experiment", {})
    return {key: value for key, value in experiment.items() if key not in ("name", "seed")}
