"""How sure a mean over images is, and whether two restorers differ: symmetric studentised bootstrap intervals."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from restoration.benchmarks.resampling import LEVEL, RESAMPLES, Part, Study, shares, student

__all__ = [
    "ENOUGH", "LEVEL", "RESAMPLES", "Groups", "Interval", "by_cluster", "holm", "images_needed", "mean_interval",
    "set_images_needed", "set_interval", "set_p_value", "student", "studied",
]  # fmt: skip

NORMAL_POWER = 0.841621  # 80 % quantile of the normal law: of studies, those that sample-size advice asks for
# images, or seeds, from which resampling says something, and a difference may be called significant
ENOUGH = 8

Values = Sequence[float] | Sequence[Sequence[float]] | NDArray[np.float64]
Amount = float | NDArray[np.float64]
Groups = Sequence[tuple[int, float]]  # of every group of images: how many it has, and a number without them


class Interval(NamedTuple):
    """A 95 % confidence interval; both ends are None where there are too few images."""

    low: float | None
    high: float | None


def mean_interval(
    values: Values,
    ceiling: float = math.inf,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    floor: float = -math.inf,
) -> Interval:
    """Return the interval for the mean of ``values``, (images,) or (seeds, images): mean ± t · standard error.

    From 8 images on, t is the quantile of |mean* − mean| / standard error* over resamples of the images (Hall,
    1988, the symmetric percentile-t bootstrap); below, where there are too few different resamples, it is Student's.
    How often it holds the truth is measured: ``results/coverage.json``. Draws come from a fixed seed. The ends lie
    between ``floor`` and ``ceiling``, where the values themselves do.

    With several seeds the error has a part of the images and a part of the seeds, which has Student's t of one degree
    less than there are seeds: half widths are added in squares. From 8 seeds on both are also resampled together
    (Owen, 2007, the pigeonhole bootstrap), and the wider interval counts.
    """
    return _ends(_study(values, resamples), level, floor, ceiling)


def studied(values: Values, resamples: int = RESAMPLES) -> tuple[Interval, float | None]:
    """Return the interval of ``mean_interval``, and how often chance alone makes a mean as far from 0, by its law.

    The least p value is 1 / (resamples + 1); there is none below 8 images.
    """
    study = _study(values, resamples)
    p = study.p(resamples) if study is not None and np.shape(values)[-1] >= ENOUGH else None
    return _ends(study, LEVEL, -math.inf, math.inf), p


def by_cluster(values: Values, clusters: Sequence[str]) -> NDArray[np.float64]:
    """Return one value for each cluster, (clusters,) or (seeds, clusters), whose mean is that of all images.

    Images of one cluster, such as frames of a clip, are no witnesses of their own. A cluster counts by how far the sum
    of its images is from what their mean would make it: mean + C/n · Σ (value − mean), the linear part of a ratio of
    sums (Cochran, 1977, section 6.4), so that clusters may be of any size.
    """
    x = np.asarray(values, dtype=np.float64)
    order = {cluster: place for place, cluster in enumerate(dict.fromkeys(clusters))}
    if len(order) == len(clusters):
        return x
    member = np.zeros((x.shape[-1], len(order)))
    member[np.arange(x.shape[-1]), [order[cluster] for cluster in clusters]] = 1
    mean = x.mean(-1, keepdims=True)
    return mean + (x - mean) @ member * (len(order) / x.shape[-1])


def set_interval(
    values: Sequence[float],
    left_out: Sequence[Groups],
    floor: float = -math.inf,
    ceiling: float = math.inf,
    share: bool = False,
) -> Interval:
    """Return the interval for a number of a whole set of images: value ± t · standard error of the jackknife.

    ``values`` holds one number per seed, whose mean counts; ``left_out`` for each seed, of every group of images, how
    many it has and the number without them (delete-a-group jackknife, Busing, Meijer & van der Leeden, 1999). t is
    Student's, of one degree of freedom less than there are groups. Several seeds add a part of their own, as in
    ``mean_interval``. Both ends are None below 8 groups, that is below 8 images. A ``share`` of images is no surer than
    their number allows; see `Study`.
    """
    return _ends(_set_study(values, left_out, share), LEVEL, floor, ceiling)


def set_p_value(
    values: Sequence[float], left_out: Sequence[Groups], resamples: int = RESAMPLES, share: bool = False
) -> float | None:
    """Return how often chance makes a number as far from 0, by the law of ``set_interval``; None below 8 groups."""
    study = _set_study(values, left_out, share)
    return None if study is None else study.p(resamples)


def set_images_needed(values: Sequence[float], left_out: Sequence[Groups], n: int) -> int | None:
    """Return how many images would tell a number of ``n`` images from 0, as ``images_needed`` does of means."""
    study = _set_study(values, left_out)
    if study is None or study.mean == 0:
        return None
    ratio = (study.half() + NORMAL_POWER * study.error) / abs(study.mean)
    return max(ENOUGH, math.ceil(n * ratio**2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for how many there are (Holm, 1979): below 5 % all at once in 95 of 100 studies."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = least
    return corrected


def images_needed(values: Sequence[float] | NDArray[np.float64]) -> int | None:
    """Return how many images would tell a mean difference from 0, in 80 of 100 studies at the level of 95 %.

    ``values`` are differences by image; the true difference and its spread are taken to be those seen, N =
    ((t + 0.84) · spread / difference)². None where there is no difference, or less than two images.
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2 or x.mean() == 0:
        return None
    ratio = float(x.std(ddof=1) / abs(x.mean()))
    needed = ENOUGH
    for _ in range(20):  # t depends on the number that it yields
        needed, before = max(ENOUGH, math.ceil(((student(needed - 1) + NORMAL_POWER) * ratio) ** 2)), needed
        if needed == before:
            break
    return needed


def _ends(study: Study | None, level: float, floor: float, ceiling: float) -> Interval:
    if study is None:
        return Interval(None, None)
    half = study.half(level)
    return Interval(max(study.mean - half, floor), min(study.mean + half, ceiling))


def _study(values: Values, resamples: int = RESAMPLES) -> Study | None:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim == 2 and len(x) == 1:
        x = x[0]
    n = x.shape[-1]
    if n < 2:
        return None
    if x.ndim == 2:
        return _crossed_study(x, resamples)
    mean, error = float(x.mean()), float(x.std(ddof=1)) / n**0.5
    if n < ENOUGH:
        return Study(mean, [Part(error, [], n - 1)])
    return Study(mean, [Part(error, _resampled(x - x.mean(), resamples))])


def _resampled(centred: NDArray[np.float64], resamples: int) -> list[NDArray[np.float64]]:
    """Return |t| over resamples of the images; nothing where all values are equal."""
    n, found = len(centred), []
    for some in shares(len(centred), resamples):
        means = some @ centred
        variances = some @ centred**2 - means**2
        varied = variances > 1e-9 * (centred**2).mean()  # a resample of equal values has no t
        found.append(np.abs(means[varied]) / np.sqrt(variances[varied] / (n - 1)))
    t = np.concatenate(found)
    return [t] if t.size else []


def _crossed_study(x: NDArray[np.float64], resamples: int) -> Study:
    """Return the study of every image with every seed, (seeds, images), both drawn at random."""
    seeds, images = x.shape
    away = x - x.mean()
    by_seed = images * (away.mean(1) ** 2).sum()
    by_image = seeds * (away.mean(0) ** 2).sum()
    spread = _spread(by_seed, by_image, (away**2).sum(), seeds, images)
    draws = _resampled(away.mean(0), resamples) if images >= ENOUGH else []
    parts = [Part(float(_error(0.0, spread[1], 0.0, seeds, images)), draws, images - 1)]
    if (of_seeds := float(_error(spread[0], 0.0, spread[2], seeds, images))) > 0:
        parts.append(Part(of_seeds, [], seeds - 1))
    if min(seeds, images) < ENOUGH:
        return Study(float(x.mean()), parts)
    whole = Part(float(_error(*spread, seeds, images)), _resampled_crossed(away, resamples))
    return Study(float(x.mean()), parts, whole)


def _resampled_crossed(away: NDArray[np.float64], resamples: int) -> list[NDArray[np.float64]]:
    """Return |t| over resamples of images and seeds at once."""
    seeds, images = away.shape
    of_seeds, found = np.concatenate(list(shares(seeds, resamples, 1))), []
    for of_images in shares(images, resamples):
        found.append(_crossed_t(away, of_seeds[: len(of_images)], of_images))
        of_seeds = of_seeds[len(of_images) :]
    t = np.concatenate(found)
    return [t] if t.size else []


def _crossed_t(
    away: NDArray[np.float64], of_seeds: NDArray[np.float64], of_images: NDArray[np.float64]
) -> NDArray[np.float64]:
    seeds, images = away.shape
    per_image, per_seed = of_seeds @ away, of_images @ away.T
    means = (per_image * of_images).sum(1)
    by_seed = seeds * images * ((per_seed**2 * of_seeds).sum(1) - means**2)
    by_image = seeds * images * ((per_image**2 * of_images).sum(1) - means**2)
    total = seeds * images * (((of_seeds @ away**2) * of_images).sum(1) - means**2)
    errors = _error(*_spread(by_seed, by_image, total, seeds, images), seeds, images)
    varied = errors > 1e-5 * (away**2).mean() ** 0.5 / (seeds * images) ** 0.5
    return np.abs(means[varied]) / errors[varied]


def _set_study(values: Sequence[float], left_out: Sequence[Groups], share: bool = False) -> Study | None:
    """Return the study of a number of a set, over groups of images and over seeds; None where groups are too few."""
    if not left_out or any(len(groups) < ENOUGH for groups in left_out):
        return None
    seeds, groups = len(values), len(left_out[0])
    value = math.fsum(values) / seeds
    without = [math.fsum(seed[i][1] for seed in left_out) / seeds for i in range(groups)]
    parts = [Part(_jackknifed(value, [images for images, _ in left_out[0]], without), [], groups - 1)]
    if seeds > 1:
        parts.append(Part(float(np.std(values, ddof=1)) / seeds**0.5, [], seeds - 1))
    return Study(value, parts, grain=1 / sum(size for size, _ in left_out[0]) if share else 0.0)


def _jackknifed(value: float, sizes: Sequence[int], without: Sequence[float]) -> float:
    """Return a number's error by what it is without each group: √(Σ (θ̃ⱼ − θ̄)² / (hⱼ − 1) / groups), hⱼ = n / mⱼ."""
    whole = sum(sizes)
    ratios = [whole / size for size in sizes]
    pseudo = [h * value - (h - 1) * left for h, left in zip(ratios, without, strict=True)]
    centre = math.fsum(p / h for p, h in zip(pseudo, ratios, strict=True))
    return (
        math.fsum((p - centre) ** 2 / (h - 1) for p, h in zip(pseudo, ratios, strict=True)) / len(sizes)
    ) ** 0.5


def _spread(
    by_seed: Amount, by_image: Amount, total: Amount, seeds: int, images: int
) -> tuple[Amount, Amount, Amount]:
    """Return mean squares of seeds, images and the rest from their sums of squares (two-way analysis of variance)."""
    rest = np.maximum(total - by_seed - by_image, 0) / ((seeds - 1) * (images - 1))
    return by_seed / (seeds - 1), by_image / (images - 1), rest


def _error(of_seeds: Amount, of_images: Amount, rest: Amount, seeds: int, images: int) -> Amount:
    """Return √(σ_image² / images + σ_seed² / seeds + σ_rest² / both), seeds that differ less than chance as equal."""
    return np.sqrt((of_images + np.maximum(of_seeds - rest, 0)) / (seeds * images))
