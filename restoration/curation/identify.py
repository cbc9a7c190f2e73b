"""What a set of low-resolution images was made with: all known reductions of the clean images are compared with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from restoration.curation.comparing import Agreement, Probe, Way, compared
from restoration.curation.cutting import fits, usual_scale
from restoration.curation.reductions import Reduction, gaussian, reductions
from restoration.data.files import upright_size
from restoration.errors import ImageError, RequestError
from restoration.image import read_samples
from restoration.pool import in_order
from restoration.printing import listed

PROBES = 4  # pairs on which all ways are tried
MOST_PAIRS = 200  # pairs, evenly spread, on which the finalists are tried
FINALISTS = 4
ALIKE = 8  # Gaussians that are the same away from the border
CLOSE, LIKELY = 60.0, 40.0  # dB: where no other way needs to be looked for; where a way may be the right one
GOLDEN = (5**0.5 - 1) / 2
Pair = tuple[Path, Path]  # degraded, clean
Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Verdict:
    """What a set was made with, as far as can be said; ``ranking`` holds the nearest ways, best first.

    ``by_order`` says that files were paired by their order, for want of names that agree.
    """

    text: str
    scale: int
    pairs: int
    ranking: list[tuple[str, Agreement]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    by_order: bool = False


def identify(
    pairs: Sequence[Pair],
    *,
    most: int = MOST_PAIRS,
    workers: int | None = None,
    on_pair: Callable[[int], None] = lambda done: None,
) -> Verdict:
    """Return what the degraded images of (degraded, clean) pairs were made with.

    Clean images are taken as cropped at the bottom and right to a multiple of the scale, and also whole. Every known
    way, and Gaussian blurs with a fitted width, are tried on parts of a few pairs; the best then on all, or ``most``.
    """
    scale, usable, problems = _common_scale(pairs)
    uneven = [pair for pair in usable if _is_uneven(pair, scale)]
    scores = _tried(_probes(usable, uneven, scale, workers), scale, bool(uneven))
    order = sorted(scores, key=lambda way: scores[way].rank)
    exact = [way for way in order if scores[way].exact == scores[way].images]
    finalists = (exact or order)[:FINALISTS]
    chosen = [usable[i] for i in _spread(len(usable), most)]
    totals = dict.fromkeys(finalists, Agreement())
    results = in_order(lambda pair: _agreements(pair, finalists, scale), chosen, workers)
    for done, (pair, result) in enumerate(zip(chosen, results, strict=True), 1):
        try:
            for way, agreement in result.result().items():
                totals[way] += agreement
        except (ImageError, OSError) as error:
            problems.append(str(error) if isinstance(error, ImageError) else f"{pair[0]}: {error}")
        on_pair(done)
    best = sorted(finalists, key=lambda way: totals[way].rank)
    ranking = [(way.name(scale), totals[way]) for way in best]
    lossy = all(degraded.suffix.lower() in (".jpg", ".jpeg") for degraded, _ in chosen)
    return Verdict(_text(ranking, len(scores), lossy), scale, len(pairs), ranking, problems)


def _tried(probes: Sequence[Probe], scale: int, uneven: bool) -> dict[Way, Agreement]:
    """Return how all ways agree with the probes; beyond plain reductions, only where none of those is right."""
    ways = [Way(reduction) for reduction in reductions(scale)]
    scores = _scores(ways, probes)
    if uneven and not any(score.exact == score.images for score in scores.values()):
        scores |= _scores([Way(way.reduction, whole=True) for way in ways], probes)
    if max(score.inside.psnr for score in scores.values()) < CLOSE:
        scores |= _scores([Way(reduction) for reduction in _gaussians(probes, scale)], probes)
    return scores


def _text(ranking: list[tuple[str, Agreement]], tried: int, lossy: bool) -> str:
    """Return the verdict in words."""
    (name, best), *others = ranking
    if best.exact == best.images:
        same = [other for other, found in others if found.exact == best.exact and not other.startswith(name)]
        also = f" (no different here: {'; '.join(same)})" if same else ""
        return f"{name}, exact on {best.exact}/{best.images}{also}"
    share = 100 * best.whole.differing / best.whole.samples
    where = "only near the border" if not best.inside.differing else "not only near the border"
    far = f"{best.whole.psnr:.1f} dB, {share:.2g} % of samples differ, by at most {best.most}, {where}"
    if best.exact:
        return f"{name}, exact on {best.exact}/{best.images}; not on {listed(best.inexact)}: {far}"
    jpeg = "; the degraded files are JPEG, which is never exact" if lossy else ""
    if best.inside.psnr < LIKELY:
        return f"none of the {tried} ways that are known; the nearest is {name}: {far}{jpeg}"
    return f"most like {name}, exact on 0/{best.images}: {far}{jpeg}"


def _common_scale(pairs: Sequence[Pair]) -> tuple[int, list[Pair], list[str]]:
    """Return the scale of most pairs by their headers, the pairs that have it, and a line for each other."""
    problems: list[str] = []
    sizes: dict[Pair, tuple[Size, Size]] = {}
    for pair in pairs:
        try:
            sizes[pair] = upright_size(pair[1]), upright_size(pair[0])
        except ImageError as error:
            problems.append(str(error))
    scale = usual_scale(list(sizes.values()))
    if scale == 1:
        raise RequestError(f"{pairs[0][0].parent}: as large as the clean images; expected reduced ones")
    usable = [pair for pair, size in sizes.items() if scale and fits(*size, scale)]
    wanted = f"the scale {scale}, as most have" if scale else "a whole scale"
    for pair in sorted(sizes.keys() - usable):
        found = " against ".join(f"{width}x{height}" for height, width in reversed(sizes[pair]))
        problems.append(f"{pair[0]}: {found} pixels of {pair[1]}; expected {wanted}")
    if scale is None:
        raise RequestError(problems[0] if problems else "no pairs to compare")
    return scale, usable, problems


def _is_uneven(pair: Pair, scale: int) -> bool:
    """Whether the clean image is no multiple of the degraded one, so that it matters how it was cropped."""
    small, large = (upright_size(path) for path in pair)
    return any(n != s * scale for n, s in zip(large, small, strict=True))


def _probes(pairs: Sequence[Pair], uneven: Sequence[Pair], scale: int, workers: int | None) -> list[Probe]:
    """Return some pairs, uneven ones among them; what cannot be read is passed over, if all the refusal is raised."""
    wanted = [some[i] for some in (pairs, uneven) for i in _spread(len(some), PROBES)]
    probes, refused = [], None
    for result in in_order(lambda pair: _probe(pair, scale), list(dict.fromkeys(wanted)), workers):
        try:
            probes.append(result.result())
        except (ImageError, OSError) as error:
            refused = error
    if not probes:
        raise refused or RequestError("no pairs to compare")
    return probes


def _probe(pair: Pair, scale: int) -> Probe:
    degraded, clean = (read_samples(path) for path in pair)
    if degraded.shape[2] == 3 and clean.shape[2] == 1:
        clean = np.repeat(clean, 3, 2)
    if degraded.shape[2] != clean.shape[2] or degraded.dtype != clean.dtype or clean.dtype.kind == "f":
        kinds = [f"{image.shape[2]} channels of {image.itemsize * 8} bits" for image in (degraded, clean)]
        raise ImageError(
            f"{pair[0]}: {kinds[0]} against {kinds[1]} of {pair[1]}; expected the same, 8 or 16 bits"
        )
    return Probe(pair[0].name, degraded, clean, scale)


def _scores(ways: Sequence[Way], probes: Sequence[Probe]) -> dict[Way, Agreement]:
    """Return how every way that applies agrees with the probes."""
    scores = {}
    for way in ways:
        parts = [compared(way, probe if way.whole else probe.part()) for probe in probes]
        scores[way] = sum(parts, Agreement())
    return scores


def _agreements(pair: Pair, ways: Sequence[Way], scale: int) -> dict[Way, Agreement]:
    probe = _probe(pair, scale)
    return {way: compared(way, probe) for way in ways}


def _gaussians(probes: Sequence[Probe], scale: int) -> list[Reduction]:
    """Return the nearest Gaussian blur for each place of the sampled pixels; widths are fitted away from borders."""

    parts = [probe.part() for probe in probes]

    def error(sigma: float, phase: float, radius: int | None = None) -> float:
        way = Way(gaussian(sigma, phase, radius))
        return sum(compared(way, part).inside.error for part in parts)

    def fitted(phase: float) -> float:
        return _fitted(lambda sigma: error(sigma, phase), 0.2, 2.0 * scale)

    phases = sorted({0.0, (scale - 1) / 2, float((scale - 1) // 2), float(scale // 2)})
    widths = {phase: fitted(phase) for phase in phases}
    phase = min(phases, key=lambda phase: error(widths[phase], phase))
    sigma = widths[phase]
    rounded = [round(round(sigma / step) * step, 2) for step in (0.1, 0.05, 0.01) if sigma > step]
    radii = sorted({*range(max(1, int(2 * sigma)), 11), int(np.ceil(3 * sigma)), int(np.ceil(4 * sigma))})
    errors = {(s, r): error(s, phase, r) for s in [*rounded, sigma] for r in radii}
    best = [pair for pair, value in errors.items() if value == min(errors.values())][:ALIKE]
    return [gaussian(s, phase, r, edges) for s, r in best for edges in ("reflect", "mirror", "clamp", "zero")]


def _fitted(error: Callable[[float], float], low: float, high: float) -> float:
    """Return the place of the smallest error to 0.001, by golden sections."""
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = error(left), error(right)
    while high - low > 1e-3:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = error(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = error(right)
    return (low + high) / 2


def _spread(count: int, most: int) -> list[int]:
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, most)).round()}) if count else []
