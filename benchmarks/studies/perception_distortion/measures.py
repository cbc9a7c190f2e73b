"""How far restored photographs are from clean ones, each by each and as sets; with what is needed for intervals.

Photographs are the units: every number is kept by photograph, or by resamples of photographs that all arms share, so
that differences between arms are paired.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from restoration.benchmarks.distances import ENOUGH, Moments, frechet
from restoration.benchmarks.extractors import extractor
from restoration.benchmarks.intervals import student
from restoration.benchmarks.metrics.statistics import HighFrequencyRatio, directions
from restoration.errors import WeightsError

Array = NDArray[np.floating]
Detail = Literal["errors", "distances", "intervals", "all"]
DIRECTIONS, STRIDE = 64, 2  # projections of 7×7 colour patches, and pixels between patches
REACH, BINS = 1.5, 3000  # projections up to here, in so many bins: a quarter of an 8-bit level each
RESAMPLES = 200
SPLITS = 200  # halves of the clean photographs that make the noise floor
SIDE, APART = 64, 16  # pixels: patches of the Fréchet distance, and between them
GROUPS = 10  # of photographs, of which one at a time is left out for the Fréchet distance's error
NETWORK = "efficientnet-lite0"


@dataclass(frozen=True)
class Reference:
    """The clean photographs, and what is worked out of them once."""

    clean: Sequence[Tensor]

    @cached_property
    def laws(self) -> Array:
        """Return the distribution functions of the projected patches, by photograph: (n, directions · bins)."""
        return laws(self.clean)

    @cached_property
    def features(self) -> list[Moments]:
        """Return the moments of the patches' features, by group of photographs."""
        return patch_moments(self.clean)

    @cached_property
    def shares(self) -> Array:
        """Return how large a share each photograph has in each resample: (resamples, n)."""
        n = len(self.clean)
        return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES) / n

    @cached_property
    def floor(self) -> dict[str, float]:
        """Return the sliced Wasserstein distance between disjoint halves of the clean photographs: mean and spread."""
        n, rng = len(self.clean), np.random.default_rng(1)
        weights = np.zeros((SPLITS, n))
        for row in weights:
            order = rng.permutation(n)
            row[order[: n // 2]], row[order[n // 2 : 2 * (n // 2)]] = 2 / n, -2 / n
        found = _distances(weights, self.laws)
        return {"mean": float(found.mean()), "deviation": float(found.std(ddof=1)), "photographs": n // 2}


def measured(
    reference: Reference, restored: Sequence[Tensor], mean: Sequence[Tensor], detail: Detail = "distances"
) -> dict[str, Any]:
    """Return measures of restored photographs, (1, 3, H, W) each in any range; they are clipped to [0, 1].

    ``mean`` holds what the posterior mean makes of them. Errors are followed by distances of patches, these by what
    their intervals need, and by the Fréchet distance where all is asked for.
    """
    restored = [image.clamp(0, 1) for image in restored]
    pairs = list(zip(restored, reference.clean, strict=True))
    found: dict[str, Any] = {
        "mse": [_square(ours, clean) for ours, clean in pairs],
        "from_mean": [_square(ours, other) for ours, other in zip(restored, mean, strict=True)],
    }
    if detail == "errors":
        return found
    ratio = HighFrequencyRatio()
    found["high_frequency_ratio"] = [_rounded(ratio(*(x.double() for x in pair)).item()) for pair in pairs]
    found["sliced_wasserstein"] = sliced(reference, restored, detail != "distances")
    return found | ({"frechet": patch_frechet(reference, restored)} if detail == "all" else {})


def sliced(reference: Reference, restored: Sequence[Tensor], resampled: bool = True) -> dict[str, Any]:
    """Return the sliced Wasserstein-1 distance of the sets of patches in levels of 255, and that of each resample.

    As metric sliced-wasserstein, but of all photographs' patches together: 7×7 colours without their common mean.
    """
    away = laws(restored) - reference.laws
    n = len(restored)
    value = _distances(np.full((1, n), 1 / n), away)[0]
    found: dict[str, Any] = {"value": _rounded(value)}
    if resampled:
        found["resamples"] = _distances(reference.shares, away).round(5).tolist()
    return found


def laws(images: Sequence[Tensor]) -> Array:
    """Return the distribution functions of the images' projected patches on a grid: (n, directions · bins)."""
    kernels = directions(images[0].shape[1])[:DIRECTIONS].float()
    offsets = BINS * torch.arange(DIRECTIONS)[:, None]
    rows = []
    for image in images:
        values = functional.conv2d(image, kernels, stride=STRIDE).flatten(2)[0]
        places = ((values + REACH) * (BINS / (2 * REACH))).long().clamp(0, BINS - 1) + offsets
        counts = torch.bincount(places.flatten(), minlength=DIRECTIONS * BINS).view(DIRECTIONS, BINS)
        rows.append((counts.cumsum(1) / values.shape[1]).flatten().float().numpy())
    return np.stack(rows)


def patch_frechet(reference: Reference, restored: Sequence[Tensor]) -> dict[str, Any]:
    """Return the Fréchet distance of the patches' features, with one group of photographs left out at a time too.

    Where there are too few patches, or no network, the reason.
    """
    try:
        ours, clean = patch_moments(restored), reference.features
    except WeightsError as error:
        return {"reason": " ".join(str(error).split())}
    if (count := _sum(ours).count) < ENOUGH:
        return {"reason": f"{count} patches; expected at least {ENOUGH}"}
    without = [
        frechet(_sum(ours[:i] + ours[i + 1 :]), _sum(clean[:i] + clean[i + 1 :])) for i in range(len(ours))
    ]
    return {"value": frechet(_sum(ours), _sum(clean)), "without": without, "patches": count}


def patch_moments(images: Sequence[Tensor]) -> list[Moments]:
    """Return the moments of the features of overlapping 64×64 patches, by group of images."""
    network = extractor(NETWORK).network
    groups: list[Moments | None] = [None] * min(GROUPS, len(images))
    for i, image in enumerate(images):
        columns = functional.unfold(image, SIDE, stride=APART)[0].T
        patches = columns.reshape(-1, image.shape[1], SIDE, SIDE)
        with torch.no_grad():
            (head,) = network(patches, ("head",))
        own, group = Moments.of(head.mean((2, 3)).double().numpy()), i % len(groups)
        groups[group] = own if groups[group] is None else groups[group] + own
    return [group for group in groups if group is not None]


def of_resamples(resamples: Sequence[float] | Array, photographs: int) -> float:
    """Return half an interval: t times the spread of resamples of so many photographs, as of a mean of them."""
    n = photographs
    return student(n - 1) * math.sqrt(n / (n - 1)) * float(np.std(resamples, ddof=1))


def of_groups(without: Sequence[float] | Array) -> float:
    """Return half an interval: t times the error that numbers without one group of photographs each tell of."""
    g = len(without)
    return student(g - 1) * math.sqrt((g - 1) * float(np.var(without)))


def of_seeds(values: Sequence[float] | Array) -> float:
    """Return half an interval of the mean over seeds, 0 of one: t times its standard error."""
    s = len(values)
    return student(s - 1) * float(np.std(values, ddof=1)) / math.sqrt(s) if s > 1 else 0.0


def _distances(weights: Array, rows: Array) -> Array:
    """Return for each set of weights the mean over directions of ∫|Σ w·F| in levels of 255: (sets,)."""
    total = np.zeros(len(weights))
    for start in range(0, rows.shape[1], 8 * BINS):
        total += np.abs(weights.astype(np.float32) @ rows[:, start : start + 8 * BINS]).sum(
            1, dtype=np.float64
        )
    return 255 * total * (2 * REACH / BINS) / DIRECTIONS


def _square(first: Tensor, second: Tensor) -> float:
    return _rounded((first.double() - second.double().clamp(0, 1)).square().mean().item())


def _rounded(value: float) -> float:
    return float(f"{value:.7g}")


def _sum(parts: Sequence[Moments]) -> Moments:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole
