"""How often intervals of differences of sets hold the truth: simulated restorers whose features are Gaussian.

``python -m restoration.benchmarks.coverage_sets --out benchmarks/results/coverage_sets.json``

Every study draws the features of clean images and, of each, those of two restored ones. The truth is what the
difference of both restorers' numbers is on average over studies of as many images: nothing where they are of one law.
"""

import argparse
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from restoration.benchmarks.distances import Features
from restoration.benchmarks.intervals import LEVEL, Groups, set_interval
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.metrics.distributions import SetMetric
from restoration.benchmarks.provenance import circumstances
from restoration.benchmarks.sets import GROUPS
from restoration.files import atomic

STUDIES = 1000
IMAGES = (8, 14, 24, 100)
DIMENSIONS = 16
COMPARED = (
    "fd-efficientnet-lite0", "kid-efficientnet-lite0", "cmmd", "precision-efficientnet-lite0",
    "recall-efficientnet-lite0",
)  # fmt: skip


class Law(NamedTuple):
    """How far the features of two restorers lie from those of the clean images: shift of all, spread of each."""

    shifts: tuple[float, float]
    spreads: tuple[float, float]


LAWS: Mapping[str, Law] = {
    "equal restorers": Law((0.3, 0.3), (0.5, 0.5)),
    "one shifted further": Law((0.2, 0.5), (0.5, 0.5)),
    "one noisier": Law((0.2, 0.2), (0.3, 0.9)),
}


def main() -> None:
    """Simulate, print and write the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    shares = {
        name: {law: {str(n): coverage(name, law, n, arguments.studies) for n in IMAGES} for law in LAWS}
        for name in COMPARED
    }
    for name, laws in shares.items():
        print(f"{name}:")
        for law, found in laws.items():
            print(f"  {law:<22} " + "  ".join(f"n = {n}: {100 * s:.1f} %" for n, s in found.items()))
    if arguments.out:
        document: dict[str, Any] = {
            "command": f"python -m restoration.benchmarks.coverage_sets --studies {arguments.studies}",
            "what": f"share of {100 * LEVEL:g} % intervals of the difference of two restorers that hold the mean "
            f"difference, by number of images; features of {DIMENSIONS} dimensions",
            "environment": circumstances(torch.device("cpu")),
            "studies": arguments.studies,
            "shares": shares,
        }
        with atomic(arguments.out) as stream:
            stream.write((json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


def coverage(name: str, law: str, images: int, studies: int = STUDIES, seed: int = 0) -> float:
    """Return in which share of simulated studies the interval of the difference holds its mean over studies."""
    kind = METRICS[name]
    assert issubclass(kind, SetMetric), f"{name} is no metric of sets"
    rng = np.random.default_rng([seed, images, zlib.crc32(f"{name} {law}".encode())])
    metric, values, intervals = kind(), [], []
    for _ in range(studies):
        clean, *restored = _drawn(rng, LAWS[law], images)
        numbers, left_out = zip(*(_measured(metric, ours, clean) for ours in restored), strict=True)
        apart = [(size, a - b) for (size, a), (_, b) in zip(*left_out, strict=True)]
        values.append(numbers[0] - numbers[1])
        intervals.append(set_interval([values[-1]], [apart], share=kind.share))
    equal = LAWS[law].shifts[0] == LAWS[law].shifts[1] and LAWS[law].spreads[0] == LAWS[law].spreads[1]
    truth = 0.0 if equal else float(np.mean(values))
    return float(
        np.mean([low <= truth <= high for low, high in intervals if low is not None and high is not None])
    )


def _drawn(rng: np.random.Generator, law: Law, images: int) -> list[Features]:
    """Return the features of clean images, and of both restorers' images of them: (images, dimensions) each."""
    clean = rng.normal(size=(images, DIMENSIONS))
    kept = [(1 - spread**2) ** 0.5 if spread < 1 else 0.0 for spread in law.spreads]
    return [
        clean,
        *(
            k * clean + shift + spread * rng.normal(size=clean.shape)
            for k, shift, spread in zip(kept, law.shifts, law.spreads, strict=True)
        ),
    ]


def _measured(metric: SetMetric, restored: Features, clean: Features) -> tuple[float, Groups]:
    paired = not metric.streams  # as protocols are: each image beside its own clean one
    labels: NDArray[np.int64] = np.arange(len(clean)) % GROUPS
    sizes = np.bincount(labels)
    without = metric.without(restored, clean, (labels, labels), paired)
    return metric.between(restored, clean, paired), list(zip(sizes.tolist(), without, strict=True))


if __name__ == "__main__":
    main()
