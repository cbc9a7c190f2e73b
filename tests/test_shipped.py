"""What the package ships: experiments that check, restorers with cards that reach their scores, README's tables."""

from pathlib import Path

import pytest
import torch

from restoration import experiment
from restoration.benchmarks import (
    evaluate,
    fill_markers,
    ledger_tables,
    load_protocol,
    protocol_names,
    readme_tables,
)
from restoration.experiment import load
from restoration.parts import build_network
from restoration.weights import load as load_restorer
from restoration.weights import shipped

ROOT = Path(__file__).parent.parent
BARS = {
    ("sr-x2-small", "set5-x2"): 37.3,
    ("sr-x4-small", "set5-x4"): 31.3,
    ("denoise-color-small", "kodak5-color-25"): 31.0,
}


@pytest.mark.parametrize("name", experiment.shipped())
def test_shipped_experiments_check_and_build(name):
    settings = load(name)
    assert settings.name == name
    with torch.device("meta"):  # some are for many GPUs, or wait for what another one trains
        assert sum(p.numel() for p in build_network(settings, described=True).parameters())
    for protocol in settings.validation.protocols:
        load_protocol(protocol)


@pytest.mark.parametrize("name", protocol_names())
def test_shipped_protocols_check(name):
    assert load_protocol(name).name == name


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_restorers_are_small_and_have_cards(name):
    path = shipped()[name]
    assert path.stat().st_size <= (6_000_000 if name == "pmrf-denoise-small" else 4_000_000)
    card = load_restorer(name).card
    assert card.name == name and "BSDS500" in path.with_suffix(".md").read_text()
    assert "non-commercial" in card.licence
    assert card.training["experiment"]["network"] == card.network


def test_a_flow_and_its_posterior_mean_stay_below_eight_megabytes():
    parts = [path.stat().st_size for name, path in shipped().items() if name.startswith("pmrf-denoise-small")]
    assert len(parts) == 2 and sum(parts) <= 8_000_000


def test_a_flows_card_names_the_posterior_mean_that_ships():
    flow, mean = load_restorer("pmrf-denoise-small"), load_restorer("pmrf-denoise-small-mean")
    for table in (flow.card.network, flow.card.training["experiment"]["network"]):
        assert table["posterior_mean"]["restorer"] == mean.card.name
        assert table["posterior_mean"]["sha256"] == mean.digest
    inner = flow.network.posterior_mean.state_dict()
    assert all(torch.equal(inner[key], value) for key, value in mean.network.state_dict().items())


def test_shipped_files_stay_below_fifty_megabytes():
    assert {"sr-x2-small", "sr-x4-small", "denoise-color-small"} <= set(shipped())
    folder = ROOT / "restoration"
    files = [p for part in ("shipped", "photos") for p in (folder / part).iterdir()]
    assert sum(p.stat().st_size for p in files) <= 50_000_000


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize(("name", "protocol"), BARS)
def test_shipped_restorers_reach_their_bars(data_root, name, protocol):
    assert (
        evaluate(load_restorer(name), protocol, data=data_root).mean(
            "psnr-y" if "set5" in protocol else "psnr-rgb"
        )
        >= BARS[name, protocol]
    )


@pytest.mark.parametrize(
    ("page", "tables"), [("README.md", readme_tables), ("docs/ledger.md", ledger_tables)]
)
def test_pages_hold_the_committed_results(page, tables):
    text = (ROOT / page).read_text()
    assert fill_markers(text, tables(ROOT / "benchmarks" / "results")) == text
