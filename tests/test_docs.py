"""What README and docs show works as it stands there."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from restoration.benchmarks.metrics import Metric
from restoration.benchmarks.protocol import load_protocol
from restoration.degradations.degraded import Degradation, Degraded, one_per_image
from restoration.degradations.draws import Keys, generator
from restoration.experiment import load
from restoration.image import write_image
from restoration.losses import LOSSES
from restoration.losses.discriminators import Discriminator, Patch
from restoration.losses.loss import Loss, per_image, same_shape
from restoration.losses.term import Pair, Term
from restoration.method import Batch
from restoration.networks.layers import conv3
from restoration.networks.network import Network
from restoration.parts import build_network

# what the page's snippets take from beside them
NAMES = {
    item.__name__: item
    for item in (
        Degradation, Degraded, Discriminator, Loss, Metric, Network, Pair, Term, Tensor, conv3, dataclass, generator,
        one_per_image, per_image, same_shape, softplus,
    )
} | {"ClassVar": ClassVar, "Keys": Keys, "LOSSES": LOSSES, "nn": nn}  # fmt: skip
ROOT = Path(__file__).parent.parent


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def defined_first(base: str) -> type:
    """Return the class derived from ``base`` that the page on adding parts shows."""
    code = next(block for block in blocks("docs/adding.md", "python") if f"({base})" in block)
    found = dict(NAMES)
    exec(compile(code, "adding.md", "exec"), found)
    return found[re.search(r"class (\w+)", code)[1]]


def test_the_experiment_of_the_readme_builds(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(next(block for block in blocks("README.md", "toml") if block.startswith("name")))
    network = build_network(load(str(path)))
    assert network.scale == 4 and network(torch.rand(1, 3, 16, 16)).shape == (1, 3, 64, 64)


def test_the_stack_of_the_readme_checks(tmp_path):
    whole, stack = (block for block in blocks("README.md", "toml"))
    path = tmp_path / "mine.toml"
    path.write_text(whole.split("[[stack]]")[0] + '[optimizer.default]\nname = "adamw"\n' + stack)
    assert [entry["name"] for entry in load(str(path)).stack] == ["l1", "perceptual", "adversarial"]


def test_a_network_as_the_page_adds_it():
    assert issubclass(defined_first("Network"), Network)
    assert defined_first("Network")(scale=2)(torch.rand(1, 3, 5, 6)).shape == (1, 3, 10, 12)


def test_a_loss_as_the_page_adds_it():
    loss, clean = defined_first("Loss")(), torch.rand(2, 3, 6, 7)
    assert loss(clean + 0.25, clean).tolist() == pytest.approx([0.125, 0.125], rel=1e-5)
    with pytest.raises(ValueError, match="expected equal sizes"):
        loss(clean, clean[..., 1:])


def test_a_term_as_the_page_adds_it():
    term = defined_first("Term")(Patch(width=4, layers=1))
    batch = Batch(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8))
    assert term.of_restored(batch.clean, batch).shape == (2,)
    assert term.of_own_parts(batch.clean, batch).ndim == 0


def test_a_degradation_as_the_page_adds_it():
    degraded = defined_first("Degradation")()(torch.full((2, 1, 3, 3), 0.5), [(0, 0), (0, 1)])
    assert degraded.image.shape == (2, 1, 3, 3) and len(degraded.draw["gamma"]) == 2


def test_a_metric_as_the_page_adds_it():
    metric = defined_first("Metric")()
    assert metric(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)).item() == 1 and metric.better == "lower"


def test_a_protocol_as_the_page_adds_it(tmp_path):
    path = tmp_path / "mine-x4.toml"
    path.write_text(blocks("docs/adding.md", "toml")[0])
    assert load_protocol(str(path)).scale == 4


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_links_lead_somewhere_and_nothing_waits_to_be_filled_in(page):
    prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
        assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
    assert not re.search(r"\{\w+\}|TODO|FIXME", prose)


def test_the_page_on_applying_names_options_that_there_are():
    from typer.main import get_command

    from restoration.cli import app

    commands = get_command(app).commands
    known = {
        option
        for command in (
            commands["apply"], commands["benchmark"], commands["weights"].commands["import"],
            commands["weights"].commands["export"],
        )
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    } | {"--nproc-per-node"}  # fmt: skip
    page = (ROOT / "docs/apply.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) - {"--scale"}
    assert len(named) > 20 and named <= known, named - known
    described = {
        option for parameter in commands["apply"].params for option in parameter.opts if "--" in option
    }
    assert described - named <= {"--device", "--interpolate", "--segment", "--help"}, described - named


def test_the_page_on_applying_links_to_pages_that_there_are():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "docs/apply.md").read_text(encoding="utf-8")):
        assert (ROOT / "docs" / link).exists(), link


def test_applying_from_python_as_the_page_shows_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    write_image(tmp_path / "photos" / "a.png", torch.rand(1, 3, 9, 12))
    found = {"image": torch.rand(1, 3, 9, 12)}
    exec(blocks("docs/apply.md", "python")[0], found)
    assert found["large"].shape == (1, 3, 36, 48)
    assert found["report"].written == [Path("large/a.png")] and not found["report"].failed
