"""How often intervals hold the truth: simulated studies whose true mean is known.

``python -m restoration.benchmarks.coverage --out benchmarks/results/coverage.json``
"""

import argparse
import json
import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from restoration.benchmarks.intervals import LEVEL, RESAMPLES, mean_interval
from restoration.benchmarks.provenance import circumstances
from restoration.files import atomic

Generator = np.random.Generator
Values = NDArray[np.float64]
STUDIES = 4000
FEWER = 2  # times fewer with seeds, whose intervals take longer
IMAGES = (14, 24, 100)  # Set14, Kodak24, BSD100
PROMISED = (0.93, 0.97)


class Law(NamedTuple):
    """How the values of one study are drawn, (images,) or (seeds, images), and the mean that they have in truth."""

    draw: Callable[[Generator, int], Values]
    truth: float


# what the promise of 93 to 97 % is for
LAWS: Mapping[str, Law] = {
    "normal": Law(lambda rng, n: rng.normal(30, 4, n), 30.0),
    "skewed: gamma of shape 4": Law(lambda rng, n: rng.gamma(4, 1, n), 4.0),
    "skewed: beta(8, 2), as similarities": Law(lambda rng, n: rng.beta(8, 2, n), 0.8),
    "skewed: log-normal of σ = 0.5": Law(lambda rng, n: rng.lognormal(0, 0.5, n), math.exp(0.125)),
    "heavy-tailed: Student's t of 5 degrees": Law(lambda rng, n: rng.standard_t(5, n), 0.0),
    "heavy-tailed: Laplace": Law(lambda rng, n: rng.laplace(0, 1, n), 0.0),
    "paired differences of restorers": Law(lambda rng, n: _differences(rng, n), 0.3),
}
# beyond it: what is found there is said, not promised
HARDER: Mapping[str, Law] = {
    "exponential": Law(lambda rng, n: rng.exponential(1, n), 1.0),
    "log-normal of σ = 1": Law(lambda rng, n: rng.lognormal(0, 1, n), math.exp(0.5)),
    "Student's t of 3 degrees": Law(lambda rng, n: rng.standard_t(3, n), 0.0),
}
# n images by several seeds: effects of either, and of both together
SEEDED: Mapping[str, Law] = {
    "2 seeds, equal spread": Law(lambda rng, n: _crossed(rng, 2, n, 0.5), 30.0),
    "2 seeds that decide": Law(lambda rng, n: _crossed(rng, 2, n, 3.0), 30.0),
    "2 seeds without effect": Law(lambda rng, n: _crossed(rng, 2, n, 0.0), 30.0),
    "3 seeds that decide": Law(lambda rng, n: _crossed(rng, 3, n, 3.0), 30.0),
    "3 seeds, equal spread": Law(lambda rng, n: _crossed(rng, 3, n, 0.5), 30.0),
    "5 seeds, equal spread": Law(lambda rng, n: _crossed(rng, 5, n, 0.5), 30.0),
    "10 seeds, equal spread": Law(lambda rng, n: _crossed(rng, 10, n, 0.5), 30.0),
    "3 seeds without effect": Law(lambda rng, n: _crossed(rng, 3, n, 0.0), 30.0),
    "10 seeds without effect": Law(lambda rng, n: _crossed(rng, 10, n, 0.0), 30.0),
}


def main() -> None:
    """Simulate, print and write the shares; exit 1 where one of the promised is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = {
        "promised": _shares(LAWS, arguments.studies),
        "with seeds": _shares(SEEDED, arguments.studies // FEWER),
        "beyond the promise": _shares(HARDER, arguments.studies),
    }
    for group, laws in found.items():
        print(f"{group}:")
        for name, shares in laws.items():
            print(f"  {name:<40} " + "  ".join(f"n = {n}: {100 * s:.2f} %" for n, s in shares.items()))
    if arguments.out:
        document: dict[str, Any] = {
            "command": f"python -m restoration.benchmarks.coverage --studies {arguments.studies}",
            "what": f"share of {100 * LEVEL:g} % intervals that hold the true mean, by number of images",
            "environment": circumstances(torch.device("cpu")),
            "studies": arguments.studies,
            "studies_with_seeds": arguments.studies // FEWER,
            "resamples": RESAMPLES,
            "between": PROMISED,
            "shares": found,
        }
        with atomic(arguments.out) as stream:
            stream.write((json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    raise SystemExit(0 if all(kept(s) for laws in found["promised"].values() for s in laws.values()) else 1)


def kept(share: float) -> bool:
    """Return whether a share of intervals is within what is promised."""
    return PROMISED[0] <= share <= PROMISED[1]


def coverage(name: str, law: Law, images: int, studies: int = STUDIES, seed: int = 0) -> float:
    """Return in which share of simulated studies of ``images`` images the interval holds the true mean."""
    rng = np.random.default_rng([seed, images, zlib.crc32(name.encode())])
    hits = 0
    for _ in range(studies):
        low, high = mean_interval(law.draw(rng, images))
        assert low is not None and high is not None, "a study has two images at least"
        hits += low <= law.truth <= high
    return hits / studies


def _shares(laws: Mapping[str, Law], studies: int) -> dict[str, dict[str, float]]:
    return {name: {str(n): coverage(name, law, n, studies) for n in IMAGES} for name, law in laws.items()}


def _differences(rng: Generator, n: int) -> Values:
    """Return the gains of one restorer over another: scores share how hard an image is, harder ones gain less."""
    hard = rng.gamma(4, 1, n)
    first = 34 - hard + rng.normal(0, 0.3, n)
    return first + 0.3 + 0.05 * (4 - hard) + rng.normal(0, 0.2, n) - first


def _crossed(rng: Generator, seeds: int, n: int, effect: float) -> Values:
    """Return scores (seeds, images) with spread 1 of the images, ``effect`` / √n·3 of seeds, and 0.3 of the rest."""
    of_seeds = effect * 3 / n**0.5 * rng.normal(size=(seeds, 1))
    return 30 + rng.normal(size=(1, n)) + of_seeds + 0.3 * rng.normal(size=(seeds, n))


if __name__ == "__main__":
    main()
