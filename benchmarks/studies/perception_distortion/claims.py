"""The claims of ``claims.toml`` put to the test: a verdict for each task, with the numbers that it follows from."""

import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from restoration.benchmarks.intervals import mean_interval
from restoration.benchmarks.studies.perception_distortion.arms import ARMS, MEAN, TASKS
from restoration.benchmarks.studies.perception_distortion.records import NONE, Array, Distance, Study

REPRODUCED, NOT, OPEN = "reproduced", "not reproduced", "inconclusive"
WAYS = ("authors", "mean-free")
DRAWN = "by the ends of 5 draws mean, least and greatest"
PREDICTED = ("pmrf", "flow-degraded", "flow-mean", "naive")


class Span(NamedTuple):
    """A number and its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})".replace("-", "−")


@dataclass(frozen=True)
class Verdict:
    """What the records say of a claim in one task; ``found`` holds numbers by what they are.

    One that is not ``judged`` is told beside and does not count.
    """

    claim: str
    task: str
    verdict: str
    found: dict[str, Span | float]
    judged: bool = True

    @property
    def numbers(self) -> str:
        """Return the numbers in one line."""
        told = {what: str(v) if isinstance(v, Span) else f"{v:.3g}" for what, v in self.found.items()}
        return "; ".join(f"{what} {number}" for what, number in told.items()).replace(" -", " −")

    @property
    def line(self) -> str:
        """Return the verdict in one line."""
        return f"{self.claim}, {self.task}: {self.verdict}: {self.numbers}"


@cache
def stated() -> dict[str, Any]:
    """Return the claims as they were stated, by name; beside them what holds for all."""
    path = files("restoration.benchmarks.studies.perception_distortion").joinpath("claims.toml")
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return document | {claim["name"]: claim for claim in document["claim"]}


def verdicts(study: Study) -> list[Verdict]:
    """Return a verdict for every claim and task of which the records are there."""
    return [
        verdict
        for claim in stated()["claim"]
        for task in study.tasks
        for verdict in TESTS[claim["name"]](study, task, claim)
    ]


def overall(found: Sequence[Verdict]) -> str:
    """Return what the verdicts of all tasks come to; of some, so far."""
    judged = [verdict for verdict in found if verdict.judged]
    said = {verdict.verdict for verdict in judged}
    word = said.pop() if len(said) == 1 else NOT if NOT in said else OPEN
    expected = stated()[found[0].claim].get("far", len(TASKS))
    return word if len(judged) >= expected else f"{word} so far, in {len(judged)} of {expected} tasks"


def close_pairs(study: Study, tasks: Sequence[str]) -> list[tuple[str, str]]:
    """Return (task, arm) of PMRF and the other flows where their MSE differs by less than one seed can tell."""
    found: dict[tuple[str, str], None] = {}
    steps = stated()["steps"]
    rivals = [arm.name for arm in ARMS.values() if arm.kind == "flow" and arm.name != "pmrf"]
    for task in tasks:
        for rival in rivals:
            if not study.has(task, "pmrf", rival):
                continue
            first, second = (study.values(task, arm, "mse", steps=steps)[0].mean() for arm in ("pmrf", rival))
            if abs(10 * math.log10(first / second)) < stated()["close"]:
                found |= {(task, "pmrf"): None, (task, rival): None}
    return list(found)


def _below_posterior(study: Study, task: str, claim: dict[str, Any]) -> list[Verdict]:
    if not study.has(task, MEAN, "pmrf", "flow-degraded"):
        return []
    error, away = _differences(study, task, "pmrf", "flow-degraded")
    margin = claim["margin"] * study.sliced(task, MEAN).value
    verdict = OPEN
    if error.high < 0 and away.high <= margin:
        verdict = REPRODUCED
    elif error.low > 0 or away.low > margin:
        verdict = NOT
    return [Verdict(claim["name"], task, verdict, {
        "MSE, difference": error, "sliced Wasserstein, difference": away, "margin": margin,
        **_frechet(study, task, "pmrf", "flow-degraded"),
    })]  # fmt: skip


def _posterior_twice(study: Study, task: str, claim: dict[str, Any]) -> list[Verdict]:
    if not study.has(task, MEAN, "flow-degraded"):
        return []
    ratio = _ratio(study.values(task, "flow-degraded", "mse", steps=claim["steps"]), study.least(task))
    return [Verdict(claim["name"], task, _within(ratio, claim["low"], claim["high"]), {"ratio": ratio})]


def _naive_far(study: Study, task: str, claim: dict[str, Any]) -> list[Verdict]:
    if not all(study.has(t, MEAN) for t in TASKS) or not study.has(task, "pmrf", "naive"):
        return []  # which tasks are the farthest is known by all of them
    far = {t: study.values(t, MEAN, "mse", **NONE).mean() for t in TASKS}
    judged = task in sorted(far, key=lambda t: -far[t])[: claim["far"]]
    both = _differences(study, task, "naive", "pmrf")
    higher, lower = [span.low > 0 for span in both], [span.high < 0 for span in both]
    verdict = OPEN
    if any(higher) and not any(lower):
        verdict = REPRODUCED
    elif any(lower) and not any(higher):
        verdict = NOT
    error, away = both
    return [Verdict(claim["name"], task if judged else f"{task}, nearer", verdict, {
        "MSE, difference": error, "sliced Wasserstein, difference": away, "MSE of y": float(far[task]),
        **_frechet(study, task, "naive", "pmrf"),
    }, judged)]  # fmt: skip


def _error_adds_up(study: Study, task: str, claim: dict[str, Any]) -> list[Verdict]:
    if not study.has(task, MEAN, *PREDICTED):
        return []
    steps, found = stated()["steps"], {}
    for arm in PREDICTED:
        predicted = study.least(task) + study.values(task, arm, "from_mean", steps=steps)
        ratio = _ratio(predicted, study.values(task, arm, "mse", steps=steps))
        found[ARMS[arm].title] = Span(*(end - 1 for end in ratio))
    said = [_within(span, -claim["margin"], claim["margin"]) for span in found.values()]
    verdict = REPRODUCED if set(said) == {REPRODUCED} else NOT if NOT in said else OPEN
    return [Verdict(claim["name"], task, verdict, found)]


def _transport_parabola(study: Study, task: str, claim: dict[str, Any]) -> list[Verdict]:
    found = []
    for way in WAYS if study.has(task, MEAN, "transport") else ():
        fit, vertex = parabola(*_by_alpha(study, task, "transport", way))
        verdict = _within(vertex, claim["low"], claim["high"]) if fit >= claim["least"] else NOT
        numbers = {
            "vertex": vertex,
            "R²": fit,
            DRAWN: _vertex_by_draw(study, task, way, claim["photographs"]),
        }
        found.append(Verdict(claim["name"], f"{task}, {way}", verdict, numbers, way == stated()["way"]))
    return found


def _transport_perceptual(study: Study, task: str, claim: dict[str, Any]) -> list[Verdict]:
    if not study.has(task, MEAN, "gan", "transport-gan"):
        return []
    away, found = _span(study.sliced(task, "gan") - study.sliced(task, MEAN)), []
    for way in WAYS:
        alphas, errors = _by_alpha(study, task, "transport-gan", way)
        _, vertex = parabola(alphas, errors)
        verdict = REPRODUCED if vertex.low > 1 else NOT if vertex.high < 1 else OPEN
        mean = errors.mean(1)
        numbers = {
            "vertex": vertex, **_beyond_mean(study, task, way),
            "dB gained up to α = 2": float(10 * np.log10(mean[alphas == 1].item() / mean.min())),
            "sliced Wasserstein of the GAN over x*, difference": away,
        }  # fmt: skip
        verdict = verdict if away.high < 0 else OPEN
        found.append(Verdict(claim["name"], f"{task}, {way}", verdict, numbers, way == stated()["way"]))
    return found


def _transport_dozen(study: Study, task: str, claim: dict[str, Any]) -> list[Verdict]:
    found = []
    for way in WAYS if study.has(task, MEAN, "transport") else ():
        few, many = (_by_draw(study, task, way, claim[key]) for key in ("enough", "most"))
        gain, judged = _mean(study.sliced(task, MEAN).value - many), way == stated()["way"]
        shown, verdict = {"gain of 32": gain}, NOT if gain.high <= 0 else OPEN
        if gain.low > 0:
            excess = _mean((few - many) / gain.value)
            shown = {"excess of 12 over 32": excess} | shown
            verdict = REPRODUCED if excess.high <= claim["margin"] else verdict
            verdict = NOT if excess.low > claim["margin"] else verdict
        found.append(Verdict(claim["name"], f"{task}, {way}", verdict, shown, judged))
    return found


TESTS: dict[str, Callable[[Study, str, dict[str, Any]], list[Verdict]]] = {
    "below-posterior": _below_posterior,
    "posterior-twice": _posterior_twice,
    "naive-far": _naive_far,
    "error-adds-up": _error_adds_up,
    "transport-parabola": _transport_parabola,
    "transport-perceptual": _transport_perceptual,
    "transport-dozen": _transport_dozen,
}


def parabola(alphas: Array, errors: Array) -> tuple[float, Span]:
    """Return R² of the parabola through mean errors, (α, n) by photograph, and its vertex over resamples of these."""
    coefficients, design = _coefficients(alphas, errors)
    mean = errors.mean(1)
    rest = mean - design @ coefficients.mean(1)
    fit = 1 - float((rest**2).sum() / ((mean - mean.mean()) ** 2).sum())
    return fit, _quantiles(*_vertices(alphas, errors))


def _coefficients(alphas: Array, errors: Array) -> tuple[Array, Array]:
    """Return those of each photograph's parabola, (3, n), and what they multiply, (α, 3)."""
    design = np.stack([alphas**2, alphas, np.ones_like(alphas)], 1)
    return np.linalg.lstsq(design, errors, rcond=None)[0], design


def _vertices(alphas: Array, errors: Array) -> tuple[float, Array]:
    """Return the vertex of the mean parabola, and those of resamples, which are the same of as many photographs."""
    square, slope, _ = _coefficients(alphas, errors)[0]
    n = errors.shape[1]
    shares = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), 5000) / n
    return float(-slope.mean() / (2 * square.mean())), -(shares @ slope) / (2 * (shares @ square))


def _quantiles(value: float, draws: Array) -> Span:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Span(value, float(low), float(high))


def _beyond_mean(study: Study, task: str, way: str) -> dict[str, Span | float]:
    """Return how much farther the GAN's vertex is than the posterior mean's own, paired by photograph."""
    if not study.has(task, "transport"):
        return {}
    (far, fars), (near, nears) = (
        _vertices(*_by_alpha(study, task, arm, way)) for arm in ("transport-gan", "transport")
    )
    return {"beyond that of x* by": _quantiles(far - near, fars - nears)}


def _vertex_by_draw(study: Study, task: str, way: str, count: int) -> Span:
    """Return the mean, the least and the greatest vertex of transports fitted to other photographs.

    Without clipping, α at the vertex is (d + b − a) / 2d of the errors a of x*, b of its transport, and d between them.
    """
    found = study.variants(task, "transport", way=way, photographs=count)
    error, between = (np.array([v[key] for v in found]).mean(1) for key in ("mse", "from_mean"))
    own = (between + error - study.least(task).mean()) / (2 * between)
    return Span(float(own.mean()), float(own.min()), float(own.max()))


def _differences(study: Study, task: str, first: str, second: str) -> tuple[Span, Span]:
    """Return how much more error, and how much more distance, the first arm has: both paired by photograph."""
    steps = stated()["steps"]
    ours, theirs = (study.values(task, arm, "mse", steps=steps) for arm in (first, second))
    seeds = min(len(ours), len(theirs))
    near, far = (study.sliced(task, arm, steps=steps) for arm in (first, second))
    return _mean(ours[:seeds] - theirs[:seeds]), _span(near - far)


def _frechet(study: Study, task: str, first: str, second: str) -> dict[str, Span | float]:
    """Return how much larger the first arm's Fréchet distance is, where both have one."""
    near, far = (study.frechet(task, arm, steps=stated()["steps"]) for arm in (first, second))
    return {"Fréchet, difference": _span(near - far)} if near and far else {}


def _span(distance: Distance) -> Span:
    return Span(distance.value, *distance.ends)


def _ratio(values: Array, under: Array) -> Span:
    """Return mean(values) / mean(under) with the interval of its linearisation."""
    ratio = float(values.mean() / under.mean())
    rest = _mean(values - ratio * under)
    return Span(ratio, ratio + rest.low / float(under.mean()), ratio + rest.high / float(under.mean()))


def _mean(values: Array) -> Span:
    low, high = mean_interval(values)
    assert low is not None and high is not None, "a study has two photographs at least"
    return Span(float(values.mean()), low, high)


def _within(span: Span, low: float, high: float) -> str:
    if low <= span.low and span.high <= high:
        return REPRODUCED
    return NOT if span.high < low or span.low > high else OPEN


def _by_alpha(study: Study, task: str, arm: str, way: str) -> tuple[Array, Array]:
    found = [v for v in study.variants(task, arm, way=way) if "alpha" in v["settings"]]
    return np.array([v["settings"]["alpha"] for v in found]), np.array([v["mse"] for v in found])


def _by_draw(study: Study, task: str, way: str, count: int) -> Array:
    found = study.variants(task, "transport", way=way, photographs=count)
    return np.array([variant["sliced_wasserstein"]["value"] for variant in found])
