"""The experiments of PMRF: its tasks with the values of its authors, small ones beside, and stages that wait."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from restoration import experiment, frozen, runs, weights
from restoration.cli import app
from restoration.config import without_origin
from restoration.errors import ConfigError
from restoration.experiment import load
from restoration.parts import build_degradation, build_network
from restoration.runs import build_run, dry_run
from restoration.toml import dumps

TASKS = ("denoise", "super-resolution", "inpainting", "colourisation")
SIGMA = {
    "denoise": 0.025,
    "super-resolution": 0.1,
    "inpainting": 0.1,
    "colourisation": 0.1,
    "blind-faces": 0.1,
}
DEGRADED = {
    "denoise": {"name": "pmrf-denoise", "sigma": 0.35},
    "super-resolution": {"name": "pmrf-sr", "factor": 8, "sigma": 0.05},
    "inpainting": {"name": "pmrf-inpaint", "ratio": 0.9, "sigma": 0.1},
    "colourisation": {"name": "pmrf-colorize", "sigma": 0.25},
    "blind-faces": {
        "name": "pmrf-blind-face",
        "grey": 0.01,
        "sigma": [0.1, 15.0],
        "divisor": [0.8, 32.0],
    },
}
HERE = (
    "data.images=package:photos",
    "schedule.batch=2",
    "schedule.micro_batches=1",
    "validation.protocols=[]",
)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Work in a folder without runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("task", [*TASKS, "blind-faces"])
def test_tasks_of_the_paper_have_its_values(task, elsewhere):
    blind = task == "blind-faces"
    sizes = (15_792_587, 160_460_210) if blind else (4_741_007, 121_544_221)
    for stage, (name, size) in enumerate(zip((f"pmrf-{task}-mean", f"pmrf-{task}"), sizes, strict=True)):
        settings = load(name)
        schedule, optimizer = settings.schedule, settings.optimizer["velocity" if stage else "default"]
        assert (schedule.batch, schedule.decay, schedule.warmup, schedule.average) == (
            256,
            "constant",
            0,
            0.9999,
        )
        assert schedule.bfloat16 and schedule.steps == (1_052_000 if blind and stage else 273_000)
        assert {k: optimizer[k] for k in ("name", "lr", "betas", "weight_decay", "eps")} == {
            "name": "adamw", "lr": 5e-4, "betas": [0.9, 0.95], "weight_decay": 1e-2, "eps": 1e-8,
        }  # fmt: skip
        assert settings.data.crop == (512 if blind else 256)
        assert settings.data.augment == ("mirror" if blind else False)
        assert settings.data.degradation == DEGRADED[task] and build_degradation(settings).scale == 1
        with torch.device("meta"):
            network = build_network(settings, described=True)
        assert count(network.velocity if stage else network) == size
        assert settings.data.crop % network.multiple == 0
        assert sum(p.requires_grad for p in network.parameters()) == len(
            list((network.velocity if stage else network).parameters())
        )
        if not stage:
            assert settings.method == {"name": "direct", "clamp": True}
            assert [(entry["name"], entry["weight"]) for entry in settings.stack] == [("l2", 1.0)]
        else:
            assert network.start.sigma == SIGMA[task] and network.start.source == "posterior-mean"
            assert (network.steps, network.solver, network.condition) == (25, "euler", "none")
            assert [entry["name"] for entry in settings.stack] == ["rectified-flow"]
            assert settings.stack[0]["times"] == "stratified" and settings.stack[0]["strata"] == 256
            mean = load(f"{name}-mean").network
            assert without_origin(settings.network["posterior_mean"], "network", "")[0] == mean


@pytest.mark.parametrize("task", [*TASKS, "blind-faces"])
def test_small_ones_are_of_the_same_tasks_and_fit_a_few_megabytes(task, elsewhere):
    name = f"pmrf-{task.removesuffix('-faces')}-small"  # the blind one's are photographs
    mean, flow = load(f"{name}-mean"), load(name)
    with torch.device("meta"):
        networks = [build_network(settings, described=True) for settings in (mean, flow)]
    assert count(networks[1]) - count(networks[1].velocity) == count(networks[0])
    assert 4 * sum(map(count, networks)) < 8_000_000 and networks[1].receptive_field > 0
    for settings in (mean, flow):
        degradation = dict(settings.data.degradation)
        if task == "super-resolution":
            assert degradation.pop("factor") == 4
        if task == "blind-faces":  # a quarter as far, as crops are a quarter of faces' side
            assert degradation.pop("sigma") == [0.1, 3.75] and degradation.pop("divisor") == [0.8, 8.0]
        if task == "denoise":
            # the same noise, but equal in all channels now and then, as that of a grey photograph
            assert degradation == {"name": "noise", "sigma": 89.25, "clip": True, "grey": 0.15}
            continue
        assert degradation == {
            k: v
            for k, v in DEGRADED[task].items()
            if k not in ("factor", "divisor") and not isinstance(v, list)
        }
    assert flow.network["sigma"] == SIGMA[task]


@pytest.mark.parametrize("name", [n for n in experiment.shipped() if n.startswith("pmrf-") and "small" in n])
def test_small_ones_have_a_dry_run(name, elsewhere):
    text = dry_run(load(name, HERE), elsewhere / "run", torch.device("cpu"))
    waits = f"network.posterior_mean: restoration train {name}-mean"
    assert (waits in text) == (not name.endswith("-mean") and f"{name}-mean" not in weights.shipped())
    assert not (elsewhere / "run").exists()


@pytest.mark.slow
def test_a_large_one_has_a_dry_run(elsewhere):
    settings = (*HERE, "data.crop=64", "network.velocity.depths=[1, 1]")
    text = dry_run(load("pmrf-denoise", settings), elsewhere / "run", torch.device("cpu"))
    assert "network.posterior_mean: restoration train pmrf-denoise-mean" in text


def test_a_stage_that_is_not_trained_yet_is_one_line(elsewhere):
    settings = load("pmrf-inpainting-small", HERE)
    with pytest.raises(ConfigError) as caught:
        build_run(settings, elsewhere / "run", torch.device("cpu"))
    assert str(caught.value) == (
        "network.posterior_mean: runs/pmrf-inpainting-small-mean/restorer.safetensors is not there; restoration train "
        "pmrf-inpainting-small-mean makes it, or set network.posterior_mean to another restorer's name or file"
    )
    result = CliRunner().invoke(app, ["train", "pmrf-inpainting-small", "--set", HERE[0]])
    assert isinstance(result.exception, ConfigError) and not (elsewhere / "runs").exists()


def test_a_stage_that_is_trained_is_the_one_that_is_taken(elsewhere):
    mean = load("pmrf-inpainting-small-mean")
    folder = elsewhere / "runs" / mean.name
    folder.mkdir(parents=True)
    torch.manual_seed(3)
    network = build_network(mean)
    weights.save(folder / "restorer.safetensors", network, weights.Card(mean.name, mean.task, mean.network))
    settings = load("pmrf-inpainting-small", HERE)
    table = settings.network["posterior_mean"]
    assert table["restorer"] == mean.name and len(table["sha256"]) == 64
    taken = build_network(settings).posterior_mean.state_dict()
    assert all(torch.equal(taken[k], v) for k, v in network.state_dict().items())


@pytest.fixture
def trained_again(elsewhere):
    """The posterior mean that ships, trained again where its experiment puts it: name, file and network."""
    mean = load("pmrf-denoise-small-mean")
    own = elsewhere / "runs" / mean.name / "restorer.safetensors"

    def train():
        own.parent.mkdir(parents=True)
        torch.manual_seed(3)
        network = build_network(mean)
        weights.save(own, network, weights.Card(mean.name, mean.task, mean.network))
        return network.state_dict()

    return mean.name, own.relative_to(elsewhere), train


def test_a_stage_that_was_trained_again_is_taken_instead_of_the_one_that_ships(trained_again):
    name, own, train = trained_again
    expected = train()
    flow = load("pmrf-denoise-small", HERE)
    table = flow.network["posterior_mean"]
    assert (table["restorer"], table["sha256"]) == (name, weights.load(own).digest)
    taken = build_network(flow).posterior_mean.state_dict()
    assert all(torch.equal(taken[k], v) for k, v in expected.items())
    lines = dry_run(flow, Path("run"), torch.device("cpu")).splitlines()
    assert next(line.split()[1:] for line in lines if line.startswith("takes ")) == [
        "network.posterior_mean:",
        own.as_posix(),
    ]


def test_the_one_that_ships_is_taken_where_its_sha256_says_so(trained_again):
    """An experiment that was resolved before the stage was trained again still builds, and says from what."""
    name, own, train = trained_again
    before = load("pmrf-denoise-small", HERE)
    assert frozen.taken(before.network) == {"posterior_mean": f"{name} of the package"}
    train()
    assert own.exists() and frozen.taken(before.network) == {"posterior_mean": f"{name} of the package"}
    taken = build_network(before).posterior_mean.state_dict()
    assert all(torch.equal(taken[k], v) for k, v in weights.load(name).network.state_dict().items())


def test_a_run_that_names_the_file_of_a_stage_is_of_the_same_settings(trained_again):
    """As runs of before have it."""
    name, own, train = trained_again
    train()
    flow, folder = load("pmrf-denoise-small", HERE), Path("runs/flow")
    folder.mkdir(parents=True)
    text = dumps(flow.resolved())
    assert text.count(f'restorer = "{name}"') == 1
    (folder / "config.toml").write_text(
        text.replace(f'restorer = "{name}"', f'restorer = "{own.as_posix()}"')
    )
    assert runs.state_of(folder, flow) == "resume"
    again = load(str(folder / "config.toml"))
    assert again.network == flow.network and runs.state_of(folder, again) == "resume"
    own.unlink()
    with pytest.raises(ConfigError, match="has changed; expected the file with sha256"):
        build_network(again)


@pytest.mark.slow
def test_training_says_which_stage_it_takes_and_its_card_holds_the_name(trained_again):
    name, own, train = trained_again
    expected = train()
    settings = (HERE[0], "schedule.steps=1", "schedule.batch=1", "data.crop=16", "validation.protocols=[]")
    arguments = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(app, ["train", "pmrf-denoise-small", "--device", "cpu", *arguments])
    assert result.exit_code == 0 and f"network.posterior_mean: {own}" in result.output.splitlines()
    made = weights.load("runs/pmrf-denoise-small/restorer.safetensors")
    table = made.card.network["posterior_mean"]
    assert (table["restorer"], table["sha256"]) == (name, weights.load(own).digest)
    assert all(torch.equal(made.network.state_dict()[f"posterior_mean.{k}"], v) for k, v in expected.items())


def test_another_restorer_may_take_its_place(elsewhere):
    settings = load("pmrf-inpainting-small", (*HERE, "network.posterior_mean=denoise-color-small"))
    assert settings.network["posterior_mean"]["restorer"] == "denoise-color-small"
    assert build_network(settings).posterior_mean.channels == 3
