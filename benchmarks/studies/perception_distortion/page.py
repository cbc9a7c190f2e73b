"""The page of the study: verdicts, tables and planes, all of them from the records."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from restoration.benchmarks.intervals import mean_interval
from restoration.benchmarks.matrix import line
from restoration.benchmarks.studies.perception_distortion.arms import ARMS, CHOSEN, EULER, MEAN, SEEDS, TASKS
from restoration.benchmarks.studies.perception_distortion.claims import close_pairs, overall, stated, verdicts
from restoration.benchmarks.studies.perception_distortion.evaluating import MODULE
from restoration.benchmarks.studies.perception_distortion.picture import DIALS, SAID, svg
from restoration.benchmarks.studies.perception_distortion.records import NONE, Study
from restoration.benchmarks.studies.perception_distortion.restoring import COUNTS, ENOUGH, WAYS
from restoration.errors import RequestError
from restoration.files import atomic

HEAD = ("restorer", "MSE · 10³", "/ least", "sliced Wasserstein", "high frequencies", "Fréchet", "seeds")
FIGURES = "perception_distortion"  # the folder of pictures beside the page


def write_page(path: Path, study: Study) -> list[Path]:
    """Write the page, and one picture for each task in a folder beside it."""
    if not study.tasks:
        raise RequestError(f"--page {path}: no records to make it of; run the study first")
    folder = path.parent / FIGURES
    folder.mkdir(parents=True, exist_ok=True)
    contents = {path: page(study).encode()}
    contents |= {folder / f"{task}.svg": svg(study, task) for task in study.tasks if study.has(task, MEAN)}
    for target, content in contents.items():
        with atomic(target) as stream:
            stream.write(content)
    return list(contents)


def page(study: Study) -> str:
    """Return the page as Markdown."""
    parts = [_opening(study), *_claims(study)]
    for task in study.tasks:
        if study.has(task, MEAN):
            parts += [f"## {task.capitalize()}", _picture(task), _table(study, task), *_sweeps(study, task)]
    return "\n\n".join([*parts, _limits(study)]) + "\n"


def _opening(study: Study) -> str:
    first = next(iter(study.records.values()))[0]
    photographs, records = first["photographs"], [r for group in study.records.values() for r in group]
    trained = [r["training"] for r in records if r["training"]]
    hours = sum(t["seconds"] for t in trained) + sum(r["seconds"]["measuring"] for r in records)
    schedule, steps = (
        trained[0]["experiment"]["schedule"],
        [t["experiment"]["schedule"]["steps"] for t in trained],
    )
    sizes = sorted(t["parameters"] for t in trained)
    return f"""# Minimum distortion at perfect perception, measured

Posterior-mean rectified flow (PMRF; Ohayon et al., 2025) and deep optimal transport (DOT; Adrai et al., 2023) on
photographs, at a size that two CPU cores train in hours: what is claimed, how it was tested, and what came out.

```
python -m {MODULE}          # everything; again, it goes on where it stopped
python -m {MODULE} --page   # this page
```

{len(trained)} trainings of up to {max(steps):,} steps with {schedule["batch"]} crops of \
{trained[0]["experiment"]["data"]["crop"]} pixels, networks of
{sizes[0] / 1e6:.2f} to {sizes[-1] / 1e6:.2f} million parameters, {hours / 3600:.1f} hours of one thread in all. \
Photographs of BSDS500's train and test
at half size are learnt from; {len(photographs["names"])} others, `{photographs["held_out"]}`, are measured, whole. \
Every number is in
`benchmarks/results/perception_distortion/`. Claims and tests were written into `claims.toml`, beside the code, before
anything was measured, but for what a test says of itself. Over all tasks a claim is reproduced where it is in each, not
reproduced where it is not in one, and inconclusive else. Intervals are of 95 %, over photographs, and over seeds where
there are several: three where the MSE of another flow is within {stated()["close"]:g} dB of PMRF's, one elsewhere,
and always one posterior mean. Other differences that small, as of the GAN and the posterior mean, are those of one
training.{_of_one(study)}

DOT maps 5×5 patches of pixels here, where the paper's has an autoencoder's latents, in two ways. "Authors", or nothing
beside the name, is the paper's: clean and degraded photographs without pairs, and the means of patches are mapped too.
That way is judged. "Mean-free" leaves the mean of every patch as it is, which is told beside. So is DOT in latents:
3×3 patches of those of `kl-vae-small`, which ships. What is shown and judged at 12 photographs is the first of 5 draws
of them; its vertex is that of the parabola through all α, and those of all draws, by their ends alone, stand beside."""


def _of_one(study: Study) -> str:
    """Return which arms that ask for three trainings have fewer so far."""
    pairs = [
        (task, arm) for task, arm in close_pairs(study, study.tasks) if len(study.records[task, arm]) < SEEDS
    ]
    named = "; ".join(f"{task}, {ARMS[arm].title}" for task, arm in pairs)
    return f"\nNot yet of three: {named}." if named else ""


def _claims(study: Study) -> Iterator[str]:
    yield "## The claims"
    found = verdicts(study)
    for name, group in groupby(found, key=lambda verdict: verdict.claim):
        own, claim = list(group), stated()[name]
        rows = [line(["task", "verdict", "numbers"]), line(["---"] * 3)]
        rows += [line([v.task, v.verdict, v.numbers.replace("|", "/")]) for v in own]
        said = f"### {claim['says']}\n\n{claim['source']}. Test: {claim['test']}"
        yield f"{said}\n\n**{overall(own).capitalize()}.**\n\n" + "\n".join(rows)


def _picture(task: str) -> str:
    made = {key: value for key, value in TASKS[task].degradation.items() if key != "name"}
    said = ", ".join(f"{key} {value:g}" for key, value in made.items())
    return (
        f"Degradation `{TASKS[task].degradation['name']}` ({said}); σ_s = {TASKS[task].sigma:g}.\n\n"
        f"![The planes of {task}: error against the distance of patches]({FIGURES}/{task}.svg)"
    )


def _table(study: Study, task: str) -> str:
    floor = study.records[task, MEAN][0]["floor"]
    rows = [
        line(HEAD),
        line(["---", *["---:"] * (len(HEAD) - 1)]),
        _row(study, task, MEAN, "none (y itself)", NONE),
    ]
    for arm in ARMS:
        if study.has(task, arm):
            rows += [
                _row(study, task, arm, ARMS[arm].title + said, settings) for settings, said in _shown(arm)
            ]
    return (
        "\n".join(rows)
        + f"\n\nBetween halves of {floor['photographs']} clean photographs each the sliced Wasserstein distance is "
        f"{floor['mean']:.2f} ± {floor['deviation']:.2f}."
    )


def _shown(arm: str) -> list[tuple[dict[str, Any], str]]:
    """Return the settings of an arm that the table shows, and how they are called."""
    if ARMS[arm].kind == "flow":
        return [({"steps": CHOSEN}, f", {CHOSEN} steps")]
    if ARMS[arm].kind == "transport":
        first = {"photographs": ENOUGH, "draw": 0}
        return [({"way": way, **first}, f"{said}, first {ENOUGH} photographs") for way, said in SAID.items()]
    return [({}, "")]


def _row(study: Study, task: str, arm: str, title: str, settings: dict[str, Any]) -> str:
    values, least = study.values(task, arm, "mse", **settings), study.least(task)
    low, high = mean_interval(values)
    distance, deep = study.sliced(task, arm, **settings), study.frechet(task, arm, **settings)
    ratio = study.values(task, arm, "high_frequency_ratio", **settings)
    return line([
        title, _span(1e3 * values.mean(), 1e3 * low, 1e3 * high), f"{values.mean() / least.mean():.2f}",
        _span(distance.value, *distance.ends), _span(ratio.mean(), *mean_interval(ratio)),
        _span(deep.value, *deep.ends) if deep else "", str(len(values)),
    ])  # fmt: skip


def _sweeps(study: Study, task: str) -> Iterator[str]:
    """Yield the tables of dials: steps of every flow, and photographs of the transport."""
    flows = [arm for arm in ARMS.values() if arm.kind == "flow" and study.has(task, arm.name)]
    if flows:
        rows = [
            line(["MSE / least; sliced Wasserstein", *(f"{k} steps" if k > 1 else "1 step" for k in EULER)])
        ]
        rows.append(line(["---", *["---:"] * len(EULER)]))
        for arm in flows:
            rows.append(line([arm.title, *(_pair(study, task, arm.name, steps=k) for k in EULER)]))
        yield "\n".join(rows)
    if study.has(task, "transport"):
        rows = [
            line(["DOT: MSE / least; sliced Wasserstein; W₂² / before", *map(str, COUNTS)]),
            line(["---", *["---:"] * len(COUNTS)]),
        ]
        for way in WAYS:
            cells = [_draws(study, task, way, count) for count in COUNTS]
            rows.append(line([f"{way}, mean of draws", *cells]))
        yield "\n".join(rows)
    moved = [arm for arm in ARMS.values() if arm.kind == "transport" and study.has(task, arm.name)]
    if moved:
        rows = [
            line(["MSE / least; sliced Wasserstein", *(f"α = {alpha:g}" for alpha in DIALS)]),
            line(["---", *["---:"] * len(DIALS)]),
        ]
        for arm in moved:
            for way, said in SAID.items():
                cells = [_pair(study, task, arm.name, way=way, alpha=alpha) for alpha in DIALS]
                rows.append(line([arm.title + said, *cells]))
        yield "\n".join(rows)


def _pair(study: Study, task: str, arm: str, **settings: Any) -> str:  # noqa: ANN401
    ratio = study.values(task, arm, "mse", **settings).mean() / study.least(task).mean()
    return f"{ratio:.2f}; {study.sliced(task, arm, **settings).value:.2f}"


def _draws(study: Study, task: str, way: str, count: int) -> str:
    found = study.variants(task, "transport", way=way, photographs=count)
    errors = sum(sum(v["mse"]) / len(v["mse"]) for v in found) / len(found)
    distance = sum(v["sliced_wasserstein"]["value"] for v in found) / len(found)
    apart = sum(v["patch_w2_squared"] / v["before"] for v in found) / len(found)
    return f"{errors / study.least(task).mean():.2f}; {distance:.2f}; {apart:.2f}"


def _limits(study: Study) -> str:
    names = next(iter(study.records.values()))[0]["photographs"]["names"]
    return f"""## How to read this

- MSE is of RGB in [0, 1] after clipping; "/ least" is that over the posterior mean's, which a network stands for.
- The sliced Wasserstein distance (W₁ over 64 directions) is of all 7×7 colour patches of the set without their mean,
  restored against the clean ones of the same photographs; between others it is larger, so that is no lower bound.
- "High frequencies" is energy above 0.25 cycles per pixel over that of clean; 1 is best.
- "W₂² / before" is the squared distance between the Gaussians of restored and clean 5×5 patches over that of x*.
- Photographs of BSDS500 come in series that show like things, in both sets: intervals are a little too narrow for it.
- "Fréchet" is over EfficientNet-Lite0 features of overlapping 64×64 patches; {len(names)} photographs are few, and no
  distance between clean ones stands beside it: the value tells arms apart alone, and decides nothing here. Its interval
  leaves out one of ten groups of photographs at a time.{_otherwise(study)}
- Flows in few steps are smoother and closer to the posterior mean: compare arms along their curves.
- Networks are small and train for minutes. What is claimed of perfect estimators need not show at this size.
- A network that trained for minutes is not quite the posterior mean. Where a flow has a lower MSE in one step (a ratio
  below 1), part of what it adds is right, and the sum of both errors exceeds what is measured."""


def _otherwise(study: Study) -> str:
    """Return in which tasks the Fréchet distance prefers the posterior mean to PMRF, against what it is for."""
    found = []
    for task in study.tasks:
        if study.has(task, MEAN, "pmrf"):
            mean, flow = study.frechet(task, MEAN), study.frechet(task, "pmrf", steps=CHOSEN)
            if mean and flow and mean.value < flow.value:
                found.append(task)
    said = f" By it the posterior mean is nearer to clean photographs than PMRF in {', '.join(found)}."
    return said if found else ""


def _span(value: float, low: float, high: float) -> str:
    return f"{value:.2f} ({low:.2f} to {high:.2f})"
