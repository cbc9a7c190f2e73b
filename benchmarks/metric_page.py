"""The page of all metrics, ``docs/metrics.md``: direction, range, what is looked at, convention and source.

``python -m restoration.benchmarks.metric_page`` writes it from the table of metrics.
"""

import argparse
import math
from pathlib import Path

from restoration.benchmarks.distances import ENOUGH
from restoration.benchmarks.metrics import METRICS, Metric
from restoration.benchmarks.metrics.distributions import FEATURES, SetMetric

KINDS = {
    "pair": "Restored against clean images",
    "alone": "Restored images alone",
    "degraded": "Restored against degraded images",
    "holes": "Inside and around holes",
    "frames": "Between frames of a clip",
    "set": "Sets of images",
}
NOTES = {
    "pair": "Each needs the clean image. `…-shift` are for pairs that are not quite in register, as photographs taken "
    "behind glass and without it are; `…-shift-quarter` search as tables of blind deblurring do. Where SSIM adds "
    "nothing to the convention, it has the 11 × 11 Gaussian of σ 1.5 without padding.",
    "alone": "They need no clean image: `restoration benchmark --alone FOLDER --metrics niqe`, or any protocol. "
    "Some make luma of their own, as the convention says.",
    "degraded": "They need the degraded image and a scale from 2: beside `--pairs` or `--alone` name it with "
    "`--degraded FOLDER --set scale=4`.",
    "holes": "They need a mask. By share of hole: a protocol for each range, such as `masks-irregular-20-30`. The "
    "whole image is what metrics of pairs score.",
    "frames": "A clip's frames are scored one by one by every other metric, too. The first frame of a clip has no "
    "value. Where a protocol's `degraded` has a `flow`, that is followed, and the convention says so; else the flow of "
    "the clean frames is estimated, once for all restorers. `warping-error` is a root mean square in levels of 255: "
    "Lai et al. print a mean square of images in [0, 1], and leave out the edges of what moves.",
    "set": f"One number per set. Below {ENOUGH:,} images a Fréchet distance measures how many there are rather than "
    "how they look: it is refused unless `--force-fid` says otherwise, and the kernel distance over the same features "
    "stands in for it, with its interval. Features of clean images are made once for all restorers, and only features "
    "or moments are kept. Intervals, and those of the differences between restorers, are those of the jackknife over 8 "
    "groups of images, each left out of the restored and of the clean sets at once; below 8 images there are none."
    "\n\nA restored image and its own clean one are no independent draws: kernel distances leave their kernel out of "
    "the sum (Gretton et al., 2012, eq. 4), and equal sets are 0 apart. Against other images, named by `--reference "
    "FOLDER`, the sum is over all, as KID's authors have it. Where two sets have one law, the jackknife overestimates "
    "the spread of such a distance, and a 95 % interval holds 0 more often than that.",
}
HEAD = """# Metrics

What protocols, `--metrics` and results call each number by. A row of a result has beside its metric a *convention*:
plane (`y` luma, `rgb`), border, rounding, and what the table below adds to these; rows of different conventions never
share a column. Values are computed in float64, networks run in float32; the image is decoded once for all metrics.

A metric whose weights or package are missing, or that an image is too small for, leaves a gap that says why; the
others still run. `pyiqa:NAME` is whatever pyiqa calls NAME, where you have installed it; its licence stands in the
convention.

Made by `python -m restoration.benchmarks.metric_page`.
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    (parser.parse_args().docs / "metrics.md").write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page's text."""
    return "\n".join([HEAD, *map(_section, KINDS)])


def _section(kind: str) -> str:
    lines = ["| metric | best | range | sides from | what, and source | convention adds |"]
    lines.append("|---|---|---|---:|---|---|")
    lines += [_line(name, metric) for name, metric in sorted(METRICS.items()) if metric.kind == kind]
    return "\n".join([f"## {KINDS[kind]}", "", NOTES[kind], "", *lines, ""])


def _line(name: str, metric: type[Metric]) -> str:
    unit = f" {metric.unit}" if metric.unit else ""
    adds = [f"plane {metric.makes}"] if metric.makes else []
    if issubclass(metric, SetMetric):
        adds += [f"features={FEATURES[metric.features]}", metric.of_pairs]
    adds.append(metric.convention + (f"; or {metric.given_flow}" if metric.given_flow else ""))
    what = (metric.__doc__ or "").strip().replace("|", "\\|")
    cells = (
        f"`{name}`", best_words(metric), range_words(metric) + unit, str(metric.smallest), what,
        ", ".join(filter(None, adds)),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def best_words(metric: type[Metric]) -> str:
    """Return which value is best."""
    return {"higher": "highest", "lower": "lowest", "one": "1"}[metric.better]


def range_words(metric: type[Metric]) -> str:
    """Return which values there can be, without their unit."""
    low, high = metric.floor, metric.ceiling
    if math.isinf(low) and math.isinf(high):
        return "any"
    if math.isinf(high):
        return f"from {low:g}"
    return f"to {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"


if __name__ == "__main__":
    main()
