"""The records of a study, read back: measures by task, arm and setting, all seeds together."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restoration.benchmarks.studies.perception_distortion.arms import MEAN, TASKS
from restoration.errors import RequestError

Array = NDArray[np.float64]
NONE = {"restorer": "none"}  # the degraded photographs as they are


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

    def sliced(self, task: str, arm: str, **settings: Any) -> tuple[float, Array]:  # noqa: ANN401
        """Return the sliced Wasserstein distance, mean over seeds, and that of each resample."""
        found = [variant["sliced_wasserstein"] for variant in self.each(task, arm, **settings)]
        return float(np.mean([f["value"] for f in found])), np.mean([f["resamples"] for f in found], axis=0)

    def least(self, task: str) -> Array:
        """Return the squared error of the posterior mean by photograph: (n,)."""
        return self.values(task, MEAN, "mse")[0]


def read_records(folder: Path) -> Study:
    """Return all records below a folder."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for path in sorted(folder.glob("*/*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault((record["task"], record["arm"]), []).append(record)
    return Study({key: sorted(records, key=lambda r: r["seed"]) for key, records in found.items()})
