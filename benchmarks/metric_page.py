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
    "behind glass and without it are.",
    "alone": "They need no clean image: `restoration benchmark --alone FOLDER --metrics niqe`, or any protocol.",
    "degraded": "They need the degraded image and a scale from 2: beside `--pairs` or `--alone` name it with "
    "`--degraded FOLDER --set scale=4`.",
    "holes": "They need a mask. By share of hole: a protocol for each range, such as `masks-irregular-20-30`. The "
    "whole image is what metrics of pairs score.",
    "frames": "A clip's frames are scored one by one by every other metric, too. The first frame of a clip has no "
    "value.",
    "set": f"One number per set. Below {ENOUGH:,} images a Fréchet distance measures how many there are rather than "
    "how they look: it is refused unless `--force-fid` says otherwise, and the kernel distance over the same features "
    "stands in for it, with its interval. Features of clean images are made once for all restorers, and only features "
    "or moments are kept.",
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
    best = {"higher": "highest", "lower": "lowest", "one": "1"}[metric.better]
    unit = f" {metric.unit}" if metric.unit else ""
    adds = [f"features={FEATURES[metric.features]}"] if issubclass(metric, SetMetric) else []
    adds += [metric.convention] if metric.convention else []
    what = (metric.__doc__ or "").strip().replace("|", "\\|")
    return f"| `{name}` | {best} | {_range(metric)}{unit} | {metric.smallest} | {what} | {', '.join(adds)} |"


def _range(metric: type[Metric]) -> str:
    low, high = metric.floor, metric.ceiling
    if math.isinf(low) and math.isinf(high):
        return "any"
    if math.isinf(high):
        return f"from {low:g}"
    return f"to {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"


if __name__ == "__main__":
    main()
