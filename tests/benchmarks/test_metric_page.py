"""The page of metrics is what its generator makes of the table, and ranges hold where metrics are measured."""

from pathlib import Path

import pytest
import torch

from restoration.benchmarks.metric_page import KINDS, page
from restoration.benchmarks.metrics import METRICS
from restoration.errors import WeightsError

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_page_is_up_to_date():
    assert (DOCS / "metrics.md").read_text(encoding="utf-8") == page()


def test_every_metric_stands_in_one_section():
    named = [line.split("`")[1] for line in page().splitlines() if line.startswith("| `")]
    assert sorted(named) == sorted(METRICS) and {metric.kind for metric in METRICS.values()} == set(KINDS)


@pytest.mark.parametrize(
    "name", [name for name, metric in METRICS.items() if metric.kind in ("pair", "alone")]
)
def test_values_lie_in_the_range_that_the_page_gives(name):
    try:
        metric = METRICS[name]()
    except WeightsError as error:
        pytest.skip(str(error).splitlines()[0])
    generator = torch.Generator().manual_seed(2)
    channels = 3 if metric.plane == "rgb" else 1
    clean, restored = torch.rand(2, 1, channels, 208, 200, generator=generator, dtype=torch.float64)
    for ours in (clean, restored, 0.5 * clean + 0.25):
        assert metric.floor - 1e-6 <= metric(ours, clean).item() <= metric.ceiling + 1e-6
